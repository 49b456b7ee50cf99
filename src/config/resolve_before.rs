//! Resolves `before` of an action in `pillion.yaml`: the query that the upstream is asked before the handler is called, the
//! values of its variables, what it must say, and what of it the handler gets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::action::presets::SCOPE;
use crate::config::transform;
use crate::config::yaml::{Data, Node};
use crate::graphql::before_query;
use crate::graphql::before_query::{CompiledQuery, QueryError};
use crate::graphql::coerce::{coerce_argument, type_ref};
use crate::graphql::document::range_of;
use crate::graphql::suggestions::did_you_mean;
use crate::kriti::parse::{parse, parse_text};
use crate::model::action::ADMIN_ROLE;
use crate::model::before::{Before, BeforeField, BeforeVariable, Identity, Requirement, Requirements, VariableSource};
use crate::model::source::{Diagnostic, Severity};
use crate::model::types::{InputValue, TypeKind, TypeRef, Types, is_built_in_scalar};
use crate::session::SESSION_PREFIX;

/// The keys of an action's settings that are about `before`, as they are written.
#[derive(Clone, Debug, Default)]
pub struct BeforeSettings {
    /// The query.
    pub before: Option<Node>,
    /// The values of its variables.
    pub variables: Option<Node>,
    /// What it must say.
    pub require: Option<Node>,
    /// What of it the handler gets.
    pub send: Option<Node>,
    /// As whom it is asked.
    pub ask_as: Option<Node>,
    /// Is there no handler?
    pub handler: Option<Node>,
    /// The value of an action without a handler.
    pub respond: Option<Node>,
}

impl BeforeSettings {
    /// Has the action no handler?
    #[must_use]
    pub fn is_without_handler(&self) -> bool {
        self.handler.is_some()
    }

    /// The keys that mean nothing without a query.
    fn dependent(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        let keys = [
            ("variables", &self.variables),
            ("require", &self.require),
            ("send", &self.send),
            ("as", &self.ask_as),
            ("handler: none", &self.handler),
            ("respond", &self.respond),
        ];
        keys.into_iter().filter_map(|(key, node)| Some((key, node.as_ref()?)))
    }
}

/// What `before` is resolved against.
pub(crate) struct BeforeScope<'s> {
    /// The action's name.
    pub action: &'s str,
    /// Its arguments.
    pub arguments: &'s [InputValue],
    /// The roles that may call it.
    pub roles: &'s BTreeSet<String>,
    /// All types.
    pub types: &'s Types,
    /// Does it run as a job?
    pub is_async: bool,
    /// Is its handler called by GET?
    pub is_get: bool,
    /// Is there an admin secret to ask the upstream with?
    pub has_admin_secret: bool,
}

