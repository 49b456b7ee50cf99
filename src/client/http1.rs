//! HTTP/1.1 in clear text, as nearly every call of a handler and every question to the engine is: one message out, one
//! whole answer back, on connections that are kept. General clients have a task for each connection, through which every
//! request and every piece of an answer travels; that was half of what a call cost.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::Fault;
use super::resolver::Filtered;

/// A request whose every part has been checked by its type.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The method.
    pub method: &'r Method,
    /// Host and port; also the `Host`, unless the headers have one.
    pub authority: &'r str,
    /// Path and query.
    pub target: &'r str,
    /// All headers but those about the body's length.
    pub headers: &'r HeaderMap,
    /// The body.
    pub body: &'r Bytes,
    /// May it be sent again when an old connection ends before it is answered?
    pub may_repeat: bool,
    /// Bytes of the answer that are held.
    pub answer_bytes_max: usize,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Bytes,
}

/// Connections that wait for the next request, by host and port.
pub struct Pool {
    connector: HttpConnector<Filtered>,
    idle_timeout: Duration,
    idle: Mutex<HashMap<Box<str>, Vec<(Instant, Connection)>>>,
}

/// Of one host and port, so many connections wait at most.
const IDLE_MAX: usize = 256;

impl Pool {
    /// An empty one.
    #[must_use]
    pub fn new(resolver: Filtered, connect_timeout: Duration, idle_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        Self { connector, idle_timeout, idle: Mutex::default() }
    }

