//! Decompresses bodies to inspect them, never beyond a limit (decompression bombs).

use std::io::Read;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::model::response::RequestError;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, as HTTP understands "deflate".
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// Reads the header.
    ///
    /// # Errors
    /// For an encoding that is not known, and for several at once.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, RequestError> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let unknown = || RequestError::new(415, "unsupported-encoding", "this content encoding is not understood here");
        if values.next().is_some() {
            return Err(unknown());
        }
        match value.to_str().map_err(|_| unknown())?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            _ => Err(unknown()),
        }
    }

    /// Decompresses `body`, at most to `bytes_max` and as far as there is `room`, which is reserved before it is needed.
    ///
    /// # Errors
    /// 413 beyond the limit, 400 for invalid compressed data, those of `room`.
    pub(crate) fn decode(self, body: &[u8], bytes_max: usize, room: RoomFor<'_>) -> Result<Vec<u8>, RequestError> {
        match self {
            Self::Identity => read(body, bytes_max, room),
            // Several members after one another are one body.
            Self::Gzip => read(flate2::read::MultiGzDecoder::new(body), bytes_max, room),
            Self::Deflate => read(flate2::read::ZlibDecoder::new(body), bytes_max, room),
            Self::Brotli => read(brotli::Decompressor::new(body, BUFFER_BYTES), bytes_max, room),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(body).map_err(|_| malformed())?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| malformed())?;
                read(decoder, bytes_max, room)
            }
        }
    }
}

/// Whether there is room for so many bytes more.
pub(crate) type RoomFor<'r> = &'r dyn Fn(usize) -> Result<(), RequestError>;

fn malformed() -> RequestError {
    RequestError::new(400, "bad-request", "the body is not properly compressed")
}

impl Encoding {
    /// Decompresses what there is of a body that is larger than may be held, as far as `bytes_max`. Where it is cut, or is not
    /// properly compressed, it ends.
    #[must_use]
    pub(crate) fn decode_beginning(self, body: &[u8], bytes_max: usize) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut read = |decoder: &mut dyn Read| drop(decoder.take(bytes_max as u64).read_to_end(&mut decoded));
        match self {
            Self::Identity => read(&mut &*body),
            Self::Gzip => read(&mut flate2::read::MultiGzDecoder::new(body)),
            Self::Deflate => read(&mut flate2::read::ZlibDecoder::new(body)),
            Self::Brotli => read(&mut brotli::Decompressor::new(body, BUFFER_BYTES)),
            Self::Zstd => {
                if let Ok(mut decoder) = zstd::Decoder::new(body)
                    && decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).is_ok()
                {
                    read(&mut decoder);
                }
            }
        }
        decoded
    }
}

const BUFFER_BYTES: usize = 4096;

/// RFC 8878 requires 8 MiB; a frame could demand more memory than a body may have bytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The error for a body beyond its limit.
#[must_use]
pub(crate) fn too_large(bytes_max: usize) -> RequestError {
    RequestError::new(413, "body-too-large", format!("the body is larger than {bytes_max} bytes"))
}

/// Reads in steps, each of which is as long as all before it.
fn read(mut decoder: impl Read, bytes_max: usize, room: RoomFor<'_>) -> Result<Vec<u8>, RequestError> {
    let mut decoded = Vec::new();
    let mut step = BUFFER_BYTES;
    loop {
        room(step)?;
        decoded.reserve_exact(step);
        let read = decoder.by_ref().take(step as u64).read_to_end(&mut decoded).map_err(|_| malformed())?;
        if decoded.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if read < step {
            return Ok(decoded);
        }
        // One byte more than allowed shows that there is more.
        step = decoded.len().min(bytes_max + 1 - decoded.len()).max(1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn every_encoding_is_opened() {
        let text = b"{\"query\":\"{ a }\"}";
        let zlib = {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).expect("memory");
            encoder.finish().expect("memory")
        };
        let mut brotlied = Vec::new();
        brotli::CompressorWriter::new(&mut brotlied, 4096, 5, 20).write_all(text).expect("memory");
        let zstd = zstd::encode_all(&text[..], 1).expect("memory");
        for (encoding, body) in [
            (Encoding::Identity, text.to_vec()),
            (Encoding::Gzip, gzip(text)),
            (Encoding::Deflate, zlib),
            (Encoding::Brotli, brotlied),
            (Encoding::Zstd, zstd),
        ] {
            assert_eq!(encoding.decode(&body, 1024, &|_| Ok(())).expect("a body"), text, "{encoding:?}");
        }
    }

    #[test]
    fn decompression_bombs_and_invalid_data_are_rejected() {
        let bomb = gzip(&vec![b' '; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(Encoding::Gzip.decode(&bomb, 100_000, &|_| Ok(())).map_err(|error| error.status), Err(413));
        let mut cut = gzip(b"{}");
        cut.truncate(12);
        assert_eq!(Encoding::Gzip.decode(&cut, 100, &|_| Ok(())).map_err(|error| error.status), Err(400));
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
            assert_eq!(
                encoding.decode(b"not compressed", 100, &|_| Ok(())).map_err(|error| error.status),
                Err(400),
                "{encoding:?}"
            );
        }
        assert_eq!(Encoding::Gzip.decode_beginning(&bomb, 1000), vec![b' '; 1000]);
        // Without the trailer, which holds the length.
        let whole = gzip(b"{}");
        assert_eq!(Encoding::Gzip.decode_beginning(&whole[..whole.len() - 8], 100), b"{}");
        assert_eq!(Encoding::Zstd.decode_beginning(b"not compressed", 100), b"");
        let mut trailing = gzip(b"{}");
        trailing.extend_from_slice(b"junk");
        assert_eq!(Encoding::Gzip.decode(&trailing, 100, &|_| Ok(())).map_err(|error| error.status), Err(400));
    }

    #[test]
    fn unknown_and_multiple_encodings_are_rejected() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().expect("a value"));
            }
            Encoding::of(&headers).map_err(|error| error.status)
        };
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["GZIP"]), Ok(Encoding::Gzip));
        for values in [&["gzip, br"][..], &["gzip", "gzip"], &["compress"], &["rot13"]] {
            assert_eq!(of(values), Err(415), "{values:?}");
        }
    }
}
