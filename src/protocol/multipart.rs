//! Uploads as the [GraphQL multipart request specification](https://github.com/jaydenseric/graphql-multipart-request-spec)
//! has them: the field `operations` holds the GraphQL request, other fields hold files.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use memchr::memmem::Finder;

/// Reads the content of the field `operations` out of a body that arrives in pieces. Files are skipped, whatever they hold.
#[derive(Debug)]
pub struct OperationsReader {
    /// What stands before each part.
    delimiter: Finder<'static>,
    /// Bytes that have not been used yet.
    buffer: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Content { is_operations: bool },
    AfterDelimiter,
    Headers,
    End,
}

/// A piece of the field `operations`.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The field begins.
    Start,
    /// More of its content.
    Content(Vec<u8>),
}

/// Headers of one part. Real ones have fewer than 300 bytes.
const PART_HEADERS_BYTES_MAX: usize = 8 * 1024;

/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

impl OperationsReader {
    /// For a body with this `Content-Type`; `None` if it is no form, or has no boundary.
    #[must_use]
    pub fn new(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let (media_type, parameters) = value.split_once(';')?;
        if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        let is_boundary = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
        let delimiter = Finder::new(&format!("\r\n--{boundary}")).into_owned();
        // The first delimiter may stand at the very beginning.
        let (buffer, state) = (b"\r\n".to_vec(), State::Content { is_operations: false });
        is_boundary.then_some(Self { delimiter, buffer, state })
    }

    /// Takes the next piece of the body and gives what of it belongs to `operations`.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.state != State::End {
            self.buffer.extend_from_slice(bytes);
        }
        while self.step(&mut pieces) {}
        pieces
    }

    /// Whether there may be more in the buffer.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.state {
            State::Content { is_operations } => {
                let length = self.delimiter.needle().len();
                let end = self.delimiter.find(&self.buffer);
                // A delimiter may have started.
                let content = end.unwrap_or_else(|| self.buffer.len().saturating_sub(length - 1));
                if is_operations && content > 0 {
                    pieces.push(Piece::Content(self.buffer.get(..content).unwrap_or_default().to_vec()));
                }
                drop(self.buffer.drain(..end.map_or(content, |end| end + length)));
                if end.is_some() {
                    self.state = State::AfterDelimiter;
                }
                end.is_some()
            }
            State::AfterDelimiter => {
                if self.buffer.starts_with(b"--") {
                    self.end();
                    return false;
                }
                // White space may follow.
                let Some(end) = memmem::find(&self.buffer, b"\r\n") else { return self.wait() };
                // The line's end stays, so that a part without headers reads like one with some.
                drop(self.buffer.drain(..end));
                self.state = State::Headers;
                true
            }
            State::Headers => {
                let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") else { return self.wait() };
                let is_operations = names_operations(self.buffer.get(..end).unwrap_or_default());
                if is_operations {
                    pieces.push(Piece::Start);
                }
                // An empty part's delimiter begins with the end of its headers.
                drop(self.buffer.drain(..end + 2));
                self.state = State::Content { is_operations };
                true
            }
            State::End => false,
        }
    }

    fn wait(&mut self) -> bool {
        if self.buffer.len() > PART_HEADERS_BYTES_MAX {
            self.end();
        }
        false
    }

    fn end(&mut self) {
        self.state = State::End;
        self.buffer = Vec::new();
    }
}

fn names_operations(headers: &[u8]) -> bool {
    String::from_utf8_lossy(headers).lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value.split_once(';').and_then(|(_, parameters)| parameter(parameters, "name")).as_deref()
                == Some("operations")
    })
}

/// The value of a parameter, without quotes.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(content_type: &str) -> Option<OperationsReader> {
        OperationsReader::new(&[(CONTENT_TYPE, content_type.parse().expect("a value"))].into_iter().collect())
    }

    /// Each `operations` field as it was read.
    fn read(body: &str, step: usize) -> Vec<String> {
        let mut reader = reader("multipart/form-data; boundary=\"xX\"").expect("a reader");
        let mut fields = Vec::new();
        for piece in body.as_bytes().chunks(step).flat_map(|piece| reader.feed(piece)) {
            match (piece, fields.last_mut()) {
                (Piece::Start, _) => fields.push(String::new()),
                (Piece::Content(bytes), Some(field)) => *field += &String::from_utf8_lossy(&bytes),
                (Piece::Content(_), None) => panic!("content before its part"),
            }
        }
        fields
    }

    #[test]
    fn operations_are_found_wherever_they_stand() {
        let part = |name: &str, content: &str| {
            format!("--xX\r\nContent-Disposition: form-data; name=\"{name}\"\r\nX: y\r\n\r\n{content}\r\n")
        };
        let file = part("0\"; filename=\"operations", "\r\n--x login \r\n-- --xX operations");
        let cases = [
            (format!("{}{file}--xX--\r\n", part("operations", "{\"a\r\n--x\":1}")), vec!["\r\n{\"a\r\n--x\":1}"]),
            (format!("{}{file}{}--xX--", part("map", "{}"), part("operations", "b")), vec!["\r\nb"]),
            (format!("preamble\r\n{}--xX--{}", part("operations", "c"), part("operations", "after")), vec!["\r\nc"]),
            (format!("{}{}--xX--", part("operations", "d"), part("operations", "e")), vec!["\r\nd", "\r\ne"]),
            (format!("{}--xX--", part("operations", "")), vec!["\r\n"]),
            ("--xX\r\nContent-Disposition: form-data; name=operations\r\n\r\n--xX--".into(), vec![""]),
            (format!("--xX \t\r\n\r\nno headers\r\n{file}--xX--"), vec![]),
            ("--xX\r\ncontent-disposition:form-data;NAME=operations\r\n\r\nf\r\n--xX--".into(), vec!["\r\nf"]),
            ("no part at all".into(), vec![]),
        ];
        for (body, wanted) in cases {
            for step in [1, 2, 3, 5, 11, body.len()] {
                assert_eq!(read(&body, step), wanted, "{body} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_malformed_form_is_rejected() {
        for content_type in [
            "multipart/form-data",
            "multipart/mixed; boundary=x",
            "multipart/form-data; boundary=",
            "application/json; boundary=x",
        ] {
            assert!(reader(content_type).is_none(), "{content_type}");
        }
        assert!(reader("Multipart/Form-Data; charset=utf-8; BOUNDARY=x").is_some());
    }

    #[test]
    fn endless_headers_end_the_search() {
        let mut reader = reader("multipart/form-data; boundary=x").expect("a reader");
        reader.feed(b"--x\r\n");
        for _ in 0..100 {
            reader.feed(&[b'a'; 1024]);
        }
        assert!(reader.buffer.is_empty() && reader.state == State::End);
    }
}
