//! Imports OpenAPI documents: operations become actions with types, handler and transforms. Pure: from the text of a
//! document to the texts that are added to `actions.yaml` and `actions.graphql`, and a list of what is left out.

mod document;
mod flatten;
pub mod imported;
mod listing;
mod mapping;
mod media;
mod names;
mod operation;
pub mod options;
mod parameters;
mod print;
mod problem;
mod prune;
mod read;
mod request;
mod response;
mod schema;
mod security;
mod servers;
mod types;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::config::yaml::Node;
use crate::kriti::parse::parse;
use crate::model::source::{Diagnostic, Source};
use crate::openapi::document::Document;
use crate::openapi::imported::{Imported, ImportedAction, ImportedType, Variable};
use crate::openapi::listing::Listed;
use crate::openapi::mapping::Mapping;
use crate::openapi::names::{field_name, variable_name};
use crate::openapi::operation::Operation;
use crate::openapi::options::Options;
use crate::openapi::print::{Transforms, action_value, list_item, signature, type_definition};
use crate::openapi::problem::Problem;
use crate::openapi::prune::prune;
use crate::openapi::request::request_transform;
use crate::openapi::schema::TypeBuilder;
use crate::openapi::security::Security;
use crate::openapi::servers::{base_url_of, variables_of};
use crate::openapi::types::{CUSTOM_SCALARS, MadeType, Types};

/// Imports the operations of a document that are chosen.
///
/// # Errors
/// Why nothing of it can be imported: it is no OpenAPI document, or the choices are wrong.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use pillion::model::source::Source;
/// use pillion::openapi::import;
/// use pillion::openapi::options::Options;
///
/// let text = "
/// openapi: 3.1.0
/// servers: [{url: https://api.example}]
/// paths:
///   /price:
///     get: {operationId: price, responses: {200: {content: {application/json: {schema: {type: number}}}}}}
/// ";
/// let imported = import(&Arc::new(Source::new("shop.yaml", text)), &Options::default()).unwrap();
/// assert_eq!(imported.sdl(|_| false), "type Query {\n  price: Float\n}\n");
/// ```
pub fn import(source: &Arc<Source>, options: &Options) -> Result<Imported, Vec<Diagnostic>> {
    let root = read::read(source).map_err(|diagnostic| vec![diagnostic])?;
    check_version(&root).map_err(|problem| vec![diagnostic_of(&problem)])?;
    let document = Document::new(&root);
    let (listed, unread) = listing::list(&document);
    let diagnostics = options.check(&listed);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let chosen: Vec<&Listed<'_>> = listed.iter().filter(|listed| options.includes(listed)).collect();
    if options.base_url.is_none() && chosen.iter().all(|listed| base_url_of(&document, listed).is_none()) {
        let message = "the document has no server with an absolute http or https address";
        let help = "give the address before the paths: --base-url https://host/path, or --base-url '{{NAME}}'";
        return Err(vec![Diagnostic::error(Some(root.place.clone()), message, help)]);
    }
    let mut imported = Imported::default();
    imported.left_out.extend(unread.iter().map(|(what, problem)| problem.finding(what)));
    import_chosen(&document, &chosen, options, &mut imported);
    let order = |found: &Diagnostic| found.place.as_ref().map(|place| (place.line, place.column));
    imported.left_out.sort_by_key(order);
    Ok(imported)
}

fn diagnostic_of(problem: &Problem) -> Diagnostic {
    Diagnostic::error(Some(problem.place.clone()), problem.reason.clone(), problem.help)
}

fn check_version(root: &Node) -> Result<(), Problem> {
    let Some(node) = root.member("openapi") else {
        return Err(match root.member("swagger") {
            Some(node) => Problem::at(node, "this is Swagger 2.0", "convert it to OpenAPI 3.0 or 3.1"),
            None => Problem::at(root, "this is not an OpenAPI document: it has no \"openapi\"", "give another file"),
        });
    };
    let version = node.scalar_text().unwrap_or_default();
    let is_known = ["3.0", "3.1"].iter().any(|known| version == *known || version.starts_with(&format!("{known}.")));
    if is_known {
        Ok(())
    } else {
        Err(Problem::at(node, format!("OpenAPI {version} is not read"), "convert it to 3.0 or 3.1"))
    }
}

fn import_chosen<'d>(document: &Document<'d>, chosen: &[&Listed<'d>], options: &Options, imported: &mut Imported) {
    let title = document.root().member("info").and_then(|info| info.member("title")).and_then(Node::scalar_text);
    let security = Security::new(document, &variable_name(&title.unwrap_or_default()));
    let mut builder = TypeBuilder::new(document, &options.prefix);
    let mut names: HashMap<String, &Listed<'d>> = HashMap::new();
    let mut operations = Vec::new();
    for listed in chosen {
        let name = format!("{}{}", options.prefix, field_name(&listed.id));
        let read = match names.get(&name) {
            Some(first) => Err(same_name(listed, &name, first)),
            None => operation::read(document, &mut builder, &security, listed, &name),
        };
        names.entry(name).or_insert(listed);
        match read {
            Ok(operation) => operations.push(operation),
            Err(problem) => imported.left_out.push(problem.finding(&listed.label())),
        }
    }
    let mut types = builder.types;
    prune(&mut types);
    let mapping = Mapping::new(&types);
    let (mut used, mut variables) = (HashSet::new(), Vec::new());
    for mut operation in operations {
        let label = operation.listed.label();
        let finished = handler_of(document, &operation, options).and_then(|handler| {
            finish(&mut operation, &handler, &types, &mapping, options).map(|action| (handler, action))
        });
        match finished {
            Ok((handler, action)) => {
                use_types(&operation, &types, &mut used);
                add_variables(&mut variables, document, &operation, &handler);
                imported.actions.push(action);
                let dropped = operation.dropped.iter();
                imported.left_out.extend(dropped.map(|(what, problem)| problem.finding(&format!("{label}: {what}"))));
            }
            Err(problem) => imported.left_out.push(problem.finding(&label)),
        }
    }
    imported.variables = variables;
    add_types(imported, &types, &used);
}

