//! Response compression, for clients that accept it. The upstream's responses pass as they are, and events of a stream
//! are not compressed: they are small, and each must reach its client at once.
//!
//! A page that can make a victim's browser send requests with text of its own choice, and can observe the length of the
//! encrypted responses, learns secrets in the same response from how well they compress (BREACH). Requests with an
//! action are JSON by POST, which a page of another origin cannot send without a preflight that the upstream allows;
//! that is the protection. `compression.enabled: false` is for deployments that need another one.

use std::io;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header;
use http::header::{HeaderMap, HeaderValue};
use tokio::sync::Semaphore;

use crate::protocol::content_coding::ContentCoding;
use crate::request::encoded_body::ReusedBody;

/// Longer bodies are compressed on a thread of their own: a thread that serves requests is held up by less than a
/// millisecond.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Long bodies that are compressed at one time, so that memory and processors are left for others. When all permits are
/// taken, a body is sent uncompressed.
static LONG_BODIES: Semaphore = Semaphore::const_new(4);

/// About as fast as the network, and still a tenth of usual JSON.
const ZSTD_LEVEL: i32 = 1;

/// Of 11. More takes several times as long for little.
const BROTLI_QUALITY: u32 = 3;

/// A window of 256 KiB.
const BROTLI_WINDOW_LOG: u32 = 18;

/// Compresses `body` if the client's `request` headers accept it, and declares that in `headers`. If it is `reused`, what
/// it became is remembered there.
pub(crate) async fn compress(
    request: &HeaderMap,
    headers: &mut HeaderMap,
    body: Bytes,
    reused: Option<Arc<ReusedBody>>,
) -> Bytes {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return body;
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(coding) = ContentCoding::negotiate(request) else { return body };
    let reused = reused.filter(|reused| reused.is(&body));
    let known = reused.as_ref().and_then(|reused| reused.encoded(coding)).cloned();
    let encoded = match known {
        Some(known) => Some(known),
        None => {
            let encoded = encode_here_or_there(coding, &body).await;
            if let (Some(reused), Some(encoded)) = (&reused, &encoded) {
                reused.keep(coding, encoded);
            }
            encoded.map(Bytes::from)
        }
    };
    match encoded {
        Some(encoded) if encoded.len() < body.len() => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            headers.insert(header::CONTENT_LENGTH, encoded.len().into());
            encoded
        }
        _ => body,
    }
}

async fn encode_here_or_there(coding: ContentCoding, body: &Bytes) -> Option<Vec<u8>> {
    if body.len() <= INLINE_BYTES_MAX {
        return encode(coding, body).ok();
    }
    let permit = LONG_BODIES.try_acquire().ok()?;
    let body = body.clone();
    // If the client disconnects, the result is dropped; the permit counts the work until then.
    let encoded = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        encode(coding, &body)
    });
    encoded.await.ok()?.ok()
}

fn encode(coding: ContentCoding, body: &[u8]) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(body.len() / 4);
    match coding {
        ContentCoding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
        ContentCoding::Gzip => {
            let mut encoder = GzEncoder::new(room, Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        ContentCoding::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(room, 4096, BROTLI_QUALITY, BROTLI_WINDOW_LOG);
            encoder.write_all(body)?;
            Ok(encoder.into_inner())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::decode::Encoding;

    async fn compressed(accept: &'static str, body: &Bytes) -> (Option<Encoding>, Bytes, HeaderMap) {
        let request = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
        let mut headers = HeaderMap::new();
        let encoded = compress(&request, &mut headers, body.clone(), None).await;
        let encoding = headers.contains_key(header::CONTENT_ENCODING).then(|| Encoding::of(&headers).expect("known"));
        (encoding, encoded, headers)
    }

    #[tokio::test]
    async fn bodies_come_back_as_they_were() {
        let text = |bytes: usize| {
            let item = |index: usize| format!("{{\"id\":{index},\"name\":\"Bicycle {}\"}},", index * 7919 % 1000);
            Bytes::from((0..bytes / 30).map(item).collect::<String>())
        };
        for body in [text(2_000), text(60_000), text(2_000_000)] {
            for (accept, wanted) in [("gzip", Encoding::Gzip), ("br", Encoding::Brotli), ("zstd", Encoding::Zstd)] {
                let (encoding, encoded, headers) = compressed(accept, &body).await;
                assert_eq!(encoding, Some(wanted));
                assert!(encoded.len() * 3 < body.len(), "{accept}: {} of {}", encoded.len(), body.len());
                assert_eq!(headers.get(header::CONTENT_LENGTH), Some(&HeaderValue::from(encoded.len())));
                assert_eq!(headers.get(header::VARY), Some(&HeaderValue::from_static("Accept-Encoding")));
                assert_eq!(wanted.decode(&encoded, 10_000_000, &|_| Ok(())).expect("a body"), body);
            }
        }
    }

    #[tokio::test]
    async fn unaccepted_or_useless_compression_is_skipped() {
        let body = Bytes::from_static(b"abc");
        for accept in ["identity", "gzip;q=0", "gzip"] {
            let (encoding, same, headers) = compressed(accept, &body).await;
            assert_eq!((encoding, &same, headers.len()), (None, &body, 1), "{accept}");
        }
        let mut headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        let request = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"))]);
        assert_eq!(compress(&request, &mut headers, body.clone(), None).await, body);
        assert_eq!(headers.len(), 1);
    }
}
