//! Reads the settings of trusted documents and automatic persisted queries (`documents`).

use std::path::PathBuf;

use crate::config::values::Values;
use crate::documents::enforcement::Enforcement;
use crate::model::limits::Limits;
use crate::model::source::Diagnostic;

/// Which documents are trusted, and what that means.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Documents {
    pub folder: Option<PathBuf>,
    pub only: Enforcement,
    /// Automatic persisted queries, if they are served.
    pub apq: Option<PersistedQueries>,
}

/// How automatic persisted queries are kept.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct PersistedQueries {
    pub is_shared: bool,
    pub max_size: usize,
}

/// Reads them.
pub(crate) fn read(values: &Values, limits: &Limits, diagnostics: &mut Vec<Diagnostic>) -> Documents {
    let enables_allow_list = values.bool("documents.enable_allow_list", diagnostics);
    let only = match values.text("documents.only").as_deref() {
        Some("log") => Enforcement::Log,
        Some("actions") => Enforcement::Actions,
        Some("all") => Enforcement::All,
        _ if enables_allow_list && !values.is_given("documents.only") => Enforcement::All,
        _ => Enforcement::Off,
    };
    let is_shared = values.text("documents.apq.store").as_deref() == Some("redis");
    if is_shared && values.text("redis.url").is_none() {
        let message = "there is no Redis to keep automatic persisted queries in";
        values.reject("documents.apq.store", message, "set PILLION_REDIS_URL", diagnostics);
    }
    let max_size = values.bytes("documents.apq.max_size", diagnostics);
    let max_size = limits.cache_bytes_fitted(max_size, values.is_given("documents.apq.max_size"));
    let apq = values.bool("documents.apq.enabled", diagnostics).then_some(PersistedQueries { is_shared, max_size });
    Documents { folder: values.text("documents.folder").map(PathBuf::from), only, apq }
}
