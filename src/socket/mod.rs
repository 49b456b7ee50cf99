//! A client's socket: GraphQL operations side by side on one connection. Those with actions run here, all others on one
//! socket to the engine.

mod conversation;
mod engine;
mod headers;

pub use conversation::{Visitor, converse};

use std::time::Duration;

/// How long a client may take to introduce itself.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a client hears from us, whatever happens.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// At the end of the process each socket adds so much to the time over which all of them are closed, so that not all
/// clients come back at once.
const FAREWELL: Duration = Duration::from_millis(10);

/// How long a client may take to read how a conversation ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of each socket's read buffer; longer messages are read in pieces.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// How long a message may take to be sent: whoever reads slower than that is let go.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Operations at one time on one connection.
const OPERATIONS_MAX: usize = 100;

/// Results that wait to be sent.
const EVENTS_MAX: usize = 256;

/// Pings of a client in ten seconds.
const PINGS_MAX: usize = 100;

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Close(u16, &'static str);

const GOING_AWAY: Close = Close(1001, "shutting server down");
const RESTARTING: Close = Close(1012, "shutting server down");
const NO_TEXT: Close = Close(1003, "only text messages are understood");
const NO_UTF8: Close = Close(1007, "this is not UTF-8");
const TOO_LARGE: Close = Close(1009, "the message is too large");
const TOO_MANY_PINGS: Close = Close(1008, "too many pings");
const BAD_REQUEST: Close = Close(4400, "Invalid message");
const UNAUTHORIZED: Close = Close(4401, "Unauthorized");
const FORBIDDEN: Close = Close(4403, "Forbidden");
const INIT_TOO_LATE: Close = Close(4408, "Connection initialisation timeout");
const TOO_MANY_INITS: Close = Close(4429, "Too many initialisation requests");
