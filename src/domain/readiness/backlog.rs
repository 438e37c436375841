//! How many bugs were open at past moments: from how they are now, back through what was changed of them.

use std::collections::HashMap;

use crate::domain::bug::{BugState, Changed, Severity};
use crate::domain::ids::BugId;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;

#[derive(Debug, Clone, Copy)]
pub struct BugNow {
    pub id: BugId,
    pub opened_at: Time,
    pub state: BugState,
    pub severity: Severity,
}

/// What was changed of a bug, and what it was before.
#[derive(Debug, Clone)]
pub struct BugChange {
    pub bug: BugId,
    pub what: Changed,
    pub before: String,
    pub at: Time,
}

/// Open bugs by state and severity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenBugs(HashMap<(BugState, Severity), u32>);

/// The states in which a bug is open, in the order of its life.
pub const OPEN: [BugState; 3] = [BugState::New, BugState::Confirmed, BugState::InProgress];

impl OpenBugs {
    pub fn count(bugs: impl IntoIterator<Item = (BugState, Severity)>) -> Self {
        let mut counts = HashMap::new();
        for (state, severity) in bugs {
            if state.is_open() {
                *counts.entry((state, severity)).or_default() += 1;
            }
        }
        Self(counts)
    }

    pub fn of(&self, state: BugState, severity: Severity) -> u32 {
        self.0.get(&(state, severity)).copied().unwrap_or(0)
    }

    pub fn of_state(&self, state: BugState) -> u32 {
        let severities = Severity::ALL.iter();
        severities.map(|severity| self.of(state, *severity)).sum()
    }

    pub fn of_severity(&self, severity: Severity) -> u32 {
        OPEN.iter().map(|state| self.of(*state, severity)).sum()
    }
}

/// At each of these moments. `changes`: newest first, all since the earliest of the moments.
pub fn open_at(moments: &[Time], bugs: &[BugNow], changes: &[BugChange]) -> Vec<OpenBugs> {
    let mut was: HashMap<BugId, BugNow> = bugs.iter().map(|bug| (bug.id, *bug)).collect();
    let mut order: Vec<usize> = (0..moments.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(moments.get(*at)));
    let mut counts = vec![OpenBugs::default(); moments.len()];
    let mut changes = changes.iter().peekable();
    for index in order {
        let (Some(moment), Some(count)) = (moments.get(index), counts.get_mut(index)) else {
            continue;
        };
        while let Some(change) = changes.next_if(|change| change.at >= *moment) {
            if let Some(bug) = was.get_mut(&change.bug) {
                undo(bug, change);
            }
        }
        let there = was.values().filter(|bug| bug.opened_at < *moment);
        *count = OpenBugs::count(there.map(|bug| (bug.state, bug.severity)));
    }
    counts
}

/// A word that is no longer known leaves it as it is.
fn undo(bug: &mut BugNow, change: &BugChange) {
    match change.what {
        Changed::State => bug.state = BugState::parse(&change.before).unwrap_or(bug.state),
        Changed::Severity => {
            bug.severity = Severity::parse(&change.before).unwrap_or(bug.severity);
        }
        Changed::Component => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Time {
        Time::new(chrono::DateTime::UNIX_EPOCH).plus_days(day)
    }

    fn change(bug: i64, what: Changed, before: &str, day: i64) -> BugChange {
        BugChange {
            bug: BugId(bug),
            what,
            before: before.to_owned(),
            at: at(day),
        }
    }

    #[test]
    fn what_was_changed_since_is_undone() {
        use BugState as B;
        use Severity as S;
        let bug = |id, day, state, severity| BugNow {
            id: BugId(id),
            opened_at: at(day),
            state,
            severity,
        };
        // 1: opened on day 1, judged on 3, confirmed on 5, fixed on 8, opened again on 9. 2: opened on 6, not a bug on 7.
        let bugs = [
            bug(1, 1, B::Confirmed, S::High),
            bug(2, 6, B::NotABug, S::None),
        ];
        let changes = [
            change(1, Changed::State, "fixed", 9),
            change(1, Changed::State, "confirmed", 8),
            change(2, Changed::State, "new", 7),
            change(1, Changed::Component, "disk", 6),
            change(1, Changed::State, "new", 5),
            change(1, Changed::Severity, "none", 3),
        ];
        let one = |state, severity| OpenBugs::count([(state, severity)]);
        let none = OpenBugs::default();
        let expected = [
            (1, none.clone()),
            (2, one(B::New, S::None)),
            (4, one(B::New, S::High)),
            (6, one(B::Confirmed, S::High)),
            (
                7,
                OpenBugs::count([(B::Confirmed, S::High), (B::New, S::None)]),
            ),
            (9, none),
            (10, one(B::Confirmed, S::High)),
        ];
        // In any order of the moments.
        for reversed in [false, true] {
            let mut days: Vec<i64> = expected.iter().map(|(day, _)| *day).collect();
            let mut counts: Vec<OpenBugs> = expected.iter().map(|(_, of)| of.clone()).collect();
            if reversed {
                days.reverse();
                counts.reverse();
            }
            let moments: Vec<Time> = days.into_iter().map(at).collect();
            assert_eq!(open_at(&moments, &bugs, &changes), counts);
        }
        let many = OpenBugs::count([(B::New, S::Low), (B::New, S::High), (B::Fixed, S::High)]);
        assert_eq!((many.of_state(B::New), many.of_severity(S::High)), (2, 1));
    }
}
