//! Staff set when moves may begin by a member's choice.

use crate::app::App;
use crate::app::context::{Actor, Agent};
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::programme::move_times::{Limits, Quiet};
use crate::domain::time::Time;
use crate::store;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MOST_PER_HOUR: i32 = 1000;
const MOST_AT_ONCE: i32 = 100;
const MOST_MB_S: i32 = 1_000_000;

impl App {
    /// Sets the limits. `seen`: when those that staff looked at had been changed last. Saving the same twice changes
    /// nothing. Times that are chosen already stay as they are; in a quiet hour they wait for its end.
    pub fn set_move_times(&self, actor: &Actor, to: &Limits, seen: Option<Time>) -> Result<()> {
        actor.require(Right::Programme)?;
        let now = self.now();
        if to
            .per_hour
            .is_some_and(|most| !(1..=MOST_PER_HOUR).contains(&most))
        {
            return Err(AppError::invalid(
                "per_hour",
                format!("Enter a number from 1 to {MOST_PER_HOUR}, or nothing for no limit"),
            ));
        }
        if !(1..=MOST_AT_ONCE).contains(&to.stops_at_once) {
            return Err(AppError::invalid(
                "stops_at_once",
                format!("Enter a number from 1 to {MOST_AT_ONCE}"),
            ));
        }
        if to
            .quiet_cap_mb_s
            .is_some_and(|cap| !(1..=MOST_MB_S).contains(&cap))
        {
            return Err(AppError::invalid(
                "quiet_cap_mb_s",
                format!("Enter a number from 1 to {MOST_MB_S}, or nothing for no limit"),
            ));
        }
        if to.open_from(now).is_none() {
            return Err(AppError::invalid(
                "mon",
                "Leave a time of the week in which Linodes can stop",
            ));
        }
        self.transact_at(now, actor.who(), |tx| {
            store::programme::lock(tx.conn)?;
            let (before, changed) = store::programme::move_times::limits(tx.conn)?;
            if before == *to {
                return Ok(());
            }
            if changed != seen {
                return Err(AppError::conflict(
                    "Someone else changed these times while you looked at them. Look at them again.",
                ));
            }
            store::programme::move_times::set_limits(tx.conn, to, tx.now)?;
            let (old, new) = (words(&before), words(to));
            tx.audit(Action::MoveTimes, Object::Programme, (&old, &new))
        })
    }

    /// What this agent's host may copy now, in MB/s: its own cap, and in quiet hours theirs.
    pub fn cap_mb_s(&self, agent: &Agent) -> Result<Option<u32>> {
        let (limits, _) = self.db.read(store::programme::move_times::limits)?;
        Ok(limits.cap_mb_s(agent.cap_mb_s, self.now()))
    }
}

/// `08:00–18:00`
pub fn span(quiet: Quiet) -> String {
    let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{}\u{2013}{}", time(quiet.begins), time(quiet.ends))
}

/// The quiet hours by day, those with the same hours together: `Mon–Fri 08:00–18:00, Sun 00:00–24:00`; empty for none.
pub fn quiet_words(limits: &Limits) -> String {
    let mut runs: Vec<(usize, usize, Quiet)> = Vec::new();
    for (day, quiet) in limits.quiet.iter().enumerate() {
        let Some(quiet) = quiet else { continue };
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == day && same == quiet => *last = day,
            _ => runs.push((day, day, *quiet)),
        }
    }
    let name = |day: usize| DAYS.get(day).copied().unwrap_or_default();
    let words: Vec<String> = runs
        .into_iter()
        .map(|(first, last, quiet)| {
            let days = if first == last {
                name(first).to_owned()
            } else {
                format!("{}\u{2013}{}", name(first), name(last))
            };
            format!("{days} {}", span(quiet))
        })
        .collect();
    words.join(", ")
}

/// For the audit trail.
fn words(of: &Limits) -> String {
    format!(
        "quiet {:?} in {}, {:?} an hour and host, {} at once",
        quiet_words(of),
        of.zone.name(),
        of.per_hour,
        of.stops_at_once
    ) + &of
        .quiet_cap_mb_s
        .map_or_else(String::new, |cap| format!(", {cap} MB/s in quiet hours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_days_are_told_together() {
        let day = Some(Quiet {
            begins: 480,
            ends: 1080,
        });
        let night = Some(Quiet {
            begins: 1320,
            ends: 1440,
        });
        let limits = Limits {
            quiet: [day, day, day, None, day, night, None],
            ..Limits::default()
        };
        assert_eq!(
            quiet_words(&limits),
            "Mon–Wed 08:00–18:00, Fri 08:00–18:00, Sat 22:00–24:00"
        );
        assert_eq!(quiet_words(&Limits::default()), "");
    }
}