/// Reads it; nothing if there is none, or something is wrong.
pub(crate) fn resolve(
    settings: &BeforeSettings,
    scope: &BeforeScope<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Before> {
    let start = diagnostics.len();
    let Some(node) = &settings.before else {
        for (key, node) in settings.dependent() {
            let message = format!("\"{key}\" of action \"{}\" has no query that it is about", scope.action);
            node.reject(message, "add \"before\", or remove it", diagnostics);
        }
        return None;
    };
    let compiled = compile(node, diagnostics)?;
    let fields = &compiled.query.fields;
    let before = Before {
        variables: scope.variables(&compiled, node, settings.variables.as_ref(), diagnostics),
        require: settings.require.as_ref().map(|node| scope.require(node, fields, diagnostics)).unwrap_or_default(),
        send: settings.send.as_ref().map(|node| scope.send(node, fields, diagnostics)).unwrap_or_default(),
        identity: settings.ask_as.as_ref().map(|node| scope.identity(node, diagnostics)).unwrap_or_default(),
        respond: settings.respond.as_ref().and_then(|node| scope.field(node, fields, diagnostics)),
        query: compiled.query,
        place: node.place.clone(),
    };
    scope.check_handler(settings, node, &before, diagnostics);
    let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
    (!diagnostics.iter().skip(start).any(is_error)).then_some(before)
}

fn compile(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<CompiledQuery> {
    let Some(text) = node.as_text() else {
        node.reject(
            format!("\"before\" must be a query, and is {}", node.kind()),
            "write a GraphQL query",
            diagnostics,
        );
        return None;
    };
    let reject = |QueryError { message, offset }: QueryError| {
        Diagnostic::error(Some(node.place.within(text, offset)), message, "correct the query")
    };
    match before_query::compile(text) {
        Ok(compiled) => Some(compiled),
        Err(errors) => {
            diagnostics.extend(errors.into_iter().map(reject));
            None
        }
    }
}

impl BeforeScope<'_> {
    fn argument(&self, name: &str) -> Option<&InputValue> {
        self.arguments.iter().find(|argument| argument.name == name)
    }

    fn variables(
        &self,
        compiled: &CompiledQuery,
        query: &Node,
        given: Option<&Node>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<BeforeVariable> {
        let given = given.map(Node::entries).unwrap_or_default();
        let definitions = &compiled.operation.variables;
        for (name, place, _) in given {
            if !definitions.iter().any(|definition| definition.name == name.as_str()) {
                let suggestion = did_you_mean(name, definitions.iter().map(|definition| definition.name.as_str()));
                let stop = if suggestion.is_empty() { "" } else { "." };
                let message = format!("the query has no variable ${name}{stop}{suggestion}");
                diagnostics.push(Diagnostic::error(Some(place.clone()), message, "correct its name, or remove it"));
            }
        }
        let mut variables = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let (name, ty) = (definition.name.to_string(), type_ref(&definition.ty));
            let written = given.iter().find(|(known, ..)| *known == name).map(|(.., node)| node);
            let place = query.place.within(&compiled.query.text, range_of(definition).map_or(0, |range| range.start));
            let source = match (written, self.argument(&name)) {
                (Some(node), _) => self.source(node, &ty, diagnostics),
                (None, Some(argument)) => {
                    if let Some(message) = misfit(argument, &ty) {
                        let help = "give the variable the type of the argument";
                        diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
                    }
                    Some(VariableSource::Argument(vec![name.clone()]))
                }
                // Null has the variable's own default.
                (None, None) if definition.default_value.is_some() => Some(VariableSource::Constant(Value::Null)),
                (None, None) => {
                    let message = format!(
                        "the variable ${name} has no value: action \"{}\" has no argument \"{name}\"",
                        self.action
                    );
                    let help = format!("say in \"variables\" where it comes from, as in {name}: x-hasura-user-id");
                    diagnostics.push(Diagnostic::error(Some(place), message, help));
                    None
                }
            };
            let has_default = definition.default_value.is_some();
            variables.extend(source.map(|source| BeforeVariable { name, ty, has_default, source }));
        }
        variables
    }

    /// A session variable, a template, a path into an argument, or a constant.
    fn source(&self, node: &Node, ty: &TypeRef, diagnostics: &mut Vec<Diagnostic>) -> Option<VariableSource> {
        let text = node.as_text().unwrap_or_default();
        if text.to_ascii_lowercase().starts_with(SESSION_PREFIX) {
            return Some(VariableSource::SessionVariable(text.to_ascii_lowercase()));
        }
        if text.contains("{{") {
            let is_value = text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}");
            let parse = if is_value { parse } else { parse_text };
            return transform::template(node, &SCOPE, parse, diagnostics).map(VariableSource::Template);
        }
        let path: Vec<String> = text.split('.').map(str::to_owned).collect();
        if let Some(argument) = path.first().and_then(|first| self.argument(first)) {
            if let Err(message) = self.follow(argument, &path) {
                node.reject(message, "correct the path into the argument", diagnostics);
            }
            return Some(VariableSource::Argument(path));
        }
        let value = node.to_json();
        let built_in = is_built_in_scalar(ty.named());
        let definition =
            InputValue { name: "value".to_owned(), ty: ty.clone(), default: None, description: None, deprecated: None };
        match if built_in { coerce_argument(self.types, &definition, value.clone()) } else { Ok(value) } {
            Ok(value) => Some(VariableSource::Constant(value)),
            Err(_) => {
                let help =
                    "write an argument or a path into one, a session variable, a template, or a constant of this type";
                node.reject(
                    format!("this is no argument of action \"{}\", and no value of type {ty}", self.action),
                    help,
                    diagnostics,
                );
                None
            }
        }
    }

    /// Is there something at this path in an argument? Through a scalar of any JSON, whatever there is.
    fn follow(&self, argument: &InputValue, path: &[String]) -> Result<(), String> {
        let mut ty = &argument.ty;
        for segment in path.iter().skip(1) {
            if ty.is_list() {
                return Err(format!("\"{segment}\" cannot be looked up in a list, {ty}"));
            }
            let Some(definition) = self.types.get(ty.named()) else { return Ok(()) };
            let TypeKind::InputObject(fields) = &definition.kind else { return Ok(()) };
            let Some(field) = fields.iter().find(|field| field.name == *segment) else {
                let suggestion = did_you_mean(segment, fields.iter().map(|field| field.name.as_str()));
                let stop = if suggestion.is_empty() { "" } else { "." };
                return Err(format!("{} has no field \"{segment}\"{stop}{suggestion}", ty.named()));
            };
            ty = &field.ty;
        }
        Ok(())
    }

    /// Root fields with their messages, of all roles or by role.
    fn require(&self, node: &Node, fields: &[BeforeField], diagnostics: &mut Vec<Diagnostic>) -> Requirements {
        let is_by_role =
            |(.., value): &(String, _, Node)| matches!(value.data, Data::Map(_) | Data::List(_) | Data::Null);
        if !matches!(node.data, Data::Map(_)) || !node.entries().iter().any(is_by_role) {
            return Requirements { general: self.requirements(node, fields, diagnostics), by_role: BTreeMap::new() };
        }
        let mut by_role = BTreeMap::new();
        for (role, place, value) in node.entries() {
            if role != ADMIN_ROLE && !self.roles.contains(role) {
                let suggestion = did_you_mean(role, self.roles.iter().map(String::as_str));
                let stop = if suggestion.is_empty() { "" } else { "." };
                let message = format!("role \"{role}\" may not call action \"{}\"{stop}{suggestion}", self.action);
                let help = "write roles that may call it, each with its requirements, or requirements of all roles";
                diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
            }
            by_role.insert(role.clone(), self.requirements(value, fields, diagnostics));
        }
        for role in self.roles.iter().filter(|role| !by_role.contains_key(*role)) {
            let message =
                format!("\"require\" says nothing of role \"{role}\", which may call action \"{}\"", self.action);
            node.reject(message, &format!("add its requirements; {role}: {{}} requires nothing"), diagnostics);
        }
        Requirements { general: Vec::new(), by_role }
    }

    fn requirements(&self, node: &Node, fields: &[BeforeField], diagnostics: &mut Vec<Diagnostic>) -> Vec<Requirement> {
        let mut found = Vec::new();
        match &node.data {
            Data::Null => {}
            Data::Map(entries) => {
                for (name, place, message) in entries {
                    let key = Node { data: Data::Text(name.clone()), place: place.clone() };
                    let Some(text) = message.scalar_text() else {
                        message.reject(
                            "a requirement needs its message",
                            "write what the client shall read",
                            diagnostics,
                        );
                        continue;
                    };
                    let field = self.field(&key, fields, diagnostics);
                    found.extend(field.map(|field| Requirement { field, message: text }));
                }
            }
            Data::List(items) => {
                for item in items {
                    let field = self.field(item, fields, diagnostics);
                    found.extend(field.map(|field| Requirement { field, message: NOT_ALLOWED.to_owned() }));
                }
            }
            _ => {
                let help = "write root fields of the query with their messages, as in mine: only your own articles";
                node.reject(
                    format!("\"require\" must be a mapping or a list, and is {}", node.kind()),
                    help,
                    diagnostics,
                );
            }
        }
        found
    }

    fn send(&self, node: &Node, fields: &[BeforeField], diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
        let items = match &node.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut names: Vec<String> = Vec::new();
        for name in items.iter().filter_map(|item| self.field(item, fields, diagnostics)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A root field of the query, by response name.
    fn field(&self, node: &Node, fields: &[BeforeField], diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
        let name = node.scalar_text().unwrap_or_default();
        if fields.iter().any(|field| field.response_name == name) {
            return Some(name);
        }
        let suggestion = did_you_mean(&name, fields.iter().map(|field| field.response_name.as_str()));
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message = format!("the query of action \"{}\" has no root field \"{name}\"{stop}{suggestion}", self.action);
        node.reject(message, "name a root field of \"before\", by its alias if it has one", diagnostics);
        None
    }

    fn identity(&self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Identity {
        let role = node.member("role").and_then(Node::scalar_text).filter(|role| !role.is_empty());
        let identity = match (node.as_text(), role) {
            (Some("caller"), _) => return Identity::Caller,
            (Some(ADMIN_ROLE), _) => Identity::Admin,
            (None, Some(role)) if node.entries().len() == 1 => match role.as_str() {
                ADMIN_ROLE => Identity::Admin,
                _ => Identity::Role(role),
            },
            _ => {
                node.reject("\"as\" must be admin or a role", "write admin, {role: editor}, or caller", diagnostics);
                return Identity::Caller;
            }
        };
        if !self.has_admin_secret {
            let message = format!("the upstream cannot be asked as {}: there is no admin secret", identity.shown());
            node.reject(message, "set HASURA_GRAPHQL_ADMIN_SECRET, or remove \"as\"", diagnostics);
        }
        identity
    }

    /// Does the query fit what is done with its response?
    fn check_handler(
        &self,
        settings: &BeforeSettings,
        query: &Node,
        before: &Before,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let action = self.action;
        match (&settings.handler, &settings.respond) {
            (Some(node), None) => {
                let message = format!("action \"{action}\" has neither a handler nor a value");
                node.reject(message, "name the root field that is its value: respond", diagnostics);
            }
            (None, Some(node)) => {
                let message = format!("action \"{action}\" has a handler, whose response is its value");
                node.reject(message, "remove \"respond\", or write handler: none", diagnostics);
            }
            (Some(node), Some(_)) if self.is_async => {
                let message =
                    format!("action \"{action}\" is asynchronous, and has no handler that would take its time");
                node.reject(message, "make it synchronous", diagnostics);
            }
            _ => {}
        }
        if let (Some(node), true) = (&settings.send, settings.is_without_handler() || self.is_get) {
            let why = if self.is_get { "a GET has no body" } else { "it has no handler" };
            node.reject(
                format!("nothing can be sent to the handler of action \"{action}\": {why}"),
                "remove \"send\"",
                diagnostics,
            );
        }
        if before.require.is_empty() && !before.has_data() && settings.require.is_none() {
            let message = format!("nothing depends on what the upstream is asked before action \"{action}\"");
            query.reject(message, "add require, send, or handler: none with respond", diagnostics);
        }
        if self.is_async && before.has_data() && before.identity == Identity::Caller && !self.has_admin_secret {
            let message = format!(
                "the job of action \"{action}\" cannot ask the upstream: its caller's headers are not stored, and there is no admin secret"
            );
            let help = "set HASURA_GRAPHQL_ADMIN_SECRET, with which it asks in the caller's role, or remove \"send\"";
            query.reject(message, help, diagnostics);
        }
    }
}

/// What the client reads where a requirement has no message.
const NOT_ALLOWED: &str = "this is not allowed";

/// Why an argument's values cannot be those of a variable with this type. Only of built-in scalars that much is known here; the
/// upstream's schema says the rest.
fn misfit(argument: &InputValue, ty: &TypeRef) -> Option<String> {
    let (from, to) = (argument.ty.named(), ty.named());
    let is_known = [from, to].iter().all(|name| is_built_in_scalar(name));
    let fits = from == to
        || to == "ID" && matches!(from, "Int" | "String")
        || from == "ID" && to == "String"
        || from == "Int" && to == "Float";
    let is_wrong = argument.ty.is_list() != ty.is_list() && argument.ty.is_list() || is_known && !fits;
    is_wrong.then(|| format!("the argument \"{}\" is of type {}, which is no {ty}", argument.name, argument.ty))
}
