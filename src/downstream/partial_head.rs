//! Incomplete request heads: buffers them so that slow, byte-by-byte heads cost linear time. Their parsers (pingora's,
//! and httparse under ours) start over with each piece, which is quadratic. So a parser gets a head when it is
//! complete, or twice as long as last time: then each byte is read twice on average. Pure.

use bytes::BytesMut;

/// The first time that half a head is given on.
const FIRST_BYTES: usize = 1024;

/// When half a head is worth being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looks {
    next: usize,
}

impl Default for Looks {
    fn default() -> Self {
        Self { next: FIRST_BYTES }
    }
}

impl Looks {
    /// Is it time, now that so many bytes of the head are there?
    pub(crate) fn are_due(&mut self, bytes: usize) -> bool {
        let is_due = bytes >= self.next;
        if is_due {
            self.next = bytes.saturating_mul(2);
        }
        is_due
    }
}

/// The bytes of a connection that are held back, or are ready to be passed on.
#[derive(Debug, Default)]
pub(crate) struct PartialHead {
    /// The end of half a head.
    kept: BytesMut,
    ready: BytesMut,
    looks: Looks,
}

impl PartialHead {
    /// `read` has arrived; an incomplete head starts or continues at its end, of which `begun` bytes have arrived in
    /// all. Returns how many bytes of `read` may be passed on as they are; the rest that may be is [`Self::ready`].
    pub(crate) fn take(&mut self, read: &[u8], begun: usize) -> usize {
        let (front, half) = read.split_at(read.len() - begun.min(read.len()));
        let goes_on = begun > read.len();
        if !goes_on {
            // The head before is whole, if there was one.
            self.looks = Looks::default();
            if !self.kept.is_empty() {
                self.ready.unsplit(std::mem::take(&mut self.kept));
            }
        }
        let at_once = if self.ready.is_empty() { front.len() } else { 0 };
        self.ready.extend_from_slice(front.get(at_once..).unwrap_or_default());
        self.kept.extend_from_slice(half);
        if self.looks.are_due(begun) {
            self.ready.unsplit(std::mem::take(&mut self.kept));
        }
        at_once
    }

    /// Has all been given on?
    #[must_use]
    pub(crate) fn are_given(&self) -> bool {
        self.kept.is_empty() && self.ready.is_empty()
    }

    /// The bytes to pass on next, `bytes_max` of them at most.
    pub(crate) fn ready(&mut self, bytes_max: usize) -> Option<BytesMut> {
        let count = self.ready.len().min(bytes_max);
        (count > 0).then(|| self.ready.split_to(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader is given of these pieces, each with how much of half a head there is after it.
    fn given(pieces: &[(&str, usize)]) -> Vec<String> {
        let mut heads = PartialHead::default();
        let mut given = Vec::new();
        for (piece, begun) in pieces {
            let at_once = heads.take(piece.as_bytes(), *begun);
            let ready = heads.ready(usize::MAX).unwrap_or_default();
            assert!(at_once == 0 || ready.is_empty(), "in order");
            given.push(format!("{}{}", piece.get(..at_once).unwrap_or_default(), String::from_utf8_lossy(&ready)));
        }
        given
    }

    #[test]
    fn half_a_head_waits_for_the_rest() {
        assert_eq!(given(&[("GET / HTTP/1.1\n\n", 0)]), ["GET / HTTP/1.1\n\n"]);
        assert_eq!(given(&[("GET /", 5), (" HTTP/1.1\n\n", 0)]), ["", "GET / HTTP/1.1\n\n"]);
        // What belongs to the request before is not held up, and neither is the body.
        assert_eq!(given(&[("bodyGET", 3), (" /", 5), ("\n\nbody", 0)]), ["body", "", "GET /\n\nbody"]);
        assert_eq!(given(&[("GET", 3), ("\n\nPOST", 4), ("\n\n", 0)]), ["", "GET\n\n", "POST\n\n"]);
        // What is rejected is passed on as far as it is valid.
        assert_eq!(given(&[("GET", 3), ("\n", 0)]), ["", "GET\n"]);
    }

    #[test]
    fn a_head_of_single_bytes_is_read_a_few_times() {
        let mut heads = PartialHead::default();
        let (mut there, mut read) = (0, 0);
        for begun in 1..=64 * 1024 {
            heads.take(b"x", begun);
            if let Some(ready) = heads.ready(usize::MAX) {
                there += ready.len();
                // The parser starts over.
                read += there;
            }
        }
        assert_eq!(there, 64 * 1024);
        assert!(read <= 2 * there, "{read}");
    }

    #[test]
    fn no_more_is_given_than_there_is_room_for() {
        let mut heads = PartialHead::default();
        heads.take(b"GET", 3);
        heads.take(b" /\n\n", 0);
        assert_eq!(heads.ready(4).as_deref(), Some(&b"GET "[..]));
        assert_eq!(heads.ready(4).as_deref(), Some(&b"/\n\n"[..]));
        assert_eq!(heads.ready(4), None);
    }
}
