//! Mail in the transaction that causes it: rendered now, sent later from the outbox.

use crate::app::App;
use crate::app::context::Tx;
use crate::app::error::AppError;
use crate::domain::linode::LinodeStatus;
use crate::domain::mail::{MailKind, MailState};
use crate::domain::migration::Letter;
use crate::domain::migration::MigrationKind;
use crate::domain::programme::Deed;
use crate::domain::programme::ProgrammeState;
use crate::domain::time::{Time, span};
use crate::mail::{self, Appointment, Facts, MoveOff};
use crate::store::account::User;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::mail::NewMail;
use crate::store::migration::{Change, Migration};
use crate::{domain, store};

/// "22 Nov 2026, 16:40 CET", in the reader's zone; UTC where the zone is not known.
pub fn moment(at: Time, timezone: &str) -> String {
    let zone: chrono_tz::Tz = timezone.parse().unwrap_or(chrono_tz::UTC);
    at.utc()
        .with_timezone(&zone)
        .format("%-d %b %Y, %H:%M %Z")
        .to_string()
}

pub fn facts_for(app: &App, user: &User) -> Facts {
    Facts {
        base_url: app.settings.base_url.clone(),
        programme: app.settings.programme_name.clone(),
        member: user.name.clone(),
        ..Facts::default()
    }
}

/// Posts a mail, unless its reader has switched this kind off.
pub fn post(tx: &mut Tx<'_>, kind: MailKind, to: &str, facts: &Facts) -> Result<(), AppError> {
    post_with(tx, kind, to, facts, Extra::default())
}

/// As [`post`], for a mail that says nothing of use from a moment on.
pub fn post_until(
    tx: &mut Tx<'_>,
    kind: MailKind,
    to: &str,
    facts: &Facts,
    until: Time,
) -> Result<(), AppError> {
    let extra = Extra {
        stale_at: Some(until),
        ..Extra::default()
    };
    post_with(tx, kind, to, facts, extra)
}

/// What a mail has besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    pub calendar: Option<&'a str>,
    /// From when on it is of no use to send it.
    pub stale_at: Option<Time>,
}

/// As [`post`], with what goes with it.
pub fn post_with(
    tx: &mut Tx<'_>,
    kind: MailKind,
    to: &str,
    facts: &Facts,
    extra: Extra<'_>,
) -> Result<(), AppError> {
    let can_be_muted = domain::mail::group(kind).is_some();
    if can_be_muted && store::account::mail_choices::is_muted(tx.conn, to, kind)? {
        return Ok(());
    }
    let rendered = mail::render(kind, facts)
        .map_err(|error| AppError::Fault(format!("mail {kind}: {error}")))?;
    store::mail::insert(
        tx.conn,
        &NewMail {
            kind: &kind.to_string(),
            recipient: to,
            subject: &rendered.subject,
            text_body: &rendered.text,
            html_body: &rendered.html,
            state: MailState::Pending,
            next_at: tx.now,
            created_at: tx.now,
            calendar: extra.calendar,
            stale_at: extra.stale_at,
            bug_id: facts.board.bug,
        },
    )?;
    Ok(())
}

/// What a mail about a Linode says besides the names.
#[derive(Default)]
pub struct About<'a> {
    pub reason: &'a str,
    pub position: Option<i64>,
    pub when: Option<Time>,
    pub until: Option<Time>,
    pub migration: Option<&'a Migration>,
    pub chosen: Option<Chosen>,
    pub came_back: bool,
    /// `when` is later than the chosen time: quiet hours hold it.
    pub is_held: bool,
    /// No other try goes on from what was copied.
    pub is_over: bool,
    /// It is off where it stayed, and nobody starts it but its member.
    pub is_off: bool,
    pub move_off: MoveOff,
    /// How long it will be away, where that is told; else how long it was.
    pub expected: &'a str,
}

/// A time that its member chose, for their calendar.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    pub at: Time,
    /// Of the calendar file; higher than in all before.
    pub sequence: i32,
    pub cancelled: bool,
}

