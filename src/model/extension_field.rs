//! Extension fields: fields that `fields` of `pillion.yaml` adds to types of the upstream, each resolved by an action
//! that is called with values of the row.

use serde_json::Value;

use crate::model::types::{Deprecation, TypeRef};

/// One extension field.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtensionField {
    /// The upstream's object type or interface that it is added to.
    pub type_name: String,
    /// Its name.
    pub name: String,
    /// The root field of the query action that resolves it, a key of `ActionSchema::actions`.
    pub action: String,
    /// The arguments that the configuration gives, by name. A client may give the others.
    pub arguments: Vec<(String, ArgumentTemplate)>,
    /// The field of each element of the handler's list whose value is the key that the element belongs to. Then the
    /// action takes a list of keys, and is called once for all.
    pub matched_by: Option<String>,
    /// Its type: the action's, or that of one element if elements are matched.
    pub ty: TypeRef,
    /// For readers of the schema: its own, or the action's.
    pub description: Option<String>,
    /// Why it should not be selected any more: its own reason, or the action's.
    pub deprecated: Option<Deprecation>,
}

/// The value of an argument, in which values of the row stand.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgumentTemplate {
    /// A constant. An enum's value is a string.
    Constant(Value),
    /// The value of this field of the row.
    Key(String),
    /// A list. With [`ExtensionField::matched_by`] a list of one key stands for the list of all keys.
    List(Vec<ArgumentTemplate>),
    /// An input object.
    Object(Vec<(String, ArgumentTemplate)>),
}

impl ArgumentTemplate {
    fn add_keys<'t>(&'t self, keys: &mut Vec<&'t str>) {
        match self {
            Self::Constant(_) => {}
            Self::Key(name) if keys.contains(&name.as_str()) => {}
            Self::Key(name) => keys.push(name),
            Self::List(items) => items.iter().for_each(|item| item.add_keys(keys)),
            Self::Object(fields) => fields.iter().for_each(|(_, field)| field.add_keys(keys)),
        }
    }
}

impl ExtensionField {
    /// The fields of the row whose values are its key, each once, in the order in which the arguments name them.
    #[must_use]
    pub fn key_fields(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        self.arguments.iter().for_each(|(_, template)| template.add_keys(&mut keys));
        keys
    }

    /// `Type.field`, as the configuration names it.
    #[must_use]
    pub fn coordinate(&self) -> String {
        format!("{}.{}", self.type_name, self.name)
    }

    /// Does the configuration give the argument of this name?
    #[must_use]
    pub fn gives(&self, argument: &str) -> bool {
        self.arguments.iter().any(|(name, _)| name == argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_fields_are_each_named_once() {
        let key = |name: &str| ArgumentTemplate::Key(name.into());
        let field = ExtensionField {
            type_name: "Product".into(),
            name: "stock".into(),
            action: "stock".into(),
            arguments: vec![
                (
                    "at".into(),
                    ArgumentTemplate::Object(vec![("shop".into(), key("shop_id")), ("sku".into(), key("sku"))]),
                ),
                ("skus".into(), ArgumentTemplate::List(vec![key("sku"), ArgumentTemplate::Constant(1.into())])),
            ],
            matched_by: None,
            ty: TypeRef::Named("Int".into()),
            description: None,
            deprecated: None,
        };
        assert_eq!(field.key_fields(), ["shop_id", "sku"]);
        assert_eq!(field.coordinate(), "Product.stock");
        assert!(field.gives("at") && !field.gives("size"));
    }
}
