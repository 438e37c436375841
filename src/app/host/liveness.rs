//! When a host counts as silent.

use crate::domain::host::HostState;
use crate::domain::time::Time;
use crate::store;

/// Silence after which a host counts as silent on staff pages, in seconds: two polls and a half.
pub const SILENT_S: i64 = 75;

/// Should it speak (it takes part), and does it not? `silence` asks the database the same.
pub fn is_silent(host: &store::host::Host, now: Time) -> bool {
    let since = now.plus_s(-SILENT_S);
    HostState::TAKING_PART.contains(&host.state) && host.last_seen_at.is_some_and(|at| at < since)
}
