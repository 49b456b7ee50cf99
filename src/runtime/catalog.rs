//! The catalog: the actions with their types, the roles that they are for, and the limits of documents. The part of a
//! snapshot that documents are planned and validated by; nothing in it depends on a request.

use std::collections::HashSet;
use std::sync::Arc;

use dashmap::DashMap;

use crate::documents::enforcement::Enforcement;
use crate::documents::trusted::TrustedDocuments;
use crate::graphql::root_types::RootTypes;
use crate::graphql::scan::{ScanResult, Scanner};
use crate::graphql::schema;
use crate::graphql::schema::RoleSchema;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::before::Identity;
use crate::model::limits::Limits;
use crate::model::response::Dialect;

/// The actions of one generation, and what follows from them.
pub(crate) struct Catalog {
    /// The actions and their types.
    pub schema: Arc<ActionSchema>,
    /// Finds their names in raw bytes.
    pub scanner: Arc<Scanner>,
    /// The names of the upstream's root types.
    pub roots: RootTypes,
    /// How errors are rendered.
    pub dialect: Dialect,
    /// What a document may cost.
    pub limits: Limits,
    /// Is introspection served here?
    pub merges_introspection: bool,
    /// The trusted documents.
    pub trusted: Arc<TrustedDocuments>,
    /// Which documents must be trusted.
    pub enforcement: Enforcement,
    /// Every role that an action names, and those that the upstream is asked as before a call.
    named_roles: HashSet<String>,
    /// What each kind of role sees. The kinds are those of the configuration, so there are few.
    role_schemas: DashMap<String, Arc<RoleSchema>>,
}

/// The kind of all roles that no action names.
const NO_PERMISSIONS: &str = "";

impl Catalog {
    /// The actions of `schema`, for an upstream with these root types.
    #[must_use]
    pub(crate) fn new(
        schema: Arc<ActionSchema>,
        scanner: Arc<Scanner>,
        roots: RootTypes,
        dialect: Dialect,
        limits: Limits,
        merges_introspection: bool,
    ) -> Self {
        let asked_as = schema.actions.values().filter_map(|action| match &action.before.as_ref()?.identity {
            Identity::Role(role) => Some(role.clone()),
            Identity::Caller | Identity::Admin => None,
        });
        let named_roles = schema.actions.values().flat_map(|action| action.roles.iter().cloned());
        let named_roles = named_roles.chain(asked_as).collect();
        let role_schemas = DashMap::new();
        Self {
            schema,
            scanner,
            roots,
            dialect,
            limits,
            merges_introspection,
            trusted: Arc::default(),
            enforcement: Enforcement::Off,
            named_roles,
            role_schemas,
        }
    }

    /// The same with these trusted documents.
    #[must_use]
    pub(crate) fn trusting(self, trusted: &Arc<TrustedDocuments>, enforcement: Enforcement) -> Self {
        Self { trusted: Arc::clone(trusted), enforcement, ..self }
    }

    /// Is there nothing to do for any request: no action, and no document to know?
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.scanner.is_empty() && self.enforcement == Enforcement::Off
    }

    /// Must every document on the GraphQL paths be trusted?
    #[must_use]
    pub(crate) fn rejects_unlisted(&self) -> bool {
        self.enforcement == Enforcement::All
    }

    /// May these bytes name an action, introspection that is served here, or a document by its id? All do if every document
    /// is looked up.
    #[must_use]
    pub(crate) fn may_concern_us(&self, bytes: &[u8]) -> bool {
        self.enforcement.concerns_every_document()
            || match self.scanner.scan(bytes) {
                ScanResult::Nothing => false,
                ScanResult::Introspection => self.merges_introspection,
                ScanResult::DocumentId | ScanResult::Action => true,
            }
    }

    /// The same without what is only looked at for its document's id, or because all documents are.
    #[must_use]
    pub(crate) fn may_be_ours(&self, bytes: &[u8]) -> bool {
        match self.scanner.scan(bytes) {
            ScanResult::Nothing | ScanResult::DocumentId => false,
            ScanResult::Introspection => self.merges_introspection,
            ScanResult::Action => true,
        }
    }

    /// May these bytes name an action?
    #[must_use]
    pub(crate) fn may_name_action(&self, bytes: &[u8]) -> bool {
        self.scanner.scan(bytes) == ScanResult::Action
    }

    /// What this role sees of the actions.
    ///
    /// # Errors
    /// The validator's message; see [`schema::of_actions`].
    pub(crate) fn schema_of(&self, role: &str) -> Result<Arc<RoleSchema>, String> {
        let kind = self.kind_of_role(role);
        if let Some(schema) = self.role_schemas.get(kind) {
            return Ok(Arc::clone(&schema));
        }
        let built = Arc::new(schema::of_actions(&self.schema, &self.roots, kind)?);
        self.role_schemas.insert(kind.to_owned(), Arc::clone(&built));
        Ok(built)
    }

    /// Roles that no action names see the same: nothing. A token can hold any name, a cache cannot.
    #[must_use]
    pub(crate) fn kind_of_role<'r>(&self, role: &'r str) -> &'r str {
        if role == ADMIN_ROLE || self.named_roles.contains(role) { role } else { NO_PERMISSIONS }
    }
}
