//! A server that answers what it is told, fails as it is told, and remembers what it has seen. It plays the handlers,
//! and the upstream where a fault has to be produced on purpose.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::message::{Message, read_body, read_head};

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A well-formed answer.
    Answer {
        /// Its status code.
        status: u16,
        /// Its headers, but for `Content-Length`.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Vec<u8>,
    },
    /// The same after a while.
    Late(Duration, Box<Reply>),
    /// These bytes, whatever they are; then the connection ends.
    Raw(Vec<u8>),
    /// These bytes, one in a hundred milliseconds.
    Drip(Vec<u8>),
    /// These bytes, and then nothing, until the other side gives up.
    Open(Vec<u8>),
    /// A head that promises more bytes than this, of which so many come.
    Huge(usize),
    /// Nothing, until the other side gives up.
    Hang,
    /// The end of the connection.
    Close,
}

impl Reply {
    /// JSON with status 200.
    pub fn json(text: &str) -> Self {
        Self::status(200, text)
    }

    /// JSON.
    pub fn status(status: u16, text: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self::Answer { status, headers, body: text.as_bytes().to_vec() }
    }
}

#[derive(Default)]
struct State {
    /// By path, without the query.
    replies: Mutex<HashMap<String, Reply>>,
    /// By a word of the body, before the path is looked at.
    worded: Mutex<HashMap<String, Reply>>,
    seen: Mutex<Vec<Message>>,
    connections: AtomicUsize,
    closed: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

/// The server. It ends when it is dropped.
pub struct Scripted {
    /// Where it listens.
    pub port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripted {
    /// The path of the reply to whatever has none.
    pub const OTHERWISE: &'static str = "otherwise";

    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Starts one on this port.
    pub fn start_on(port: u16) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", port)).expect("the port is free"))
    }

    fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let listener = std::thread::spawn(move || {
            for stream in listener.incoming() {
                // `drop` connects once more, so that this is seen.
                let (Ok(stream), false) = (stream, shared.is_over.load(Ordering::Acquire)) else { return };
                shared.connections.fetch_add(1, Ordering::Relaxed);
                lock(&shared.open).extend(stream.try_clone());
                let state = Arc::downgrade(&shared);
                std::thread::spawn(move || {
                    let of_end = state.clone();
                    serve(stream, &|request| {
                        let state = state.upgrade()?;
                        let path = request.path().split('?').next().unwrap_or_default().to_owned();
                        let worded = lock(&state.worded)
                            .iter()
                            .find(|(word, _)| request.body.windows(word.len()).any(|part| part == word.as_bytes()))
                            .map(|(_, reply)| reply.clone());
                        lock(&state.seen).push(request);
                        if worded.is_some() {
                            return worded;
                        }
                        let replies = lock(&state.replies);
                        let reply = replies.get(&path).or_else(|| replies.get(Scripted::OTHERWISE)).cloned();
                        Some(reply.unwrap_or_else(|| Reply::status(404, "{}")))
                    });
                    of_end.upgrade().map(|state| state.closed.fetch_add(1, Ordering::Relaxed));
                });
            }
        });
        Self { port, state, listener: Some(listener) }
    }

    /// Says how requests to `path` are answered from now on.
    pub fn on_path(&self, path: &str, reply: Reply) {
        lock(&self.state.replies).insert(path.to_owned(), reply);
    }

    /// Says how requests with this word in their body are answered from now on, wherever they go.
    pub fn on_word(&self, word: &str, reply: Reply) {
        lock(&self.state.worded).insert(word.to_owned(), reply);
    }

    /// All requests since the last call.
    pub fn take_seen(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.state.seen))
    }

    /// How many connections have ended.
    pub fn closed(&self) -> usize {
        self.state.closed.load(Ordering::Relaxed)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Release);
        for stream in lock(&self.state.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        // The port is free again when this returns.
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

/// Serves a connection until it ends, or until there is no reply.
pub fn serve(stream: TcpStream, reply_to: &dyn Fn(Message) -> Option<Reply>) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Ok(Some(mut request)) = read_head(&mut reader) {
        if request.header("expect").is_some() {
            let _ = reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let Ok(body) = read_body(&mut reader, &request, false) else { return };
        request.body = body;
        let Some(reply) = reply_to(request) else { return };
        if !carry_out(reply, &mut reader) {
            let _ = reader.get_ref().shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Whether the connection goes on.
fn carry_out(reply: Reply, reader: &mut BufReader<TcpStream>) -> bool {
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Said\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if status != 204 {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            let bytes = [format!("{head}\r\n").as_bytes(), &body].concat();
            reader.get_mut().write_all(&bytes).is_ok()
        }
        Reply::Late(delay, reply) => {
            std::thread::sleep(delay);
            carry_out(*reply, reader)
        }
        Reply::Raw(bytes) => {
            let _ = reader.get_mut().write_all(&bytes);
            false
        }
        Reply::Drip(bytes) => {
            for byte in bytes {
                if reader.get_mut().write_all(&[byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            false
        }
        Reply::Huge(length) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", length + 1);
            let _ = reader.get_mut().write_all(head.as_bytes());
            let chunk = vec![b' '; 64 * 1024];
            let mut left = length;
            while left > 0 && reader.get_mut().write_all(&chunk[..left.min(chunk.len())]).is_ok() {
                left = left.saturating_sub(chunk.len());
            }
            false
        }
        Reply::Open(bytes) => {
            let _ = reader.get_mut().write_all(&bytes);
            let _ = reader.read(&mut [0]);
            false
        }
        Reply::Hang => {
            let _ = reader.read(&mut [0]);
            false
        }
        Reply::Close => false,
    }
}
