//! The console's page: the files of `console/dist`, which the front end's bundler makes, as a browser asks for them.
//!
//! They are embedded in the binary; a debug build reads them from the folder at each request. The bundler writes a brotli and a
//! gzip form beside each text, so that nothing is compressed here.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::GzDecoder;
use http::StatusCode;
use http::header::{self, HeaderValue};
use http::request::Parts;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::console::response::Response;

/// The files. None, if the front end was not built before the binary.
#[derive(RustEmbed)]
#[folder = "console/dist/"]
#[allow_missing = true]
#[exclude = "*.map"]
struct Dist;

/// The page for callers without a session.
const LOGIN: &str = "login.html";

/// Responds with the file at `path`, which is relative to the console's root. Without a session there is only the login page.
pub(super) fn respond(head: &Parts, path: &str, has_session: bool) -> Response {
    if path.is_empty() {
        return Response::redirect(StatusCode::PERMANENT_REDIRECT, "/console/");
    }
    let path = path.trim_start_matches('/');
    let name = if path == "login" { LOGIN } else { path };
    if !has_session && !name.starts_with("login") {
        return Response::redirect(StatusCode::SEE_OTHER, "/console/login");
    }
    let is_page = !name.rsplit('/').next().unwrap_or_default().contains('.');
    match file(head, if is_page { "index.html" } else { name }) {
        Some(response) => response,
        None if is_page || name == LOGIN => Response::text(StatusCode::NOT_FOUND, NOT_BUILT),
        None => Response::text(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

const NOT_BUILT: &str = "This binary has no console: its front end was not built before it. Build it with `make console`, which needs \
    Node.js, and build Pillion again. The console's API at /console/api is there.";

/// In which forms a browser takes a file: as they stand, in the order of preference.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

fn file(head: &Parts, name: &str) -> Option<Response> {
    let accepted = head.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_accepted = |encoding: &str| {
        accepted.split(',').any(|one| {
            let (name, quality) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    let encoded = ENCODINGS.iter().filter(|(encoding, _)| is_accepted(encoding));
    let mut encoded =
        encoded.filter_map(|(encoding, ending)| Some((Some(*encoding), Dist::get(&format!("{name}{ending}"))?)));
    let (encoding, found) = match encoded.next() {
        Some(found) => found,
        None => (None, plain(name)?),
    };
    Some(respond_with(head, name, encoding, &found))
}

/// The file as it is. A release build has only the compressed forms of texts.
fn plain(name: &str) -> Option<EmbeddedFile> {
    if let Some(file) = Dist::get(name) {
        return Some(file);
    }
    let compressed = Dist::get(&format!("{name}.gz"))?;
    let mut text = Vec::new();
    GzDecoder::new(compressed.data.as_ref()).read_to_end(&mut text).ok()?;
    Some(EmbeddedFile { data: Cow::Owned(text), metadata: compressed.metadata })
}

fn respond_with(head: &Parts, name: &str, encoding: Option<&'static str>, file: &EmbeddedFile) -> Response {
    let etag = etag(&file.metadata.sha256_hash());
    let is_known = head.headers.get_all(header::IF_NONE_MATCH).iter().any(|known| known.as_bytes() == etag.as_bytes());
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let body = if is_known { Vec::new() } else { file.data.to_vec() };
    let mut response = Response::new(status, content_type(name), body);
    let headers = &mut response.headers;
    headers.extend(HeaderValue::try_from(etag).map(|etag| (header::ETAG, etag)));
    headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, HeaderValue::from_static(encoding))));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let cache = if has_hash(name) { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn etag(hash: &[u8; 32]) -> String {
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// `app-1a2b3c4d.js`: another text has another name.
fn has_hash(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_stay_the_same() {
        for (name, is_hashed) in [
            ("assets/app-1A2b3C4d.js", true),
            ("app-1a2b3c4d5e.css", true),
            ("app.js", false),
            ("log-in.html", false),
            ("my-stylesheet_.css", false),
        ] {
            assert_eq!(has_hash(name), is_hashed, "{name}");
        }
    }

    #[test]
    fn without_a_session_there_is_only_the_login_page() {
        let head = http::Request::get("/console/").body(()).expect("a request").into_parts().0;
        for path in ["/", "/index.html", "/actions/quote", "/app.js", "/../login.html", "//login.html"] {
            let response = respond(&head, path, false);
            let is_login = path == "//login.html";
            assert_eq!(response.status == StatusCode::SEE_OTHER, !is_login, "{path}");
        }
    }
}
