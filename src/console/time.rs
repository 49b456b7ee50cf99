//! Times in the console's JSON: RFC 3339, UTC. The page shows them in the reader's time zone.

use std::time::SystemTime;

/// `2026-11-28T01:20:00Z`
pub(super) fn text(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
