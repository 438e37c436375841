//! The time chosen is the time at which the Linode stops: when copying begins so that it is in step by then, when another
//! pass is due while it holds, and what follows if it is late. Pure.

use super::MigrationKind;
use crate::domain::account::UserRole;
use crate::domain::time::Time;

/// Copying begins twice the expected copy and this much before the time chosen, between these bounds.
const LEAD_S: i64 = 15 * 60;
const LEAD_MOST_S: i64 = 48 * 3600;
/// A pass that takes no longer than this follows every few minutes; of others one is timed to end just before the stop.
pub const SMALL_PASS_S: i64 = 30;
const SMALL_EVERY_S: i64 = 5 * 60;
/// And so often at most of one that could stop by its time.
const KEPT_EVERY_S: i64 = 60;
/// What a pass may take besides what the last one took: its order, and the host's other work.
const PASS_MARGIN_S: i64 = 20;
/// Before anything is measured: what a plain disk and a link of 1 Gbit/s do beside their other work, in bytes a second.
const RATE: i64 = 50_000_000;

/// How long a copy will take. `rate`: what the last copies between such hosts came to, in bytes a second.
pub fn copy_s(bytes: i64, rate: Option<i64>) -> i64 {
    bytes.max(0) / rate.unwrap_or(RATE).max(1)
}

/// When copying is to begin for a stop at this time.
pub fn begins(stop: Time, copy_s: i64) -> Time {
    let lead = copy_s.saturating_mul(2).saturating_add(LEAD_S);
    stop.plus_s(-lead.min(LEAD_MOST_S))
}

/// A move that is in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InStep {
    /// The end of its last pass.
    pub since: Time,
    /// What that pass took.
    pub pass_s: i64,
    /// What its guest changes a second, in bytes: the next pass has all of it since.
    pub changed_b_s: i64,
    /// Another pass is at work: its stop cuts it short.
    pub in_pass: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Its moment has come, if a stop is free.
    Stop,
    Pass,
    Wait,
}

/// What is to be done for one that holds. `aim`: the first moment at which it may stop; `None`: no such moment is known.
pub fn next(of: InStep, aim: Option<Time>, now: Time) -> Next {
    let Some(aim) = aim else {
        return Next::Wait;
    };
    if aim <= now {
        return Next::Stop;
    }
    let grown_s = of.changed_b_s.saturating_mul(now.seconds_since(of.since)) / RATE;
    // Its hosts may have more to do than they had then.
    let takes = of.pass_s * 2 + PASS_MARGIN_S + grown_s;
    // The last one, which leaves the least to copy while the Linode is off.
    let last = aim.plus_s(-takes);
    let due = if of.pass_s <= SMALL_PASS_S {
        last.min(of.since.plus_s(SMALL_EVERY_S))
    } else {
        last
    };
    let ends_in_time = now.plus_s(of.pass_s + of.pass_s / 2 + PASS_MARGIN_S / 2) <= aim;
    if due <= now && of.since < last && ends_in_time && !of.in_pass {
        Next::Pass
    } else {
        Next::Wait
    }
}

/// Of one whose moment has come and that is kept from its stop: is it time for another pass, so that the stop is short?
pub fn is_worth_a_pass(of: InStep, now: Time) -> bool {
    // As much time again as passes take, so that hosts do other work, too.
    !of.in_pass && now >= of.since.plus_s(of.pass_s.max(KEPT_EVERY_S))
}

/// Do quiet hours bind its stop? They bind what a member started, and neither ways back nor what staff started.
pub fn is_bound(kind: MigrationKind, started_by: Option<UserRole>) -> bool {
    kind != MigrationKind::Return && started_by != Some(UserRole::Staff)
}

/// How one stands whose time was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    InTime,
    /// It stops as soon as it can, until then.
    Late(Time),
    /// It does not stop any more: its member chooses anew.
    Over,
}

/// `patience_s`: how long after its time it may still stop.
pub fn lateness(chosen: Option<Time>, patience_s: i32, now: Time) -> Lateness {
    let Some(chosen) = chosen.filter(|at| *at <= now) else {
        return Lateness::InTime;
    };
    let until = may_stop_until(chosen, patience_s);
    if now <= until {
        Lateness::Late(until)
    } else {
        Lateness::Over
    }
}

