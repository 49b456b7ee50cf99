//! Reads the settings of Redis (`redis`).

use crate::config::values::Values;
use crate::model::redis_address::{RedisAddress, RedisDeployment, RedisLogin};
use crate::model::secret::Secret;
use crate::model::source::Diagnostic;

/// Reads the address.
pub(crate) fn read(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<RedisAddress> {
    let sentinel = RedisLogin {
        user: values.text("redis.sentinel_user"),
        password: values.text("redis.sentinel_password").map(Secret::new),
    };
    let address = RedisAddress::parse(&values.text("redis.url")?, sentinel);
    let address = address.map_err(|error| values.reject("redis.url", &error.message, error.help, diagnostics)).ok()?;
    let has_sentinels = matches!(address.deployment, RedisDeployment::Sentinel { .. });
    for key in ["redis.sentinel_user", "redis.sentinel_password"] {
        if !has_sentinels && values.text(key).is_some() {
            let help = "write redis.url as redis+sentinel://host:26379/name-of-master, or remove this";
            values.reject(key, "redis.url names no Sentinel", help, diagnostics);
        }
    }
    let tls_ca_file = values.text("redis.tls_ca_file");
    if !address.is_tls && tls_ca_file.is_some() {
        let help = "write rediss in place of redis in redis.url, or remove this";
        values.reject("redis.tls_ca_file", "redis.url is not for TLS", help, diagnostics);
    }
    Some(RedisAddress { tls_ca_file, ..address })
}
