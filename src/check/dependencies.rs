//! `check --all`: can JWKS, auth hook, Redis and PostgreSQL be reached? Nothing is changed in them.

use std::time::Duration;

use url::Url;

use crate::check::probe::{Failure, HostPort, ProbeOptions, Step, ask_options, connect};
use crate::check::target::Target;
use crate::config::settings::{DatabaseSettings, JobStoreSettings, MetadataApi, Settings};
use crate::model::redis_address::{RedisAddress, RedisDeployment};
use crate::model::secret::Secret;
use crate::postgres::Database;
use crate::runtime::services::Services;
use crate::session::claims::JwtKey;

/// How long each step may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What Pillion needs beside the upstream and the handlers.
pub(crate) struct Dependencies {
    key_sets: Vec<String>,
    hook: Option<Secret>,
    redis: Option<RedisAddress>,
    databases: Vec<(&'static str, DatabaseSettings)>,
}

impl Dependencies {
    /// Those of a configuration. `has_jobs`: is there an asynchronous action?
    pub(crate) fn of(settings: &Settings, has_jobs: bool) -> Self {
        let key_sets = settings.auth.jwt.iter().filter_map(|rules| match &rules.key {
            JwtKey::Url(url) => Some(url.clone()),
            JwtKey::Given { .. } => None,
        });
        let mut databases = Vec::new();
        if let (true, JobStoreSettings::Postgres(database)) = (has_jobs, &settings.jobs.store) {
            databases.push(("jobs.store", database.clone()));
        }
        if let MetadataApi::Postgres(database) = &settings.metadata_api {
            databases.push(("metadata_api.store", database.clone()));
        }
        Self {
            key_sets: key_sets.collect(),
            hook: settings.auth.hook.as_ref().map(|hook| hook.url.clone()),
            redis: settings.redis.clone(),
            databases,
        }
    }

    /// One line for each that is configured, if no flag asks for them.
    pub(crate) fn not_asked(&self, reason: &'static str) -> Vec<Target> {
        let kinds = [
            (JWKS, !self.key_sets.is_empty()),
            (HOOK, self.hook.is_some()),
            (REDIS, self.redis.is_some()),
            (POSTGRES, !self.databases.is_empty()),
        ];
        kinds
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(kind, _)| Target::not_asked(kind, "", reason))
            .collect()
    }

    /// Looks at each.
    pub(crate) async fn probe(&self, services: &Services) -> Vec<Target> {
        let mut targets = Vec::new();
        let configured = services.configured();
        if !self.key_sets.is_empty() {
            for (url, fetched) in configured.authenticator.refresh_key_sets().await {
                targets.push(probe_key_set(&url, fetched).await);
            }
        }
        if let Some(url) = self.hook.as_ref().and_then(|url| url.expose().parse::<Url>().ok()) {
            targets.push(probe_hook(&configured.handlers.here().general, &url).await);
        }
        if let (Some(address), Some(store)) = (&self.redis, &services.traffic.redis) {
            targets.extend(probe_redis(address, store.ping(TIMEOUT).await).await);
        }
        for (setting, database) in &self.databases {
            targets.push(probe_database(setting, database).await);
        }
        targets
    }
}

const JWKS: &str = "JWKS";
const HOOK: &str = "auth hook";
const REDIS: &str = "Redis";
const POSTGRES: &str = "PostgreSQL";

const ANY: ProbeOptions<'static> = ProbeOptions { timeout: TIMEOUT, allows: &|_| true };

/// The set was fetched as at the start; if that failed, the steps say where.
async fn probe_key_set(url: &Url, fetched: Result<(), String>) -> Target {
    let Some(address) = HostPort::of(url) else { return Target::not_checked(JWKS, "", "its address has no host") };
    let result = match (connect(&address, ANY).await, fetched) {
        (Err(failure), _) => Err(failure),
        (Ok(_), Err(reason)) => Err(Failure { step: Step::Jwks, address: address.to_string(), reason }),
        (Ok(_), Ok(())) => Ok(vec![Step::Dns, Step::Tcp, Step::Http, Step::Jwks]),
    };
    Target::new(JWKS, address.to_string(), result)
}

async fn probe_hook(client: &reqwest::Client, url: &Url) -> Target {
    let Some(address) = HostPort::of(url) else { return Target::not_checked(HOOK, "", "its address has no host") };
    let result = match connect(&address, ANY).await {
        Err(failure) => Err(failure),
        Ok(_) => ask_options(client, url, TIMEOUT).await.map(|_| vec![Step::Dns, Step::Tcp, Step::Http]),
    };
    Target::new(HOOK, address.to_string(), result)
}

/// A line for each host, and, where there are several or Sentinels, one for what is reached by them.
async fn probe_redis(address: &RedisAddress, ping: Result<(), String>) -> Vec<Target> {
    let shown = address.shown();
    let failure = |reason| Failure { step: Step::Redis, address: shown.clone(), reason };
    let pinged = ping.map_err(failure);
    match (&address.deployment, address.nodes.as_slice()) {
        (RedisDeployment::Server(_), [node]) => {
            let connected = connect(&HostPort::new(&node.host, node.port), ANY).await;
            let result = connected.and(pinged).map(|()| vec![Step::Dns, Step::Tcp, Step::Redis]);
            vec![Target::new(REDIS, node.to_string(), result)]
        }
        // A socket in the file system.
        (RedisDeployment::Server(_), _) => vec![Target::new(REDIS, "", pinged.map(|()| vec![Step::Redis]))],
        (RedisDeployment::Cluster | RedisDeployment::Sentinel { .. }, nodes) => {
            let mut targets = Vec::with_capacity(nodes.len() + 1);
            for node in nodes {
                let connected = connect(&HostPort::new(&node.host, node.port), ANY).await;
                targets.push(Target::new(REDIS, node.to_string(), connected.map(|_| vec![Step::Dns, Step::Tcp])));
            }
            targets.push(Target::new(REDIS, shown.clone(), pinged.map(|()| vec![Step::Redis])));
            targets
        }
    }
}

async fn probe_database(setting: &str, settings: &DatabaseSettings) -> Target {
    let database = match Database::new(settings) {
        Ok(database) => database,
        Err(reason) => return Target::not_checked(POSTGRES, setting, reason),
    };
    let shown = database.shown();
    let failed = |error: String| Failure { step: Step::Postgres, address: shown.clone(), reason: error };
    let result = database.connect().await.map(|_| vec![Step::Postgres]).map_err(|error| failed(error.to_string()));
    Target::new(POSTGRES, format!("{shown} ({setting})"), result)
}
