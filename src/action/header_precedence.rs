//! Header precedence: which headers a handler receives. The list starts empty, and only what the rules allow is added.

use http::header;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::model::action::{HeaderRules, ValuePiece};
use crate::protocol::client_headers::{IGNORED_BY_DEFAULT, NEVER_FORWARDED, USER_AGENT};
use crate::protocol::hop_by_hop::end_to_end;
use crate::session::{SESSION_PREFIX, Session};

/// The precedence when several sources set one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precedence {
    /// Client, then session variables, then configuration: Hasura's default.
    #[default]
    ClientFirst,
    /// Configuration, then session variables, then client.
    ConfiguredFirst,
}

/// A header value that cannot travel. It names no value, for that may be a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the value of the header \"{0}\" holds characters that a header cannot carry")]
pub struct HeaderError(pub HeaderName);

/// The headers of a webhook call, trace headers left out.
///
/// # Errors
/// [`HeaderError`]; the call must then not be made.
pub fn outgoing(
    rules: &HeaderRules,
    precedence: Precedence,
    client: &HeaderMap,
    session: &Session,
    request_id: &str,
) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::with_capacity(8);
    for (_, source) in sources(rules, precedence, client, session, request_id)? {
        add_absent(&mut headers, &source);
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    Ok(headers)
}

/// Where a header that a handler receives comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSource {
    /// The client sent it.
    Client,
    /// It is a session variable.
    Session,
    /// The action's own configuration.
    Configured,
    /// Pillion adds it where nothing else does.
    Default,
}

impl HeaderSource {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Session => "session",
            Self::Configured => "configured",
            Self::Default => "default",
        }
    }
}

/// A header that a handler receives, and what would set it otherwise.
#[derive(Clone, Debug)]
pub struct SourcedHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its first value.
    pub value: HeaderValue,
    /// Which source sets it.
    pub source: HeaderSource,
    /// The sources that would set it as well, and with which value.
    pub overrides: Vec<(HeaderSource, HeaderValue)>,
}

/// The headers of a webhook call with their sources: those of [`outgoing`].
///
/// # Errors
/// [`HeaderError`]; the call must then not be made.
pub fn sourced(
    rules: &HeaderRules,
    precedence: Precedence,
    client: &HeaderMap,
    session: &Session,
    request_id: &str,
) -> Result<Vec<SourcedHeader>, HeaderError> {
    let mut headers: Vec<SourcedHeader> = Vec::new();
    let defaults = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
    ]);
    let sources = sources(rules, precedence, client, session, request_id)?.into_iter();
    for (source, values) in sources.chain([(HeaderSource::Default, defaults)]) {
        for name in values.keys() {
            let Some(value) = values.get(name).cloned() else { continue };
            match headers.iter_mut().find(|known| known.name == *name) {
                Some(known) => known.overrides.push((source, value)),
                None => headers.push(SourcedHeader { name: name.clone(), value, source, overrides: Vec::new() }),
            }
        }
    }
    Ok(headers)
}

/// The headers of each source, the strongest first.
fn sources(
    rules: &HeaderRules,
    precedence: Precedence,
    client: &HeaderMap,
    session: &Session,
    request_id: &str,
) -> Result<[(HeaderSource, HeaderMap); 3], HeaderError> {
    let forwarded = (HeaderSource::Client, forwarded(rules, client));
    let sends_session = rules.forward_client_headers || rules.session_headers;
    let mut session_headers = if sends_session { session_headers(session)? } else { HeaderMap::new() };
    if rules.session_headers {
        session_headers.insert(SESSION_AS_JSON, session_as_json(session)?);
    }
    let session_headers = (HeaderSource::Session, session_headers);
    let configured = (HeaderSource::Configured, configured(rules, session, request_id)?);
    Ok(match precedence {
        Precedence::ClientFirst => [forwarded, session_headers, configured],
        Precedence::ConfiguredFirst => [configured, session_headers, forwarded],
    })
}

