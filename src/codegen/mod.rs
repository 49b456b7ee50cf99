//! Code generation: projects of handlers for actions, with types, routes, checks of secrets and signatures, and tests. Pure:
//! from actions and types to paths and texts.

pub mod changes;
mod docs;
mod go;
mod language;
mod languages;
mod names;
pub mod options;
pub mod project;
mod python;
mod render;
mod rust;
mod samples;
mod secrets;
mod selection;
mod shape;
mod templates;
mod type_expressions;
mod type_views;
mod typescript;
mod views;

use crate::codegen::options::{Framework, Options};
use crate::codegen::project::Project;
use crate::codegen::selection::Selection;
use crate::codegen::views::Views;
use crate::model::action::ActionSchema;

/// Generates a project for the chosen actions. The same input makes the same texts.
///
/// # Errors
/// Names that are no actions, actions whose handlers cannot be generated, or that there is nothing to generate.
///
/// # Examples
/// ```
/// use pillion::codegen::{generate, options::{Framework, Options}};
/// use pillion::config::actions::read_actions;
///
/// let graphql = "type Query { quote(productId: Int!): Float }";
/// let yaml = "actions: [{ name: quote, definition: { handler: http://handlers/quote } }]";
/// let schema = read_actions(graphql, yaml, &|_| None).unwrap();
///
/// let project = generate(&schema, &Options::new(Framework::TypeScriptTypes)).unwrap();
/// assert_eq!(project.files[0].path, "types.ts");
/// assert!(project.files[0].text.contains("productId: number;"));
/// ```
pub fn generate(schema: &ActionSchema, options: &Options) -> Result<Project, Vec<String>> {
    let selection = Selection::of(schema, options)?;
    let views = Views::of(&selection, schema, options);
    let files = render::files(options.framework, &views).map_err(|error| vec![error])?;
    let warnings = warnings(&selection, options.framework);
    Ok(Project { files, left_out: selection.left_out, warnings })
}

/// Servers of WSGI drop headers whose names have underscores, since they cannot tell them from dashes.
fn warnings(selection: &Selection, framework: Framework) -> Vec<String> {
    let secrets = selection
        .actions
        .iter()
        .flat_map(|action| secrets::secrets_of(action).into_iter().map(|(header, _)| (action.name.clone(), header)));
    let is_lost = |(_, header): &(String, String)| framework == Framework::Flask && header.contains('_');
    let say = |(action, header): (String, String)| {
        let dashed = header.replace('_', "-");
        format!("action '{action}': servers of Flask drop the header '{header}'; name it '{dashed}' in actions.yaml")
    };
    secrets.filter(is_lost).map(say).collect()
}
