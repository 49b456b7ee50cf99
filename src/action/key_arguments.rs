//! The arguments of an extension field that hold keys: fills the templates of the configuration with the values of rows.

use serde_json::{Map, Value};

use crate::model::extension_field::{ArgumentTemplate, ExtensionField};

/// The rows that a call is for.
#[derive(Clone, Copy, Debug)]
pub enum CallKeys<'k> {
    /// One row, or several with the same key: its values in the order of [`ExtensionField::key_fields`].
    One(&'k [Value]),
    /// Several rows, each with the only value of its key.
    All(&'k [&'k Value]),
}

/// The values of the argument that has this template. They stay JSON values, so nothing in them can be anything else.
#[must_use]
pub fn fill(template: &ArgumentTemplate, key_fields: &[&str], keys: CallKeys<'_>) -> Value {
    match (template, keys) {
        (ArgumentTemplate::Constant(value), _) => value.clone(),
        (ArgumentTemplate::Key(name), keys) => value_of(name, key_fields, keys).cloned().unwrap_or_default(),
        (ArgumentTemplate::List(items), CallKeys::All(values)) if is_key_list(items) => {
            values.iter().map(|value| (*value).clone()).collect()
        }
        (ArgumentTemplate::List(items), keys) => items.iter().map(|item| fill(item, key_fields, keys)).collect(),
        (ArgumentTemplate::Object(fields), keys) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), fill(field, key_fields, keys)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

fn value_of<'k>(name: &str, key_fields: &[&str], keys: CallKeys<'k>) -> Option<&'k Value> {
    match keys {
        CallKeys::One(values) => key_fields.iter().position(|field| *field == name).and_then(|index| values.get(index)),
        CallKeys::All(values) => values.first().copied(),
    }
}

/// The value itself, if the template is nothing but a key.
#[must_use]
pub fn only_key<'k>(template: &ArgumentTemplate, key_fields: &[&str], keys: CallKeys<'k>) -> Option<&'k Value> {
    match template {
        ArgumentTemplate::Key(name) => value_of(name, key_fields, keys),
        _ => None,
    }
}

fn is_key_list(items: &[ArgumentTemplate]) -> bool {
    matches!(items, [ArgumentTemplate::Key(_)])
}

/// May one call be made for several keys? Only if elements are matched, and the only place of the only key is a list: a
/// second value of the key would have to be that of one of the rows.
#[must_use]
pub fn takes_all_keys(field: &ExtensionField) -> bool {
    let (lists, others) = field.arguments.iter().map(|(_, template)| places(template)).fold((0, 0), add);
    field.matched_by.is_some() && (lists, others) == (1, 0)
}

/// Which of [`ExtensionField::key_fields`] has the value by which elements are matched: the one that is the only item of a
/// list, or else the first.
#[must_use]
pub fn matched_key(field: &ExtensionField) -> usize {
    let name = field.arguments.iter().find_map(|(_, template)| listed_key(template));
    let position = |name: &str| field.key_fields().iter().position(|known| *known == name);
    name.and_then(position).unwrap_or_default()
}

fn listed_key(template: &ArgumentTemplate) -> Option<&str> {
    match template {
        ArgumentTemplate::Constant(_) | ArgumentTemplate::Key(_) => None,
        ArgumentTemplate::List(items) => match items.as_slice() {
            [ArgumentTemplate::Key(name)] => Some(name),
            items => items.iter().find_map(listed_key),
        },
        ArgumentTemplate::Object(fields) => fields.iter().find_map(|(_, field)| listed_key(field)),
    }
}

/// How often a key is the only item of a list, and how often it stands elsewhere.
fn places(template: &ArgumentTemplate) -> (usize, usize) {
    match template {
        ArgumentTemplate::Constant(_) => (0, 0),
        ArgumentTemplate::Key(_) => (0, 1),
        ArgumentTemplate::List(items) if is_key_list(items) => (1, 0),
        ArgumentTemplate::List(items) => items.iter().map(places).fold((0, 0), add),
        ArgumentTemplate::Object(fields) => fields.iter().map(|(_, field)| places(field)).fold((0, 0), add),
    }
}

fn add((lists, others): (usize, usize), (more, further): (usize, usize)) -> (usize, usize) {
    (lists + more, others + further)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::types::TypeRef;

    fn key(name: &str) -> ArgumentTemplate {
        ArgumentTemplate::Key(name.into())
    }

    fn field(arguments: Vec<ArgumentTemplate>) -> ExtensionField {
        ExtensionField {
            type_name: "Product".into(),
            name: "stock".into(),
            action: "stocks".into(),
            arguments: arguments.into_iter().map(|template| ("skus".into(), template)).collect(),
            matched_by: Some("sku".into()),
            ty: TypeRef::Named("Stock".into()),
            description: None,
            deprecated: None,
        }
    }

    #[test]
    fn values_stay_what_they_are() {
        let template = ArgumentTemplate::Object(vec![
            ("shop".into(), key("shop")),
            ("skus".into(), ArgumentTemplate::List(vec![key("sku")])),
            ("kind".into(), ArgumentTemplate::Constant("NEW".into())),
        ]);
        let large: Value = serde_json::from_str("90071992547409931234.50").expect("a number");
        let text = json!("\"}\u{0}\n$x");
        let filled = fill(&template, &["sku", "shop"], CallKeys::One(&[large.clone(), text.clone()]));
        assert_eq!(filled, json!({ "shop": text, "skus": [large], "kind": "NEW" }));
        assert_eq!(filled["skus"].to_string(), "[90071992547409931234.50]");
        let list = ArgumentTemplate::List(vec![key("sku")]);
        assert_eq!(fill(&list, &["sku"], CallKeys::All(&[&json!(1), &json!([2])])), json!([1, [2]]));
    }

    #[test]
    fn one_call_takes_all_keys_if_they_stand_in_one_list() {
        let list = || ArgumentTemplate::List(vec![key("sku")]);
        assert!(takes_all_keys(&field(vec![list(), ArgumentTemplate::Constant(1.into())])));
        assert!(takes_all_keys(&field(vec![ArgumentTemplate::Object(vec![("in".into(), list())])])));
        assert!(!takes_all_keys(&field(vec![list(), key("shop")])));
        assert_eq!(matched_key(&field(vec![key("shop"), list()])), 1);
        assert_eq!(matched_key(&field(vec![key("shop")])), 0);
        assert!(!takes_all_keys(&field(vec![list(), list()])));
        assert!(!takes_all_keys(&ExtensionField { matched_by: None, ..field(vec![list()]) }));
    }
}
