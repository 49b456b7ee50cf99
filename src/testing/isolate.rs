//! Cuts the settings of a configuration off from everything outside of the process, for tests.

use std::path::Path;

use uuid::Uuid;

use crate::config::settings::{JobStoreSettings, Settings};
use crate::model::secret::Secret;
use crate::session::claims::JwtKey;
use crate::testing::case::Case;

/// No Redis, no traces, and a job store in this file, whose jobs are not run. Gives the admin secret with which a case may take a role, unless
/// every caller may.
pub(crate) fn isolate(settings: &mut Settings, job_store: &Path) -> Option<Secret> {
    settings.redis = None;
    settings.traces = None;
    settings.jobs.store = JobStoreSettings::Sqlite(job_store.display().to_string());
    settings.jobs.fetch_interval = None;
    if settings.auth.is_open() {
        return None;
    }
    if settings.auth.admin_secrets.is_empty() {
        settings.auth.admin_secrets.push(Secret::new(Uuid::new_v4().to_string()));
    }
    settings.auth.admin_secrets.first().cloned()
}

/// Why a case cannot be authenticated without a network.
#[must_use]
pub(crate) fn unreachable_authentication(settings: &Settings, case: &Case) -> Option<&'static str> {
    if case.role.is_some() {
        return None;
    }
    if settings.auth.hook.is_some() {
        return Some("an auth hook authenticates callers, and is not called in tests: give the case a role");
    }
    let has_key_set = settings.auth.jwt.iter().any(|rules| matches!(rules.key, JwtKey::Url(_)));
    let offers = |name: &str| case.request.headers.iter().any(|(known, _)| known == name);
    (has_key_set && (offers("authorization") || offers("cookie")))
        .then_some("the keys of tokens are at a URL, and are not fetched in tests: give the case a role")
}