    /// Sends a request and reads the whole answer. When this is dropped, so is the connection.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn exchange(&self, request: Request<'_>) -> Result<Answer, Fault> {
        let (head, mut connection) = self.send(&request).await?;
        let framing = framing(request.method, &head)?;
        let body = connection.read_body(framing, request.answer_bytes_max).await?;
        if head.is_persistent && framing != Framing::UntilEnd {
            self.put(request.authority, connection);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Sends a request and reads the head of the answer.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn stream<'r>(&'r self, request: Request<'r>) -> Result<Streamed<'r>, Fault> {
        let (head, connection) = self.send(&request).await?;
        let left = framing(request.method, &head)?;
        let Head { status, headers, is_persistent } = head;
        let is_kept = is_persistent && left != Framing::UntilEnd;
        let source = Source { pool: self, authority: request.authority, connection, is_kept };
        Ok(Streamed { status, headers, left, source: Some(source), in_chunk: 0 })
    }

    async fn send(&self, request: &Request<'_>) -> Result<(Head, Connection), Fault> {
        let head = encode(request);
        let mut old = self.take(request.authority);
        loop {
            let is_old = old.is_some();
            let mut connection = match old.take() {
                Some(connection) => connection,
                None => self.connect(request.authority).await?,
            };
            match connection.ask(&head, request.body).await {
                Ok(head) => return Ok((head, connection)),
                // A second one would be a new connection, so this happens once.
                Err(Failure::Unsent) if is_old => {}
                Err(Failure::Unanswered) if is_old && request.may_repeat => {}
                Err(Failure::Unsent | Failure::Unanswered) => return Err(Fault::Broken),
                Err(Failure::Final(fault)) => return Err(fault),
            }
        }
    }

    /// Closes the connections that have waited for too long.
    pub fn sweep(&self) {
        self.idle().retain(|_, waiting| {
            waiting.retain(|(since, _)| since.elapsed() < self.idle_timeout);
            !waiting.is_empty()
        });
    }

    async fn connect(&self, authority: &str) -> Result<Connection, Fault> {
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
        let uri = uri.map_err(|_| Fault::Connect)?;
        let mut connector = self.connector.clone();
        let ready = connector.ready().await.map_err(|_| Fault::Connect)?;
        let stream = ready.call(uri).await.map_err(|_| Fault::Connect)?;
        Ok(Connection { stream: stream.into_inner(), buffer: BytesMut::new() })
    }

    /// The one that was used last, because others may soon have waited for too long.
    fn take(&self, authority: &str) -> Option<Connection> {
        let mut idle = self.idle();
        let waiting = idle.get_mut(authority)?;
        while let Some((since, connection)) = waiting.pop() {
            if since.elapsed() < self.idle_timeout && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, authority: &str, connection: Connection) {
        if !connection.buffer.is_empty() {
            // Somebody answers what nobody has asked.
            return;
        }
        let mut idle = self.idle();
        let entry = (Instant::now(), connection);
        match idle.get_mut(authority) {
            Some(waiting) if waiting.len() < IDLE_MAX => waiting.push(entry),
            Some(_) => {}
            None => drop(idle.insert(authority.into(), vec![entry])),
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<(Instant, Connection)>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no answer, as far as it decides whether to try again.
enum Failure {
    /// Not a byte of the request has gone out.
    Unsent,
    /// Not a byte of an answer has come.
    Unanswered,
    Final(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Final(fault)
    }
}

struct Connection {
    stream: TcpStream,
    /// What has been read and not been used.
    buffer: BytesMut,
}

/// Bytes that are asked for at a time.
const READ_BYTES: usize = 4096;

/// Bytes of an answer's head, and of the trailers after its body.
const HEAD_BYTES_MAX: usize = 64 * 1024;

impl Connection {
    /// Is it open, with nothing on it that nobody has asked for?
    fn is_quiet(&self) -> bool {
        self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    async fn ask(&mut self, head: &[u8], body: &[u8]) -> Result<Head, Failure> {
        self.write(head, body).await?;
        self.read_head().await
    }

    /// Head and body at once, as far as the system takes them.
    async fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), Failure> {
        let stream = &mut self.stream;
        let both = [IoSlice::new(head), IoSlice::new(body)];
        let first = poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_write_vectored(cx, &both)).await;
        let written = first.map_err(|_| Failure::Unsent)?;
        for part in [head.get(written..), body.get(written.saturating_sub(head.len())..)].into_iter().flatten() {
            // The other side may have answered and closed before it has read all.
            if !part.is_empty() && self.stream.write_all(part).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn read_head(&mut self) -> Result<Head, Failure> {
        loop {
            if !self.buffer.is_empty()
                && let Some(head) = parse_head(&mut self.buffer)?
            {
                match head.status.as_u16() {
                    // Nobody has asked for another protocol.
                    101 => return Err(Fault::Broken.into()),
                    100..=199 => continue,
                    _ => return Ok(head),
                }
            }
            let is_untouched = self.buffer.is_empty();
            if self.buffer.len() > HEAD_BYTES_MAX || self.read_more(READ_BYTES).await.is_err() {
                return Err(if is_untouched { Failure::Unanswered } else { Fault::Broken.into() });
            }
        }
    }

    async fn read_body(&mut self, framing: Framing, bytes_max: usize) -> Result<Bytes, Fault> {
        match framing {
            Framing::Length(length) if length > bytes_max => Err(Fault::TooLarge),
            Framing::Length(length) => {
                while self.buffer.len() < length {
                    self.read_more(length - self.buffer.len()).await?;
                }
                Ok(self.buffer.split_to(length).freeze())
            }
            Framing::Chunked => self.read_chunks(bytes_max).await,
            Framing::UntilEnd => {
                while self.buffer.len() <= bytes_max {
                    if self.read_some(READ_BYTES).await? == 0 {
                        return Ok(self.buffer.split().freeze());
                    }
                }
                Err(Fault::TooLarge)
            }
        }
    }

    /// RFC 9112, section 7.1.
    async fn read_chunks(&mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        loop {
            let size = self.read_chunk_size().await?;
            if size == 0 {
                self.read_trailers().await?;
                return Ok(body.freeze());
            }
            let size = usize::try_from(size).map_err(|_| Fault::TooLarge)?;
            if size > bytes_max.saturating_sub(body.len()) {
                return Err(Fault::TooLarge);
            }
            while self.buffer.len() < size + 2 {
                self.read_more(size + 2 - self.buffer.len()).await?;
            }
            let chunk = self.buffer.split_to(size);
            self.end_chunk().await?;
            if body.is_empty() { body = chunk } else { body.extend_from_slice(&chunk) }
        }
    }

    async fn end_chunk(&mut self) -> Result<(), Fault> {
        while self.buffer.len() < 2 {
            self.read_more(READ_BYTES).await?;
        }
        if self.buffer.split_to(2) == b"\r\n"[..] { Ok(()) } else { Err(Fault::Broken) }
    }

    /// What has come, at most `max` bytes of it; waits for more if that is nothing. Empty at the end of the connection.
    async fn read_piece(&mut self, max: usize) -> Result<Bytes, Fault> {
        if self.buffer.is_empty() {
            self.read_some(max.min(PIECE_BYTES)).await?;
        }
        let length = self.buffer.len().min(max);
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_chunk_size(&mut self) -> Result<u64, Fault> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((line, size))) => {
                    drop(self.buffer.split_to(line));
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < READ_BYTES => self.read_more(READ_BYTES).await?,
                _ => return Err(Fault::Broken),
            }
        }
    }

    /// They end with an empty line, and nobody wants them.
    async fn read_trailers(&mut self) -> Result<(), Fault> {
        let mut length = 0;
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if line == b"\r\n"[..] || line == b"\n"[..] {
                    return Ok(());
                }
                length += line.len();
            }
            if length + self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Fault::Broken);
            }
            self.read_more(READ_BYTES).await?;
        }
    }

