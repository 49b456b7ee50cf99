//! Access control of the admin listener: by host name, by origin and by token.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};

use crate::config::settings::AdminListener;
use crate::model::secret::Secret;

/// Why a request is denied: status and reason.
pub(super) type Denied = (StatusCode, String);

/// Fetch metadata, by which a browser declares where a request comes from: <https://www.w3.org/TR/fetch-metadata/>.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Denies what a web page sends, by whatever way. `/healthz` and `/readyz` show nothing and change nothing, and health checks
/// call them by all sorts of names.
///
/// # Errors
/// [`Denied`].
pub(super) fn check_sender(head: &Parts, settings: &AdminListener) -> Result<(), Denied> {
    let is_own_site = |site: &http::HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
    if head.headers.contains_key(ORIGIN) || !head.headers.get_all(FETCH_SITE).iter().all(is_own_site) {
        return Err((StatusCode::FORBIDDEN, "the admin listener is not for web pages".into()));
    }
    if matches!(head.uri.path(), "/healthz" | "/readyz") && head.uri.query().is_none() {
        return Ok(());
    }
    check_host(head, settings)
}

/// Denies what a page of another origin sends to the console. Following a link to its page is allowed: only the console's
/// own page can do anything with what that shows.
///
/// # Errors
/// [`Denied`].
#[cfg(feature = "console")]
pub(super) fn check_console_sender(head: &Parts, settings: &AdminListener) -> Result<(), Denied> {
    check_host(head, settings)?;
    let is_own_site = |site: &http::HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
    let is = |name: &'static str, value: &[u8]| head.headers.get(name).is_some_and(|found| found.as_bytes() == value);
    let is_navigation =
        head.method == Method::GET && is("sec-fetch-mode", b"navigate") && is("sec-fetch-dest", b"document");
    let is_page = is_navigation && !head.uri.path().starts_with("/console/api");
    let is_own = head.headers.get_all(FETCH_SITE).iter().all(is_own_site) || is_page;
    if is_own && head.headers.get_all(ORIGIN).iter().all(|origin| is_own_origin(origin.as_bytes(), head)) {
        return Ok(());
    }
    Err((StatusCode::FORBIDDEN, "the console takes requests of its own page only".into()))
}