/// The calendar file for one of its readers.
fn calendar(app: &App, now: Time, user: &User, facts: &Facts, about: &About<'_>) -> Option<String> {
    let (chosen, migration) = about.chosen.zip(about.migration)?;
    let host = app.settings.base_url.split("://").nth(1).unwrap_or("");
    Some(mail::calendar_file(&Appointment {
        uid: format!(
            "migration-{}-{}@{host}",
            migration.id,
            migration.offered_at.utc().timestamp()
        ),
        sequence: chosen.sequence,
        stamp: now.utc(),
        starts: chosen.at.utc(),
        zone: &user.timezone,
        summary: format!("{} migrates to {}", facts.linode, facts.to_host),
        description: format!(
            "{} migrates from {} to {} on {}. It starts by itself, and you need not be there.",
            facts.linode, facts.from_host, facts.to_host, facts.when
        ),
        url: facts.migration_link(),
        organizer: &app.settings.mail_from,
        attendee: &user.email,
        cancelled: chosen.cancelled,
    }))
}

/// Posts a mail about a Linode to everyone of its account.
pub fn post_to_account(
    tx: &mut Tx<'_>,
    kind: MailKind,
    linode: &Linode,
    about: &About<'_>,
) -> Result<(), AppError> {
    let (from_host, to_host) = match about.migration {
        Some(migration) => (
            store::host::host(tx.conn, migration.source_host_id)?
                .map(|host| host.name)
                .unwrap_or_default(),
            store::host::host(tx.conn, migration.destination_host_id)?
                .map(|host| host.name)
                .unwrap_or_default(),
        ),
        None => (String::new(), String::new()),
    };
    let downtime = about.migration.map_or_else(String::new, downtime);
    for user in store::account::users_of_account(tx.conn, linode.account_id)? {
        let mut facts = facts_for(tx.app, &user);
        facts.linode.clone_from(&linode.label);
        facts.linode_id = Some(linode.id);
        facts.migration_id = about.migration.map(|migration| migration.id);
        facts.from_host.clone_from(&from_host);
        facts.to_host.clone_from(&to_host);
        facts.position = about.position;
        about.reason.clone_into(&mut facts.reason);
        facts.when = about
            .when
            .map(|at| moment(at, &user.timezone))
            .unwrap_or_default();
        facts.until = about
            .until
            .map(|at| moment(at, &user.timezone))
            .unwrap_or_default();
        facts.downtime.clone_from(&downtime);
        if !about.expected.is_empty() {
            about.expected.clone_into(&mut facts.downtime);
        }
        facts.move_off = MoveOff {
            is: about
                .migration
                .is_some_and(|row| row.kind == MigrationKind::Evacuation),
            ..about.move_off
        };
        facts.came_back = about.came_back;
        facts.is_held = about.is_held;
        facts.is_over = about.is_over;
        facts.is_off = about.is_off;
        let calendar = calendar(tx.app, tx.now, &user, &facts, about);
        let extra = Extra {
            calendar: calendar.as_deref(),
            stale_at: stale_at(kind, about),
        };
        post_with(tx, kind, &user.email, &facts, extra)?;
    }
    Ok(())
}

/// How long the Linode was away, in words; empty if it was not, or is not known. An agent that does not say when it had
/// started it leaves a bound only.
fn downtime(of: &Migration) -> String {
    let words = if of.running_at.is_some() {
        "about"
    } else {
        "at most"
    };
    of.down_s()
        .map(|seconds| format!("{words} {}", span(seconds.max(1))))
        .unwrap_or_default()
}

/// From when on a mail asks for, or announces, what is over.
fn stale_at(kind: MailKind, about: &About<'_>) -> Option<Time> {
    match kind {
        MailKind::OfferReady | MailKind::GraduationReady | MailKind::OfferReminder => about.until,
        MailKind::Scheduled | MailKind::TimeReminder => about.when,
        _ => None,
    }
}

/// Tells that the time chosen for a migration, as it was in `before`, is given up. `reason`: what happens instead;
/// `stands`: until when the offer can still be used.
pub fn post_unscheduled(
    tx: &mut Tx<'_>,
    before: &Migration,
    reason: &str,
    stands: Option<Time>,
) -> Result<(), AppError> {
    let Some((linode, at)) =
        store::linode::linode(tx.conn, before.linode_id)?.zip(before.not_before)
    else {
        return Ok(());
    };
    let about = About {
        reason,
        when: Some(at),
        until: stands,
        migration: Some(before),
        chosen: Some(next_file(tx.conn, before, at, true)?),
        ..About::default()
    };
    post_to_account(tx, MailKind::Unscheduled, &linode, &about)
}

/// Tells that staff move it off its host: why and when. `expected`: how long it will be away; empty if that is not known.
pub fn post_move_off(
    tx: &mut Tx<'_>,
    linode: &Linode,
    row: &Migration,
    move_off: MoveOff,
    expected: &str,
) -> Result<(), AppError> {
    let about = About {
        reason: &row.reason,
        when: row.not_before,
        migration: Some(row),
        chosen: match row.not_before {
            Some(at) => Some(next_file(tx.conn, row, at, move_off.called_off)?),
            None => None,
        },
        move_off,
        expected,
        ..About::default()
    };
    post_to_account(tx, MailKind::Evacuation, linode, &about)
}

