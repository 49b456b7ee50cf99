//! The two files of a metadata folder that an import adds to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::load::{Files, read_file, read_files};
use crate::config::yaml::Node;
use crate::edits::FileEdit;
use crate::edits::append::with_actions;
use crate::edits::sdl::with_definitions;
use crate::model::source::{Diagnostic, Severity, Source, SourceLocation};
use crate::model::types::TypeKind;
use crate::openapi::imported::Imported;

/// The files as they are, and the names that are taken.
pub(crate) struct MetadataFiles {
    folder: PathBuf,
    yaml: (&'static str, Option<Arc<Source>>),
    graphql: Option<Arc<Source>>,
    actions: HashMap<String, SourceLocation>,
    types: HashMap<String, SourceLocation>,
    scalars: Vec<String>,
}

const GRAPHQL: &str = "actions.graphql";

impl MetadataFiles {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(root: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let files = read_files(root, &mut diagnostics);
        diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let inner = root.join("metadata");
        let has_yaml = |folder: &Path| ["actions.yaml", "actions.yml"].iter().any(|name| folder.join(name).is_file());
        let folder = if has_yaml(&inner) { inner } else { root.to_path_buf() };
        let is_yml = !folder.join("actions.yaml").is_file() && folder.join("actions.yml").is_file();
        let yaml = if is_yml { "actions.yml" } else { "actions.yaml" };
        let open =
            |name: &str| Some(folder.join(name)).filter(|path| path.is_file()).map(|path| read_file(&path)).transpose();
        let (text, graphql) = (open(yaml)?, open(GRAPHQL)?);
        let (actions, types, scalars) = names_of(&files);
        Ok(Self { yaml: (yaml, text), graphql, folder, actions, types, scalars })
    }

    /// Names of the import that are there already, each with both places.
    pub(crate) fn collisions(&self, imported: &Imported) -> Vec<Diagnostic> {
        let collision = |what: &str, name: &str, place: &SourceLocation, known: &SourceLocation| {
            let there = format!("{}:{}:{}", known.source.name, known.line, known.column);
            let message = format!("the {what} \"{name}\" of the document is there already: {there}");
            Diagnostic::error(Some(place.clone()), message, "choose other names with --prefix, or other operations")
        };
        let actions = imported.actions.iter().filter_map(|action| {
            let known = self.actions.get(&action.name)?;
            Some(collision("action", &action.name, &action.place, known))
        });
        let types = imported.types.iter().filter_map(|made| {
            let known = self.types.get(&made.name)?;
            Some(collision("type", &made.name, &made.place, known))
        });
        let others = imported.scalars.iter().filter(|name| !self.is_scalar(name)).filter_map(|name| {
            let known = self.types.get(*name)?;
            let message = format!("the scalar \"{name}\" of the import is there already as another type");
            Some(Diagnostic::error(Some(known.clone()), message, "rename the type"))
        });
        actions.chain(types).chain(others).collect()
    }

    fn is_scalar(&self, name: &str) -> bool {
        self.scalars.iter().any(|known| known == name)
    }

    /// The files with what is imported.
    ///
    /// # Errors
    /// Why nothing can be added.
    pub(crate) fn with(&self, imported: &Imported) -> Result<Vec<FileEdit>, Diagnostic> {
        let (name, source) = &self.yaml;
        let path = self.folder.join(name);
        let text_of = |source: &Option<Arc<Source>>| source.as_ref().map(|source| source.text.clone());
        let existing = source.clone().unwrap_or_else(|| Arc::new(Source::new(path.display().to_string(), "")));
        let actions = with_actions(&existing, imported.values())?;
        let sdl = imported.sdl(|name| self.is_scalar(name));
        let definitions = with_definitions(self.graphql.as_ref().map_or("", |source| &source.text), &sdl);
        let graphql = self.folder.join(GRAPHQL);
        Ok(vec![
            FileEdit { path, before: text_of(source), after: actions },
            FileEdit { path: graphql, before: text_of(&self.graphql), after: definitions },
        ])
    }
}

/// By name.
type Locations = HashMap<String, SourceLocation>;

/// Actions, types, and which types are scalars.
fn names_of(files: &Files) -> (Locations, Locations, Vec<String>) {
    let mut actions: Locations =
        files.signatures.actions.iter().map(|(name, of)| (name.clone(), of.place.clone())).collect();
    let mut types: Locations =
        files.signatures.types.iter().map(|(name, (_, place))| (name.clone(), place.clone())).collect();
    let is_scalar = |kind: &TypeKind| matches!(kind, TypeKind::Scalar);
    let scalars = files.signatures.types.iter().filter(|(_, (definition, _))| is_scalar(&definition.kind));
    let mut scalars: Vec<String> = scalars.map(|(name, _)| name.clone()).collect();
    let named = |node: &Node| Some((node.member("name")?.scalar_text()?, node.place.clone()));
    for file in &files.actions {
        for (name, place) in file.member("actions").map(Node::items).unwrap_or_default().iter().filter_map(named) {
            actions.entry(name).or_insert(place);
        }
        for (key, _, list) in file.member("custom_types").map(Node::entries).unwrap_or_default() {
            for (name, place) in list.items().iter().filter_map(named) {
                scalars.extend((key == "scalars").then(|| name.clone()));
                types.entry(name).or_insert(place);
            }
        }
    }
    (actions, types, scalars)
}
