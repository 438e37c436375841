//! Is the audit trail whole? Walks the chain from its first entry to its head.

use super::App;
use super::error::AppError;
use crate::domain::ids::AuditId;
use crate::store;
use crate::store::audit::{AuditEvent, Entry};

/// Entries read at once.
const PAGE: i64 = 1000;

#[derive(Debug, Clone)]
pub enum Verification {
    Whole {
        entries: u64,
    },
    /// The first entry whose link does not follow from what is before it: it was changed, or one before it was changed
    /// or taken away.
    Broken {
        entries_before: u64,
        entry: Box<AuditEvent>,
    },
    /// All entries fit, and the last of those there once were is not among them.
    CutOff {
        entries: u64,
    },
}

impl App {
    /// Looks at every entry. Others may append meanwhile: the head is read first, and has to be met on the way.
    pub fn verify_audit(&self) -> Result<Verification, AppError> {
        let head = self.db.read(store::audit::head)?;
        let mut previous = String::new();
        let mut after = AuditId(0);
        let mut entries = 0;
        let mut met = head.is_empty();
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
                if store::audit::link(&previous, &entry) != event.hash {
                    return Ok(Verification::Broken {
                        entries_before: entries,
                        entry: Box::new(event),
                    });
                }
                entries += 1;
                met |= event.hash == head;
                previous = event.hash;
            }
        }
        Ok(if met {
            Verification::Whole { entries }
        } else {
            Verification::CutOff { entries }
        })
    }
}
