//! The request transform of an action that calls an operation: method, path, query, headers and body.

use serde_json::{Map, Value, json};

use crate::kriti::functions::escape_uri;
use crate::model::types::TypeRef;
use crate::openapi::mapping::{Direction, Mapping, text};
use crate::openapi::operation::Operation;
use crate::openapi::parameters::{Argument, ArgumentKind, Style};
use crate::openapi::problem::Problem;
use crate::openapi::types::{Definition, MadeType, Types};

/// `request_transform` of an operation.
pub(crate) fn request_transform(
    operation: &Operation<'_>,
    types: &Types,
    mapping: &Mapping<'_>,
) -> Result<Value, Problem> {
    let writer = Writer { types, mapping };
    let mut transform = Map::new();
    transform.insert("version".into(), 2.into());
    transform.insert("template_engine".into(), "Kriti".into());
    transform.insert("method".into(), operation.listed.method.into());
    transform.insert("url".into(), writer.url(operation)?.into());
    let queries = operation.arguments.iter().filter(|argument| matches!(argument.kind, ArgumentKind::Query { .. }));
    let query = writer.query(&queries.collect::<Vec<_>>())?;
    transform.extend(query.map(|query| ("query_params".to_owned(), query)));
    let mut headers = Map::new();
    for argument in operation.arguments.iter().filter(|argument| argument.kind == ArgumentKind::Header) {
        headers.insert(argument.api_name.clone(), writer.scalar(argument)?.into());
    }
    let (body, media_type) = writer.body(operation)?;
    headers.extend(media_type.map(|media_type| ("Content-Type".to_owned(), Value::from(media_type))));
    if !headers.is_empty() {
        transform.insert("request_headers".into(), json!({ "add_headers": headers }));
    }
    transform.insert("body".into(), body);
    Ok(Value::Object(transform))
}

struct Writer<'t> {
    types: &'t Types,
    mapping: &'t Mapping<'t>,
}

