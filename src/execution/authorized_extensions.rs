//! The extension fields of an operation that may be resolved: their calls, and what is selected of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use apollo_compiler::Node;
use apollo_compiler::ast::{Field, OperationDefinition};
use serde_json::Value;

use crate::execution::authorize::AuthorizedField;
use crate::execution::preset_arguments::filled;
use crate::graphql::coerce::{Variables, coerce_argument_values};
use crate::graphql::extension_sites::{ExtensionSite, ExtensionSites};
use crate::graphql::selection::{Selector, SubSelection};
use crate::model::action::ActionSchema;
use crate::model::types::InputValue;
use crate::request::rejection::Rejection;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// The extension fields of an operation, authorized.
pub(crate) struct AuthorizedExtensions {
    /// Where they stand.
    pub sites: Arc<ExtensionSites>,
    /// Their calls. Fields that are the same but for their rows share one.
    pub calls: Vec<AuthorizedField>,
    /// The call of each site.
    call_of: Vec<usize>,
    /// What is selected at each site.
    selections: Vec<Arc<SubSelection>>,
    source: SelectionSource,
    /// Keys so far, of all rounds.
    keys: AtomicUsize,
    /// For each call: has its handler been called?
    called: Vec<AtomicBool>,
}

/// What selections are read from.
struct SelectionSource {
    prepared: Arc<PreparedDocument>,
    operation: Node<OperationDefinition>,
    variables: Variables,
    schema: Arc<ActionSchema>,
}

impl SelectionSource {
    fn selection(&self, sites: &ExtensionSites, type_name: &str, fields: &[&Node<Field>]) -> Arc<SubSelection> {
        let condition = |name: &str| self.variables.get(name) == Some(&Value::Bool(true));
        let selector = Selector {
            document: &self.prepared.document,
            operation: &self.operation,
            types: &self.schema.types,
            condition: &condition,
            sites: Some(sites),
        };
        Arc::new(selector.select(type_name, fields))
    }
}

impl AuthorizedExtensions {
    /// Authorizes all extension fields of an operation, or none.
    ///
    /// # Errors
    /// A role without permission, an argument that does not fit its type.
    pub(crate) fn new(
        snapshot: &Snapshot,
        session: &Session,
        (prepared, operation): (&Arc<PreparedDocument>, &Node<OperationDefinition>),
        sites: &Arc<ExtensionSites>,
        variables: Variables,
    ) -> Result<Self, Rejection> {
        let catalog = &snapshot.catalog;
        let (mut calls, mut call_of): (Vec<AuthorizedField>, Vec<usize>) = (Vec::new(), Vec::new());
        // Occurrences that are written in different ways, with their calls.
        let mut firsts: Vec<(&ExtensionSite, usize)> = Vec::new();
        for site in &sites.sites {
            if let Some((_, known)) = firsts.iter().find(|(first, _)| first.is_called_like(site)) {
                call_of.push(*known);
                continue;
            }
            let is_free = |definition: &&InputValue| !site.extension.gives(&definition.name);
            let action = catalog.schema.actions.get(&site.extension.action);
            let free: Vec<InputValue> =
                action.iter().flat_map(|action| &action.arguments).filter(is_free).cloned().collect();
            let presets = action.map(|action| action.presets.of(session.role())).unwrap_or_default();
            let visible = action.and_then(|action| action.presets.visible_arguments(session.role(), &free));
            let definitions = visible.as_ref().unwrap_or(&free);
            let mut arguments =
                coerce_argument_values(&catalog.schema.types, definitions, &site.field.arguments, &variables)
                    .map_err(|error| Rejection::of_value(catalog.dialect, error, &prepared.document.text))?;
            if let Some(action) = action {
                arguments = filled(snapshot, session, action, &free, presets, arguments)?;
            }
            // A variable or a default may give what another occurrence has as a literal.
            let is_same =
                |call: &AuthorizedField| Arc::ptr_eq(call.field(), &site.extension) && *call.arguments() == arguments;
            let call = match calls.iter().position(is_same) {
                Some(known) => known,
                None => {
                    calls.push(AuthorizedField::new(snapshot, session, &site.extension, arguments)?);
                    calls.len() - 1
                }
            };
            firsts.push((site, call));
            call_of.push(call);
        }
        let (prepared, operation, schema) = (Arc::clone(prepared), operation.clone(), Arc::clone(&catalog.schema));
        let source = SelectionSource { prepared, operation, variables, schema };
        let selection = |site: &ExtensionSite| source.selection(sites, site.extension.ty.named(), &[&site.field]);
        let selections = sites.sites.iter().map(selection).collect();
        let called = calls.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { sites: Arc::clone(sites), calls, call_of, selections, source, keys: AtomicUsize::new(0), called })
    }

    /// Adds keys for which handlers are about to be called. Gives how many there are in all.
    #[must_use]
    pub(crate) fn add_keys(&self, count: usize) -> usize {
        self.keys.fetch_add(count, Ordering::Relaxed).saturating_add(count)
    }

    /// The handler of a call is about to be called.
    pub(crate) fn note_called(&self, call: usize) {
        if let Some(called) = self.called.get(call) {
            called.store(true, Ordering::Relaxed);
        }
    }

    /// The names of the actions whose handlers have been called.
    pub(crate) fn called_actions(&self) -> impl Iterator<Item = &str> {
        let called = self.calls.iter().zip(&self.called).filter(|(_, called)| called.load(Ordering::Relaxed));
        called.map(|(call, _)| call.action().name.as_str())
    }

    /// The call for a field of a row, which these sites make up, with its place in [`Self::calls`].
    #[must_use]
    pub(crate) fn call(&self, sites: &[usize]) -> Option<(usize, &AuthorizedField)> {
        let call = *self.call_of.get(*sites.first()?)?;
        Some((call, self.calls.get(call)?))
    }

    /// What is selected of a field that these sites make up.
    #[must_use]
    pub(crate) fn selection(&self, sites: &[usize]) -> Arc<SubSelection> {
        let known = |site: &usize| self.sites.sites.get(*site);
        match sites {
            [only] => self.selections.get(*only).cloned().unwrap_or_default(),
            several => {
                let fields: Vec<&Node<Field>> = several.iter().filter_map(known).map(|site| &site.field).collect();
                let first = several.first().and_then(known);
                first
                    .map(|site| self.source.selection(&self.sites, site.extension.ty.named(), &fields))
                    .unwrap_or_default()
            }
        }
    }
}
