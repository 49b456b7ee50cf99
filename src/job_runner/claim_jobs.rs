//! Claims jobs that wait, as many as there is room for, and starts them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::job_runner::run_job::run;
use crate::jobs::Jobs;
use crate::jobs::job::Claim;
use crate::jobs::store::{STORE_PAUSE, StoreError};
use crate::runtime::panic_isolation;
use crate::runtime::running_jobs::RunningJobs;
use crate::runtime::services::Services;

/// Claims jobs and runs them, as long as this replica takes any.
pub(super) async fn claim_and_run(services: &Arc<Services>, jobs: &Arc<Jobs>) {
    let Some(interval) = services.configured().settings.jobs.fetch_interval else { return };
    let mut looked: Option<Instant> = None;
    loop {
        panic_isolation::failpoint("worker");
        if services.health.readiness.is_draining() {
            return;
        }
        let looks_for_unknown = looked.is_none_or(|looked| looked.elapsed() >= interval);
        if looks_for_unknown {
            looked = Some(Instant::now());
        }
        let claimed = claim(services, jobs, looks_for_unknown).await;
        if claimed.is_ok() {
            services.health.dependencies.job_store.found(jobs.store_name());
        }
        match claimed {
            Ok(Claimed { count: 0, .. }) => {
                let _ = tokio::time::timeout(interval, async {
                    tokio::select! {
                        () = jobs.new.notified() => {}
                        () = services.running_jobs.ended.notified() => {}
                    }
                })
                .await;
            }
            Ok(claimed) if claimed.may_be_more => wait_for_room(&services.running_jobs).await,
            Ok(_) => {}
            Err(error) => {
                services.health.dependencies.job_store.missed(jobs.store_name(), &error.reason());
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

/// Jobs that were claimed.
#[derive(Default)]
struct Claimed {
    count: usize,
    /// Were there as many as there was room for?
    may_be_more: bool,
}

/// Waits until half of the calls have ended, but not for long: where more wait than there is room for, one claim is for several
/// of them. Each costs the store a transaction.
async fn wait_for_room(running: &RunningJobs) {
    let enough = running.in_calls() / 2;
    let half_ended = async {
        while running.in_calls() > enough {
            running.ended.notified().await;
        }
    };
    let _ = tokio::time::timeout(ROOM_PAUSE, half_ended).await;
}

/// How long a job waits at most for others that are claimed with it.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// Takes what there is room for, of each action up to its own limit; and of actions that this replica does not know.
async fn claim(services: &Arc<Services>, jobs: &Arc<Jobs>, looks_for_unknown: bool) -> Result<Claimed, StoreError> {
    let snapshot = services.snapshot.load_full();
    let running = &services.running_jobs;
    let most = services.configured().settings.jobs.concurrency;
    let mut claimed = Claimed::default();
    let mut known = Vec::new();
    for action in snapshot.catalog.schema.actions.values().filter(|action| action.is_async) {
        let room = running.room(most);
        let own = action.concurrency_max.saturating_sub(running.in_calls_of(&action.name));
        known.push(action.name.clone());
        let limit = room.min(own);
        if limit > 0 {
            let taken = take(services, jobs, limit, action.name.clone()).await?;
            claimed.count += taken;
            claimed.may_be_more |= taken == limit;
        }
    }
    if looks_for_unknown {
        for action in jobs.log.pending_actions().await?.into_iter().filter(|action| !known.contains(action)) {
            let room = running.room(most);
            if room > 0 {
                claimed.count += take(services, jobs, room, action).await?;
            }
        }
    }
    Ok(claimed)
}

async fn take(services: &Arc<Services>, jobs: &Arc<Jobs>, limit: usize, action: String) -> Result<usize, StoreError> {
    let lease = services.configured().settings.jobs.lease;
    let taken = jobs.log.claim(&Claim { limit, lease, action }).await?;
    let count = taken.len();
    for job in taken {
        let lost = services.running_jobs.begin(&job);
        let (services, jobs) = (Arc::clone(services), Arc::clone(jobs));
        tokio::spawn(async move {
            // If it panics, its lease ends, and it counts as an attempt that came to no end.
            panic_isolation::catch_panic(run(&services, &jobs, &job, &lost)).await;
            services.running_jobs.end(job.id);
        });
    }
    Ok(count)
}
