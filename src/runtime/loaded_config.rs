//! The loaded configuration and what is derived from it: the same for all generations until a reload.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use crate::auth::Authenticator;
use crate::config::settings::Settings;
use crate::config::settings_table::{Applies, SETTINGS};
use crate::config::stored_documents::StoredDocuments;
use crate::documents::trusted::TrustedDocuments;
use crate::handler_client;
use crate::handler_client::HandlerClient;
use crate::http_client::PerThread;
use crate::telemetry::metrics::Metrics;

/// The configuration, ready for use.
pub(crate) struct LoadedConfig {
    /// The settings; the rules about credentials are in the authenticator.
    pub settings: Arc<Settings>,
    /// The stored documents.
    pub documents: StoredDocuments,
    /// The trusted documents.
    pub trusted: Arc<TrustedDocuments>,
    /// Checks who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Headers that the settings name, and that a client may not take out: where tokens are, and its address.
    pub protected_headers: Vec<HeaderName>,
    /// The clients that call handlers.
    pub handlers: Arc<PerThread<HandlerClient>>,
    /// A fingerprint of each setting by its key, to see whether it has changed.
    fingerprints: HashMap<&'static str, u64>,
}

impl LoadedConfig {
    /// The fingerprint of a setting.
    #[must_use]
    pub(crate) fn fingerprint(&self, key: &str) -> Option<u64> {
        self.fingerprints.get(key).copied()
    }

    /// The fingerprints of all settings.
    #[must_use]
    pub(crate) fn fingerprints(&self) -> &HashMap<&'static str, u64> {
        &self.fingerprints
    }

    /// Prepares the loaded configuration. Whatever it has in common with `before` is reused.
    ///
    /// # Errors
    /// What cannot be used: a key, a certificate.
    pub(crate) fn new(
        mut settings: Settings,
        (documents, trusted): (StoredDocuments, TrustedDocuments),
        fingerprints: HashMap<&'static str, u64>,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let has_changed = |before: &Self, group: &str| {
            fingerprints
                .iter()
                .any(|(key, value)| key.starts_with(group) && before.fingerprints.get(key) != Some(value))
        };
        // Files may hold something else than they did.
        let reads_files = settings.handlers.tls_ca_file.is_some() || settings.handlers.identity.is_some();
        let handlers = match before {
            Some(before) if !reads_files && !has_changed(before, "handlers.") => Arc::clone(&before.handlers),
            _ => Arc::new(handler_client::clients(&settings.handlers)?),
        };
        let rules = std::mem::take(&mut settings.auth);
        let authenticator = match before {
            Some(before) if !has_changed(before, "auth.") => Arc::clone(&before.authenticator),
            _ => Arc::new(Authenticator::new(rules, &*handlers.here().general, metrics)?),
        };
        let protected_headers = authenticator.token_headers().chain(settings.client_addresses.header.clone()).collect();
        let (settings, trusted) = (Arc::new(settings), Arc::new(trusted));
        Ok(Self { settings, documents, trusted, authenticator, protected_headers, handlers, fingerprints })
    }

    /// The same with other documents.
    #[must_use]
    pub(crate) fn with_documents(&self, (documents, trusted): (StoredDocuments, TrustedDocuments)) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            documents,
            trusted: Arc::new(trusted),
            authenticator: Arc::clone(&self.authenticator),
            protected_headers: self.protected_headers.clone(),
            handlers: Arc::clone(&self.handlers),
            fingerprints: self.fingerprints.clone(),
        }
    }

    /// Authentication may be added and exchanged by a reload, but never removed: a truncated file or a missing line
    /// must not let in callers that `before` rejects.
    ///
    /// # Errors
    /// Which one is missing.
    pub(crate) fn keeps_locks_of(&self, before: &Self) -> Result<(), String> {
        if self.authenticator.is_open() && !before.authenticator.is_open() {
            return Err(
                "error: auth: nothing asks for a credential any more, so everybody would be admin; a reload does not \
                        open what was closed\n  help: give the admin secret again, or restart with auth.open: true"
                    .into(),
            );
        }
        if self.settings.admin.token.is_none() && before.settings.admin.token.is_some() {
            return Err(
                "error: admin.token: it is missing; a reload does not open what was closed\n  help: give it again, \
                        or restart without it"
                    .into(),
            );
        }
        Ok(())
    }

    /// The settings in which it differs from `before` but that take effect at the next start only.
    #[must_use]
    pub(crate) fn waiting_for_start(&self, before: &Self) -> Vec<&'static str> {
        let is_fixed = |key: &str| SETTINGS.iter().any(|known| known.key == key && known.applies == Applies::AtStart);
        let differs = |key: &&'static str| self.fingerprints.get(*key) != before.fingerprints.get(*key);
        let mut keys: Vec<_> = self.fingerprints.keys().copied().filter(differs).filter(|key| is_fixed(key)).collect();
        keys.sort_unstable();
        keys
    }
}
