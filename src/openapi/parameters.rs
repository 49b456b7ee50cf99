//! Parameters of an operation as arguments of an action: those of the path, the query and the headers.

use indexmap::IndexMap;

use crate::config::yaml::{Data, Node};
use crate::model::source::SourceLocation;
use crate::model::types::TypeRef;
use crate::openapi::document::Document;
use crate::openapi::listing::Listed;
use crate::openapi::media::{Content, content_of};
use crate::openapi::names::{Taken, capitalized, field_name, header_argument};
use crate::openapi::problem::Problem;
use crate::openapi::schema::{TypeBuilder, Usage, description_of, is_true};
use crate::openapi::types::{named, non_null};

/// An argument of an action.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    /// The API's name.
    pub(crate) api_name: String,
    /// The name in GraphQL.
    pub(crate) name: String,
    pub(crate) ty: TypeRef,
    pub(crate) description: Option<String>,
    pub(crate) is_deprecated: bool,
    pub(crate) kind: ArgumentKind,
    pub(crate) place: SourceLocation,
}

/// Where an argument goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentKind {
    /// Into the path.
    Path,
    /// Into the query.
    Query {
        /// How lists and objects are written.
        style: Style,
        /// Does each item or field have a parameter of its own?
        is_exploded: bool,
    },
    /// Into a header.
    Header,
    /// The body as JSON.
    JsonBody {
        /// The body's type.
        media_type: String,
    },
    /// The body as a form.
    FormBody,
}

/// `style` of a query parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
    /// The value as JSON: a parameter with `content`.
    Json,
}

/// Names that are taken, and what is left out.
type Context<'c> = (&'c mut Taken, &'c mut Vec<(String, Problem)>);

/// The arguments for the parameters of an operation and of its path.
pub(crate) fn parameters_of<'d>(
    document: &Document<'d>,
    builder: &mut TypeBuilder<'_, 'd>,
    listed: &Listed<'d>,
    hint: &str,
    (taken, dropped): Context<'_>,
) -> Result<Vec<Argument>, Problem> {
    let mut arguments = Vec::new();
    for ((location, name), parameter) in merged(document, listed)? {
        let is_required = is_true(parameter, "required") || location == "path";
        match argument(builder, (location, name), parameter, hint) {
            Ok(None) => {}
            Ok(Some(argument)) => {
                let name = taken.take(&argument.name);
                let ty = if is_required { non_null(argument.ty) } else { argument.ty.nullable().clone() };
                arguments.push(Argument { name, ty, ..argument });
            }
            Err(problem) if is_required => return Err(problem.within(&format!("{location} parameter \"{name}\""))),
            Err(problem) => dropped.push((format!("{location} parameter \"{name}\""), problem)),
        }
    }
    let is_given =
        |name: &str| arguments.iter().any(|argument| argument.kind == ArgumentKind::Path && argument.api_name == name);
    match variables_of(listed.path).into_iter().find(|name| !is_given(name)) {
        None => Ok(arguments),
        Some(name) => {
            let reason = format!("its path has {{{name}}}, and there is no such path parameter");
            Err(Problem { place: listed.place.clone(), reason, help: "describe the parameter" })
        }
    }
}

/// Parameters by location and name: the operation's replace those of its path.
fn merged<'d>(document: &Document<'d>, listed: &Listed<'d>) -> Result<IndexMap<(&'d str, &'d str), &'d Node>, Problem> {
    let mut merged = IndexMap::new();
    for owner in [listed.path_item, listed.node] {
        for node in owner.member("parameters").map(Node::items).unwrap_or_default() {
            let parameter = document.follow(node)?;
            let text = |key: &str| parameter.member(key).and_then(Node::as_text);
            let (Some(location), Some(name)) = (text("in"), text("name")) else {
                return Err(Problem::at(parameter, "a parameter without \"name\" or \"in\"", "add it"));
            };
            merged.insert((location, name), parameter);
        }
    }
    Ok(merged)
}

fn argument<'d>(
    builder: &mut TypeBuilder<'_, 'd>,
    (location, api_name): (&str, &str),
    parameter: &'d Node,
    hint: &str,
) -> Result<Option<Argument>, Problem> {
    let is_required = is_true(parameter, "required");
    let kind = match location {
        "path" => path_kind(parameter)?,
        "query" => query_kind(parameter)?,
        "header" if is_ignored(api_name) => return Ok(None),
        "header" if !is_required => {
            let reason = "a header is always sent, so an optional one cannot be";
            return Err(Problem::at(parameter, reason, "add it to the action's headers if it has one value"));
        }
        "header" => ArgumentKind::Header,
        "cookie" => return Err(Problem::at(parameter, "cookies cannot be arguments", "")),
        other => {
            return Err(Problem::at(parameter, format!("there are no parameters in \"{other}\""), "correct \"in\""));
        }
    };
    let name = if kind == ArgumentKind::Header { header_argument(api_name) } else { field_name(api_name) };
    let usage = Usage { hint: format!("{hint}{}", capitalized(&name)), is_input: true };
    let schema = match content_of(parameter) {
        None => parameter.member("schema"),
        Some(Content::Json { schema, .. }) => schema,
        Some(_) => return Err(Problem::at(parameter, "its content is not JSON", "")),
    };
    let ty = schema.map_or_else(|| Ok(named("String")), |schema| builder.type_of(schema, &usage))?;
    Ok(Some(Argument {
        api_name: api_name.to_owned(),
        name,
        ty,
        description: description_of(parameter),
        is_deprecated: is_true(parameter, "deprecated") && !is_required,
        kind,
        place: parameter.place.clone(),
    }))
}

/// Headers that the specification wants ignored: they are described elsewhere.
fn is_ignored(name: &str) -> bool {
    ["accept", "content-type", "authorization"].contains(&name.to_ascii_lowercase().as_str())
}

fn path_kind(parameter: &Node) -> Result<ArgumentKind, Problem> {
    match parameter.member("style").and_then(Node::as_text) {
        None | Some("simple") => Ok(ArgumentKind::Path),
        Some(other) => Err(Problem::at(parameter, format!("paths of the style \"{other}\""), "")),
    }
}

fn query_kind(parameter: &Node) -> Result<ArgumentKind, Problem> {
    if parameter.member("content").is_some() {
        return Ok(ArgumentKind::Query { style: Style::Json, is_exploded: false });
    }
    let style = match parameter.member("style").and_then(Node::as_text) {
        None | Some("form") => Style::Form,
        Some("spaceDelimited") => Style::SpaceDelimited,
        Some("pipeDelimited") => Style::PipeDelimited,
        Some("deepObject") => Style::DeepObject,
        Some(other) => return Err(Problem::at(parameter, format!("query parameters of the style \"{other}\""), "")),
    };
    let is_exploded = match parameter.member("explode").map(|node| &node.data) {
        Some(Data::Bool(is_exploded)) => *is_exploded,
        _ => style == Style::Form,
    };
    Ok(ArgumentKind::Query { style, is_exploded })
}

/// The names in braces.
pub(crate) fn variables_of(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}
