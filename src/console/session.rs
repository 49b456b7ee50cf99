//! Sessions of the console: a cookie that is derived from the admin token and expires. Nothing is stored, so that a session
//! survives a restart and counts on each replica, and another token ends all of them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE, HeaderValue};
use http::request::Parts;
use serde::Deserialize;

use crate::console::response::ApiError;
use crate::model::secret::Secret;

/// Whether a caller may see more than the login page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Valid,
    /// There is no cookie, or none that counts any more.
    Missing,
    /// None can begin: there is no token, and the listener is not on loopback.
    Impossible,
}

impl Session {
    /// # Errors
    /// The session does not count.
    pub(super) fn check(self) -> Result<(), ApiError> {
        match self {
            Self::Valid => Ok(()),
            Self::Missing => Err(ApiError::new(StatusCode::UNAUTHORIZED, "log in with the token of admin.token")),
            Self::Impossible => Err(impossible()),
        }
    }
}

/// The body of a login.
#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
}

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The cookie's name.
const NAME: &str = "pillion_console";

fn impossible() -> ApiError {
    let message = "the console needs a token, because the admin listener is not on loopback: set admin.token \
                   (PILLION_ADMIN_TOKEN, or PILLION_ADMIN_TOKEN_FILE)";
    ApiError::new(StatusCode::FORBIDDEN, message)
}

/// The session of a request: by its cookie, or by the token itself as `Authorization: Bearer …`.
pub(super) fn of_request(head: &Parts, token: Option<&Secret>, is_loopback: bool, now: SystemTime) -> Session {
    let Some(token) = token else {
        return if is_loopback { Session::Valid } else { Session::Impossible };
    };
    let bearer = head.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if bearer.is_some_and(|offered| token.equals(offered)) {
        return Session::Valid;
    }
    let cookies = head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let is_valid = values.any(|(name, value)| name == NAME && is_valid(token, value, now));
    if is_valid { Session::Valid } else { Session::Missing }
}

/// The cookie of a new session.
///
/// # Errors
/// It is not the token, or there is none.
pub(super) fn log_in(
    token: Option<&Secret>,
    login: &Login,
    is_secure: bool,
    now: SystemTime,
) -> Result<HeaderValue, ApiError> {
    let token = token.ok_or_else(impossible)?;
    if !token.equals(login.token.as_bytes()) {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "this is not the token of admin.token"));
    }
    let expires = seconds(now) + LIFETIME.as_secs();
    let value = format!("{expires}.{}", hex(hmac::sign(&key(token), &signed(expires)).as_ref()));
    cookie(&value, LIFETIME, is_secure)
}

/// The cookie that ends a session.
pub(super) fn log_out(is_secure: bool) -> Result<HeaderValue, ApiError> {
    cookie("", Duration::ZERO, is_secure)
}

fn cookie(value: &str, lifetime: Duration, is_secure: bool) -> Result<HeaderValue, ApiError> {
    let secure = if is_secure { "; Secure" } else { "" };
    let lifetime = lifetime.as_secs();
    let text = format!("{NAME}={value}; HttpOnly; SameSite=Strict; Path=/console; Max-Age={lifetime}{secure}");
    let mut cookie = HeaderValue::try_from(text).map_err(|_| ApiError::internal())?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// `<seconds>.<hex of the signature>`
fn is_valid(token: &Secret, value: &str, now: SystemTime) -> bool {
    let Some((expires, signature)) = value.split_once('.') else { return false };
    let (Ok(expires), Some(signature)) = (expires.parse::<u64>(), bytes(signature)) else { return false };
    let is_ours = hmac::verify(&key(token), &signed(expires), &signature).is_ok();
    is_ours && seconds(now) < expires
}

fn key(token: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes())
}

/// What is signed, with its purpose, so that no other signature by the token can stand in for it.
fn signed(expires: u64) -> Vec<u8> {
    format!("pillion console session until {expires}").into_bytes()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, value: &str) -> Parts {
        http::Request::get("/console/").header(name, value).body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_session_ends_with_its_time_and_with_its_token() {
        let (token, other) = (Secret::new("t0ken".into()), Secret::new("0ther".into()));
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let login = |text: &str| log_in(Some(&token), &Login { token: text.into() }, false, now);
        assert!(login("t0ke").is_err());
        let cookie = login("t0ken").map_err(|_| ()).expect("a cookie");
        let cookie = cookie.to_str().expect("a text");
        assert!(cookie.contains("HttpOnly; SameSite=Strict; Path=/console; Max-Age=43200"), "{cookie}");
        assert!(!cookie.contains("t0ken"), "{cookie}");
        let pair = cookie.split(';').next().unwrap_or_default();
        let state = |token: &Secret, later: u64, pair: &str| {
            of_request(&head("cookie", pair), Some(token), true, now + Duration::from_secs(later))
        };
        assert_eq!(state(&token, 0, pair), Session::Valid);
        assert_eq!(state(&token, 43_199, &format!("a=b; {pair}")), Session::Valid);
        assert_eq!(state(&token, 43_200, pair), Session::Missing);
        assert_eq!(state(&other, 0, pair), Session::Missing);
        let longer = pair.replacen("=1043200.", "=2043200.", 1);
        assert_ne!(longer, pair);
        for forged in [longer.as_str(), "pillion_console=", "pillion_console=9999999999.", "pillion_console=t0ken", ""]
        {
            assert_eq!(state(&token, 0, forged), Session::Missing, "{forged}");
        }
    }

    #[test]
    fn without_a_token_only_loopback_is_let_in() {
        let now = SystemTime::now();
        assert_eq!(of_request(&head("a", "b"), None, true, now), Session::Valid);
        assert_eq!(of_request(&head("a", "b"), None, false, now), Session::Impossible);
        let token = Secret::new("t0ken".into());
        let bearer = |value: &str| of_request(&head("authorization", value), Some(&token), true, now);
        assert_eq!(bearer("Bearer t0ken"), Session::Valid);
        assert_eq!(bearer("Bearer t0kenn"), Session::Missing);
    }
}
