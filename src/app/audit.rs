//! Is the audit trail whole? Walks the chain from its first entry to its head. And what is refused by the thousand, put into it.

use super::App;
use super::context::Who;
use super::error::AppError;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::AuditId;
use crate::store;
use crate::store::audit::{AuditEvent, Entry};

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
    pub fn verify_audit(&self, anchor: Option<&str>) -> Result<Verification, AppError> {
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

    /// A request was refused; costs its sender nothing and the database nothing.
    pub fn note_refusal(&self, action: Action, address: &str, asked: &str) {
        let from = (address, asked);
        self.doors.refusals.note(action, from, self.now());
    }

    /// Writes what was refused, as far as it is due; says how many rows.
    pub fn tell_refusals(&self) -> Result<usize, AppError> {
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
