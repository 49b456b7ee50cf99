//! An operation of an OpenAPI document as an action: its arguments, its result, its credentials.

use crate::config::yaml::Node;
use crate::model::types::TypeRef;
use crate::openapi::document::Document;
use crate::openapi::listing::Listed;
use crate::openapi::media::{Content, content_of};
use crate::openapi::names::{Taken, capitalized, field_name};
use crate::openapi::parameters::{Argument, ArgumentKind, parameters_of};
use crate::openapi::problem::Problem;
use crate::openapi::response::{Output, output_of};
use crate::openapi::schema::{TypeBuilder, Usage, description_of, is_true};
use crate::openapi::security::{Credential, Security};
use crate::openapi::types::{named, non_null};

/// An operation as an action: what is not about names of types yet.
#[derive(Clone, Debug)]
pub(crate) struct Operation<'d> {
    pub(crate) listed: Listed<'d>,
    /// The action's name.
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) is_deprecated: bool,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) output: Output,
    pub(crate) credentials: Vec<Credential>,
    /// Optional parts that are left out.
    pub(crate) dropped: Vec<(String, Problem)>,
}

impl Operation<'_> {
    /// GET reads, everything else writes.
    pub(crate) fn is_query(&self) -> bool {
        self.listed.method == "GET"
    }
}

/// Reads one operation. `name` is the action's.
pub(crate) fn read<'d>(
    document: &Document<'d>,
    builder: &mut TypeBuilder<'_, 'd>,
    security: &Security<'d>,
    listed: &Listed<'d>,
    name: &str,
) -> Result<Operation<'d>, Problem> {
    if ["HEAD", "OPTIONS", "TRACE"].contains(&listed.method) {
        let reason = format!("{} has no result that an action could return", listed.method);
        return Err(Problem { place: listed.place.clone(), reason, help: "" });
    }
    let hint = capitalized(&field_name(&listed.id));
    let mut taken = Taken::default();
    let mut dropped = Vec::new();
    let mut arguments = parameters_of(document, builder, listed, &hint, (&mut taken, &mut dropped))?;
    // A body of GET has no defined meaning; few servers read it.
    if let Some(body) = listed.node.member("requestBody").filter(|_| listed.method != "GET") {
        arguments.extend(body_of(document, builder, body, &hint, (&mut taken, &mut dropped))?);
    }
    let output = output_of(document, builder, listed, &hint)?;
    Ok(Operation {
        name: name.to_owned(),
        description: description_of(listed.node),
        is_deprecated: is_true(listed.node, "deprecated"),
        arguments,
        output,
        credentials: security.of_operation(listed.node)?,
        dropped,
        listed: listed.clone(),
    })
}

fn body_of<'d>(
    document: &Document<'d>,
    builder: &mut TypeBuilder<'_, 'd>,
    body: &'d Node,
    hint: &str,
    (taken, dropped): (&mut Taken, &mut Vec<(String, Problem)>),
) -> Result<Option<Argument>, Problem> {
    let body = document.follow(body)?;
    let is_required = is_true(body, "required");
    let read = || match content_of(body) {
        Some(Content::Json { media_type, schema }) => {
            Ok((ArgumentKind::JsonBody { media_type: media_type.to_owned() }, schema))
        }
        Some(Content::Form { schema }) => Ok((ArgumentKind::FormBody, schema)),
        Some(Content::Other { media_type }) => {
            let reason = format!("the body is {media_type}: actions send JSON or a form");
            Err(Problem::at(body, reason, ""))
        }
        None => Err(Problem::at(body, "the body has no content", "describe its content")),
    };
    let ty = |schema: Option<&'d Node>, builder: &mut TypeBuilder<'_, 'd>| {
        let usage = Usage { hint: hint.to_owned(), is_input: true };
        schema.map_or_else(|| Ok(named("JSON")), |schema| builder.type_of(schema, &usage))
    };
    match read().and_then(|(kind, schema)| Ok((kind, ty(schema, builder)?))) {
        Ok((kind, ty)) => Ok(Some(Argument {
            api_name: "body".to_owned(),
            name: taken.take("input"),
            ty: with_requirement(ty, is_required),
            description: description_of(body),
            is_deprecated: false,
            kind,
            place: body.place.clone(),
        })),
        Err(problem) if is_required => Err(problem),
        Err(problem) => {
            dropped.push(("the body".to_owned(), problem));
            Ok(None)
        }
    }
}

/// The type of something that must be there, or need not.
pub(crate) fn with_requirement(ty: TypeRef, is_required: bool) -> TypeRef {
    if is_required { non_null(ty) } else { ty.nullable().clone() }
}
