//! The state of resolving metadata, which the passes over actions and over types share.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::action::header_precedence::Precedence;
use crate::config::action_settings::ActionSettings;
use crate::config::extension_field_settings::ExtensionFieldSettings;
use crate::config::prefix::Prefixes;
use crate::config::relationship_settings::RelationshipSettings;
use crate::config::traffic_settings::TrafficDefaults;
use crate::graphql::suggestions::did_you_mean;
use crate::model::address::AllowedHosts;
use crate::model::secret::Secret;
use crate::model::source::{Diagnostic, SourceLocation};
use crate::model::types::{TypeKind, Types};

/// Settings that resolving depends on, beside the metadata files.
pub struct ResolveOptions<'s> {
    /// The value of an environment variable.
    pub environment: &'s dyn Fn(&str) -> Option<String>,
    /// The settings of single actions in `pillion.yaml`.
    pub actions: &'s IndexMap<String, ActionSettings>,
    /// The settings of relationships.
    pub relationships: &'s [RelationshipSettings],
    /// The settings of extension fields.
    pub extension_fields: &'s [ExtensionFieldSettings],
    /// For the warning about secrets that a client can replace.
    pub precedence: Precedence,
    /// The defaults of job attempts and concurrency.
    pub jobs: (usize, usize),
    /// The default traffic policies.
    pub policies: &'s TrafficDefaults,
    /// May they go to private networks?
    pub allows_private: bool,
    /// To which hosts calls may go.
    pub allowed_hosts: &'s AllowedHosts,
    /// How often a document may call one action.
    pub max_calls_per_action: usize,
    /// What keeps the actions' names apart from the upstream's.
    pub prefixes: &'s Prefixes,
    /// May handlers have link-local addresses?
    pub allows_link_local: bool,
    /// For handlers that may have it.
    pub admin_secret: Option<&'s Secret>,
    /// Are all actions in the metadata that is resolved, so that settings for another one are an error?
    pub knows_all_actions: bool,
}

/// Collects the errors of both passes.
pub(crate) struct Resolver<'r, 's> {
    pub(crate) surroundings: &'r ResolveOptions<'s>,
    pub(crate) diagnostics: &'r mut Vec<Diagnostic>,
    /// The names of all interfaces.
    pub(crate) interfaces: HashSet<String>,
    /// See [`ActionSchema::undecided`].
    pub(crate) undecided: IndexMap<String, Vec<Diagnostic>>,
    /// See [`Signatures::type_places`](crate::config::sdl::Signatures).
    pub(crate) type_places: HashMap<String, SourceLocation>,
    /// See [`Signatures::subscriptions`](crate::config::sdl::Signatures).
    pub(crate) subscriptions: HashSet<String>,
}

impl Resolver<'_, '_> {
    /// Where the type of this field or argument stands; `otherwise` if no SDL says it.
    pub(crate) fn type_place(&self, coordinate: &str, otherwise: &SourceLocation) -> SourceLocation {
        self.type_places.get(coordinate).unwrap_or(otherwise).clone()
    }
}

/// Where a type may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeUse {
    Input,
    Output,
    Both,
}

/// ` Did you mean …?` with types that may stand there.
pub(crate) fn did_you_mean_type(types: &Types, name: &str, fits: impl Fn(&TypeKind) -> bool) -> String {
    let others = types.0.iter().filter(|(_, definition)| fits(&definition.kind)).map(|(name, _)| name.as_str());
    let suggestion = did_you_mean(name, others);
    if suggestion.is_empty() { suggestion } else { format!(".{suggestion}") }
}
