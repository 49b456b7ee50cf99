//! The connection pool for HTTP/1.1 in clear text, which carries nearly every handler call and upstream request: one
//! request, one response, on keep-alive connections. General clients have a task for each connection, through which
//! every request and every piece of a response travels; that was half of the cost of a call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::{Service, ServiceExt};

use crate::http_client::TransportFault;
use crate::http_client::connection::{Connection, ExchangeError};
use crate::http_client::dns_filter::FilteringResolver;
use crate::http_client::message::{BodyLength, Request, Response, encode, encode_head};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::protocol::http1::framing::Framing;
use crate::protocol::http1::response::{ResponseHead, response_framing};

/// Connections that wait for the next request, by host and port.
pub(crate) struct Pool {
    connector: HttpConnector<FilteringResolver>,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

/// Since when they wait, the last one last.
type Idle = HashMap<Box<str>, Vec<(Instant, Connection)>>;

/// Of one host and port, so many connections wait at most on each thread. No more than were in use at one time wait for long:
/// the one that was used last is taken first. With fewer than that, every further request would open a connection and close it.
const IDLE_MAX: usize = 4096;

impl Pool {
    /// An empty one.
    #[must_use]
    pub(crate) fn new(resolver: FilteringResolver, connect_timeout: Duration, idle_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        Self { connector, idle_timeout, idle: Mutex::default() }
    }

    /// Sends a request and reads the whole response. When this is dropped, so is the connection.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportFault> {
        let (head, mut connection) = self.send(request).await?;
        let framing = response_framing(request.method, &head)?;
        let body = connection.read_body(framing, request.max_response_bytes, request.share).await?;
        if head.is_persistent && framing != Framing::Undeclared {
            self.put(request.authority, connection);
        }
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// Sends a request and reads the head of the response.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn stream<'r>(&'r self, request: &Request<'r>) -> Result<Streamed<'r>, TransportFault> {
        let (head, connection) = self.send(request).await?;
        self.streamed(request, head, connection)
    }

