//! Traffic policies of actions (rate limit, concurrency limit, circuit circuit_breaker, retry, response cache): the settings
//! for all of them, and what `pillion.yaml` overrides for one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::formats::Format;
use crate::config::setting_text::{LIMIT_HELP, parse_limit};
use crate::config::typed_fields;
use crate::config::values::Values;
use crate::config::yaml::Fields;
use crate::model::source::{Diagnostic, SourceLocation};
use crate::model::traffic::{CacheRules, RateLimit, SigningKey, TrafficRules};

/// What one action has otherwise than all others.
#[derive(Clone, Debug, Default)]
pub struct TrafficOverrides {
    max_concurrent_calls: Option<usize>,
    max_queued_calls: Option<usize>,
    circuit_breaker: Option<bool>,
    max_retries: Option<usize>,
    rate_limits: Option<Vec<RateLimit>>,
    denies_when_store_unavailable: Option<bool>,
    signing_secrets: Vec<(String, SourceLocation)>,
    /// Its response cache, and the location of that setting.
    pub cache: Option<(CacheRules, SourceLocation)>,
}

/// The default policies of actions.
#[derive(Clone, Debug)]
pub struct TrafficDefaults {
    /// Its rules.
    pub rules: TrafficRules,
    /// How long a circuit circuit_breaker stays open before the handler is tried again (`reset_timeout`).
    pub circuit_breaker_reset_timeout: Duration,
}

/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
const KEY_BYTES_MIN: usize = 24;

const KEY_HELP: &str = "write whsec_ and at least 24 bytes in base64, as openssl rand -base64 32 makes them";