fn same_name(listed: &Listed<'_>, name: &str, first: &Listed<'_>) -> Problem {
    let reason = format!("its action would be '{name}', which {} in line {} is", first.label(), first.place.line);
    Problem { place: listed.place.clone(), reason, help: "give it another operationId" }
}

/// The handler's address: without the path, which the request transform adds.
fn handler_of(document: &Document<'_>, operation: &Operation<'_>, options: &Options) -> Result<String, Problem> {
    if let Some(url) = &options.base_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    base_url_of(document, &operation.listed).ok_or_else(|| Problem {
        place: operation.listed.place.clone(),
        reason: "it has no server with an absolute http or https address".to_owned(),
        help: "give --base-url",
    })
}

/// The action of an operation, now that it is known which types there are.
fn finish(
    operation: &mut Operation<'_>,
    handler: &str,
    types: &Types,
    mapping: &Mapping<'_>,
    options: &Options,
) -> Result<ImportedAction, Problem> {
    let failure_of = |name: &str| types.get(name).and_then(|made| made.definition.as_ref().err());
    for argument in std::mem::take(&mut operation.arguments) {
        let what = format!("argument \"{}\"", argument.name);
        match failure_of(argument.ty.named()) {
            None => operation.arguments.push(argument),
            Some(problem) if argument.ty.is_nullable() => operation.dropped.push((what, problem.clone())),
            Some(problem) => return Err(problem.within(&what)),
        }
    }
    if let Some(problem) = failure_of(operation.output.graphql_type().named()) {
        return Err(problem.within("its response"));
    }
    let place = || operation.listed.place.clone();
    let request = request_transform(operation, types, mapping)?;
    let response = operation.output.template(mapping);
    let response = response.map_err(|reason| Problem { place: place(), reason, help: "" })?;
    let written = [request.pointer("/body/template").and_then(|template| template.as_str()), response.as_deref()];
    if written.into_iter().flatten().any(|template| parse(template).is_err()) {
        let reason = "its names would need a template that is nested too deeply".to_owned();
        return Err(Problem { place: place(), reason, help: "" });
    }
    let item = list_item(&action_value(operation, handler, Transforms { request, response }, &options.roles));
    Ok(ImportedAction {
        name: operation.name.clone(),
        place: place(),
        operation: operation.listed.described(),
        is_query: operation.is_query(),
        item,
        signature: signature(operation),
    })
}

/// Adds the types that an operation needs.
fn use_types(operation: &Operation<'_>, types: &Types, used: &mut HashSet<String>) {
    let output = operation.output.graphql_type();
    let arguments = operation.arguments.iter().map(|argument| argument.ty.named());
    let mut next: VecDeque<&str> = arguments.chain([output.named()]).collect();
    while let Some(name) = next.pop_front() {
        if used.insert(name.to_owned()) {
            let members = types.get(name).map(MadeType::members).unwrap_or_default();
            next.extend(members.iter().map(|member| member.ty.named()));
        }
    }
}

fn add_types(imported: &mut Imported, types: &Types, used: &HashSet<String>) {
    for (name, made) in types.iter().filter(|(name, _)| used.contains(*name)) {
        let sdl = type_definition(name, made);
        imported.types.push(ImportedType { name: name.clone(), place: made.place.clone(), sdl });
        let dropped = made.dropped.iter();
        imported.left_out.extend(dropped.map(|(field, problem)| problem.finding(&format!("field {name}.{field}"))));
    }
    let scalars = CUSTOM_SCALARS.iter().map(|(name, _)| *name);
    imported.scalars = scalars.filter(|name| used.contains(*name)).collect();
}

fn add_variables(variables: &mut Vec<Variable>, document: &Document<'_>, operation: &Operation<'_>, handler: &str) {
    let mut add = |variable: Variable| {
        if !variables.iter().any(|known| known.name == variable.name) {
            variables.push(variable);
        }
    };
    for name in variables_of(handler) {
        let is_whole = handler.starts_with("{{");
        let server = base_url_of(document, &operation.listed).filter(|_| is_whole);
        let otherwise = if is_whole { "http://api.invalid" } else { "api.invalid" };
        add(Variable {
            name: name.to_owned(),
            purpose: "the address of the API".to_owned(),
            sample: server.unwrap_or_else(|| otherwise.to_owned()),
        });
    }
    for credential in &operation.credentials {
        let (name, purpose) = (credential.variable.clone(), credential.purpose.clone());
        add(Variable { name, purpose, sample: "sample".to_owned() });
    }
}
