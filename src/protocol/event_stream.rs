//! Parses server-sent events (SSE): <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use std::borrow::Cow;

use memchr::memchr2;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSentEvent {
    /// Its type, empty if it has none.
    pub name: String,
    /// Its data; lines are separated by line feeds.
    pub data: String,
}

/// An event is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge;

/// Parses a stream that comes in pieces.
///
/// # Examples
/// ```
/// use pillion::protocol::event_stream::EventParser;
///
/// let mut parser = EventParser::new(1024);
/// assert!(parser.push(b"event: next\r\nda").unwrap().is_empty());
/// let events = parser.push(b"ta: {}\r\n\r\n: still here\n\n").unwrap();
/// assert_eq!((events.len(), events[0].name.as_str(), events[0].data.as_str()), (1, "next", "{}"));
/// ```
#[derive(Debug)]
pub struct EventParser {
    bytes_max: usize,
    /// The beginning of a line.
    line: Vec<u8>,
    /// The lines before it, with a line feed after each of data.
    event: Option<ServerSentEvent>,
    /// Was the last byte a carriage return? A line feed after it belongs to it.
    after_return: bool,
}

impl EventParser {
    /// At the beginning of a stream whose events have at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, line: Vec::new(), event: None, after_return: false }
    }

    /// Bytes of the event that is not complete.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.line.len() + self.event.as_ref().map_or(0, |event| event.name.len() + event.data.len())
    }

    /// The events that end in the next piece of the stream.
    ///
    /// # Errors
    /// [`EventTooLarge`].
    pub fn push(&mut self, mut piece: &[u8]) -> Result<Vec<ServerSentEvent>, EventTooLarge> {
        let mut events = Vec::new();
        while let Some((first, rest)) = piece.split_first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                piece = rest;
                continue;
            }
            let end = memchr2(b'\n', b'\r', piece);
            let (line, rest) = piece.split_at_checked(end.unwrap_or(piece.len())).unwrap_or_default();
            if self.held_bytes().saturating_add(line.len()) > self.bytes_max {
                return Err(EventTooLarge);
            }
            self.line.extend_from_slice(line);
            let Some((end, rest)) = rest.split_first() else { break };
            self.after_return = *end == b'\r';
            piece = rest;
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// A line is complete; the event is, if the line is empty.
    fn end_line(&mut self) -> Option<ServerSentEvent> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_prefix('\u{feff}').map_or(text.as_ref(), |text| text);
        if text.is_empty() {
            let mut event = self.event.take()?;
            event.data.pop();
            return Some(event);
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = Cow::Borrowed(value.strip_prefix(' ').unwrap_or(value));
        match field {
            "event" => self.event.get_or_insert_default().name = value.into_owned(),
            "data" => {
                let event = self.event.get_or_insert_default();
                event.data.push_str(&value);
                event.data.push('\n');
            }
            // A comment, or what only clients that reconnect use.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> ServerSentEvent {
        ServerSentEvent { name: name.into(), data: data.into() }
    }

    #[test]
    fn events_wherever_the_stream_is_cut() {
        let stream = "\u{feff}: hello\n\nevent: next\ndata: {\"a\":\ndata: 1}\nid: 7\n\ndata:x\r\rretry: 5\r\n\r\n\
                      event: complete\r\ndata:\r\n\r\nevent:ping\n\ndata\n\ndata: cut";
        let wanted =
            [event("next", "{\"a\":\n1}"), event("", "x"), event("complete", ""), event("ping", ""), event("", "")];
        for size in 1..stream.len() {
            let mut parser = EventParser::new(100);
            let pieces = stream.as_bytes().chunks(size).map(|piece| parser.push(piece));
            let events: Vec<_> = pieces.flat_map(|events| events.expect("they are small")).collect();
            assert_eq!(events, wanted, "{size}");
            assert_eq!(parser.held_bytes(), "data: cut".len());
        }
    }

    #[test]
    fn large_events_are_an_error_in_one_line_or_many() {
        assert_eq!(EventParser::new(8).push(b"data: 123"), Err(EventTooLarge));
        assert_eq!(EventParser::new(8).push(b"data: 12\n\n"), Ok(vec![event("", "12")]));
        assert_eq!(EventParser::new(8).push(&b"data: 1\n".repeat(4)), Err(EventTooLarge));
    }
}