impl Writer<'_> {
    fn url(&self, operation: &Operation<'_>) -> Result<String, Problem> {
        let mut url = "{{$base_url}}".to_owned();
        let mut rest = operation.listed.path;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            url.push_str(&text(before));
            let is_it = |argument: &&Argument| argument.kind == ArgumentKind::Path && argument.api_name == name;
            if let Some(argument) = operation.arguments.iter().find(is_it) {
                self.must_be_scalar(argument)?;
                url.push_str(&format!("{{{{{}}}}}", self.escaped(argument, &argument.ty, &value_of(argument))?));
            }
            rest = after;
        }
        Ok(url + &text(rest))
    }

    fn is_scalar(&self, ty: &TypeRef) -> bool {
        let is_object =
            matches!(self.types.get(ty.named()).map(|made| &made.definition), Some(Ok(Definition::Input(_))));
        !ty.is_list() && !is_object && ty.named() != "JSON"
    }

    fn must_be_scalar(&self, argument: &Argument) -> Result<(), Problem> {
        if self.is_scalar(&argument.ty) {
            return Ok(());
        }
        let reason =
            format!("the parameter \"{}\" is a list or an object where only one value can stand", argument.api_name);
        Err(Problem { place: argument.place.clone(), reason, help: "" })
    }

    /// A template that gives the argument's text.
    fn scalar(&self, argument: &Argument) -> Result<String, Problem> {
        self.must_be_scalar(argument)?;
        self.template(&argument.ty, &value_of(argument)).map_err(|reason| problem(argument, reason))
    }

    fn template(&self, ty: &TypeRef, value: &str) -> Result<String, String> {
        self.mapping.template(ty, value, Direction::ToApi)
    }

    /// An expression that gives a scalar's text as it may stand in a URL.
    fn escaped(&self, argument: &Argument, ty: &TypeRef, value: &str) -> Result<String, Problem> {
        match (ty.named(), self.mapping.is_needed(ty)) {
            (_, true) => {
                let template = self.template(ty, value).map_err(|reason| problem(argument, reason))?;
                Ok(format!("escapeUri({template})"))
            }
            ("Int" | "Boolean", false) => Ok(value.to_owned()),
            // A custom scalar may be anything, and only strings can be escaped.
            ("Float" | "BigInt" | "Date" | "DateTime" | "UUID", false) => {
                Ok(format!(r#"escapeUri("{{{{{value}}}}}")"#))
            }
            (_, false) if ty.is_nullable() => Ok(format!(r#"escapeUri({value} ?? "")"#)),
            (_, false) => Ok(format!("escapeUri({value})")),
        }
    }

    /// A mapping of names and templates, or one text if a parameter may stand there several times.
    fn query(&self, arguments: &[&Argument]) -> Result<Option<Value>, Problem> {
        if arguments.is_empty() {
            return Ok(None);
        }
        if arguments.iter().any(|argument| argument.ty.is_list()) {
            let parts = arguments.iter().map(|argument| self.query_text(argument)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(parts.concat().into()));
        }
        let mut pairs = Map::new();
        for (name, ty, value, argument) in self.parameters(arguments)? {
            let template = self.template(&ty, &value).map_err(|reason| problem(argument, reason))?;
            pairs.insert(text(&name), template.into());
        }
        Ok(Some(Value::Object(pairs)))
    }

    /// Name, type and value of each parameter that is no list: an object is one for each of its fields.
    fn parameters<'a>(
        &self,
        arguments: &[&'a Argument],
    ) -> Result<Vec<(String, TypeRef, String, &'a Argument)>, Problem> {
        let mut parameters = Vec::new();
        for argument in arguments {
            let ArgumentKind::Query { style, is_exploded } = &argument.kind else { continue };
            let value = value_of(argument);
            if *style == Style::Json || self.is_scalar(&argument.ty) {
                parameters.push((argument.api_name.clone(), argument.ty.clone(), value, *argument));
                continue;
            }
            let made = self.types.get(argument.ty.named());
            let members = made.map(MadeType::members).unwrap_or_default();
            let is_known = *style == Style::DeepObject || *style == Style::Form && *is_exploded;
            if members.is_empty() || !is_known || members.iter().any(|member| !self.is_scalar(&member.ty)) {
                let reason =
                    format!("the query parameter \"{}\" is an object that a query cannot hold", argument.api_name);
                return Err(problem(argument, reason));
            }
            for member in members {
                let name = match style {
                    Style::DeepObject => format!("{}[{}]", argument.api_name, member.api_name),
                    _ => member.api_name.clone(),
                };
                let value = format!("$body.input?.{}?.{}", argument.name, member.name);
                parameters.push((name, member.ty.clone(), value, *argument));
            }
        }
        Ok(parameters)
    }

    /// A parameter of a query that is one text. Each begins with `&`: empty ones have no effect.
    fn query_text(&self, argument: &Argument) -> Result<String, Problem> {
        let TypeRef::List(item) = argument.ty.nullable() else {
            let parameters = self.parameters(&[argument])?;
            let parts = parameters.into_iter().map(|(name, ty, value, argument)| {
                let pair = format!("&{}={{{{{}}}}}", escape_uri(&name), self.escaped(argument, &ty, &value)?);
                Ok(format!(r#"{{{{ if {value} == null }}}} "" {{{{ else }}}} "{pair}" {{{{ end }}}}"#))
            });
            return parts.collect::<Result<Vec<String>, Problem>>().map(|parts| parts.concat());
        };
        if !self.is_scalar(item) {
            return Err(problem(
                argument,
                format!("the query parameter \"{}\" is a list of lists or objects", argument.api_name),
            ));
        }
        let ArgumentKind::Query { style, is_exploded } = &argument.kind else { return Ok(String::new()) };
        let (value, name) = (value_of(argument), escape_uri(&argument.api_name));
        let escaped = self.escaped(argument, item, "x")?;
        let joined = |each: &str| {
            format!(r#"{{{{ concat(concat([[""], {{{{ range i, x := {value} ?? [] }}}} {each} {{{{ end }}}}])) }}}}"#)
        };
        if *is_exploded {
            return Ok(joined(&format!(r#""&{name}={{{{{escaped}}}}}""#)));
        }
        let separator = match style {
            Style::SpaceDelimited => "%20",
            Style::PipeDelimited => "%7C",
            _ => ",",
        };
        let each = format!(
            r#"{{{{ if i == 0 }}}} "&{name}={{{{{escaped}}}}}" {{{{ else }}}} "{separator}{{{{{escaped}}}}}" {{{{ end }}}}"#
        );
        Ok(joined(&each))
    }

    /// `body`, and its type if it is not `application/json`.
    fn body(&self, operation: &Operation<'_>) -> Result<(Value, Option<String>), Problem> {
        for argument in &operation.arguments {
            match &argument.kind {
                ArgumentKind::JsonBody { media_type } => {
                    let value = match (argument.ty.is_nullable(), argument.ty.is_list()) {
                        (true, true) => format!("({} ?? [])", value_of(argument)),
                        (true, false) if !self.is_scalar(&argument.ty) => format!("({} ?? {{}})", value_of(argument)),
                        _ => value_of(argument),
                    };
                    let template = self.template(&argument.ty, &value).map_err(|reason| problem(argument, reason))?;
                    let is_usual = media_type == "application/json" || media_type.contains('*');
                    let media_type = (!is_usual).then(|| media_type.clone());
                    return Ok((json!({ "action": "transform", "template": template }), media_type));
                }
                ArgumentKind::FormBody => return Ok((self.form(argument)?, None)),
                _ => {}
            }
        }
        Ok((json!({ "action": "remove" }), None))
    }

    fn form(&self, argument: &Argument) -> Result<Value, Problem> {
        let members = self.types.get(argument.ty.named()).map(MadeType::members).unwrap_or_default();
        if let Some(member) = members.iter().find(|member| !self.is_scalar(&member.ty)) {
            return Err(problem(argument, format!("the form's field \"{}\" is a list or an object", member.api_name)));
        }
        if members.is_empty() || argument.ty.is_list() {
            return Err(problem(argument, "the form has no fields".to_owned()));
        }
        let mut form = Map::new();
        for member in members {
            let value = format!("$body.input?.{}?.{}", argument.name, member.name);
            let template = self.template(&member.ty, &value).map_err(|reason| problem(argument, reason))?;
            form.insert(member.api_name.clone(), template.into());
        }
        Ok(json!({ "action": "x_www_form_urlencoded", "form_template": form }))
    }
}

/// The expression for an argument's value; an absent one is null.
fn value_of(argument: &Argument) -> String {
    let lookup = if argument.ty.is_nullable() { "?." } else { "." };
    format!("$body.input{lookup}{}", argument.name)
}

fn problem(argument: &Argument, reason: String) -> Problem {
    Problem { place: argument.place.clone(), reason, help: "" }
}
