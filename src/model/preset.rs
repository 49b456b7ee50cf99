//! Presets: arguments of an action that the configuration fills, and which the schema of a role then does not show.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kriti::Template;
use crate::model::types::InputValue;

/// What one argument is filled with.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The argument.
    pub argument: String,
    /// Its value.
    pub value: PresetValue,
}

/// Where the value of an argument comes from.
#[derive(Clone, Debug)]
pub enum PresetValue {
    /// A value of the argument's type.
    Constant(Value),
    /// The session variable of this lower-case name.
    SessionVariable(String),
    /// A template over the session.
    Template(Template),
}

/// The presets of an action.
#[derive(Clone, Debug, Default)]
pub struct Presets {
    /// Of every role that is not in `by_role`.
    pub general: Vec<Preset>,
    /// Of single roles, instead of the general ones. An admin gives all arguments, unless the configuration names them.
    pub by_role: BTreeMap<String, Vec<Preset>>,
}

impl Presets {
    /// Those of a role.
    #[must_use]
    pub fn of(&self, role: &str) -> &[Preset] {
        self.by_role.get(role).unwrap_or(&self.general)
    }

    /// The arguments that a role may give; `None` if it may give all of them.
    #[must_use]
    pub fn visible_arguments(&self, role: &str, arguments: &[InputValue]) -> Option<Vec<InputValue>> {
        let is_visible = |argument: &&InputValue| !self.fills(role, &argument.name);
        (!self.of(role).is_empty()).then(|| arguments.iter().filter(is_visible).cloned().collect())
    }

    /// Is this argument filled for a role, and hidden from it?
    #[must_use]
    pub fn fills(&self, role: &str, argument: &str) -> bool {
        self.of(role).iter().any(|preset| preset.argument == argument)
    }
}