    /// At least one byte more, or a fault.
    async fn read_more(&mut self, room: usize) -> Result<(), Fault> {
        if self.read_some(room).await? > 0 { Ok(()) } else { Err(Fault::Broken) }
    }

    /// 0 at the end of the connection.
    async fn read_some(&mut self, room: usize) -> Result<usize, Fault> {
        self.buffer.reserve(room);
        self.stream.read_buf(&mut self.buffer).await.map_err(|_| Fault::Broken)
    }
}

/// Bytes of a body that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer whose body comes in pieces. When it is dropped before its end, so is its connection.
pub struct Streamed<'r> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    left: Framing,
    /// Bytes that are left of a chunk.
    in_chunk: usize,
    /// `None` after the end.
    source: Option<Source<'r>>,
}

struct Source<'r> {
    pool: &'r Pool,
    authority: &'r str,
    connection: Connection,
    is_kept: bool,
}

impl Streamed<'_> {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let connection = &mut source.connection;
        let piece = match &mut self.left {
            Framing::Length(0) => Bytes::new(),
            Framing::UntilEnd => connection.read_piece(usize::MAX).await?,
            Framing::Length(left) => {
                let piece = some(connection.read_piece(*left).await?)?;
                *left -= piece.len();
                piece
            }
            Framing::Chunked => {
                if self.in_chunk == 0 {
                    let size = connection.read_chunk_size().await?;
                    self.in_chunk = usize::try_from(size).map_err(|_| Fault::TooLarge)?;
                }
                if self.in_chunk == 0 {
                    connection.read_trailers().await?;
                    Bytes::new()
                } else {
                    let piece = some(connection.read_piece(self.in_chunk).await?)?;
                    self.in_chunk -= piece.len();
                    if self.in_chunk == 0 {
                        connection.end_chunk().await?;
                    }
                    piece
                }
            }
        };
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
        if let Some(Source { pool, authority, connection, is_kept: true }) = self.source.take() {
            pool.put(authority, connection);
        }
        Ok(None)
    }
}

/// Not the end of the connection.
fn some(piece: Bytes) -> Result<Bytes, Fault> {
    if piece.is_empty() { Err(Fault::Broken) } else { Ok(piece) }
}

/// Request line and headers.
fn encode(request: &Request<'_>) -> Vec<u8> {
    let Request { method, authority, target, headers, body, .. } = request;
    let mut head = Vec::with_capacity(512);
    let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    add(&[method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    if !headers.contains_key(header::HOST) {
        add(&[b"host: ", authority.as_bytes(), b"\r\n"]);
    }
    for (name, value) in *headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    if !body.is_empty() || !matches!(**method, Method::GET | Method::HEAD | Method::DELETE) {
        add(&[b"content-length: ", body.len().to_string().as_bytes(), b"\r\n"]);
    }
    add(&[b"\r\n"]);
    head
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// Does the other side keep the connection?
    is_persistent: bool,
}

/// Headers of an answer.
const HEADERS_MAX: usize = 100;

/// Takes a head off the buffer, once it is whole.
fn parse_head(buffer: &mut BytesMut) -> Result<Option<Head>, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let Ok(status) = parsed.parse(buffer) else { return Err(Fault::Broken) };
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let is_current = parsed.version == Some(1);
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Fault::Broken)?;
    let mut names: Vec<(HeaderName, Range<usize>)> = Vec::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Fault::Broken)?;
        // The value is a part of the buffer, and stays there.
        let start = (field.value.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
        names.push((name, start..start + field.value.len()));
    }
    let head = buffer.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(names.len());
    for (name, range) in names {
        let value = if range.is_empty() { Bytes::new() } else { head.slice(range) };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Fault::Broken)?);
    }
    let closes = headers.get_all(header::CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or("close");
        value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
    });
    Ok(Some(Head { status, headers, is_persistent: is_current && !closes }))
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

