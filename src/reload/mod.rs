//! Reloads the configuration while requests are served: when its files change, on SIGHUP, or on request of the admin
//! listener. An invalid one is rejected and the old one stays; a valid one takes effect for new requests at once.

pub(crate) mod files;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::load::Loaded;
use crate::metadata_api::Api;
use crate::model::action::ADMIN_ROLE;
use crate::model::label::Label;
use crate::model::source::{Diagnostic, summed_up};
use crate::reload::files::Files;
use crate::runtime::loaded_config::LoadedConfig;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check::{before_diagnostics_of, schema_for};
use crate::runtime::upstream_types;
use crate::telemetry::labels::ReloadOutcome;

/// Loads the configuration as it was loaded at the start.
pub(crate) type Load = Box<dyn Fn() -> Result<Loaded, Vec<Diagnostic>> + Send + Sync>;

/// Reloads it whenever there is a reason to.
pub(crate) struct Reloader {
    /// What requests share.
    pub services: Arc<Services>,
    /// Where metadata can be changed, if it can.
    pub metadata: Option<Arc<Api>>,
    /// Loads the configuration.
    pub load: Load,
    /// The files that were loaded.
    pub files: Mutex<Files>,
}

/// How often to look at the files.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

impl Reloader {
    /// Watches, listens and reloads. Never returns.
    pub(crate) async fn run(&self) {
        let Some(mut requests) = self.services.reloads.take_receiver() else { return std::future::pending().await };
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let told = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let (reason, response) = tokio::select! {
                Some(response) = requests.recv() => ("requested", Some(response)),
                Some(()) = told => ("SIGHUP", None),
                () = tokio::time::sleep(WATCH_INTERVAL) => {
                    let configured = self.services.configured();
                    if !configured.settings.watch_files || !self.have_changed(&configured) {
                        continue;
                    }
                    ("its files have changed", None)
                }
            };
            self.reload(reason, response).await;
        }
    }

    fn have_changed(&self, configured: &LoadedConfig) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).have_changed(&configured.settings)
    }

    async fn reload(&self, reason: &str, response: Option<oneshot::Sender<Result<(), String>>>) {
        let outcome = self.load_and_use().await;
        // A reader that sees the count finds the reason.
        self.services.reloads.note(outcome.as_ref().map(drop).map_err(Clone::clone));
        let metrics = &self.services.metrics;
        metrics.config_last_reload_successful.set(i64::from(outcome.is_ok()));
        let label = if outcome.is_ok() { ReloadOutcome::Success } else { ReloadOutcome::Rejected };
        metrics.config_reloads.with_label_values(&[label.label()]).inc();
        match &outcome {
            Ok(waiting) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                metrics.config_last_reload_success.set(now.as_secs_f64());
                tracing::info!(reason, "configuration applied");
                if !waiting.is_empty() {
                    tracing::warn!(settings = waiting.join(", "), "some settings take effect at the next start only");
                }
            }
            Err(diagnostics) => {
                tracing::error!(reason, "configuration rejected, keeping the current one: {diagnostics}");
            }
        }
        let outcome = outcome.map(drop);
        // The requester may have disconnected.
        let _ = response.map(|response| response.send(outcome));
    }

    /// Gives the settings that have changed, but take effect at the next start only.
    async fn load_and_use(&self) -> Result<Vec<&'static str>, String> {
        // Held to the end: a command of the metadata API neither changes the files meanwhile, nor undoes this reload.
        let paused = match &self.metadata {
            Some(api) => Some(api.pause().await),
            None => None,
        };
        let loaded = (self.load)().map_err(|diagnostics| one_line(&diagnostics))?;
        let Loaded { settings, mut schema, documents, trusted, warnings, fingerprints } = loaded;
        let (services, before) = (&self.services, self.services.snapshot.load_full());
        let mut configured = LoadedConfig::new(
            settings,
            (documents, trusted),
            fingerprints,
            &services.metrics,
            Some(&before.configured),
        )?;
        configured.keeps_locks_of(&before.configured)?;
        if let (Some(api), Some(paused)) = (&self.metadata, &paused) {
            // The database takes precedence over the files.
            if let Some(kept) = api.kept(paused, &configured).await? {
                schema = kept.schema;
                configured = configured.with_documents(kept.documents);
            }
        }
        let (configured, mut schema) = (Arc::new(configured), Arc::new(schema));
        let next = Arc::new(before.with_configuration(&configured, Arc::clone(&schema))?);
        match schema_for(services, &next, ADMIN_ROLE, HeaderMap::new()).await {
            Ok(merged) => {
                if let Some(decided) = &merged.decided {
                    let intolerable = upstream_types::unacceptable(&schema, decided);
                    if !intolerable.is_empty() {
                        return Err(one_line(&intolerable.into_iter().cloned().collect::<Vec<_>>()));
                    }
                    schema = Arc::new(decided.clone());
                }
                let of_roles = before_diagnostics_of(services, &next).await;
                let all = [merged.field_diagnostics.as_slice(), &of_roles].concat();
                let unfit = upstream_types::unacceptable_fields(&schema, &all);
                if !unfit.is_empty() {
                    return Err(one_line(&unfit));
                }
            }
            Err(error) if !error.conflicts().is_empty() => {
                let conflicts = error.conflicts().iter().map(|one| one.diagnostic(&schema.locations));
                return Err(one_line(&conflicts.collect::<Vec<_>>()));
            }
            Err(_) => {}
        }
        services.open_jobs_for(&schema).await?;
        // The health check may have reported a change in the meantime.
        services.replace_snapshot(|current| current.with_configuration(&configured, Arc::clone(&schema)).ok());
        summed_up(&warnings).iter().for_each(|warning| tracing::warn!("{warning}"));
        upstream_types::log_inconsistent(&schema);
        Ok(configured.waiting_for_start(&before.configured))
    }
}

fn one_line(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}
