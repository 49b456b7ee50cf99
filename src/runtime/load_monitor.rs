//! The load monitor: samples memory and file descriptors, and decides when requests are shed.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::http_client::connection_pool::Pool;
use crate::runtime::load_shedding::{Resource, bounds};
use crate::runtime::services::Services;

/// How often to look.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// From this part of the memory on, nothing new is taken.
const MEMORY_FULL: f64 = 0.95;

/// From this part on, cached responses are forgotten.
const MEMORY_SHORT: f64 = 0.90;

/// How often they are forgotten at most.
const FORGET_PAUSE: Duration = Duration::from_secs(10);

/// From this part of the descriptors on, nothing new is taken: a request may need three.
const DESCRIPTORS_FULL: f64 = 0.90;

/// From this part on, our own idle connections are closed.
const DESCRIPTORS_SHORT: f64 = 0.80;

/// What the process has open.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Looks again and again. Never returns.
pub(crate) async fn watch(services: &Services) {
    let descriptors = services.health.load.descriptors_max;
    warn_of_descriptors(services);
    let mut forgot: Option<Instant> = None;
    let mut last = 0;
    loop {
        let configured = services.configured();
        services.memory.set_bounds(bounds(&configured.settings.limits));
        let memory = configured.settings.limits.max_memory_bytes.map_or(0.0, |limit| part(resident_bytes(), limit));
        if memory >= MEMORY_SHORT && forgot.is_none_or(|forgot| forgot.elapsed() >= FORGET_PAUSE) {
            forgot = Some(Instant::now());
            services.traffic.responses.purge(None);
        }
        let files = descriptors.map_or(0.0, |max| part(open_descriptors(), max));
        if files >= DESCRIPTORS_SHORT {
            services.for_each_pool(Pool::close_idle);
        }
        let now = match (memory >= MEMORY_FULL, files >= DESCRIPTORS_FULL) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        services.health.load.scarce.store(now, Ordering::Relaxed);
        if now != last {
            let exhausted = services.health.load.scarce().map(Resource::label);
            match exhausted {
                Some(resource) => tracing::warn!(resource, memory, descriptors = files, "load shedding started"),
                None => tracing::warn!(memory, descriptors = files, "load shedding stopped"),
            }
            last = now;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn warn_of_descriptors(services: &Services) {
    let limits = &services.configured().settings.limits;
    let max_connections = services.health.load.max_connections(limits);
    if max_connections < limits.max_connections {
        tracing::warn!(
            connections = max_connections,
            descriptors = services.health.load.descriptors_max,
            "limits.max_connections is more than the file descriptors that are left beside those of requests: raise `ulimit -n`"
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is compared with a part")]
pub(crate) fn part(used: u64, all: u64) -> f64 {
    used as f64 / all.max(1) as f64
}

/// Bytes of this process that are in memory; 0 if the system does not say.
pub(crate) fn resident_bytes() -> u64 {
    // Pages are counted, and kernels for arm64 have some of 16 and of 64 KiB.
    statm_pages().map_or(0, |pages| pages.saturating_mul(procfs::page_size()))
}

fn statm_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

fn open_descriptors() -> u64 {
    // Since Linux 6.2 the size of this folder is their number. To list 10,000 of them takes milliseconds, in the kernel.
    match fs::metadata(DESCRIPTORS).map_or(0, |folder| folder.len()) {
        0 => listed_descriptors(),
        number => number,
    }
}

fn listed_descriptors() -> u64 {
    fs::read_dir(DESCRIPTORS).map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_can_be_read() {
        // Other tests open and close some at any time.
        assert!(open_descriptors() > 2 && listed_descriptors() > 2);
        // The kernel's own figure, which needs no page size.
        let status = fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        let (counted, told) = (resident_bytes(), kib * 1024);
        assert!(counted > told / 2 && counted < told * 2, "{counted} bytes, and the kernel says {told}");
    }
}
