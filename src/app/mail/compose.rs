//! Mail in the transaction that causes it: rendered now, sent later from the outbox.

use super::kinds::{Chosen, LinodeMail, UserMail};
use crate::app::App;
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::app::migration::check;
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::linode::LinodeStatus;
use crate::domain::mail::{MailKind, MailState};
use crate::domain::migration::{Letter, MigrationKind};
use crate::domain::programme::{Deed, ProgrammeState};
use crate::domain::receipt::file_name;
use crate::domain::time::zone::Tz;
use crate::domain::time::{Time, span};
use crate::mail::{self, Appointment, MailFields, MoveOff, Rendered};
use crate::store::account::User;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::mail::NewMail;
use crate::store::migration::{Change, Migration};
use crate::{domain, store};

/// "22 Nov 2026, 16:40 CET", in the reader's zone; UTC where the zone is not known.
pub fn moment(at: Time, timezone: &str) -> String {
    let zone = timezone.parse().unwrap_or(Tz::UTC);
    at.utc()
        .with_timezone(&zone)
        .format("%-d %b %Y, %H:%M %Z")
        .to_string()
}

fn facts_for(app: &App, user: &User) -> MailFields {
    MailFields {
        base_url: app.settings.base_url.clone(),
        programme: app.settings.programme_name.clone(),
        member: user.name.clone(),
        only_staff: user.account_id.is_none(),
        ..MailFields::default()
    }
}

/// What a mail has besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    pub calendar: Option<&'a str>,
    /// From when on it is of no use to send it.
    pub stale_at: Option<Time>,
    /// Whose receipt goes with it.
    pub receipt_of: Option<MigrationId>,
}

/// Posts a mail, unless its reader has switched this kind off.
pub fn post(
    tx: &mut Tx<'_>,
    kind: MailKind,
    (to, facts): (&str, &MailFields),
    extra: Extra<'_>,
) -> Result<()> {
    let can_be_muted = domain::mail::group(kind).is_some();
    if can_be_muted && store::account::mail_choices::is_muted(tx.conn, to, kind)? {
        return Ok(());
    }
    let rendered = rendered(kind, facts)?;
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
            receipt_of: extra.receipt_of,
        },
    )?;
    Ok(())
}

fn rendered(kind: MailKind, facts: &MailFields) -> Result<Rendered> {
    mail::render(kind, facts).map_err(|error| AppError::Fault(format!("mail {kind}: {error}")))
}

/// The calendar file for one of its readers.
fn calendar(tx: &Tx<'_>, user: &User, facts: &MailFields, mail: LinodeMail<'_>) -> Option<String> {
    let (chosen, migration) = mail.chosen().zip(mail.migration())?;
    let settings = &tx.app.settings;
    let host = settings.base_url.split("://").nth(1).unwrap_or("");
    Some(mail::calendar_file(&Appointment {
        uid: format!(
            "migration-{}-{}@{host}",
            migration.id,
            migration.offered_at.utc().timestamp()
        ),
        sequence: chosen.sequence,
        stamp: tx.now.utc(),
        starts: chosen.at.utc(),
        zone: &user.timezone,
        summary: format!("{} stops for its move to {}", facts.linode, facts.to_host),
        description: format!(
            "{} stops on {3} to migrate from {1} to {2}. It stops and starts by itself, and you need not be there.",
            facts.linode, facts.from_host, facts.to_host, facts.when
        ),
        url: facts.migration_link(),
        organizer: &settings.mail_from,
        attendee: &user.email,
        cancelled: chosen.cancelled,
    }))
}

impl Tx<'_> {
    /// Posts a mail to one person.
    pub(in crate::app) fn mail(&mut self, to: &User, mail: UserMail<'_>) -> Result<()> {
        let facts = self.told(to, mail);
        let extra = Extra {
            stale_at: mail.stale_at(),
            ..Extra::default()
        };
        post(self, mail.kind(), (&to.email, &facts), extra)
    }

    /// As it would be posted now.
    pub(in crate::app) fn rendered(&self, to: &User, mail: UserMail<'_>) -> Result<Rendered> {
        rendered(mail.kind(), &self.told(to, mail))
    }

    fn told(&self, to: &User, mail: UserMail<'_>) -> MailFields {
        let mut facts = facts_for(self.app, to);
        mail.tell(&mut facts, self.now, |at| moment(at, &to.timezone));
        facts
    }

    /// Posts a mail about a Linode to everyone of its account.
    pub(in crate::app) fn mail_about(
        &mut self,
        linode: &Linode,
        mail: LinodeMail<'_>,
    ) -> Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        let about = mail.migration();
        let (from_host, to_host) = match about {
            Some(of) => (
                host_name(self.conn, of.source_host_id)?,
                host_name(self.conn, of.destination_host_id)?,
            ),
            None => (String::new(), String::new()),
        };
        let receipt = attached(self.conn, mail)?;
        for user in store::account::users_of_account(self.conn, linode.account_id)? {
            let mut facts = MailFields {
                linode: linode.label.clone(),
                linode_id: Some(linode.id),
                migration_id: about.map(|of| of.id),
                from_host: from_host.clone(),
                to_host: to_host.clone(),
                downtime: about.map_or_else(String::new, downtime),
                ..facts_for(self.app, &user)
            };
            mail.tell(&mut facts, self.now, |at| moment(at, &user.timezone));
            facts.receipt = receipt.map(file_name).unwrap_or_default();
            facts.move_off.is = about.is_some_and(|of| of.kind == MigrationKind::Evacuation);
            let calendar = calendar(self, &user, &facts, mail);
            let extra = Extra {
                calendar: calendar.as_deref(),
                stale_at: mail.stale_at(),
                receipt_of: receipt,
            };
            post(self, mail.kind(), (&user.email, &facts), extra)?;
        }
        Ok(())
    }
}

