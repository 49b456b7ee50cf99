//! Renders the templates of a framework.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::codegen::options::Framework;
use crate::codegen::project::GeneratedFile;
use crate::codegen::templates::{Template, templates_of};
use crate::codegen::views::{ActionView, Views};

#[derive(Serialize)]
struct Context<'v> {
    #[serde(flatten)]
    views: &'v Views,
    action: Option<&'v ActionView>,
}

/// The files of a project, ordered by path.
///
/// # Errors
/// What is wrong with a template: none that a schema can cause.
pub(crate) fn files(framework: Framework, views: &Views) -> Result<Vec<GeneratedFile>, String> {
    let environment = environment()?;
    let mut files = Vec::new();
    for template in templates_of(framework) {
        let of_actions: Vec<Option<&ActionView>> =
            if template.is_for_each_action() { views.actions.iter().map(Some).collect() } else { vec![None] };
        for action in of_actions {
            files.push(file(&environment, template, &Context { views, action })?);
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn environment() -> Result<Environment<'static>, String> {
    // Tags on lines of their own leave nothing behind, so that templates look like the files that they make.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    let mut environment = Environment::new();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The values are literals and comments of the language already.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    Ok(environment)
}

fn file(environment: &Environment<'_>, template: &Template, context: &Context<'_>) -> Result<GeneratedFile, String> {
    let text = environment.render_named_str(template.path, template.text, Value::from(Serde(context)));
    let text = text.map_err(|error| format!("the template of {}: {error}", template.path))?;
    let stem = context.action.map_or("", |action| action.stem.as_str());
    Ok(GeneratedFile { path: template.path.replace("NAME", stem), text, owner: template.owner })
}
