//! An upstream and a handler in the process that measures, so that both ends are timed by one clock.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pillion_test_support::message::Message;
use pillion_test_support::scripted::{self, Reply};
use pillion_test_support::websocket::{MODERN, ready_at, say, start};
use tungstenite::handshake::server::{Request, Response};

use crate::tools::Fallible;

/// How many events a subscription has.
pub const EVENTS: usize = 2_000;

/// The delay of a late handler: a client waits for it by then.
const LATE: Duration = Duration::from_millis(100);

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Since the program began.
fn clock() -> Duration {
    BEGINNING.elapsed()
}

/// When an event was sent, if it is one.
fn read_event(text: &str) -> Option<Duration> {
    let nanoseconds = text.split("\"times\":").nth(1)?.split('}').next()?;
    nanoseconds.parse().ok().map(Duration::from_nanos)
}

/// Subscribes to all events; how many milliseconds each was under way.
pub fn event_delays(port: u16) -> Fallible<Vec<f64>> {
    let mut socket = ready_at(port, MODERN, &[], "{}");
    say(&mut socket, &start("1", "subscription { times }"));
    let mut delays = Vec::with_capacity(EVENTS);
    while delays.len() < EVENTS {
        let message = socket.read()?;
        let now = clock();
        if let Some(sent) = read_event(message.to_text()?) {
            delays.push((now - sent).as_secs_f64() * 1000.0);
        }
    }
    Ok(delays)
}

/// By the id of each call.
type Calls = Arc<Mutex<HashMap<String, Instant>>>;

/// Listens until the program ends.
pub struct Server {
    pub port: u16,
    calls: Calls,
}

impl Server {
    pub fn start() -> Fallible<Self> {
        LazyLock::force(&BEGINNING);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, calls) = (listener.local_addr()?.port(), Calls::default());
        let theirs = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let calls = Arc::clone(&theirs);
                // The client has disconnected.
                std::thread::spawn(move || drop(serve(stream, &calls)));
            }
        });
        Ok(Self { port, calls })
    }

    /// When the handler got a call, or responded to it if it is late; `None` if it does not in time.
    pub fn called(&self, id: &str, patience: Duration) -> Option<Instant> {
        let started = Instant::now();
        while started.elapsed() < patience {
            let called = self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            if called.is_some() {
                return called;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        None
    }
}

fn serve(stream: TcpStream, calls: &Calls) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let mut start = [0; 1024];
    let count = stream.peek(&mut start)?;
    let start = String::from_utf8_lossy(start.get(..count).unwrap_or_default()).to_ascii_lowercase();
    if start.contains("upgrade: websocket") {
        return speak(stream);
    }
    scripted::serve(stream, &|request| Some(respond(&request, calls)));
    Ok(())
}

/// `/handler` at once, `/handler/late` after `LATE`, `/handler/wait/5` after 5 ms, `/handler/hang` never; the upstream
/// everywhere else.
fn respond(request: &Message, calls: &Calls) -> Reply {
    let heard = Instant::now();
    let path = request.path();
    if path.starts_with("/handler/hang") {
        return Reply::Hang;
    }
    let is_late = path.starts_with("/handler/late");
    let wait = path.strip_prefix("/handler/wait/").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    std::thread::sleep(if is_late { LATE } else { wait.unwrap_or_default() });
    let now = if is_late { Instant::now() } else { heard };
    if let Some(id) = request.header("idempotency-key") {
        calls.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), now);
    }
    let is_handler = path.starts_with("/handler");
    Reply::json(if is_handler { r#"{"ok":true}"# } else { r#"{"data":{"__typename":"Query"}}"# })
}

/// Sends the time again and again, once it is subscribed to.
#[allow(clippy::result_large_err, reason = "it is how the library has its callback")]
fn speak(stream: TcpStream) -> Fallible<()> {
    let mut socket = tungstenite::accept_hdr(stream, |request: &Request, mut response: Response| {
        if let Some(protocol) = request.headers().get("Sec-WebSocket-Protocol") {
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol.clone());
        }
        Ok(response)
    })?;
    loop {
        let tungstenite::Message::Text(text) = socket.read()? else { continue };
        if text.contains("connection_init") {
            socket.send(tungstenite::Message::text(r#"{"type":"connection_ack"}"#))?;
        } else if text.contains("\"subscribe\"") {
            let id = text.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            for _ in 0..EVENTS {
                std::thread::sleep(Duration::from_millis(1));
                let now = clock().as_nanos();
                let event = format!(r#"{{"type":"next","id":"{id}","payload":{{"data":{{"times":{now}}}}}}}"#);
                socket.send(tungstenite::Message::text(event))?;
            }
        }
    }
}
