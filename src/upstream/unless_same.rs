//! Sends a question whose response is known from before, and compares the body with the known one while it comes: an
//! upstream that says the same again costs no memory and no second reading.

use bytes::Bytes;
use http::{Method, header};

use crate::http_client::{TransportFault, charge};
use crate::model::chunks::{Chunks, TooLong};
use crate::upstream::{Forwarded, UpstreamClient, UpstreamError, UpstreamRequest, UpstreamResponse, error_of};

impl UpstreamClient {
    /// Sends a question and reads the whole response. `None` if its body is `known`, byte for byte.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn fetch_unless_same(
        &self,
        question: UpstreamRequest<'_>,
        known: &Bytes,
    ) -> Result<Option<UpstreamResponse>, UpstreamError> {
        let max = question.max_response_bytes;
        let (address, headers) = (self.address(question.path)?, self.headers(&question));
        let fetched = async {
            let sent = self.forward(&Method::POST, &address, &headers, &question.body, question.replay);
            let mut response = sent.await?;
            let body = read_unless_same(&mut response, known, &question).await.map_err(|fault| error_of(fault, max))?;
            Ok(body.map(|body| {
                let (status, headers) = response.head();
                let set_cookies = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
                UpstreamResponse { status, body, set_cookies }
            }))
        };
        // Cancel safety: at the timeout the connection is dropped as well, so a late response cannot be taken for the
        // next one.
        tokio::time::timeout(question.timeout, fetched).await.unwrap_or(Err(UpstreamError::TimedOut))
    }
}

/// The body, unless it is `known`. Only what differs from it is charged, with all that came before.
async fn read_unless_same(
    response: &mut Forwarded<'_>,
    known: &Bytes,
    question: &UpstreamRequest<'_>,
) -> Result<Option<Bytes>, TransportFault> {
    let mut same = 0;
    let mut chunk = loop {
        match response.next_chunk().await? {
            Some(chunk) if known.get(same..).is_some_and(|rest| rest.starts_with(&chunk)) => same += chunk.len(),
            None if same == known.len() => return Ok(None),
            other => break other,
        }
    };
    // What has changed is often somewhat longer.
    let expected = known.len() + known.len() / 8;
    let mut chunks = Chunks::expecting(expected, question.max_response_bytes);
    charge(question.share, same)?;
    chunks.push(known.slice(..same)).map_err(|TooLong(_)| TransportFault::TooLarge)?;
    while let Some(more) = chunk {
        charge(question.share, more.len())?;
        chunks.push(more).map_err(|TooLong(_)| TransportFault::TooLarge)?;
        chunk = response.next_chunk().await?;
    }
    Ok(Some(chunks.finish()))
}
