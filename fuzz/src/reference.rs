//! A reader of HTTP/1.1 messages that does nothing but what RFC 9112 says, in the plainest way. It shares no line with the
//! readers that are tested against it.

/// A message as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The three parts of its first line.
    pub start: [String; 3],
    /// Names in lower case, values without the blanks around them.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Where its head ends.
    pub head_end: usize,
    /// Where it ends itself.
    pub end: usize,
}

impl Message {
    /// All values of a field.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    }
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There is nothing more.
    Complete,
    /// More could follow.
    Partial,
    /// Neither what is before this offset nor anything after it may be accepted.
    Invalid(usize),
    /// What follows is another protocol.
    Upgraded,
}

type Read<T> = Result<T, End>;

/// All requests of a connection that are whole, and why there are no more.
#[must_use]
pub fn requests(bytes: &[u8]) -> (Vec<Message>, End) {
    let (mut all, mut at) = (Vec::new(), 0);
    loop {
        while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            // A carriage return alone is no empty line.
            if bytes[at] == b'\r' && bytes.get(at + 1).is_some_and(|next| *next != b'\n') {
                return (all, End::Invalid(at + 1));
            }
            at += 1;
        }
        if at == bytes.len() {
            return (all, End::Complete);
        }
        match request(bytes, at) {
            Ok((message, is_upgrade)) => {
                at = message.end;
                all.push(message);
                if is_upgrade {
                    return (all, End::Upgraded);
                }
            }
            Err(end) => return (all, end),
        }
    }
}

fn request(bytes: &[u8], from: usize) -> Read<(Message, bool)> {
    let (line, at) = line(bytes, from)?;
    let invalid = |at| Err(End::Invalid(at));
    // Which byte of a first line is wrong does not matter: no head is whole before its end.
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else { return invalid(head_end(bytes, from)?) };
    let (fields, head_end) = fields(bytes, at, head_end(bytes, from)?)?;
    let head = bytes.get(from..head_end).unwrap_or_default();
    let are_lines = head.split_inclusive(|byte| *byte == b'\n').all(|line| line.ends_with(b"\r\n"));
    let is_line = are_lines
        && !method.is_empty()
        && method.iter().all(|byte| is_token(*byte))
        && !target.is_empty()
        && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        && std::str::from_utf8(target).is_ok()
        && matches!(*version, b"HTTP/1.0" | b"HTTP/1.1");
    if !is_line {
        return invalid(head_end);
    }
    let start = [method, target, version].map(|part| String::from_utf8_lossy(part).into_owned());
    let mut message = Message { start, fields, body: Vec::new(), head_end, end: head_end };
    let (codings, lengths) = (message.values("transfer-encoding"), message.values("content-length"));
    let is_current = message.start[2] == "HTTP/1.1";
    let body = match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => (Vec::new(), head_end),
        ([coding], []) if is_current && coding.eq_ignore_ascii_case(b"chunked") => chunks(bytes, head_end)?,
        ([], [length]) => exactly(bytes, head_end, number(length).ok_or(End::Invalid(head_end))?)?,
        _ => return invalid(head_end),
    };
    let is_upgrade = is_current && !message.values("upgrade").is_empty();
    (message.body, message.end) = body;
    Ok((message, is_upgrade))
}

/// The response to a GET that a connection begins with, responses with a status below 200 left out, if it is whole. `is_over`:
/// the connection ends there.
///
/// # Errors
/// [`End`].
pub fn response(bytes: &[u8]) -> Read<Message> {
    let mut at = 0;
    loop {
        let message = one_response(bytes, at)?;
        match message.start[1].as_bytes() {
            b"101" => return Err(End::Invalid(message.head_end)),
            [b'1', ..] => at = message.head_end,
            _ => return Ok(message),
        }
        while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            at += 1;
        }
    }
}