/// Why a header of the client does not reach a handler with these rules; nothing if it may.
#[must_use]
pub fn not_forwarded(rules: &HeaderRules, name: &HeaderName) -> Option<&'static str> {
    match rules.forward_client_headers {
        false => Some("the action does not forward client headers"),
        true if NEVER_FORWARDED.contains(name) => Some("it is never forwarded"),
        true if !is_forwarded(rules, name) => Some("it is not among the headers that are forwarded"),
        true => None,
    }
}

/// Adds the headers of `source` whose names are not taken yet, with all their values.
fn add_absent(headers: &mut HeaderMap, source: &HeaderMap) {
    let taken: Vec<HeaderName> = source.keys().filter(|name| headers.contains_key(*name)).cloned().collect();
    for name in source.keys().filter(|name| !taken.contains(name)) {
        for value in source.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// The client's headers as the handler gets them.
fn forwarded(rules: &HeaderRules, client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !rules.forward_client_headers {
        return headers;
    }
    for (name, value) in end_to_end(client) {
        if is_forwarded(rules, name) {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, forwarded_as) in [
        (header::HOST, "x-forwarded-host"),
        (header::USER_AGENT, "x-forwarded-user-agent"),
        (header::ORIGIN, "x-forwarded-origin"),
    ] {
        if let Some(value) = client.get(name) {
            headers.insert(HeaderName::from_static(forwarded_as), value.clone());
        }
    }
    headers
}

/// The client's headers to store so that they can be forwarded later: no more than the handler gets.
#[must_use]
pub fn storable_headers(rules: &HeaderRules, client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if rules.forward_client_headers {
        let own = [header::HOST, header::USER_AGENT, header::ORIGIN];
        for (name, value) in end_to_end(client).filter(|(name, _)| is_forwarded(rules, name) || own.contains(name)) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

fn is_forwarded(rules: &HeaderRules, name: &HeaderName) -> bool {
    let text = name.as_str();
    // An underscore is a dash to many servers behind us, so such a name must not stand in for a session variable.
    let is_session = text.len() >= SESSION_PREFIX.len()
        && text
            .bytes()
            .zip(SESSION_PREFIX.bytes())
            .all(|(byte, wanted)| if byte == b'_' { wanted == b'-' } else { byte == wanted });
    if is_session || NEVER_FORWARDED.contains(name) {
        return false;
    }
    if let Some(only) = &rules.forwarded_client_headers
        && !only.contains(name)
    {
        return false;
    }
    match &rules.ignored_client_headers {
        Some(ignored) => !ignored.contains(name),
        None => !IGNORED_BY_DEFAULT.contains(&text),
    }
}

fn session_headers(session: &Session) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    for (name, value) in session.variables() {
        // A session variable whose name cannot be a header's is still in the payload.
        let Ok(name) = HeaderName::try_from(name) else { continue };
        let value = HeaderValue::from_str(value).map_err(|_| HeaderError(name.clone()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// All session variables in one header.
const SESSION_AS_JSON: HeaderName = HeaderName::from_static("x-hasura-session-variables");

fn session_as_json(session: &Session) -> Result<HeaderValue, HeaderError> {
    let json = serde_json::to_string(session).unwrap_or_default();
    HeaderValue::from_str(&json).map_err(|_| HeaderError(SESSION_AS_JSON))
}

fn configured(rules: &HeaderRules, session: &Session, request_id: &str) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    for configured in &rules.configured {
        if headers.contains_key(&configured.name) {
            continue;
        }
        let mut text = String::new();
        for piece in &configured.value {
            text.push_str(match piece {
                ValuePiece::Text(secret) => secret.expose(),
                ValuePiece::RequestId => request_id,
                ValuePiece::SessionVariable(name) => session.variable(name).unwrap_or_default(),
            });
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| HeaderError(configured.name.clone()))?;
        value.set_sensitive(true);
        headers.insert(configured.name.clone(), value);
    }
    Ok(headers)
}