/// Larger ones are not attached: their page has them.
const ATTACHED: usize = 256 * 1024;

/// Whose receipt goes with a mail, if it has one.
fn attached(conn: &mut Db, mail: LinodeMail<'_>) -> Result<Option<MigrationId>> {
    let Some(of) = mail.receipt_of() else {
        return Ok(None);
    };
    let body = store::receipt::body(conn, of)?;
    Ok(body.filter(|body| body.len() <= ATTACHED).map(|_| of))
}

fn host_name(conn: &mut Db, id: HostId) -> Result<String> {
    Ok(store::host::host(conn, id)?
        .map(|host| host.name)
        .unwrap_or_default())
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

/// Tells that the time chosen for a migration, as it was in `before`, is given up. `reason`: what happens instead;
/// `stands`: until when the offer can still be used.
pub fn post_unscheduled(
    tx: &mut Tx<'_>,
    before: &Migration,
    reason: &str,
    stands: Option<Time>,
) -> Result<()> {
    let Some((linode, at)) =
        store::linode::linode(tx.conn, before.linode_id)?.zip(before.not_before)
    else {
        return Ok(());
    };
    let mail = LinodeMail::Unscheduled {
        of: before,
        chosen: next_file(tx.conn, before, at, true)?,
        reason,
        stands,
    };
    tx.mail_about(&linode, mail)
}

/// Tells that staff move it off its host: why and when. `expected`: how long it will be away; empty if that is not known.
pub fn post_move_off(
    tx: &mut Tx<'_>,
    linode: &Linode,
    row: &Migration,
    move_off: MoveOff,
    expected: &str,
) -> Result<()> {
    let mail = LinodeMail::Evacuation {
        of: row,
        chosen: match row.not_before {
            Some(at) => Some(next_file(tx.conn, row, at, move_off.called_off)?),
            None => None,
        },
        move_off,
        expected,
    };
    tx.mail_about(linode, mail)
}

/// Tells that staff have called a move off. A time that has passed needs no calendar file.
pub fn post_called_off(tx: &mut Tx<'_>, before: &Migration) -> Result<()> {
    let Some(linode) = store::linode::linode(tx.conn, before.linode_id)? else {
        return Ok(());
    };
    let row = Migration {
        not_before: before.not_before.filter(|at| *at > tx.now),
        ..before.clone()
    };
    if row.kind == MigrationKind::Evacuation {
        let called_off = MoveOff {
            called_off: true,
            ..MoveOff::default()
        };
        return post_move_off(tx, &linode, &row, called_off, "");
    }
    let mail = LinodeMail::CalledOff {
        of: &row,
        chosen: match row.not_before {
            Some(at) => Some(next_file(tx.conn, &row, at, true)?),
            None => None,
        },
    };
    tx.mail_about(&linode, mail)
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
fn next_file(conn: &mut Db, migration: &Migration, at: Time, cancelled: bool) -> Result<Chosen> {
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
pub fn post_letter(tx: &mut Tx<'_>, migration: &Migration, letter: Letter) -> Result<()> {
    let Some(linode) = store::linode::linode(tx.conn, migration.linode_id)? else {
        return Ok(());
    };
    let mut told = migration.clone();
    let why;
    let mail = match letter {
        Letter::Scheduled => LinodeMail::Scheduled {
            of: migration,
            chosen: match migration.not_before {
                Some(at) => Some(next_file(tx.conn, migration, at, false)?),
                None => None,
            },
        },
        Letter::Started => LinodeMail::Started(migration),
        Letter::Finished => LinodeMail::Finished(migration),
        Letter::Failed => LinodeMail::Failed {
            of: migration,
            is_over: migration.kind == MigrationKind::Return
                || crate::app::programme::allows(
                    &store::programme::get(tx.conn, tx.now)?,
                    tx.now,
                    Deed::Start(migration.kind),
                )
                .is_err(),
            is_off: migration.was_running && linode.status == LinodeStatus::Offline,
        },
        // The end of the beta has a mail of its own.
        Letter::Expired
            if migration.kind == MigrationKind::Beta
                && store::programme::get(tx.conn, tx.now)?.state == ProgrammeState::Ended =>
        {
            return Ok(());
        }
        Letter::Expired => LinodeMail::OfferExpired(migration),
        Letter::Confirmed if migration.kind == MigrationKind::Graduation => {
            LinodeMail::Graduated(migration)
        }
        Letter::Confirmed => LinodeMail::Confirmed(migration),
        Letter::Returned => {
            // After the way back the Linode is at the source again; how long it took is the way back's own.
            std::mem::swap(&mut told.source_host_id, &mut told.destination_host_id);
            let back = store::migration::of_linode(tx.conn, migration.linode_id)?
                .into_iter()
                .find(|row| row.parent_id == Some(migration.id));
            told.was_running = back.as_ref().is_some_and(|row| row.was_running);
            told.stopped_at = back.as_ref().and_then(|row| row.stopped_at);
            told.running_at = back.as_ref().and_then(|row| row.running_at);
            told.finished_at = back.as_ref().and_then(|row| row.finished_at);
            let is_by_itself = back.as_ref().is_some_and(|row| row.queued_by.is_none());
            why = if is_by_itself && migration.kind != MigrationKind::Evacuation {
                check::why_home(tx, migration.id)?
            } else {
                String::new()
            };
            LinodeMail::Returned {
                of: &told,
                back: back.map(|row| row.id),
                why: &why,
            }
        }
    };
    tx.mail_about(&linode, mail)
}
