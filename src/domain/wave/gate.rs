//! The gates of a wave: what keeps it from going on. Judged in the transaction that gives out the next one and in the one that
//! lets the next move begin, so nothing more follows once a gate is closed.

use super::Far;
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;

/// What a wave's moves must come up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Moves that ended before a single fault counts. With several, fewer are enough: see [`judge`].
    pub least: i64,
    /// The gate closes where so many of a hundred failed or went back.
    pub failed_percent: i64,
    /// … or were off for longer than was foretold at most.
    pub slow_percent: i64,
    /// It closes where more open bugs name a move of it.
    pub bugs_most: i64,
    /// … or where more hosts that it moves to have become unfair.
    pub unfair_most: i64,
}

/// What was seen of a wave's moves since it was started, or let go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub is_canary: bool,
    /// Moves that came to an end, also a bad one.
    pub ended: i64,
    /// … that failed, or went back.
    pub failed: i64,
    /// … whose downtime was foretold and measured.
    pub timed: i64,
    /// … and was longer than foretold at most.
    pub slow: i64,
    pub bugs: i64,
    /// Hosts that it moves to, and that divide their CPU unfairly since, and did not before.
    pub unfair: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    Closed(Why),
}

/// Why it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error(
        "{failed} of the first {ended} moves failed or went back; the first ones must all run well"
    )]
    Canary { failed: i64, ended: i64 },
    #[error("{failed} of {ended} moves failed or went back; it closes at {most} %")]
    Failed { failed: i64, ended: i64, most: i64 },
    #[error(
        "{slow} of {timed} Linodes were off for longer than was foretold at most; it closes at {most} %"
    )]
    Slow { slow: i64, timed: i64, most: i64 },
    #[error("{bugs} open bugs name moves of it; it closes above {most}")]
    Bugs { bugs: i64, most: i64 },
    #[error(
        "{unfair} hosts that it moves to divide their CPU unfairly since, and did not before; it closes above {most}"
    )]
    Unfair { unfair: i64, most: i64 },
}

/// Has a share reached its limit? One alone says nothing among fewer than `least`; several are looked at as if there were so
/// many, so that a wave on which everything fails is not let go on for the sake of its statistics.
fn reached(bad: i64, of: i64, percent: i64, least: i64) -> bool {
    let enough = of >= least || bad >= 2;
    bad > 0 && enough && bad.saturating_mul(100) >= percent.saturating_mul(of.max(least))
}

pub fn judge(rules: &Rules, seen: &Seen) -> Gate {
    if seen.is_canary && seen.failed > 0 {
        let (failed, ended) = (seen.failed, seen.ended);
        return Gate::Closed(Why::Canary { failed, ended });
    }
    if reached(seen.failed, seen.ended, rules.failed_percent, rules.least) {
        return Gate::Closed(Why::Failed {
            failed: seen.failed,
            ended: seen.ended,
            most: rules.failed_percent,
        });
    }
    if reached(seen.slow, seen.timed, rules.slow_percent, rules.least) {
        return Gate::Closed(Why::Slow {
            slow: seen.slow,
            timed: seen.timed,
            most: rules.slow_percent,
        });
    }
    if seen.bugs > rules.bugs_most {
        return Gate::Closed(Why::Bugs {
            bugs: seen.bugs,
            most: rules.bugs_most,
        });
    }
    if seen.unfair > rules.unfair_most {
        return Gate::Closed(Why::Unfair {
            unfair: seen.unfair,
            most: rules.unfair_most,
        });
    }
    Gate::Open
}

/// What the gates need to know of one move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub state: MigrationState,
    pub finished_at: Option<Time>,
    /// When it failed, if it did.
    pub closed_at: Option<Time>,
    /// When its way back was begun, if it was.
    pub back_at: Option<Time>,
    /// How long it was off, and how long that was foretold to be at most, in thousandths of a second.
    pub down_ms: Option<i64>,
    pub most_ms: Option<i64>,
}

impl Move {
    /// When it came to a bad end.
    fn failed_at(&self) -> Option<Time> {
        use MigrationState as S;
        match self.state {
            S::Failed => self.closed_at,
            S::Returning | S::Returned => self.back_at.or(self.finished_at),
            S::Offered
            | S::Queued
            | S::Preparing
            | S::Copying
            | S::Holding
            | S::Switching
            | S::Finished
            | S::Confirmed
            | S::Expired
            | S::Cancelled => None,
        }
    }

    fn is_done(&self) -> bool {
        matches!(
            self.state,
            MigrationState::Finished | MigrationState::Confirmed
        )
    }

    fn is_out(&self) -> bool {
        crate::domain::migration::is_live(self.state)
    }
}

