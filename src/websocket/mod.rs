//! WebSocket sessions: GraphQL operations side by side on one connection. Those with actions run here, all others on
//! one socket to the upstream. Events of the upstream's subscriptions with extension fields are completed here.

mod completed_events;
mod event;
#[doc(hidden)]
pub(crate) mod headers;
mod metered;
mod operation;
mod queue;
pub(crate) mod session;
mod session_times;
mod upstream_reader;
mod upstream_routes;
mod upstream_socket;

use std::borrow::Cow;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How long a client may take to introduce itself.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the upstream may take to acknowledge a client that waits for its own acknowledgement. Afterwards we
/// acknowledge the client, and its first operation for the upstream connects again.
const UPSTREAM_INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a client hears from us, whatever happens.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long a client may take to read how a conversation ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of the read buffer of each client's socket; longer messages are read in pieces. The library fills it with zeros before each
/// read, so that all of it is resident.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// The same of sockets to the upstream, whose messages are longer.
const UPSTREAM_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Write timeout of a message: a slow client that reads slower than that is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Operations at one time on one connection.
const OPERATIONS_MAX: usize = 100;

/// The client's `connection_init` payload is held several times: as it came, as headers of its own, and with those of
/// its request.
const INIT_COPIES: usize = 3;

/// Bytes that an operation takes beside its payload: the task that runs it.
const OPERATION_BYTES: usize = 8 * 1024;

/// Results that wait to be sent.
const EVENTS_MAX: usize = 256;

/// Events of one of the upstream's subscriptions that wait to be completed. Then its socket is not read.
const UPSTREAM_EVENTS_MAX: usize = 16;

/// Pings of a client in ten seconds.
const PINGS_MAX: usize = 100;

/// How a connection is closed: a status code and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Close(u16, Cow<'static, str>);

impl Close {
    const fn known(code: u16, reason: &'static str) -> Self {
        Self(code, Cow::Borrowed(reason))
    }

    /// With a reason that is cut where a close frame ends: RFC 6455, section 5.5.
    fn because(code: u16, mut reason: String) -> Self {
        reason.truncate(reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX));
        Self(code, reason.into())
    }

    /// The other side's close frame, if its code is one that may be sent on: RFC 6455, section 7.4.
    fn of_frame(frame: &CloseFrame) -> Option<Self> {
        frame.code.is_allowed().then(|| Self::because(frame.code.into(), frame.reason.to_string()))
    }

    fn into_frame(self) -> CloseFrame {
        let Self(code, reason) = self;
        CloseFrame { code: code.into(), reason: reason.into_owned().into() }
    }
}

/// A control frame has 125 bytes, of which the code takes two.
const CLOSE_REASON_BYTES_MAX: usize = 123;

const GOING_AWAY: Close = Close::known(1001, "shutting server down");
const RESTARTING: Close = Close::known(1012, "shutting server down");
/// Clients of both protocols reconnect after it, and subscribe again.
const UPSTREAM_LOST: Close = Close::known(1012, "the connection to the upstream was lost");
const UPSTREAM_UNAVAILABLE: u16 = 1013;
const TRY_AGAIN: Close = Close::known(1013, "try again later");
const NO_UTF8: Close = Close::known(1007, "this is not UTF-8");
const TOO_LARGE: Close = Close::known(1009, "the message is too large");
const TOO_MANY_PINGS: Close = Close::known(1008, "too many pings");
const BAD_REQUEST: Close = Close::known(4400, "Invalid message");
const BAD_INIT: Close = Close::known(4400, "the payload of connection_init must be an object");
const UNAUTHORIZED: Close = Close::known(4401, "Unauthorized");
const FORBIDDEN: Close = Close::known(4403, "Forbidden");
const ALREADY_EXISTS: u16 = 4409;
const INIT_TOO_LATE: Close = Close::known(4408, "Connection initialisation timeout");
const TOO_MANY_INITS: Close = Close::known(4429, "Too many initialisation requests");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_is_handed_on_if_it_may_be_sent() {
        let frame = |code: u16, reason: &str| CloseFrame { code: code.into(), reason: reason.into() };
        assert_eq!(Close::of_frame(&frame(4403, "Forbidden")), Some(FORBIDDEN));
        assert_eq!(Close::of_frame(&frame(1005, "")), None);
        assert_eq!(Close::of_frame(&frame(1006, "")), None);
        let long = Close::because(4500, "é".repeat(100));
        assert_eq!(long.1.len(), 122);
    }
}
