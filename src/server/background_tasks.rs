//! Tasks beside the listeners, each supervised: health checks, reloads, jobs, idle connections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::handler::policy;
use crate::http_client::connection_pool::Pool;
use crate::job_runner::worker;
use crate::metadata_api::Api;
use crate::runtime::panic_isolation::supervise;
use crate::runtime::services::Services;
use crate::runtime::{load_monitor, upstream_health_check};

/// What runs beside the listeners.
pub(crate) struct Background(pub(crate) Arc<Services>, pub(crate) Option<Arc<Api>>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, _: ShutdownWatch) {
        let Self(services, metadata) = self;
        let watch_metadata = || async {
            if let Some(api) = metadata {
                api.watch(services).await;
            }
        };
        let traces = || async {
            if let Some(tracer) = &services.tracer {
                tracer.export().await;
            }
        };
        // What belongs together is joined twice, because a future knows eight others at most.
        let around = async {
            tokio::join!(
                supervise(|| upstream_health_check::watch(services)),
                supervise(|| keep_keys_fresh(services)),
                supervise(watch_metadata),
                supervise(traces),
                supervise(|| close_idle_connections(services)),
            )
        };
        tokio::join!(
            around,
            supervise(|| worker::work(services)),
            supervise(|| policy::remove_idle_limiters(services)),
            connect_to_redis(services),
            supervise(|| load_monitor::watch(services)),
        );
    }
}

/// Credentials can be checked with fresh keys from now on; the configuration may name another key set.
pub(crate) async fn keep_keys_fresh(services: &Services) {
    loop {
        let current = Arc::clone(&services.configured().authenticator);
        let is_another = async {
            while Arc::ptr_eq(&current, &services.configured().authenticator) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = current.keep_keys_fresh() => {}
            () = is_another => {}
        }
    }
}

/// Once, so that the first request does not have to wait for the connection.
async fn connect_to_redis(services: &Services) {
    if let Some(redis) = &services.traffic.redis {
        redis.connect().await;
    }
}

/// Those that we have opened. Never returns.
async fn close_idle_connections(services: &Services) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        services.for_each_pool(Pool::sweep);
    }
}

/// How often to look for them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often to look whether the configuration is another.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(500);