    fn streamed<'r>(
        &'r self,
        request: &Request<'r>,
        head: ResponseHead,
        connection: Connection,
    ) -> Result<Streamed<'r>, TransportFault> {
        let left = response_framing(request.method, &head)?;
        let ResponseHead { status, headers, is_persistent } = head;
        let is_kept = is_persistent && left != Framing::Undeclared;
        let source = Source { pool: self, authority: request.authority, connection, is_kept };
        Ok(Streamed { status, headers, left, source: Some(source), in_chunk: 0 })
    }

    /// Begins a request whose body is streamed; that in `request` is ignored. It has a connection of its own, because a
    /// streamed body cannot be sent again when a pooled connection turns out to be dead.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn upload<'r>(
        &'r self,
        request: Request<'r>,
        length: Option<usize>,
    ) -> Result<Upload<'r>, TransportFault> {
        let length = length.map_or(BodyLength::Chunked, BodyLength::Known);
        let mut connection = self.connect(request.authority).await?;
        let early = connection.send_part(&encode_head(&request, Some(length))).await?;
        Ok(Upload { pool: self, request, length, connection, early })
    }

    async fn send(&self, request: &Request<'_>) -> Result<(ResponseHead, Connection), TransportFault> {
        let head = encode(request);
        let mut old = self.take(request.authority);
        loop {
            let is_old = old.is_some();
            let mut connection = match old.take() {
                Some(connection) => connection,
                None => self.connect(request.authority).await?,
            };
            match connection.exchange(&head, request.body).await {
                Ok(head) => return Ok((head, connection)),
                // A second one would be a new connection, so this happens once.
                Err(ExchangeError::Unsent(_)) if is_old => {}
                Err(ExchangeError::NoResponse(_)) if is_old && request.replay.is_allowed() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Closes the connections that have waited for too long.
    pub(crate) fn sweep(&self) {
        self.idle().retain(|_, waiting| {
            waiting.retain(|(since, _)| since.elapsed() < self.idle_timeout);
            !waiting.is_empty()
        });
    }

    /// Closes all that wait.
    pub(crate) fn close_idle(&self) {
        self.idle().clear();
    }

    async fn connect(&self, authority: &str) -> Result<Connection, TransportFault> {
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
        let uri = uri.map_err(|error| TransportFault::unconnected(&error))?;
        let mut connector = self.connector.clone();
        let ready = connector.ready().await.map_err(|error| TransportFault::unconnected(&error))?;
        let stream = ready.call(uri).await.map_err(|error| TransportFault::unconnected(&error))?;
        Ok(Connection::new(stream.into_inner()))
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

    fn put(&self, authority: &str, mut connection: Connection) {
        if !connection.is_even() {
            return;
        }
        connection.release_buffer();
        let mut idle = self.idle();
        let entry = (Instant::now(), connection);
        match idle.get_mut(authority) {
            Some(waiting) if waiting.len() < IDLE_MAX => waiting.push(entry),
            Some(_) => {}
            None => drop(idle.insert(authority.into(), vec![entry])),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose body is streamed. When it is dropped before its end, so is its connection, and the peer has only a
/// part of the request.
pub(crate) struct Upload<'r> {
    pool: &'r Pool,
    request: Request<'r>,
    length: BodyLength,
    connection: Connection,
    /// The head of a response that has come before the end of the body.
    early: Option<ResponseHead>,
}

impl<'r> Upload<'r> {
    /// Sends a piece of the body; `false` once the peer does not want more.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<bool, TransportFault> {
        match self.length {
            BodyLength::Known(left) => {
                // More than was announced would be taken for the next request.
                self.length = BodyLength::Known(left.checked_sub(piece.len()).ok_or_else(not_as_announced)?);
                self.send(piece).await
            }
            // An empty chunk would be the last one.
            BodyLength::Chunked if piece.is_empty() => Ok(self.connection.takes_more()),
            BodyLength::Chunked => {
                self.send(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                self.send(piece).await?;
                self.send(b"\r\n").await
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<bool, TransportFault> {
        if self.connection.takes_more() {
            self.early = self.connection.send_part(bytes).await?;
        }
        Ok(self.connection.takes_more())
    }

    /// Ends the body, if the peer still wants it, and reads the head of the response.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn finish(mut self) -> Result<Streamed<'r>, TransportFault> {
        match self.length {
            BodyLength::Chunked => drop(self.send(b"0\r\n\r\n").await?),
            BodyLength::Known(1..) if self.connection.takes_more() => return Err(not_as_announced()),
            BodyLength::Known(_) => {}
        }
        let head = match self.early.take() {
            Some(head) => head,
            None => self.connection.read_response().await?,
        };
        self.pool.streamed(&self.request, head, self.connection)
    }
}

/// A response whose body comes in pieces. When it is dropped before its end, so is its connection.
pub(crate) struct Streamed<'r> {
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
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, TransportFault> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let connection = &mut source.connection;
        let piece = match &mut self.left {
            Framing::Length(0) => Bytes::new(),
            Framing::Undeclared => connection.read_piece(usize::MAX).await?,
            Framing::Length(left) => {
                let piece = some(connection.read_piece(*left).await?)?;
                *left -= piece.len();
                piece
            }
            Framing::Chunked => {
                if self.in_chunk == 0 {
                    let size = connection.read_chunk_size().await?;
                    self.in_chunk = usize::try_from(size).map_err(|_| TransportFault::TooLarge)?;
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
fn some(piece: Bytes) -> Result<Bytes, TransportFault> {
    if piece.is_empty() { Err(TransportFault::closed()) } else { Ok(piece) }
}

/// A body that has another length than its head said.
fn not_as_announced() -> TransportFault {
    TransportFault::Broken(Reason::new(ErrorKind::InvalidRequest, "the body has not the announced length"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use http::Method;

    use super::*;
    use crate::model::replay::Replay;

    /// Status and text.
    type Said = Result<(u16, String), ErrorKind>;

    fn kind_of(fault: TransportFault) -> ErrorKind {
        fault.reason().kind()
    }

    /// Responds to every request on every connection with these bytes; a connection ends after `per_connection` of
    /// them.
    fn server(response: &'static [u8], per_connection: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    for _ in 0..per_connection {
                        if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) || stream.write_all(response).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        authority
    }

    fn pool() -> Pool {
        Pool::new(FilteringResolver::NOTHING, Duration::from_secs(5), Duration::from_secs(5))
    }

    async fn send(pool: &Pool, authority: &str, method: Method, replay: bool) -> Said {
        let (headers, body) = (HeaderMap::new(), Bytes::from("{}"));
        let request = Request {
            method: &method,
            authority,
            target: "/x?y=1",
            headers: &headers,
            body: &body,
            replay: Replay::of(replay),
            max_response_bytes: 10,
            share: None,
        };
        let response = pool.exchange(&request).await.map_err(kind_of)?;
        Ok((response.status.as_u16(), String::from_utf8_lossy(&response.body).into_owned()))
    }

    fn posted<'r>(authority: &'r str, headers: &'r HeaderMap, body: &'r Bytes) -> Request<'r> {
        let method = &Method::POST;
        Request {
            method,
            authority,
            target: "/",
            headers,
            body,
            replay: Replay::Never,
            max_response_bytes: 10,
            share: None,
        }
    }

    /// The same in pieces.
    async fn ask_for_pieces(authority: &str) -> Said {
        let (pool, headers, body) = (pool(), HeaderMap::new(), Bytes::from("{}"));
        let request = Request { max_response_bytes: 0, ..posted(authority, &headers, &body) };
        let (mut response, mut text) = (pool.stream(&request).await.map_err(kind_of)?, String::new());
        while let Some(piece) = response.next_chunk().await.map_err(kind_of)? {
            text += &String::from_utf8_lossy(&piece);
        }
        Ok((response.status.as_u16(), text))
    }

    #[tokio::test]
    async fn responses_end_where_they_say() {
        let good = |text: &str| Ok((200, text.to_owned()));
        let cases: &[(&[u8], Said)] = &[
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
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Err(ErrorKind::ConnectionClosed)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", Err(ErrorKind::InvalidHttp)),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                Err(ErrorKind::InvalidHttp),
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n0\r\n\r\n",
                Err(ErrorKind::InvalidHttp),
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", Err(ErrorKind::ConnectionClosed)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\nab\r\n0\r\n\r\n",
                Err(ErrorKind::InvalidHttp),
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: u\n\n", Err(ErrorKind::InvalidHttp)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
                Err(ErrorKind::InvalidHttp),
            ),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", Err(ErrorKind::TooLarge)),
            (b"HTTP/1.1 200 OK\r\n\r\nmore than ten", Err(ErrorKind::TooLarge)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", Err(ErrorKind::TooLarge)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", Err(ErrorKind::InvalidHttp)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Err(ErrorKind::InvalidHttp)),
            (b"HTTP/1.1 2", Err(ErrorKind::ConnectionClosed)),
            (b"", Err(ErrorKind::ConnectionClosed)),
        ];
        for (bytes, wanted) in cases {
            let authority = server(bytes, 1);
            let got = send(&pool(), &authority, Method::POST, true).await;
            assert_eq!(got, *wanted, "{}", String::from_utf8_lossy(bytes));
            let got = ask_for_pieces(&server(bytes, 1)).await;
            // The limit is the caller's; the announced length must arrive.
            let wanted = match wanted {
                Err(ErrorKind::TooLarge) if bytes.ends_with(b"ten") => &Ok((200, "more than ten".into())),
                Err(ErrorKind::TooLarge) => &Err(ErrorKind::ConnectionClosed),
                other => other,
            };
            assert_eq!(got, *wanted, "in pieces: {}", String::from_utf8_lossy(bytes));
        }
        let authority = server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1);
        assert_eq!(send(&pool(), &authority, Method::HEAD, false).await, good(""));
    }

    #[tokio::test]
    async fn a_connection_that_waits_holds_nothing_of_the_last_response() {
        let authority = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2);
        let (pool, headers, body) = (pool(), HeaderMap::new(), Bytes::new());
        let response = pool.exchange(&posted(&authority, &headers, &body)).await.expect("a response");
        assert_eq!(waiting(&pool), 1);
        drop(response.headers);
        assert!(response.body.is_unique());
    }

    #[tokio::test]
    async fn an_early_response_ends_the_upload() {
        let authority = server(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", 1);
        // The peer reads a little, responds, and goes on to the next read that never comes.
        let (pool, headers, body) = (pool(), HeaderMap::new(), Bytes::from(vec![b' '; 20 << 20]));
        let response = pool.exchange(&posted(&authority, &headers, &body)).await.expect("a response");
        assert_eq!((response.status.as_u16(), &response.body[..], waiting(&pool)), (413, &b"no"[..], 0));
    }

    #[tokio::test]
    async fn an_interim_response_does_not_end_the_upload() {
        const LENGTH: usize = 20 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("its address").to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut read = stream.read(&mut [0; 4096]).expect("a head");
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n").expect("a client");
            // Long enough for the client to fill what the system holds, and to look.
            std::thread::sleep(Duration::from_millis(200));
            while read < LENGTH {
                read += stream.read(&mut [0; 65536]).expect("the body");
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall").expect("a client");
        });
        let (pool, headers, body) = (pool(), HeaderMap::new(), Bytes::from(vec![b' '; LENGTH]));
        let request = posted(&authority, &headers, &body);
        let response = tokio::time::timeout(Duration::from_secs(10), pool.exchange(&request)).await;
        let response = response.expect("a response in time").expect("a response");
        assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"all"[..]));
    }

    fn waiting(pool: &Pool) -> usize {
        pool.idle().values().map(Vec::len).sum()
    }

    #[tokio::test]
    async fn as_many_connections_are_kept_as_were_in_use() {
        let (pool, good) = (pool(), server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 2));
        let in_flight = (0..300).map(|_| send(&pool, &good, Method::POST, true));
        let responses = futures_util::future::join_all(in_flight).await;
        assert!(responses.iter().all(Result::is_ok), "{responses:?}");
        assert_eq!(waiting(&pool), 300);
        pool.close_idle();
        assert_eq!(waiting(&pool), 0);
    }

    #[tokio::test]
    async fn connections_are_kept_as_long_as_they_are_good() {
        let pool = pool();
        let good = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 3);
        for _ in 0..3 {
            assert!(send(&pool, &good, Method::POST, false).await.is_ok());
            assert_eq!(waiting(&pool), 1);
        }
        // The peer has closed it by now or will soon; a request that may be replayed is not affected.
        assert!(send(&pool, &good, Method::POST, true).await.is_ok());
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            let before = waiting(&pool);
            assert!(send(&pool, &server(bytes, 2), Method::POST, false).await.is_ok());
            assert_eq!(waiting(&pool), before, "{}", String::from_utf8_lossy(bytes));
        }
        let hasty = Pool::new(FilteringResolver::NOTHING, Duration::from_secs(5), Duration::ZERO);
        assert!(send(&hasty, &good, Method::POST, true).await.is_ok());
        hasty.sweep();
        assert_eq!(waiting(&hasty), 0);
    }
}
