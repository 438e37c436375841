//! What is refused by the thousand when somebody tries, in the trail all the same: counted in memory, and written by a loop. Each kind and
//! asker has a row at once, and further ones with what came since: after ten minutes, then after twice as long each time, up to
//! an hour, until it was quiet for as long. So a flood costs the trail a few rows, whoever knocks and how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::audit::Action;
use crate::domain::network::Asker;
use crate::domain::string_enum::StringEnum;
use crate::domain::text::line;
use crate::domain::time::Time;

const FIRST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Askers that are told apart; all others of a kind share a row without an address.
const MOST_ASKERS: usize = 100;

/// The word of an action, and who is counted as one asker.
pub(super) type Key = (&'static str, String);

#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub action: Action,
    /// As it was last.
    pub address: String,
    /// What was asked for last.
    asked: String,
    /// Since the last row, and from when on.
    count: u64,
    since: Time,
    /// When the last row was written, by the clock that nobody sets, and how long the next one waits.
    told: Option<Duration>,
    wait: Duration,
}

impl Tally {
    fn is_due(&self, now: Duration) -> bool {
        self.count > 0 && self.told.is_none_or(|told| now >= told + self.wait)
    }

    fn is_over(&self, now: Duration) -> bool {
        self.count == 0 && self.told.is_some_and(|told| now >= told + self.wait)
    }

    pub(super) fn words(&self) -> String {
        let since = self.since.utc().format("%Y-%m-%d %H:%M:%S UTC");
        match self.count {
            1 => format!("once: {}", self.asked),
            count => format!("{count} times since {since}, last: {}", self.asked),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Key, Tally>>);

impl Refusals {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `asked`: method and route; never what a stranger wrote, which may be a secret.
    pub(super) fn note(&self, action: Action, (address, asked): (&str, &str), now: Time) {
        let mut all = self.all();
        let mut key = (action.as_str(), Asker::of(address).own);
        let mut address = address;
        if all.len() >= MOST_ASKERS && !all.contains_key(&key) {
            key.1 = String::new();
            address = "";
        }
        let tally = all.entry(key).or_insert_with(|| Tally {
            action,
            address: String::new(),
            asked: String::new(),
            count: 0,
            since: now,
            told: None,
            wait: FIRST_WAIT,
        });
        if tally.count == 0 {
            tally.since = now;
        }
        tally.count = tally.count.saturating_add(1);
        tally.address = address.to_owned();
        tally.asked = line(asked, 100);
    }

    pub(super) fn due(&self, now: Duration) -> Vec<(Key, Tally)> {
        let mut all = self.all();
        all.retain(|_, tally| !tally.is_over(now));
        let due = all.iter().filter(|(_, tally)| tally.is_due(now));
        due.map(|(key, tally)| (key.clone(), tally.clone()))
            .collect()
    }

    /// These are written; what came meanwhile waits for the next time.
    pub(super) fn told(&self, rows: &[(Key, Tally)], now: Duration) {
        let mut all = self.all();
        for (key, row) in rows {
            if let Some(tally) = all.get_mut(key) {
                tally.count = tally.count.saturating_sub(row.count);
                if tally.told.replace(now).is_some() {
                    tally.wait = LONGEST_WAIT.min(tally.wait * 2);
                }
            }
        }
    }
}
