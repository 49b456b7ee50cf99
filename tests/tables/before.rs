//! The family `before`: queries that are asked before calls as one operation, the values of their variables, and what the upstream's
//! response decides.

use std::collections::BTreeMap;

use pillion::action::before::{
    AskedQuery, BeforeError, Moment, check, is_needed, read_results, request_json, requirements, sent_data,
    variable_values,
};
use pillion::graphql::before_query::{QueryError, compile};
use pillion::graphql::coerce::type_ref;
use pillion::kriti::parse::parse;
use pillion::model::before::{
    Before, BeforeQuery, BeforeVariable, Identity, Requirement, Requirements, VariableSource,
};
use pillion::model::source::{Source, SourceLocation};
use pillion::session::Session;
use serde_json::{Map, Value, json};

/// What a case comes out as: a line for each query.
pub fn before(case: &Value) -> String {
    let texts: Vec<&str> = case["queries"].as_array().expect("queries").iter().filter_map(Value::as_str).collect();
    let mut compiled: Vec<Before> = Vec::new();
    for text in &texts {
        match one(text, case) {
            Ok(before) => compiled.push(before),
            Err(errors) => {
                return errors
                    .iter()
                    .map(|error| format!("{}: {}", error.offset, error.message))
                    .collect::<Vec<_>>()
                    .join("\n");
            }
        }
    }
    let session = Session::stored(object(&case["session"])).expect("a session");
    let values = |before: &Before| variable_values(before, &object(&case["input"]), &session, 1_000);
    let values: Result<Vec<Map<String, Value>>, BeforeError> = compiled.iter().map(values).collect();
    let values = match values {
        Ok(values) => values,
        Err(error) => return shown(&error),
    };
    let Some(body) = case["response"].as_str() else {
        let asked: Vec<AskedQuery<'_>> = compiled
            .iter()
            .zip(&values)
            .map(|(before, variables)| AskedQuery { query: &before.query, variables })
            .collect();
        return request_json(&asked);
    };
    let moment = match case["moment"].as_str() {
        Some("accept") => Moment::Accept,
        Some("job") => Moment::Job,
        _ => Moment::Call,
    };
    let queries: Vec<&BeforeQuery> = compiled.iter().map(|before| &before.query).collect();
    let results = read_results(&queries, body.as_bytes());
    let decided = compiled.iter().zip(results).map(|(before, result)| {
        if !is_needed(before, moment, session.role()) {
            return "not asked".to_owned();
        }
        let decided = result.and_then(|fields| {
            check(requirements(before, moment, session.role()), &fields)?;
            Ok(sent_data(before, &fields))
        });
        match decided {
            Ok(None) => "passed".to_owned(),
            Ok(Some(data)) => format!("passed {data}"),
            Err(error) => shown(&error),
        }
    });
    decided.collect::<Vec<_>>().join("\n")
}

fn shown(error: &BeforeError) -> String {
    format!("{} {error}", error.code())
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn one(text: &str, case: &Value) -> Result<Before, Vec<QueryError>> {
    let compiled = compile(text)?;
    let variables = compiled.operation.variables.iter().map(|definition| {
        let name = definition.name.to_string();
        let source = match case["variables"][&name].as_str() {
            Some(name) if name.starts_with("x-hasura-") => VariableSource::SessionVariable(name.to_owned()),
            Some(template) if template.contains("{{") => {
                VariableSource::Template(parse(template).unwrap_or_else(|error| panic!("{template}: {error}")))
            }
            Some(path) => VariableSource::Argument(path.split('.').map(str::to_owned).collect()),
            None if case["variables"][&name].is_null() => VariableSource::Argument(vec![name.clone()]),
            None => VariableSource::Constant(case["variables"][&name].clone()),
        };
        BeforeVariable { name, ty: type_ref(&definition.ty), has_default: definition.default_value.is_some(), source }
    });
    let requirement = |(field, message): (&String, &Value)| Requirement {
        field: field.clone(),
        message: message.as_str().unwrap_or_default().to_owned(),
    };
    let of = |value: &Value| value.as_object().into_iter().flatten().map(requirement).collect::<Vec<_>>();
    let by_role: BTreeMap<String, Vec<Requirement>> =
        object(&case["require_by_role"]).iter().map(|(role, value)| (role.clone(), of(value))).collect();
    let send = case["send"].as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned()));
    let source = std::sync::Arc::new(Source::new("pillion.yaml", text));
    Ok(Before {
        variables: variables.collect(),
        require: Requirements { general: of(case.get("require").unwrap_or(&json!({}))), by_role },
        send: send.collect(),
        identity: Identity::Caller,
        respond: None,
        place: SourceLocation::new(&source, 1, 1),
        query: compiled.query,
    })
}
