//! Which hosts are silent is looked at now and then, and noted by day, so that staff see it over time. Whichever portal
//! looks, each moment is counted once; what nobody looked at (the portal was down, and no host could be heard) is not
//! silence.

use super::liveness::SILENT_S;
use crate::app::App;
use crate::app::error::Result;
use crate::store;

/// Between two looks, in seconds.
pub const LOOK_S: i64 = 60;
/// After a longer pause than this, hosts get time to speak before they count as silent.
const PAUSE_S: i64 = 3 * LOOK_S;
const DAY_S: i64 = 86_400;
/// As long as fairness is kept by day.
const DAYS_KEPT: i64 = 400;

impl App {
    /// Says how many hosts were silent, if it was time to look.
    pub fn look_for_silent_hosts(&self) -> Result<Option<usize>> {
        let now = self.now();
        let looks = self.db.read(store::host::silence::looks)?;
        let last = looks.map(|(_, last)| last);
        let gone = last.map(|last| now.seconds_since(last));
        // Never backwards, either: what was counted would be counted again.
        if gone.is_some_and(|gone| (-PAUSE_S..LOOK_S).contains(&gone)) {
            return Ok(None);
        }
        self.db.write(|conn| {
            if !store::host::silence::take_look(conn, last, now)? {
                return Ok(None);
            }
            // The first look, one after a pause, and one after the clock was set back by more than that count nothing.
            let Some(gone) = gone.filter(|gone| (0..=PAUSE_S).contains(gone)) else {
                return Ok(None);
            };
            let silent = store::host::silence::now_silent(conn, now.plus_s(-SILENT_S))?;
            let day = now.utc().timestamp().div_euclid(DAY_S);
            store::host::silence::add(conn, day, &silent, gone)?;
            store::host::silence::forget(conn, day - DAYS_KEPT)?;
            Ok(Some(silent.len()))
        })
    }
}