fn one_response(bytes: &[u8], from: usize) -> Read<Message> {
    let mut from = from;
    while matches!(bytes.get(from), Some(b'\r' | b'\n')) {
        from += 1;
    }
    let (line, at) = line(bytes, from)?;
    let (version, rest) = line.split_at(line.len().min(8));
    let (status, reason) = rest.split_at(rest.len().min(4));
    let is_line = matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
        && matches!(status, [b' ', digits @ ..] if digits.len() == 3 && digits.iter().all(u8::is_ascii_digit))
        && matches!(reason, [] | [b' ', ..]);
    let (fields, head_end) = fields(bytes, at, head_end(bytes, from)?)?;
    if !is_line {
        return Err(End::Invalid(head_end));
    }
    let status = status.get(1..).unwrap_or_default();
    let start = [version, status, reason].map(|part| String::from_utf8_lossy(part).into_owned());
    let mut message = Message { start, fields, body: Vec::new(), head_end, end: head_end };
    if status.starts_with(b"1") || matches!(status, b"204" | b"304") {
        return Ok(message);
    }
    let (codings, lengths) = (message.values("transfer-encoding"), message.values("content-length"));
    let body = match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => (bytes.get(head_end..).unwrap_or_default().to_vec(), bytes.len()),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => chunks(bytes, head_end)?,
        ([], [length, others @ ..]) if others.iter().all(|other| other == length) => {
            exactly(bytes, head_end, number(length).ok_or(End::Invalid(head_end))?)?
        }
        _ => return Err(End::Invalid(head_end)),
    };
    (message.body, message.end) = body;
    Ok(message)
}

/// A line without its end, and where the next one begins.
fn line(bytes: &[u8], from: usize) -> Read<(&[u8], usize)> {
    let rest = bytes.get(from..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(End::Partial)?;
    let (line, _) = rest.split_at(end);
    Ok((line.strip_suffix(b"\r").unwrap_or(line), from + end + 1))
}

fn head_end(bytes: &[u8], from: usize) -> Read<usize> {
    let mut at = from;
    loop {
        let (line, next) = line(bytes, at)?;
        at = next;
        if line.is_empty() {
            return Ok(at);
        }
    }
}

type Fields = Vec<(String, Vec<u8>)>;

fn fields(bytes: &[u8], from: usize, head_end: usize) -> Read<(Fields, usize)> {
    let (mut all, mut at) = (Vec::new(), from);
    loop {
        let (line, next) = line(bytes, at)?;
        at = next;
        if line.is_empty() {
            return Ok((all, at));
        }
        all.push(field(line).ok_or(End::Invalid(head_end))?);
    }
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    let is_field = !name.is_empty()
        && name.iter().all(|byte| is_token(*byte))
        && value.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    is_field.then(|| (name, value.get(start..end).unwrap_or_default().to_vec()))
}

fn number(text: &[u8]) -> Option<usize> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| is_number)?.parse::<i64>().ok()?;
    usize::try_from(number).ok()
}

fn exactly(bytes: &[u8], from: usize, length: usize) -> Read<(Vec<u8>, usize)> {
    let end = from.saturating_add(length);
    bytes.get(from..end).map(|body| (body.to_vec(), end)).ok_or(End::Partial)
}

fn chunks(bytes: &[u8], from: usize) -> Read<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), from);
    loop {
        let (line, next) = strict_line(bytes, at)?;
        let size = chunk_size(line).ok_or(End::Invalid(next))?;
        at = next;
        if size == 0 {
            break;
        }
        let (data, end) = exactly(bytes, at, size)?;
        body.extend_from_slice(&data);
        // Whatever else stands there, reading must not get beyond it.
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => at = end + 2,
            (None, _) | (Some(b'\r'), None) => return Err(End::Partial),
            _ => return Err(End::Invalid(end + 2)),
        }
    }
    loop {
        let (line, next) = strict_line(bytes, at)?;
        at = next;
        if line.is_empty() {
            return Ok((body, at));
        }
        field(line).ok_or(End::Invalid(next))?;
    }
}

/// A line that ends with CRLF.
fn strict_line(bytes: &[u8], from: usize) -> Read<(&[u8], usize)> {
    let rest = bytes.get(from..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(End::Partial)?;
    let line = rest.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    line.map(|line| (line, from + end + 1)).ok_or(End::Invalid(from + end + 1))
}

/// `chunk-size [ chunk-ext ]`, the latter as a list of texts after semicolons: what is in it does not matter here, as long as
/// it cannot be taken for the end of the line.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let after = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    let is_plain = rest.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f);
    if digits.is_empty() || digits.len() > 16 || !is_plain || !rest.is_empty() && after != Some(&b';') {
        return None;
    }
    usize::try_from(i64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?).ok()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