/// How far a wave is. `watch_s`: how long its first moves are watched.
pub fn far(moves: &[Move], now: Time, watch_s: i64) -> Far {
    let count = |fits: &dyn Fn(&Move) -> bool| {
        i64::try_from(moves.iter().filter(|it| fits(it)).count()).unwrap_or(i64::MAX)
    };
    let watched = |it: &Move| it.finished_at.is_some_and(|at| at.plus_s(watch_s) <= now);
    Far {
        out: count(&Move::is_out),
        well: count(&|it| it.is_done() && watched(it)),
        fresh: count(&|it| it.is_done() && !watched(it)),
    }
}

/// What its moves came to since then; bugs and hosts are for the caller to add.
pub fn seen(moves: &[Move], since: Option<Time>) -> Seen {
    let lately = |at: Option<Time>| at.is_some_and(|at| since.is_none_or(|since| at >= since));
    let mut seen = Seen::default();
    for it in moves {
        if lately(it.failed_at()) {
            seen.failed += 1;
            seen.ended += 1;
        } else if it.is_done() && lately(it.finished_at) {
            seen.ended += 1;
        }
        if lately(it.finished_at)
            && let (Some(down), Some(most)) = (it.down_ms, it.most_ms)
        {
            seen.timed += 1;
            seen.slow += i64::from(down > most);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use MigrationState as S;

    const RULES: Rules = Rules {
        least: 20,
        failed_percent: 5,
        slow_percent: 25,
        bugs_most: 2,
        unfair_most: 0,
    };

    /// What is said of each, so that another rule shows as a difference.
    #[test]
    fn each_gate_says_why_it_is_closed() {
        let mut lines = Vec::new();
        let failed = [
            (0, 0),
            (1, 0),
            (1, 1),
            (2, 2),
            (19, 1),
            (20, 1),
            (21, 1),
            (40, 1),
            (40, 2),
            (41, 2),
            (500, 24),
            (500, 25),
        ];
        for (ended, failed) in failed {
            let seen = Seen {
                ended,
                failed,
                ..Seen::default()
            };
            lines.push((format!("{failed} of {ended} failed"), seen));
        }
        for (ended, failed) in [(5, 0), (5, 1), (1, 1)] {
            let seen = Seen {
                is_canary: true,
                ended,
                failed,
                ..Seen::default()
            };
            lines.push((format!("{failed} of the first {ended} failed"), seen));
        }
        for (timed, slow) in [(3, 1), (3, 3), (6, 5), (40, 9), (40, 10)] {
            let seen = Seen {
                ended: timed,
                timed,
                slow,
                ..Seen::default()
            };
            lines.push((format!("{slow} of {timed} slow"), seen));
        }
        for bugs in [2, 3] {
            let seen = Seen {
                bugs,
                ..Seen::default()
            };
            lines.push((format!("{bugs} bugs"), seen));
        }
        let unfair = Seen {
            unfair: 1,
            ..Seen::default()
        };
        lines.push(("1 unfair host".to_owned(), unfair));
        let said = lines.iter().map(|(what, seen)| {
            let gate = match judge(&RULES, seen) {
                Gate::Open => "open".to_owned(),
                Gate::Closed(why) => why.to_string(),
            };
            format!("{what}: {gate}")
        });
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
    }

    fn at(second: i64) -> Time {
        Time::new(chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap())
    }

    fn of(state: MigrationState, finished: Option<i64>) -> Move {
        Move {
            state,
            finished_at: finished.map(at),
            closed_at: None,
            back_at: None,
            down_ms: None,
            most_ms: None,
        }
    }

    #[test]
    fn only_what_ended_since_counts_and_a_way_back_counts_when_it_begins() {
        let failed = |second| Move {
            closed_at: Some(at(second)),
            ..of(S::Failed, None)
        };
        let back = |finished, begun| Move {
            back_at: Some(at(begun)),
            ..of(S::Returned, Some(finished))
        };
        let slow = |down, most| Move {
            down_ms: Some(down),
            most_ms: Some(most),
            ..of(S::Confirmed, Some(60))
        };
        let moves = [
            of(S::Offered, None),
            of(S::Copying, None),
            of(S::Expired, None),
            of(S::Finished, Some(10)),
            of(S::Finished, Some(60)),
            failed(20),
            failed(70),
            back(10, 80),
            slow(500, 400),
            slow(300, 400),
        ];
        let all = seen(&moves, None);
        assert_eq!((all.ended, all.failed, all.timed, all.slow), (7, 3, 2, 1));
        let later = seen(&moves, Some(at(50)));
        assert_eq!((later.ended, later.failed), (5, 2));
        let far = far(&moves, at(100), 60);
        assert_eq!((far.out, far.well, far.fresh), (2, 1, 3));
    }
}
