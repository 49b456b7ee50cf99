//! The extension fields that a role sees, by the upstream's types that have them.

use std::collections::HashMap;
use std::sync::Arc;

use apollo_compiler::Name;

use crate::model::extension_field::ExtensionField;

/// The extension fields that a role sees, by type and name. Those of an interface are those of its types as well.
#[derive(Clone, Debug, Default)]
pub struct ExtensionFields(HashMap<Name, HashMap<Name, Arc<ExtensionField>>>);

impl ExtensionFields {
    /// All types that have any, with their extension fields.
    pub(crate) fn by_type(&self) -> impl Iterator<Item = (&Name, &HashMap<Name, Arc<ExtensionField>>)> {
        self.0.iter()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The extension field `name` of the type `type_name`.
    #[must_use]
    pub fn get(&self, type_name: &str, name: &str) -> Option<&Arc<ExtensionField>> {
        self.0.get(type_name)?.get(name)
    }

    pub(crate) fn insert(&mut self, type_name: &Name, name: Name, field: &Arc<ExtensionField>) {
        self.0.entry(type_name.clone()).or_default().insert(name, Arc::clone(field));
    }
}
