//! The files in which actions are defined, and an edit of them as it is made.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::config::document::LISTS;
use crate::config::json_nodes::list;
use crate::config::sdl::{self, Signatures};
use crate::config::yaml::parse;
use crate::edits::FileEdit;
use crate::edits::sdl::SdlEditor;
use crate::edits::yaml::reconcile;
use crate::graphql::suggestions::did_you_mean;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// A file and its text.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its path.
    pub path: PathBuf,
    /// Its text, under the path as its name.
    pub source: Arc<Source>,
    /// Is it there yet? Otherwise its text is empty.
    pub exists: bool,
}

impl TextFile {
    /// A file with this text, or one that is not there yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: Option<&str>) -> Self {
        let path = path.into();
        let source = Arc::new(Source::new(path.display().to_string(), text.unwrap_or_default()));
        Self { path, source, exists: text.is_some() }
    }

    /// The change to another text, if it is another one.
    #[must_use]
    pub fn edited(&self, after: String) -> Option<FileEdit> {
        let before = self.exists.then(|| self.source.text.clone());
        (after != self.source.text).then(|| FileEdit { path: self.path.clone(), before, after })
    }
}

/// The files of a metadata folder, and `pillion.yaml`.
#[derive(Clone, Debug)]
pub struct ActionFiles {
    /// `actions.yaml` and others with actions. What is new goes into the first.
    pub yaml: Vec<TextFile>,
    /// `actions.graphql` and others. What is new goes into the first.
    pub graphql: Vec<TextFile>,
    /// `pillion.yaml`, if there is one.
    pub config: Option<TextFile>,
    /// The names of inherited roles.
    pub inherited_roles: Vec<String>,
}

/// An edit of these files.
pub(crate) struct Edit<'f> {
    pub(crate) files: &'f ActionFiles,
    /// What each file with actions holds, and will hold.
    pub(crate) yaml: Vec<Value>,
    pub(crate) sdl: Vec<SdlEditor<'f>>,
    /// What `pillion.yaml` holds.
    pub(crate) config: Option<Value>,
}

