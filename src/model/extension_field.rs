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

/// Keys of rows, each with a value for each of [`ExtensionField::key_fields`].
#[derive(Clone, Debug, Default)]
pub struct KeyList {
    /// The values of all, one key after another: there may be many, and a list for each would be dear.
    values: Vec<Value>,
    /// Values of each key.
    width: usize,
    /// How many keys there are, which may have no value.
    count: usize,
}

impl KeyList {
    /// No keys yet; each will have so many values.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Adds one. Values that it has too many are dropped, and those that it lacks are null.
    pub fn push(&mut self, values: impl IntoIterator<Item = Value>) {
        self.values.extend(values.into_iter().take(self.width));
        self.count += 1;
        self.values.resize(self.count * self.width, Value::Null);
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values of a key; none if it is not there.
    #[must_use]
    pub fn get(&self, index: usize) -> &[Value] {
        let start = index.saturating_mul(self.width);
        self.values.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.count).map(|index| self.get(index))
    }

    /// A copy of these of them.
    #[must_use]
    pub fn select(&self, indexes: &[usize]) -> Self {
        let mut selected = Self::new(self.width);
        indexes.iter().for_each(|index| selected.push(self.get(*index).iter().cloned()));
        selected
    }
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
    fn keys_are_found_by_their_index() {
        let mut keys = KeyList::new(2);
        keys.push([1.into(), "a".into()]);
        keys.push([2.into()]);
        keys.push([3.into(), "c".into(), "more".into()]);
        let all = [[Value::from(1), "a".into()], [2.into(), Value::Null], [3.into(), "c".into()]];
        assert_eq!(keys.iter().collect::<Vec<_>>(), all);
        assert_eq!((keys.len(), keys.get(3)), (3, &[][..]));
        assert_eq!(keys.select(&[2, 0]).iter().collect::<Vec<_>>(), [&all[2], &all[0]]);
        let mut without_values = KeyList::new(0);
        without_values.push([]);
        assert_eq!((without_values.len(), without_values.is_empty(), without_values.get(0)), (1, false, &[][..]));
    }

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
