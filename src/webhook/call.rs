//! One webhook call, from the request to the last byte of the answer, within one deadline.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};

use crate::action::answer::CallFault;
use crate::client::{self, Answer, Fault, Post};

/// Cookies of one answer that go on to the client.
const COOKIES_MAX: usize = 50;

/// The handler's cookies for the client, in order.
pub fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.get_all(SET_COOKIE).iter().take(COOKIES_MAX)
}

/// Makes the call.
///
/// # Errors
/// [`CallFault`], when no whole answer came. The request may have reached the handler all the same.
pub async fn call(
    client: &reqwest::Client,
    post: Post,
    answer_bytes_max: usize,
    timeout: Duration,
) -> Result<Answer, CallFault> {
    client::exchange(client, post, answer_bytes_max, timeout).await.map_err(|fault| match fault {
        Fault::Connect => CallFault::Connect,
        Fault::Timeout => CallFault::Timeout,
        Fault::Broken => CallFault::Broken,
        Fault::TooLarge => CallFault::TooLarge { max: answer_bytes_max },
    })
}