/// Reads the settings for all actions.
pub fn read_defaults(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> TrafficDefaults {
    let mut rate_limits = Vec::new();
    for text in values.texts("handlers.rate_limit") {
        match parse_limit(&text) {
            Some(limit) => rate_limits.push(limit),
            None => {
                let message = format!("\"{text}\" is not a limit of calls in a time");
                values.reject("handlers.rate_limit", &message, LIMIT_HELP, diagnostics);
            }
        }
    }
    let secrets = values.text("handlers.signing_secrets").unwrap_or_default();
    let signing_keys = signing_keys(&secrets).unwrap_or_else(|| {
        values.reject("handlers.signing_secrets", "this is not a secret that signs", KEY_HELP, diagnostics);
        Vec::new()
    });
    let circuit_breaker_reset_timeout = values.duration("handlers.circuit_breaker.reset_timeout", diagnostics);
    let rules = TrafficRules {
        max_concurrent_calls: values.count("handlers.max_concurrent_calls", diagnostics),
        max_queued_calls: values.number("handlers.max_queued_calls", diagnostics),
        queue_timeout: values.duration("handlers.queue_timeout", diagnostics),
        circuit_breaker_reset_timeout: values
            .bool("handlers.circuit_breaker.enabled", diagnostics)
            .then_some(circuit_breaker_reset_timeout),
        max_retries: values.number("handlers.max_retries", diagnostics),
        rate_limits,
        denies_when_store_unavailable: values.text("handlers.rate_limit_failure_mode").as_deref() == Some("deny"),
        signing_keys,
        cache: None,
    };
    TrafficDefaults { rules, circuit_breaker_reset_timeout }
}

/// One or several, separated by spaces. The text itself is not repeated anywhere.
fn signing_keys(text: &str) -> Option<Vec<SigningKey>> {
    text.split_whitespace().map(signing_key).collect()
}

fn signing_key(text: &str) -> Option<SigningKey> {
    let bytes = Zeroizing::new(STANDARD.decode(text.strip_prefix("whsec_")?).ok()?);
    (bytes.len() >= KEY_BYTES_MIN).then_some(SigningKey(bytes))
}

impl TrafficOverrides {
    /// The variables with the secrets that sign its calls.
    #[must_use]
    pub fn signing_variables(&self) -> Vec<String> {
        self.signing_secrets.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Reads the keys of one action that are about policies.
pub fn read_overrides(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> TrafficOverrides {
    let rate_limits = typed_fields::texts(fields, "rate_limit", Some(Format::RateLimit), diagnostics).map(|texts| {
        let mut limits = Vec::new();
        for (text, node) in texts {
            match parse_limit(&text) {
                Some(limit) => limits.push(limit),
                None => node.reject(format!("\"{text}\" is not a limit of calls in a time"), LIMIT_HELP, diagnostics),
            }
        }
        limits
    });
    let failure_mode = typed_fields::choice(fields, "rate_limit_failure_mode", &["allow", "deny"], diagnostics);
    let names = typed_fields::texts(fields, "signing_secrets_from_env", None, diagnostics).unwrap_or_default();
    TrafficOverrides {
        max_concurrent_calls: typed_fields::count(fields, "max_concurrent_calls", diagnostics),
        max_queued_calls: typed_fields::number(fields, "max_queued_calls", diagnostics),
        circuit_breaker: typed_fields::bool(fields, "circuit_breaker", diagnostics),
        cache: read_cache(fields, diagnostics),
        max_retries: typed_fields::number(fields, "max_retries", diagnostics),
        rate_limits,
        denies_when_store_unavailable: failure_mode.map(|mode| mode == "deny"),
        signing_secrets: names.into_iter().map(|(name, node)| (name, node.place.clone())).collect(),
    }
}

/// `{ttl: 60s, stale_while_revalidate: 30s, vary_by: [x-hasura-org-id]}`
fn read_cache(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<(CacheRules, SourceLocation)> {
    let node = fields.get("cache")?;
    let own = Fields::of(node, "a cache", diagnostics)?;
    let fresh = typed_fields::duration(&own, "ttl", diagnostics);
    let stale = typed_fields::duration(&own, "stale_while_revalidate", diagnostics);
    let has_ttl = own.get("ttl").is_some();
    let by = typed_fields::texts(&own, "vary_by", Some(Format::SessionVariable), diagnostics).map(|texts| {
        let names = texts.into_iter().map(|(name, node)| (name.to_ascii_lowercase(), node));
        let (names, others): (Vec<_>, Vec<_>) = names.partition(|(name, _)| name.starts_with("x-hasura-"));
        for (name, node) in others {
            let help = "write x-hasura- and its name";
            node.reject(format!("vary_by: \"{name}\" is no session variable"), help, diagnostics);
        }
        names.into_iter().map(|(name, _)| name).collect()
    });
    own.finish_strictly(diagnostics);
    if !has_ttl {
        node.reject("a cache needs a time to live", "add ttl: 60s, for instance", diagnostics);
    }
    Some((CacheRules { fresh: fresh?, stale: stale.unwrap_or_default(), by }, node.place.clone()))
}

/// The policies of one action. `environment` gives the values of variables.
pub fn rules_of(
    defaults: &TrafficDefaults,
    own: Option<&TrafficOverrides>,
    environment: &dyn Fn(&str) -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> TrafficRules {
    let mut rules = defaults.rules.clone();
    let Some(own) = own else { return rules };
    rules.max_concurrent_calls = own.max_concurrent_calls.unwrap_or(rules.max_concurrent_calls);
    rules.max_queued_calls = own.max_queued_calls.unwrap_or(rules.max_queued_calls);
    rules.max_retries = own.max_retries.unwrap_or(rules.max_retries);
    rules.denies_when_store_unavailable =
        own.denies_when_store_unavailable.unwrap_or(rules.denies_when_store_unavailable);
    if let Some(is_on) = own.circuit_breaker {
        rules.circuit_breaker_reset_timeout = is_on.then_some(defaults.circuit_breaker_reset_timeout);
    }
    if let Some(limits) = &own.rate_limits {
        rules.rate_limits.clone_from(limits);
    }
    rules.cache = own.cache.as_ref().map(|(cache, _)| cache.clone());
    if !own.signing_secrets.is_empty() {
        rules.signing_keys.clear();
    }
    for (name, place) in &own.signing_secrets {
        match environment(name).as_deref().map(signing_keys) {
            Some(Some(keys)) => rules.signing_keys.extend(keys),
            Some(None) => {
                let message = format!("what {name} holds is not a secret that signs");
                diagnostics.push(Diagnostic::error(Some(place.clone()), message, KEY_HELP));
            }
            None => {
                let message = format!("the variable {name} is not set");
                diagnostics.push(Diagnostic::error(Some(place.clone()), message, format!("set {name}, or remove it")));
            }
        }
    }
    rules
}
