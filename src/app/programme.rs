//! What staff set for the whole beta: whether it takes registrations, its limits and links.

use super::{Actor, App, AppError, audit};
use crate::domain::names::OutsideLink;
use crate::domain::time::Time;
use crate::domain::words::ProgrammeState;
use crate::store::db::wake_on_commit;
use crate::store::programme::{self, Programme};
use crate::store::wake::Wake;

/// The settings as staff want them.
#[derive(Debug, Clone)]
pub struct Settings {
    pub state: ProgrammeState,
    pub irc: OutsideLink,
    pub forum: OutsideLink,
    pub seats: Option<i64>,
    pub offer_days: i32,
    pub way_back_days: i32,
    pub max_overall: i32,
    pub max_per_link: i32,
    pub max_warm_passes: i32,
    pub watch_s: i32,
    /// When what the form showed had been changed last (`None`: never set), so that nobody overwrites unseen what
    /// someone else changed meanwhile.
    pub seen: Option<Time>,
}

/// Each number with its bounds; beyond them a slip of the finger is likelier than a wish.
const BOUNDS: [(&str, i32, i32); 6] = [
    ("offer_days", 1, 365),
    ("way_back_days", 1, 365),
    ("max_overall", 0, 1000),
    ("max_per_link", 0, 100),
    ("max_warm_passes", 1, 50),
    ("watch_s", 0, 600),
];
const MOST_SEATS: i64 = 1_000_000;

impl App {
    /// Changes the programme. Saving the same twice changes nothing.
    pub fn set_programme(&self, actor: &Actor, to: &Settings) -> Result<(), AppError> {
        actor.require_staff()?;
        check(to)?;
        let now = self.now();
        self.db.write(|conn| {
            let stored = programme::stored(conn)?;
            let changed = stored.as_ref().map(|row| row.changed_at);
            let before = stored.unwrap_or_else(|| Programme::new(now));
            let after = Programme {
                state: to.state,
                irc_url: to.irc.as_str().to_owned(),
                forum_url: to.forum.as_str().to_owned(),
                seats: to.seats,
                offer_days: to.offer_days,
                way_back_days: to.way_back_days,
                max_overall: to.max_overall,
                max_per_link: to.max_per_link,
                max_warm_passes: to.max_warm_passes,
                watch_s: to.watch_s,
                changed_at: now,
            };
            let (old, new) = (words(&before), words(&after));
            if old == new {
                return Ok(());
            }
            if changed != to.seen {
                return Err(AppError::conflict(
                    "Someone else changed these settings while you looked at them. Look at them again.",
                ));
            }
            programme::set(conn, &after)?;
            // Raised limits let more of those who wait begin.
            wake_on_commit(conn, Wake::Reconcile)?;
            audit(conn, now, actor.who(), "programme", "programme", (&old, &new))?;
            Ok(())
        })
    }
}

fn check(to: &Settings) -> Result<(), AppError> {
    let invalid = |field, message: String| Err(AppError::Invalid { field, message });
    let values = [
        to.offer_days,
        to.way_back_days,
        to.max_overall,
        to.max_per_link,
        to.max_warm_passes,
        to.watch_s,
    ];
    for ((field, least, most), value) in BOUNDS.into_iter().zip(values) {
        if !(least..=most).contains(&value) {
            return invalid(field, format!("Enter a number from {least} to {most}"));
        }
    }
    if to
        .seats
        .is_some_and(|seats| !(0..=MOST_SEATS).contains(&seats))
    {
        let message = format!("Enter a number from 0 to {MOST_SEATS}, or nothing for no limit");
        return invalid("seats", message);
    }
    if to.state == ProgrammeState::Ended {
        return invalid("state", "The beta cannot be ended here".to_owned());
    }
    Ok(())
}

/// For the audit trail: everything but when it was changed.
fn words(of: &Programme) -> String {
    format!(
        "{}, seats {:?}, offers {} days, way back {} days, at once {} and {} a link, passes {}, watched {} s, irc {:?}, forum {:?}",
        of.state,
        of.seats,
        of.offer_days,
        of.way_back_days,
        of.max_overall,
        of.max_per_link,
        of.max_warm_passes,
        of.watch_s,
        of.irc_url,
        of.forum_url
    )
}