/// Tells that staff have called such a move off. A time that has passed needs no calendar file.
pub fn post_called_off(tx: &mut Tx<'_>, before: &Migration) -> Result<(), AppError> {
    let Some(linode) = store::linode::linode(tx.conn, before.linode_id)? else {
        return Ok(());
    };
    let row = Migration {
        not_before: before.not_before.filter(|at| *at > tx.now),
        ..before.clone()
    };
    let called_off = MoveOff {
        called_off: true,
        ..MoveOff::default()
    };
    post_move_off(tx, &linode, &row, called_off, "")
}

/// From what the last moves took, if there are enough of them; else empty.
pub fn expected_downtime(recent: &[Migration]) -> String {
    let mut seconds: Vec<i64> = recent.iter().filter_map(Migration::down_s).collect();
    seconds.sort_unstable();
    match (seconds.first(), seconds.last()) {
        (Some(least), Some(most)) if seconds.len() >= 3 => {
            format!("{} to {} seconds", (*least).max(1), (*most).max(1))
        }
        _ => String::new(),
    }
}

/// Takes the next number for a calendar file about this migration.
fn next_file(
    conn: &mut Db,
    migration: &Migration,
    at: Time,
    cancelled: bool,
) -> Result<Chosen, AppError> {
    let sequence = migration.calendar_seq;
    let change = Change {
        calendar_seq: Some(sequence.saturating_add(1)),
        ..Change::default()
    };
    store::migration::note(conn, migration.id, &change)?;
    Ok(Chosen {
        at,
        sequence,
        cancelled,
    })
}

/// The mail that a transition of a migration asks for.
pub fn post_letter(tx: &mut Tx<'_>, migration: &Migration, letter: Letter) -> Result<(), AppError> {
    let Some(linode) = store::linode::linode(tx.conn, migration.linode_id)? else {
        return Ok(());
    };
    let mut told = migration.clone();
    let mut about = About {
        when: Some(tx.now),
        ..About::default()
    };
    let kind = match letter {
        Letter::Scheduled => {
            about.when = migration.not_before;
            about.chosen = match migration.not_before {
                Some(at) => Some(next_file(tx.conn, migration, at, false)?),
                None => None,
            };
            MailKind::Scheduled
        }
        Letter::Started => MailKind::Started,
        Letter::Finished => {
            // The way back of an evacuation is staff's.
            about.until = migration
                .way_back_until
                .filter(|_| migration.kind != MigrationKind::Evacuation);
            MailKind::Finished
        }
        Letter::Failed => {
            about.reason = &migration.failure;
            about.is_over = migration.kind == MigrationKind::Return
                || crate::app::programme::allows(
                    &store::programme::get(tx.conn, tx.now)?,
                    tx.now,
                    Deed::Start(migration.kind),
                )
                .is_err();
            about.is_off = migration.was_running && linode.status == LinodeStatus::Offline;
            MailKind::Failed
        }
        // The end of the beta has a mail of its own.
        Letter::Expired
            if migration.kind == MigrationKind::Beta
                && store::programme::get(tx.conn, tx.now)?.state == ProgrammeState::Ended =>
        {
            return Ok(());
        }
        Letter::Expired => {
            about.until = Some(migration.expires_at);
            MailKind::OfferExpired
        }
        Letter::Confirmed if migration.kind == MigrationKind::Graduation => MailKind::Graduated,
        Letter::Confirmed => MailKind::Confirmed,
        Letter::Returned => {
            // After the way back the Linode is at the source again; how long it took is the way back's own.
            std::mem::swap(&mut told.source_host_id, &mut told.destination_host_id);
            let back = store::migration::of_linode(tx.conn, migration.linode_id)?
                .into_iter()
                .find(|row| row.parent_id == Some(migration.id));
            told.was_running = back.as_ref().is_some_and(|row| row.was_running);
            told.stopped_at = back.as_ref().and_then(|row| row.stopped_at);
            told.running_at = back.as_ref().and_then(|row| row.running_at);
            told.finished_at = back.and_then(|row| row.finished_at);
            MailKind::Returned
        }
    };
    about.migration = Some(&told);
    post_to_account(tx, kind, &linode, &about)
}