/// RFC 9112, section 6.3. What two readers could understand differently is refused.
fn framing(method: &Method, head: &Head) -> Result<Framing, Fault> {
    if *method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::UntilEnd),
        (Some(coding), None) if codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (None, Some(length)) if lengths.all(|other| other == length) => {
            let text = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            text.and_then(|text| text.parse().ok()).map(Framing::Length).ok_or(Fault::Broken)
        }
        _ => Err(Fault::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers every request on every connection with these bytes; a connection ends after `per_connection` of them.
    fn server(answer: &'static [u8], per_connection: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    for _ in 0..per_connection {
                        if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) || stream.write_all(answer).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        authority
    }

    fn pool() -> Pool {
        Pool::new(Filtered::NOTHING, Duration::from_secs(5), Duration::from_secs(5))
    }

    async fn ask(pool: &Pool, authority: &str, method: Method, may_repeat: bool) -> Result<(u16, String), Fault> {
        let (headers, body) = (HeaderMap::new(), Bytes::from("{}"));
        let request = Request {
            method: &method,
            authority,
            target: "/x?y=1",
            headers: &headers,
            body: &body,
            may_repeat,
            answer_bytes_max: 10,
        };
        let answer = pool.exchange(request).await?;
        Ok((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The same in pieces.
    async fn ask_for_pieces(authority: &str) -> Result<(u16, String), Fault> {
        let (pool, headers, body) = (pool(), HeaderMap::new(), Bytes::from("{}"));
        let request = Request {
            method: &Method::POST,
            authority,
            target: "/",
            headers: &headers,
            body: &body,
            may_repeat: false,
            answer_bytes_max: 0,
        };
        let (mut answer, mut text) = (pool.stream(request).await?, String::new());
        while let Some(piece) = answer.next_chunk().await? {
            text += &String::from_utf8_lossy(&piece);
        }
        Ok((answer.status.as_u16(), text))
    }

    #[tokio::test]
    async fn answers_end_where_they_say() {
        let good = |text: &str| Ok((200, text.to_owned()));
        let cases: &[(&[u8], Result<(u16, String), Fault>)] = &[
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", good("ab")),
            (b"HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", good("ab")),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Ok((204, String::new()))),
            (b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", good("a")),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil end", good("until end")),
            (b"HTTP/1.0 200 OK\r\n\r\nold", good("old")),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
                good("abc"),
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", Err(Fault::Broken)),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                Err(Fault::Broken),
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n0\r\n\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", Err(Fault::TooLarge)),
            (b"HTTP/1.1 200 OK\r\n\r\nmore than ten", Err(Fault::TooLarge)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", Err(Fault::TooLarge)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Err(Fault::Broken)),
            (b"HTTP/1.1 2", Err(Fault::Broken)),
            (b"", Err(Fault::Broken)),
        ];
        for (bytes, wanted) in cases {
            let authority = server(bytes, 1);
            let got = ask(&pool(), &authority, Method::POST, true).await;
            assert_eq!(got, *wanted, "{}", String::from_utf8_lossy(bytes));
            let got = ask_for_pieces(&server(bytes, 1)).await;
            // There it is for others to say how much is too much; what is announced must come.
            let wanted = match wanted {
                Err(Fault::TooLarge) if bytes.ends_with(b"ten") => &Ok((200, "more than ten".into())),
                Err(Fault::TooLarge) => &Err(Fault::Broken),
                other => other,
            };
            assert_eq!(got, *wanted, "in pieces: {}", String::from_utf8_lossy(bytes));
        }
        let authority = server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1);
        assert_eq!(ask(&pool(), &authority, Method::HEAD, false).await, good(""));
    }

    fn waiting(pool: &Pool) -> usize {
        pool.idle().values().map(Vec::len).sum()
    }

    #[tokio::test]
    async fn connections_are_kept_as_long_as_they_are_good() {
        let pool = pool();
        let good = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 3);
        for _ in 0..3 {
            assert!(ask(&pool, &good, Method::POST, false).await.is_ok());
            assert_eq!(waiting(&pool), 1);
        }
        // The other side has closed it by now or will soon; whoever may repeat does not care.
        assert!(ask(&pool, &good, Method::POST, true).await.is_ok());
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            let before = waiting(&pool);
            assert!(ask(&pool, &server(bytes, 2), Method::POST, false).await.is_ok());
            assert_eq!(waiting(&pool), before, "{}", String::from_utf8_lossy(bytes));
        }
        let hasty = Pool::new(Filtered::NOTHING, Duration::from_secs(5), Duration::ZERO);
        assert!(ask(&hasty, &good, Method::POST, true).await.is_ok());
        hasty.sweep();
        assert_eq!(waiting(&hasty), 0);
    }

    #[test]
    fn a_request_as_it_goes_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("content-length", "7"), ("transfer-encoding", "chunked")] {
            headers.append(name, value.parse().expect("a value"));
        }
        let (method, body) = (Method::POST, Bytes::from_static(b"abc"));
        let request = Request {
            method: &method,
            authority: "a:1",
            target: "/",
            headers: &headers,
            body: &body,
            may_repeat: false,
            answer_bytes_max: 0,
        };
        let wanted = "POST / HTTP/1.1\r\nhost: a:1\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&encode(&request)), wanted);
        let (method, body, mut headers) = (Method::GET, Bytes::new(), headers.clone());
        headers.insert("host", "other".parse().expect("a value"));
        let request = Request { method: &method, body: &body, headers: &headers, ..request };
        let wanted = "GET / HTTP/1.1\r\nx-a: 1\r\nx-a: 2\r\nhost: other\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&encode(&request)), wanted);
    }
}
