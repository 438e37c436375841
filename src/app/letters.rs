//! Mail in the transaction that causes it: rendered now, sent later from the outbox.

use super::{App, AppError};
use crate::domain::migration::Letter;
use crate::domain::time::Time;
use crate::domain::words::{MailKind, MigrationKind, ProgrammeState};
use crate::mail::{self, Facts};
use crate::store::db::Db;
use crate::store::fleet::Linode;
use crate::store::migrations::Migration;
use crate::store::outbox::{self, NewMail};
use crate::store::people::{self, User};
use crate::store::{fleet, hosts, programme};

/// "22 Nov 2026, 16:40 CET", in the reader's zone; UTC where the zone is not known.
#[must_use]
pub fn moment(at: Time, timezone: &str) -> String {
    let zone: chrono_tz::Tz = timezone.parse().unwrap_or(chrono_tz::UTC);
    at.utc()
        .with_timezone(&zone)
        .format("%-d %b %Y, %H:%M %Z")
        .to_string()
}

#[must_use]
pub fn facts_for(app: &App, user: &User) -> Facts {
    Facts {
        base_url: app.settings.base_url.clone(),
        programme: app.settings.programme_name.clone(),
        member: user.name.clone(),
        ..Facts::default()
    }
}

pub fn post(
    conn: &mut Db,
    now: Time,
    kind: MailKind,
    to: &str,
    facts: &Facts,
) -> Result<(), AppError> {
    let rendered = mail::render(kind, facts)
        .map_err(|error| AppError::Fault(format!("mail {kind}: {error}")))?;
    outbox::insert(
        conn,
        &NewMail {
            kind: &kind.to_string(),
            recipient: to,
            subject: &rendered.subject,
            text_body: &rendered.text,
            html_body: &rendered.html,
            state: "pending",
            next_at: now,
            created_at: now,
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
}

/// Posts a mail about a Linode to everyone of its account.
pub fn post_to_account(
    app: &App,
    conn: &mut Db,
    now: Time,
    kind: MailKind,
    linode: &Linode,
    about: &About<'_>,
) -> Result<(), AppError> {
    let (from_host, to_host) = match about.migration {
        Some(migration) => (
            hosts::host(conn, migration.source_host_id)?
                .map(|host| host.name)
                .unwrap_or_default(),
            hosts::host(conn, migration.destination_host_id)?
                .map(|host| host.name)
                .unwrap_or_default(),
        ),
        None => (String::new(), String::new()),
    };
    let downtime = about
        .migration
        .and_then(|migration| migration.finished_at.zip(migration.stopped_at));
    for user in people::users_of_account(conn, linode.account_id)? {
        let mut facts = facts_for(app, &user);
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
        facts.downtime = downtime
            .map(|(end, start)| format!("about {} seconds", end.seconds_since(start)))
            .unwrap_or_default();
        post(conn, now, kind, &user.email, &facts)?;
    }
    Ok(())
}

/// The mail that a transition of a migration asks for.
pub fn post_letter(
    app: &App,
    conn: &mut Db,
    now: Time,
    migration: &Migration,
    letter: Letter,
) -> Result<(), AppError> {
    let Some(linode) = fleet::linode(conn, migration.linode_id)? else {
        return Ok(());
    };
    let mut told = migration.clone();
    let mut about = About {
        when: Some(now),
        ..About::default()
    };
    let kind = match letter {
        Letter::Scheduled => {
            about.when = migration.not_before;
            MailKind::Scheduled
        }
        Letter::Started => MailKind::Started,
        Letter::Finished => {
            about.until = migration.way_back_until;
            MailKind::Finished
        }
        Letter::Failed => {
            about.reason = &migration.failure;
            MailKind::Failed
        }
        // The end of the beta has a mail of its own.
        Letter::Expired
            if migration.kind == MigrationKind::Beta
                && programme::get(conn, now)?.state == ProgrammeState::Ended =>
        {
            return Ok(());
        }
        Letter::Expired => {
            about.when = Some(migration.expires_at);
            MailKind::OfferExpired
        }
        Letter::Confirmed if migration.kind == MigrationKind::Graduation => MailKind::Graduated,
        Letter::Confirmed => MailKind::Confirmed,
        Letter::Returned => {
            // After the way back the Linode is at the source again.
            std::mem::swap(&mut told.source_host_id, &mut told.destination_host_id);
            MailKind::Returned
        }
    };
    about.migration = Some(&told);
    post_to_account(app, conn, now, kind, &linode, &about)
}