/// Is this the origin by which the listener is called? TLS may end before us.
#[cfg(feature = "console")]
fn is_own_origin(origin: &[u8], head: &Parts) -> bool {
    let host = head.headers.get(HOST).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let authority = [&b"http://"[..], b"https://"].iter().find_map(|scheme| origin.strip_prefix(*scheme));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Denies requests by a name that is none of ours, which DNS rebinding makes.
fn check_host(head: &Parts, settings: &AdminListener) -> Result<(), Denied> {
    let by_header = head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let by_target = head.uri.authority().map(Authority::as_str);
    match by_header.chain(by_target).find(|name| !is_allowed(name, &settings.allowed_hosts)) {
        None => Ok(()),
        Some(_) => Err((
            StatusCode::MISDIRECTED_REQUEST,
            "the admin listener is called by an address, by localhost or by one of admin.allowed_hosts".into(),
        )),
    }
}

/// Is `host`, with or without a port, an address, localhost or one of these names?
fn is_allowed(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || names.contains(&name)
}

/// Is this open to every client of the listener?
#[must_use]
pub(super) fn is_public(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && matches!(path, "/healthz" | "/readyz" | "/metrics")
}

/// Denies everything that shows or changes something to clients without the token. Without a configured token, only
/// loopback is allowed.
///
/// # Errors
/// [`Denied`].
pub(super) fn check_token(head: &Parts, token: Option<&Secret>, is_loopback: bool) -> Result<(), Denied> {
    let Some(token) = token else {
        let reason = "this needs a token, because the admin listener is not on loopback: set admin.token \
                      (PILLION_ADMIN_TOKEN, or PILLION_ADMIN_TOKEN_FILE), and send it as Authorization: Bearer …";
        return if is_loopback { Ok(()) } else { Err((StatusCode::FORBIDDEN, reason.into())) };
    };
    let mut offered = head.headers.get_all(AUTHORIZATION).iter();
    let is_right = match (offered.next(), offered.next()) {
        (Some(only), None) => {
            let (scheme, value) = only.as_bytes().split_at_checked(BEARER.len()).unwrap_or_default();
            // Compared even if it is another scheme, so that nothing shows in the time it takes.
            token.equals(value) & scheme.eq_ignore_ascii_case(BEARER)
        }
        _ => false,
    };
    if is_right {
        return Ok(());
    }
    Err((StatusCode::UNAUTHORIZED, "this needs the token of admin.token: Authorization: Bearer …".into()))
}

const BEARER: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(http::Request::get(target), |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a request").into_parts().0
    }

    fn settings() -> AdminListener {
        let allowed_hosts = vec!["pillion.internal".into()];
        AdminListener { metrics_listen: None, token: None, allowed_hosts, max_connections: 1, console_enabled: None }
    }

    #[test]
    fn names_by_which_it_is_called() {
        for (target, host, is_fine) in [
            ("/jobs", "127.0.0.1:8001", true),
            ("/jobs", "10.1.2.3", true),
            ("/jobs", "[::1]:8001", true),
            ("/jobs", "LocalHost:8001", true),
            ("/jobs", "Pillion.Internal", true),
            ("/jobs", "evil.example", false),
            ("/jobs", "localhost.evil.example", false),
            ("/jobs", "127.0.0.1.evil.example", false),
            ("/jobs", "localhost@evil.example", false),
            ("/jobs", "evil.example@localhost", false),
            ("/jobs", "", false),
            ("/metrics", "evil.example", false),
            ("/readyz?verbose", "evil.example", false),
            ("/readyz", "health-check", true),
            ("http://evil.example/jobs", "localhost", false),
        ] {
            let denied = check_sender(&head(target, &[("host", host)]), &settings());
            assert_eq!(denied.is_ok(), is_fine, "{target} {host}");
        }
    }

    #[test]
    fn pages_are_denied() {
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:8001"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(check_sender(&head("/healthz", &[(name, value)]), &settings()).is_err(), "{name}: {value}");
        }
        assert!(check_sender(&head("/metrics", &[("sec-fetch-site", "none")]), &settings()).is_ok());
    }

    #[cfg(feature = "console")]
    #[test]
    fn the_console_is_for_its_own_page() {
        let own = ("host", "127.0.0.1:8001");
        for (target, headers, is_fine) in [
            ("/console/api/jobs", vec![], true),
            ("/console/api/jobs", vec![("origin", "http://127.0.0.1:8001"), ("sec-fetch-site", "same-origin")], true),
            ("/console/api/jobs", vec![("origin", "https://127.0.0.1:8001")], true),
            ("/console/api/jobs", vec![("origin", "http://127.0.0.1:9001")], false),
            ("/console/api/jobs", vec![("origin", "http://localhost:8001")], false),
            ("/console/api/jobs", vec![("origin", "null")], false),
            ("/console/api/jobs", vec![("origin", "http://evil.example")], false),
            ("/console/api/jobs", vec![("sec-fetch-site", "same-site")], false),
            ("/console/", vec![("sec-fetch-site", "cross-site")], false),
            (
                "/console/",
                vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
                true,
            ),
            (
                "/console/api/jobs",
                vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
                false,
            ),
        ] {
            let all: Vec<_> = [own].into_iter().chain(headers).collect();
            assert_eq!(check_console_sender(&head(target, &all), &settings()).is_ok(), is_fine, "{target} {all:?}");
        }
        assert!(check_console_sender(&head("/console/", &[("host", "evil.example")]), &settings()).is_err());
    }

    #[test]
    fn tokens() {
        let token = Secret::new("t0ken".into());
        let status = |headers: &[(&str, &str)], token: Option<&Secret>, is_loopback| {
            check_token(&head("/jobs", headers), token, is_loopback).err().map(|(status, _)| status.as_u16())
        };
        assert_eq!(status(&[], None, true), None);
        assert_eq!(status(&[], None, false), Some(403));
        assert_eq!(status(&[("authorization", "Bearer t0ken")], Some(&token), false), None);
        assert_eq!(status(&[("authorization", "bearer t0ken")], Some(&token), true), None);
        for wrong in ["Bearer t0ke", "Bearer t0kenn", "Bearer ", "t0ken", "Basic t0ken", "Bearer  t0ken", ""] {
            assert_eq!(status(&[("authorization", wrong)], Some(&token), true), Some(401), "{wrong}");
        }
        let twice = [("authorization", "Bearer t0ken"), ("authorization", "Bearer t0ken")];
        assert_eq!(status(&twice, Some(&token), false), Some(401));
        assert_eq!(status(&[], Some(&token), true), Some(401));
    }
}
