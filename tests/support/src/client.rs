//! A client that sends exactly the bytes it is told to.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::message::{Message, read_body, read_head};

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// What it says the host is called.
    host: String,
}

impl Client {
    /// Connects to a port of loopback.
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("a connection")
    }

    /// The same where nobody may listen.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        TcpStream::connect(("127.0.0.1", port)).map(Self::over)
    }

    /// Connects to an admin listener, which answers under its address.
    pub fn admin(port: u16) -> Self {
        Self::connect(port).with_host(&format!("127.0.0.1:{port}"))
    }

    /// Calls the host by this name.
    pub fn with_host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// Speaks over a connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::with_capacity(64 * 1024, stream), host: "api.example".into() }
    }

    /// Sends bytes. The other side may have closed already, so a failure shows in what is read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads a response; `None` if the connection ended instead.
    pub fn read_response(&mut self) -> Option<Message> {
        self.try_read_response().ok()
    }

    fn try_read_response(&mut self) -> io::Result<Message> {
        let mut answer = read_head(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if answer.status() >= 200 {
            answer.body = read_body(&mut self.stream, &answer, true)?;
        }
        Ok(answer)
    }

    /// Has the other side closed the connection, with nothing more on it?
    pub fn is_closed(&mut self) -> bool {
        read_head(&mut self.stream).map_or(true, |head| head.is_none())
    }

    /// The socket itself.
    pub fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.stream
    }

    /// The connection alone, without room for what comes on it.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// Sends a request with a body and a length, and reads the response.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
        self.try_request(method, path, headers, body).expect("a response")
    }

    /// The same where the other side may break off.
    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Message> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send(&[head.as_bytes(), body].concat());
        self.try_read_response()
    }

    /// Posts JSON to `/graphql`.
    pub fn post(&mut self, json: &str) -> Message {
        self.request("POST", "/graphql", &[("Content-Type", "application/json")], json.as_bytes())
    }

    /// Posts a document to `/graphql`.
    pub fn ask(&mut self, document: &str) -> Message {
        self.post(&serde_json::json!({ "query": document }).to_string())
    }
}
