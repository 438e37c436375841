//! Is the audit trail whole? Walks the chain from its first entry to its head, which is sent out once a day, so that it is kept
//! where who owns the database cannot write.

use std::sync::TryLockError;

use super::App;
use super::context::{PORTAL, Tx, Who};
use super::error::{AppError, Result};
use super::mail::compose::{Extra, moment, post};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::AuditId;
use crate::domain::mail::MailKind;
use crate::domain::readiness;
use crate::domain::time::Time;
use crate::mail::{Board, MailFields};
use crate::store;
use crate::store::audit::{AuditEvent, Entry};
use crate::store::db::Db;
use crate::store::error::StoreError;

/// Entries read at once.
const PAGE: i64 = 1000;

#[derive(Debug, Clone)]
pub enum Verification {
    Whole {
        entries: u64,
        /// So many at the end were made by commands without the portal's secret; its next entry covers them.
        unsealed: u64,
        /// The newest link: kept elsewhere, it shows later that nothing up to it was taken away.
        head: String,
    },
    /// The first entry whose link does not follow from what is before it: it was changed, or one before it was changed
    /// or taken away.
    Broken {
        entries_before: u64,
        entry: Box<AuditEvent>,
    },
    /// All entries fit, and the last of those there once were is not among them, or the one that was asked for.
    CutOff { entries: u64 },
}

impl App {
    /// Looks at every entry. Others may append meanwhile: the head is read first, and has to be met on the way, and so has
    /// `anchor`, a head of before.
    ///
    /// # Errors
    /// `TooMany` while another walk goes on: each reads the whole trail.
    pub fn verify_audit(&self, anchor: Option<&str>) -> Result<Verification> {
        let _only = match self.doors.walk.try_lock() {
            Ok(only) => only,
            Err(TryLockError::Poisoned(only)) => only.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(AppError::TooMany { retry_after_s: 30 });
            }
        };
        let key = self.secret.trail_key();
        let head = self.db.read(store::audit::head)?;
        let mut previous = String::new();
        let mut after = AuditId(0);
        let (mut entries, mut unsealed) = (0, 0);
        let mut met = head.is_empty();
        let mut met_anchor = anchor.is_none();
        loop {
            let page = self.db.read(|conn| store::audit::page(conn, after, PAGE))?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for event in page {
                let entry = Entry {
                    at: event.at,
                    actor: &event.actor,
                    address: &event.address,
                    action: &event.action,
                    object: &event.object,
                    before: &event.before,
                    after: &event.after,
                };
                let is_keyed = store::audit::is_keyed(&event.hash);
                let key = key.filter(|_| is_keyed);
                if is_keyed && key.is_none() {
                    return Err(AppError::Fault(
                        "the trail's links are made with the portal's secret: set secret_file in the configuration, or XENBETA_SECRET"
                            .to_owned(),
                    ));
                }
                if store::audit::link(key, &previous, &entry) != event.hash {
                    return Ok(Verification::Broken {
                        entries_before: entries,
                        entry: Box::new(event),
                    });
                }
                entries += 1;
                unsealed = if is_keyed { 0 } else { unsealed + 1 };
                met |= event.hash == head;
                met_anchor |= anchor == Some(event.hash.as_str());
                previous = event.hash;
            }
        }
        Ok(if met && met_anchor {
            Verification::Whole {
                entries,
                unsealed,
                head,
            }
        } else {
            Verification::CutOff { entries }
        })
    }

    /// Mails the head to everybody who is to keep it and has none of today (UTC), however many portals there are; says to how many.
    pub(super) fn send_head(&self) -> Result<usize> {
        if self.settings.audit_head_to.is_empty() {
            return Ok(0);
        }
        let now = self.now();
        if self
            .db
            .read(|conn| self.without_head(conn, now))?
            .is_empty()
        {
            return Ok(0);
        }
        let sent = self.transact_at(now, PORTAL, |tx| {
            let Some(newest) = store::audit::newest(tx.conn)? else {
                return Ok(None);
            };
            // Another portal may have been quicker.
            let to = self.without_head(tx.conn, now)?;
            for to in &to {
                post_head(tx, to, &newest)?;
            }
            Ok::<_, AppError>((!to.is_empty()).then_some((to.len(), newest)))
        })?;
        let Some((sent, newest)) = sent else {
            return Ok(0);
        };
        tracing::info!(entry = %newest.id, at = %newest.at, head = newest.hash, "the audit trail's head");
        Ok(sent)
    }

    /// Who is to keep the head, and has none of this day.
    fn without_head(&self, conn: &mut Db, now: Time) -> Result<Vec<&str>, StoreError> {
        let day = readiness::begin(now.utc().date_naive());
        let mut without = Vec::new();
        for to in &self.settings.audit_head_to {
            let of = (MailKind::AuditHead, to.as_str());
            if !store::mail::was_posted(conn, of, (day, day.plus_days(1)))? {
                without.push(to.as_str());
            }
        }
        Ok(without)
    }

    /// A request was refused; costs its sender nothing and the database nothing.
    pub fn note_refusal(&self, action: Action, address: &str, asked: &str) {
        let from = (address, asked);
        self.doors.refusals.note(action, from, self.now());
    }

    /// Writes what was refused, as far as it is due; says how many rows.
    pub fn tell_refusals(&self) -> Result<usize> {
        let now = self.clock.monotonic();
        let rows = self.doors.refusals.due(now);
        if rows.is_empty() {
            return Ok(0);
        }
        self.transact(Who::named("", ""), |tx| {
            rows.iter().try_for_each(|(_, row)| {
                let mut tx = tx.by(Who::named("", &row.address));
                tx.audit(row.action, Object::Portal, ("", row.words()))
            })
        })?;
        self.doors.refusals.told(&rows, now);
        Ok(rows.len())
    }
}

fn post_head(tx: &mut Tx<'_>, to: &str, newest: &AuditEvent) -> Result<()> {
    let facts = MailFields {
        base_url: tx.app.settings.base_url.clone(),
        programme: tx.app.settings.programme_name.clone(),
        when: moment(newest.at, "UTC"),
        reason: newest.hash.clone(),
        board: Board {
            title: format!("The audit trail's head: entry {}", newest.id),
            path: "/staff/audit".to_owned(),
            ..Board::default()
        },
        ..MailFields::default()
    };
    post(tx, MailKind::AuditHead, (to, &facts), Extra::default())
}