/// Until when one may still stop that is late.
pub fn may_stop_until(chosen: Time, patience_s: i32) -> Time {
    chosen.plus_s(i64::from(patience_s).max(ON_TIME_S))
}

/// A stop within so many seconds of its time is in time.
pub const ON_TIME_S: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(seconds: i64) -> Time {
        Time::new(DateTime::UNIX_EPOCH).plus_s(seconds)
    }

    fn of(since: i64, pass_s: i64) -> InStep {
        InStep {
            since: at(since),
            pass_s,
            changed_b_s: 0,
            in_pass: false,
        }
    }

    #[test]
    fn copying_begins_early_enough_and_not_days_before() {
        let day = 86_400;
        assert_eq!(begins(at(10 * day), 0), at(10 * day - 900));
        assert_eq!(begins(at(10 * day), 3600), at(10 * day - 7200 - 900));
        assert_eq!(begins(at(10 * day), i64::MAX), at(8 * day));
        assert_eq!(copy_s(100_000_000_000, None), 2000);
        assert_eq!(copy_s(100_000_000_000, Some(100_000_000)), 1000);
        assert_eq!(copy_s(-1, Some(0)), 0);
    }

    #[test]
    fn it_stops_at_its_moment_and_not_before() {
        assert_eq!(next(of(0, 5), Some(at(1000)), at(999)), Next::Wait);
        assert_eq!(next(of(0, 5), Some(at(1000)), at(1000)), Next::Stop);
        assert_eq!(next(of(0, 5), None, at(1000)), Next::Wait);
    }

    #[test]
    fn small_passes_follow_every_few_minutes_and_the_last_ends_before_the_stop() {
        let mut state = of(0, 8);
        let mut passes = Vec::new();
        for now in 0..1000 {
            if next(state, Some(at(1000)), at(now)) == Next::Pass {
                passes.push(now);
                state.since = at(now + 8);
            }
        }
        assert_eq!(passes, [300, 608, 916, 964]);
    }

    #[test]
    fn of_long_passes_one_is_timed_to_end_just_before_the_stop() {
        let mut state = of(0, 400);
        let mut passes = Vec::new();
        for now in 400..5000 {
            if next(state, Some(at(5000)), at(now)) == Next::Pass {
                passes.push(now);
                state.since = at(now + 400);
            }
        }
        assert_eq!(passes, [5000 - 820]);
        // Looked at too late for it: none, rather than one that the stop would wait for.
        assert_eq!(next(of(0, 400), Some(at(5000)), at(4600)), Next::Wait);
    }

    #[test]
    fn the_pass_of_one_that_writes_much_begins_earlier() {
        // 25 MB/s for 3,000 s: half of that again to send.
        let state = InStep {
            changed_b_s: RATE / 2,
            ..of(0, 40)
        };
        let begins = (0..9000).find(|now| next(state, Some(at(9000)), at(*now)) == Next::Pass);
        assert_eq!(begins, Some(5934));
        let calm = (0..9000).find(|now| next(of(0, 40), Some(at(9000)), at(*now)) == Next::Pass);
        assert_eq!(calm, Some(8900));
    }

    #[test]
    fn a_pass_is_followed_by_no_other_and_ends_at_the_moment_to_stop() {
        let state = InStep {
            in_pass: true,
            ..of(0, 8)
        };
        assert!((0..1000).all(|now| next(state, Some(at(1000)), at(now)) == Next::Wait));
        assert_eq!(next(state, Some(at(1000)), at(1000)), Next::Stop);
        assert!(!is_worth_a_pass(state, at(1000)));
        assert!(is_worth_a_pass(of(0, 8), at(1000)));
    }

    #[test]
    fn late_is_told_from_over() {
        assert_eq!(lateness(None, 0, at(5)), Lateness::InTime);
        assert_eq!(lateness(Some(at(10)), 0, at(9)), Lateness::InTime);
        assert_eq!(lateness(Some(at(10)), 0, at(10)), Lateness::Late(at(70)));
        assert_eq!(lateness(Some(at(10)), 0, at(71)), Lateness::Over);
        assert_eq!(
            lateness(Some(at(10)), 7200, at(71)),
            Lateness::Late(at(7210))
        );
        assert_eq!(lateness(Some(at(10)), 7200, at(7211)), Lateness::Over);
    }
}
