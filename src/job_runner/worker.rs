//! The job worker: stores what was accepted, claims and runs jobs, renews their leases, and cares for the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::job_runner::claim_jobs::claim_and_run;
use crate::jobs::Jobs;
use crate::jobs::job::{Filter, Status, error_json};
use crate::jobs::store::{PURGE_MAX, STORE_PAUSE};
use crate::runtime::panic_isolation;
use crate::runtime::services::Services;

/// How often to look for timed-out jobs, and to count.
const CARE_INTERVAL: Duration = Duration::from_secs(2);

/// Care takes at most one part in so many of the time: what it counts may be millions of jobs.
const CARE_SHARE: u32 = 20;

/// Rounds of care between two looks for ended calls that are too many: to find the oldest costs a walk over all others.
const COUNT_ROUNDS: u64 = 30;

/// How often to look whether there is a log by now.
const JOBS_PAUSE: Duration = Duration::from_millis(200);

/// Keeps the log of asynchronous actions going: stores, runs and cares. Never returns.
pub(crate) async fn work(services: &Arc<Services>) {
    let jobs = loop {
        match services.jobs() {
            Ok(jobs) => break jobs,
            // The metadata may change, and then there is one.
            Err(_) => tokio::time::sleep(JOBS_PAUSE).await,
        }
    };
    tokio::join!(
        panic_isolation::supervise(|| jobs.store_accepted()),
        panic_isolation::supervise(|| jobs.listen()),
        panic_isolation::supervise(|| jobs.look_for_ended()),
        panic_isolation::supervise(|| claim_and_run(services, jobs)),
        panic_isolation::supervise(|| keep_leases(services, jobs)),
        panic_isolation::supervise(|| care(services, jobs))
    );
}

/// Renews the leases of all running calls, in one transaction. Never returns.
async fn keep_leases(services: &Arc<Services>, jobs: &Arc<Jobs>) {
    let mut pause = None;
    loop {
        let lease = services.configured().settings.jobs.lease;
        let interval = lease / RENEWALS_PER_LEASE;
        tokio::time::sleep(pause.take().unwrap_or(interval)).await;
        let held = services.running_jobs.all();
        if held.is_empty() {
            continue;
        }
        match jobs.log.renew(&held, lease).await {
            Ok(kept) => services.running_jobs.lose_all_but(&kept.into_iter().collect(), &held),
            Err(error) => {
                tracing::warn!(%error, jobs = held.len(), "job leases not renewed, retrying");
                // Sooner than usual, because there is less time left.
                pause = Some(STORE_PAUSE.min(interval));
            }
        }
    }
}

/// So often a lease is renewed while it lasts: one renewal may fail, and the next one be slow.
const RENEWALS_PER_LEASE: u32 = 4;

/// Times out late jobs, deletes old ones, and counts.
async fn care(services: &Arc<Services>, jobs: &Jobs) {
    let too_late = error_json("expired", "the action was not begun before its deadline", None);
    let never_reported = error_json("expired", "the handler did not report its result in time", None);
    let old = Filter { older_than: Some(services.configured().settings.jobs.keep), ..Filter::default() };
    for round in 0_u64.. {
        let began = Instant::now();
        let cared = async {
            jobs.log.expire(&too_late, &never_reported).await?;
            while jobs.log.purge(&old, true, PURGE_MAX as usize).await? == u64::from(PURGE_MAX) {}
            if round.is_multiple_of(COUNT_ROUNDS) {
                while jobs.log.drop_all_but(services.configured().settings.jobs.retention_max_jobs).await?
                    == u64::from(PURGE_MAX)
                {}
            }
            jobs.log.counts().await
        };
        match cared.await {
            // Nothing works without a store, and that has its own line.
            Err(_) if services.health.dependencies.job_store.is_lost() => {}
            Err(error) => services.health.dependencies.job_maintenance.missed(jobs.store_name(), &error.reason()),
            Ok(counts) => {
                services.health.dependencies.job_maintenance.found(jobs.store_name());
                let (waiting, age) = (&services.metrics.jobs_waiting, &services.metrics.jobs_oldest_pending_seconds);
                waiting.reset();
                age.reset();
                let bytes = counts.iter().map(|count| u64::try_from(count.bytes).unwrap_or_default());
                jobs.set_stored_bytes(bytes.sum());
                for count in counts {
                    let labels = [count.action.as_str(), count.status.name()];
                    waiting.with_label_values(&labels).set(count.count);
                    if count.status == Status::Created {
                        age.with_label_values(&[&count.action]).set(count.oldest_seconds);
                    }
                }
            }
        }
        tokio::time::sleep(CARE_INTERVAL.max(began.elapsed() * CARE_SHARE)).await;
    }
}

/// At the end of the process: whatever still runs is given to the other replicas, or to the next start.
pub(crate) async fn give_back(services: &Services) {
    let Ok(jobs) = services.jobs() else { return };
    for (id, fencing_token) in services.running_jobs.all() {
        match jobs.log.release(id, fencing_token).await {
            Ok(_) => tracing::info!(action_id = %id, "job released for another replica"),
            Err(error) => {
                tracing::warn!(action_id = %id, %error, "job not released; it is taken over when its lease ends");
            }
        }
    }
    if let Err(error) = jobs.log.forget().await {
        tracing::warn!(%error, "job store not vacuumed: deleted values may still be in its files");
    }
}
