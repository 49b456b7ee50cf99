//! Authentication: turns credentials (JWT, auth hook, admin secret) into sessions. Signatures are checked and keys
//! fetched here only.

pub(crate) mod authenticated;
pub(crate) mod hook;
pub(crate) mod jwks;
pub(crate) mod lifetime;
pub(crate) mod token;

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::HeaderName;
use reqwest::Client;
use serde_json::{Map, Value};

use crate::auth::authenticated::Authenticated;
use crate::auth::hook::Hook;
use crate::auth::jwks::KeySet;
use crate::auth::token::VerifyingKey;
use crate::model::secret::Secret;
use crate::session::claims::{JwtKey, TokenPlace};
use crate::session::credential::{AuthRules, Credential};
use crate::session::hook::failed;
use crate::session::{Session, SessionError, claims, credential};
use crate::telemetry::metrics::Metrics;

/// Checks who is asking.
pub struct Authenticator {
    rules: AuthRules,
    /// One for each of [`AuthRules::jwt`].
    keys: Vec<Keys>,
    hook: Option<Hook>,
}

enum Keys {
    Given(Box<VerifyingKey>),
    Fetched(Arc<KeySet>),
}

impl Authenticator {
    /// Prepares all keys; sets that have to be fetched are fetched by [`Authenticator::keep_keys_fresh`] through `client`, which may
    /// be one that is made when it is used.
    ///
    /// # Errors
    /// What is wrong with a key; never the key.
    pub fn new(rules: AuthRules, client: &impl Deref<Target = Client>, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let keys = rules.jwt.iter().map(|rule| match &rule.key {
            JwtKey::Given { algorithm, key } => {
                VerifyingKey::from_text(*algorithm, key).map(|key| Keys::Given(Box::new(key)))
            }
            JwtKey::Url(url) => {
                KeySet::new(url, Client::clone(client), Arc::clone(metrics)).map(|set| Keys::Fetched(Arc::new(set)))
            }
        });
        let keys = keys.collect::<Result<_, _>>()?;
        let hook = rules.hook.as_ref().map(|rules| Hook::new(Arc::clone(rules), Arc::clone(metrics))).transpose()?;
        Ok(Self { rules, keys, hook })
    }

    fn key_sets(&self) -> Vec<Arc<KeySet>> {
        self.keys
            .iter()
            .filter_map(|keys| match keys {
                Keys::Fetched(set) => Some(Arc::clone(set)),
                Keys::Given(_) => None,
            })
            .collect()
    }

    /// Is every caller admin?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rules.is_open()
    }

    /// The secret that makes an admin, for our own questions to the upstream.
    #[must_use]
    pub fn admin_secret(&self) -> Option<&Secret> {
        self.rules.admin_secrets.first()
    }

    /// The headers of their own in which tokens come.
    pub fn token_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.rules.jwt.iter().filter_map(|rule| match &rule.place {
            TokenPlace::Header(name) => HeaderName::try_from(name.as_str()).ok(),
            TokenPlace::Authorization | TokenPlace::Cookie(_) => None,
        })
    }

    /// Fetches each set of keys once. Gives its address, and why it could not be had.
    pub(crate) async fn refresh_key_sets(&self) -> Vec<(reqwest::Url, Result<(), String>)> {
        let refresh = |set: Arc<KeySet>| async move {
            (set.url().clone(), set.refresh().await.map(drop).map_err(|reason| reason.text().to_owned()))
        };
        futures_util::future::join_all(self.key_sets().into_iter().map(refresh)).await
    }

    /// Keeps the sets of keys fresh. Never returns.
    pub async fn keep_keys_fresh(&self) {
        let refresh = |set: Arc<KeySet>| async move {
            loop {
                let interval = set.refresh().await.unwrap_or_else(|_| KeySet::retry_interval());
                tokio::time::sleep(interval).await;
            }
        };
        futures_util::future::join_all(self.key_sets().into_iter().map(refresh)).await;
        // There are none to be kept.
        std::future::pending::<()>().await;
    }

    /// Authenticates a request and determines its role. `request` is the part of the GraphQL request that an auth hook
    /// may see, as JSON; the hook is called through `client`, which may be one that is made when it is used.
    ///
    /// # Errors
    /// [`SessionError`]; a wrong credential is never a lesser role.
    pub async fn authenticate(
        &self,
        client: &(impl Deref<Target = Client> + Sync),
        headers: &HeaderMap,
        request: impl FnOnce() -> Option<String>,
    ) -> Result<Authenticated, SessionError> {
        let (session, expires) = match (credential::read(&self.rules, headers)?, &self.hook) {
            (Credential::Session(session), _) => (session, None),
            (Credential::Token { token, rules, requested_role }, _) => {
                self.check_token(&token, &rules, requested_role.as_deref()).await?
            }
            (Credential::AskHook, Some(hook)) => return hook.authenticate(client, headers, request).await,
            (Credential::AskHook, None) => return Err(failed()),
        };
        Ok(Authenticated { session, set_cookies: Vec::new(), expires })
    }

    async fn check_token(
        &self,
        token: &str,
        rules: &[usize],
        requested_role: Option<&str>,
    ) -> Result<(Session, Option<SystemTime>), SessionError> {
        let token = token::Token::decode(token)?;
        // Of several secrets, one with another issuer than the token's is skipped.
        let is_meant = |index: &&usize| {
            let issuer = self.rules.jwt.get(**index).and_then(|rule| rule.issuer.as_deref());
            issuer.is_none_or(|issuer| rules.len() == 1 || token.issuer() == Some(issuer))
        };
        let mut meant = rules.iter().filter(is_meant);
        let (Some(index), None) = (meant.next(), meant.next()) else {
            return Err(if rules.iter().any(|index| is_meant(&index)) {
                SessionError::headers("Could not verify JWT: Multiple JWTs found")
            } else {
                SessionError::jwt("JWTNotInIssuer")
            });
        };
        let (Some(rule), Some(keys)) = (self.rules.jwt.get(*index), self.keys.get(*index)) else {
            return Err(SessionError::jwt("JWSError"));
        };
        match keys {
            Keys::Given(key) => key.check(&token)?,
            Keys::Fetched(set) => set.check(&token).await?,
        }
        claims::check_registered(rule, &token.claims, now())?;
        Ok((claims::session(rule, &token.claims, requested_role)?, expiry(&token.claims)))
    }
}

/// When a token that has been checked is good no longer.
fn expiry(claims: &Map<String, Value>) -> Option<SystemTime> {
    let seconds = claims.get("exp")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since))
}

/// Seconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
