//! What staff set for the whole beta: whether it takes registrations, its limits and links.

pub mod end;
pub mod move_times;
pub mod texts;

use super::App;
use super::context::Actor;
use super::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::programme::{self as rules, Deed, Phase, ProgrammeState, TextSection};
use crate::domain::time::Time;
use crate::domain::values::OutsideLink;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::programme::Programme;
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
    pub opens_at: Option<Time>,
    pub expected_end_at: Option<Time>,
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
    pub fn set_programme(&self, actor: &Actor, to: &Settings) -> Result<()> {
        actor.require(Right::Programme)?;
        check(to)?;
        self.transact(actor.who(), |tx| {
            store::programme::lock(tx.conn)?;
            let stored = store::programme::stored(tx.conn)?;
            let changed = stored.as_ref().map(|row| row.changed_at);
            let before = stored.unwrap_or_else(|| Programme::new(tx.now));
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
                changed_at: tx.now,
                opens_at: to.opens_at,
                expected_end_at: to.expected_end_at,
                // Opened or closed again, it has not ended.
                ended_at: before.ended_at.filter(|_| to.state == ProgrammeState::Ended),
            };
            if to.state == ProgrammeState::Ended && before.state != ProgrammeState::Ended {
                let message = "The beta cannot be ended here: it has a page of its own, which says what will happen";
                return Err(AppError::invalid("state", message));
            }
            let (old, new) = (words(&before), words(&after));
            if old == new {
                return Ok(());
            }
            if changed != to.seen {
                return Err(AppError::conflict(
                    "Someone else changed these settings while you looked at them. Look at them again.",
                ));
            }
            store::programme::set(tx.conn, &after)?;
            // Raised limits let more of those who wait begin.
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            tx.audit(Action::Programme, Object::Programme, (&old, &new))
        })
    }
}

/// Characters of a section's text.
pub const TEXT_MOST: usize = 10_000;

impl App {
    /// Stores what staff wrote for a section of the announcement; nothing (or its default text) gives it its default
    /// text back. `seen`: when what the form showed had been changed last.
    pub fn set_text(
        &self,
        actor: &Actor,
        section: TextSection,
        body: &str,
        seen: Option<Time>,
    ) -> Result<()> {
        actor.require(Right::Programme)?;
        let body = body.replace("\r\n", "\n").trim().to_owned();
        if body.chars().count() > TEXT_MOST {
            return Err(AppError::invalid(
                "body",
                format!("Write {TEXT_MOST} characters or fewer"),
            ));
        }
        let to_default = body.is_empty() || body == texts::default(section).trim();
        self.transact(actor.who(), |tx| {
            store::programme::lock(tx.conn)?;
            let stored = store::programme::text(tx.conn, section)?;
            let before = stored.as_ref().map(|text| text.body.as_str());
            if before == Some(body.as_str()) || (before.is_none() && to_default) {
                return Ok(());
            }
            if stored.as_ref().map(|text| text.changed_at) != seen {
                return Err(AppError::conflict(
                    "Someone else changed this text while you wrote. Look at it again; yours is in the browser's history.",
                ));
            }
            let before = before.unwrap_or("default").to_owned();
            if to_default {
                store::programme::drop_text(tx.conn, section)?;
            } else {
                let text = store::programme::Text {
                    section,
                    body: body.clone(),
                    changed_at: tx.now,
                    changed_by: Some(actor.user),
                };
                store::programme::put_text(tx.conn, &text)?;
            }
            let after = if to_default { "default" } else { &body };
            tx.audit(Action::ProgrammeText, Object::ProgrammeText(section), (&before, after))
        })
    }
}

fn check(to: &Settings) -> Result<()> {
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
            return Err(AppError::invalid(
                field,
                format!("Enter a number from {least} to {most}"),
            ));
        }
    }
    if to
        .seats
        .is_some_and(|seats| !(0..=MOST_SEATS).contains(&seats))
    {
        let message = format!("Enter a number from 0 to {MOST_SEATS}, or nothing for no limit");
        return Err(AppError::invalid("seats", message));
    }
    if let (Some(opens), Some(ends)) = (to.opens_at, to.expected_end_at)
        && ends <= opens
    {
        return Err(AppError::invalid(
            "expected_end_at",
            "The end must come after the opening",
        ));
    }
    Ok(())
}

/// For the audit trail: everything but when it was changed.
fn words(of: &Programme) -> String {
    format!(
        "{}, opens {}, expected end {}, seats {:?}, offers {} days, way back {} days, at once {} and {} a link, passes {}, watched {} s, irc {:?}, forum {:?}",
        of.state,
        moment(of.opens_at),
        moment(of.expected_end_at),
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

fn moment(at: Option<Time>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

/// Where the programme stands now.
pub fn phase(of: &Programme, now: Time) -> Phase {
    rules::phase(of.state, of.opens_at, now)
}

/// Refuses what the programme's state does not let anyone do.
pub fn allows(of: &Programme, now: Time, deed: Deed) -> Result<()> {
    rules::allows(phase(of, now), deed).map_err(|barred| AppError::conflict(barred.to_string()))
}
