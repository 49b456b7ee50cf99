//! The facts of this machine for `pillion doctor`: limits of memory and file descriptors, the folder of the job store, and the
//! clock beside the upstream's.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::check::probe::ask_options;
use crate::config::settings::{JobStoreSettings, Settings, Upstream};
use crate::doctor::facts::{Facts, JobFile};
use crate::http_client::outbound::{EnvironmentProxy, builder};
use crate::http_client::tls::client_config;
use crate::jobs::ephemeral_volume::ephemeral_volume;
use crate::model::action::ActionSchema;
use crate::runtime::load_shedding::{LoadState, descriptors_max};

/// Looks at the machine.
pub(crate) async fn facts(settings: &Settings, schema: &ActionSchema, has_upstream: bool) -> Facts {
    let has_jobs = schema.actions.values().any(|action| action.is_async);
    let job_file = match &settings.jobs.store {
        JobStoreSettings::Sqlite(path) if has_jobs => Some(job_file(path)),
        _ => None,
    };
    let limits = &settings.limits;
    Facts {
        actions: schema.actions.len(),
        job_file,
        clock: if has_upstream { Some(clock(&settings.upstream).await) } else { None },
        descriptors: descriptors_max(),
        connections: (limits.max_connections, LoadState::default().max_connections(limits)),
        memory_limit: limits.max_memory_bytes,
        memory: memory_bytes(),
        buffered: limits.max_buffered_bytes as u64,
        ..Facts::default()
    }
}

fn job_file(path: &str) -> JobFile {
    let file = Path::new(path);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_writable = fs::metadata(folder).is_ok_and(|found| found.is_dir() && !found.permissions().readonly());
    JobFile { path: path.to_owned(), is_writable, ephemeral: ephemeral_volume(file) }
}

/// Our time and the upstream's. The time of a response is known to the second only, which is close enough.
async fn clock(upstream: &Upstream) -> Result<(SystemTime, SystemTime), String> {
    let tls = client_config(upstream.tls_ca_file.as_deref(), "upstream.tls_ca_file")?;
    let client = builder(upstream.connect_timeout, EnvironmentProxy::Ignored).tls_backend_preconfigured(tls).build();
    let client = client.map_err(|error| error.to_string())?;
    let url = upstream.url().parse().map_err(|error| format!("upstream.url: {error}"))?;
    let asked = ask_options(&client, &url, upstream.connect_timeout).await;
    let time = asked.map_err(|_| "the upstream cannot be reached".to_owned())?;
    time.map(|time| (SystemTime::now(), time)).ok_or_else(|| "the upstream's responses have no time (Date)".to_owned())
}

/// Bytes of memory that the machine has.
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