impl<'f> Edit<'f> {
    /// Nothing is changed yet.
    ///
    /// # Errors
    /// The files that are no YAML or no SDL.
    pub(crate) fn new(files: &'f ActionFiles) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut yaml = Vec::new();
        for file in files.yaml.iter().chain(&files.config) {
            match parse(&file.source) {
                Ok(node) => yaml.push(node.to_json()),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        let config = if files.config.is_some() { yaml.pop() } else { None };
        let mut editors = Vec::new();
        for file in &files.graphql {
            let mut found = Vec::new();
            match SdlEditor::new(&file.source.text) {
                Some(editor) => editors.push(editor),
                None if sdl::read(&file.source, &mut Signatures::default(), &mut found) => {}
                None => diagnostics.append(&mut found),
            }
        }
        if editors.len() != files.graphql.len() && diagnostics.is_empty() {
            diagnostics.push(Diagnostic::error(None, "the GraphQL files cannot be edited", "write plain SDL"));
        }
        if diagnostics.is_empty() { Ok(Self { files, yaml, sdl: editors, config }) } else { Err(diagnostics) }
    }

    /// The files that change.
    ///
    /// # Errors
    /// The files that cannot be edited in place.
    pub(crate) fn finish(self) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
        let (mut edits, mut diagnostics) = (Vec::new(), Vec::new());
        let config = self.files.config.iter().zip(&self.config);
        for (file, wanted) in self.files.yaml.iter().zip(&self.yaml).chain(config) {
            match reconcile(&file.source, wanted) {
                Ok(after) => edits.extend(file.edited(after)),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        for (file, editor) in self.files.graphql.iter().zip(self.sdl) {
            match editor.finish() {
                Some(after) => edits.extend(file.edited(after)),
                None => {
                    let place = Some(SourceLocation::new(&file.source, 1, 1));
                    let help = "write each definition and each field on lines of its own";
                    diagnostics.push(Diagnostic::error(place, "this file cannot be edited in place", help));
                }
            }
        }
        if diagnostics.is_empty() { Ok(edits) } else { Err(diagnostics) }
    }

    /// The names of all actions, of YAML and SDL.
    pub(crate) fn action_names(&self) -> BTreeSet<String> {
        let of_yaml = self.yaml.iter().flat_map(|file| list(&file["actions"])).filter_map(|action| name_of(action));
        let of_sdl = self.sdl.iter().flat_map(|editor| &editor.blocks).filter(|block| block.root.is_some());
        let of_sdl = of_sdl.flat_map(|block| &block.members).map(|member| member.name.as_str());
        of_yaml.chain(of_sdl).map(str::to_owned).collect()
    }

    /// The names of all types that are defined.
    pub(crate) fn type_names(&self) -> BTreeSet<String> {
        let types = self.yaml.iter().filter_map(|file| file.get("custom_types"));
        let of_yaml = types.flat_map(|types| LISTS.iter().filter_map(move |kind| types.get(kind.key())));
        let of_yaml = of_yaml.flat_map(list).filter_map(name_of);
        let of_sdl = self.sdl.iter().flat_map(|editor| &editor.blocks).filter(|block| block.root.is_none());
        of_yaml.chain(of_sdl.map(|block| block.name.as_str())).map(str::to_owned).collect()
    }

    /// The roles that are named anywhere.
    pub(crate) fn roles(&self) -> BTreeSet<String> {
        let actions = self.yaml.iter().flat_map(|file| list(&file["actions"]));
        let permissions = actions.flat_map(|action| list(&action["permissions"]));
        let roles = permissions.filter_map(|permission| permission["role"].as_str().map(str::to_owned));
        roles.chain(self.files.inherited_roles.iter().cloned()).collect()
    }

    /// The entry of an action in YAML, to be changed.
    pub(crate) fn action_mut(&mut self, name: &str) -> Option<&mut Value> {
        let is_it = |action: &&mut Value| name_of(action) == Some(name);
        self.yaml.iter_mut().filter_map(|file| file.get_mut("actions")?.as_array_mut()).flatten().find(is_it)
    }

    /// Can the action `name` have, or be copied under, the name `new`?
    ///
    /// # Errors
    /// There is no such action, `new` cannot be a name, or another action has it.
    pub(crate) fn check_new_name(&self, name: &str, new: &str) -> Result<(), Diagnostic> {
        let names = self.action_names();
        if !names.contains(name) {
            return Err(self.no_such_action(name));
        }
        if !apollo_compiler::Name::is_valid_syntax(new) || new.starts_with("__") {
            let help = "use letters, digits and _, with no digit first and no two _ first";
            return Err(Diagnostic::error(None, format!("\"{new}\" cannot be the name of an action"), help));
        }
        if names.contains(new) {
            let message = format!("there is an action \"{new}\" already");
            return Err(Diagnostic::error(None, message, "choose another name"));
        }
        Ok(())
    }

    /// The error that there is no action of this name.
    pub(crate) fn no_such_action(&self, name: &str) -> Diagnostic {
        let names = self.action_names();
        let suggestion = did_you_mean(name, names.iter().map(String::as_str));
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message = format!("there is no action \"{name}\"{stop}{suggestion}");
        let place = self.files.yaml.first().filter(|file| file.exists);
        let place = place.map(|file| SourceLocation::new(&file.source, 1, 1).unquoted());
        Diagnostic::error(place, message, "`pillion actions list` shows all of them")
    }
}

/// The error that there is no action of this name.
///
/// # Errors
/// The files that are no YAML or no SDL.
pub fn no_such_action(files: &ActionFiles, name: &str) -> Result<Diagnostic, Vec<Diagnostic>> {
    Ok(Edit::new(files)?.no_such_action(name))
}

/// The names of all types that the files define.
///
/// # Errors
/// The files that are no YAML or no SDL.
pub fn type_names(files: &ActionFiles) -> Result<BTreeSet<String>, Vec<Diagnostic>> {
    Ok(Edit::new(files)?.type_names())
}

/// The name of an item of a list of metadata.
pub(crate) fn name_of(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}
