//! Mail to staff of what waits for them: held Linodes, hosts whose ledger is not trusted, a recovery that waits for a host, a
//! second person's word, a step that failed for good. Each once for as long as it stands, all of a round in one mail.

use std::collections::HashSet;

use super::App;
use super::error::{AppError, Result};
use super::mail::kinds::UserMail;
use crate::app::context::PORTAL;
use crate::domain::mail::MailKind;
use crate::store;
use crate::store::alert::Alert;

/// What may put itself right takes seconds for it; what still stands then waits for somebody.
const STANDS_S: i64 = 120;
/// Things that one mail names.
const NAMED: usize = 20;

impl App {
    /// Says how many things it told staff of.
    pub(super) fn alert_staff(&self) -> Result<usize> {
        let now = self.now();
        let (standing, told) = self.db.read(|conn| {
            let standing = store::alert::standing(conn, now.plus_s(-STANDS_S))?;
            Ok::<_, AppError>((standing, store::alert::told(conn)?))
        })?;
        let stands: HashSet<&str> = standing.iter().map(|alert| alert.id.as_str()).collect();
        let over: Vec<String> = told
            .iter()
            .filter(|id| !stands.contains(id.as_str()))
            .cloned()
            .collect();
        let is_new = |alert: &Alert| !told.contains(&alert.id);
        if over.is_empty() && !standing.iter().any(is_new) {
            return Ok(0);
        }
        self.transact_at(now, PORTAL, |tx| {
            store::alert::forget(tx.conn, &over)?;
            let mut new = Vec::new();
            for alert in standing.iter().filter(|alert| is_new(alert)) {
                if store::alert::tell(tx.conn, &alert.id, tx.now)? {
                    new.push(alert);
                }
            }
            let Some(first) = new.first() else {
                return Ok(0);
            };
            let (title, path) = match new.as_slice() {
                [only] => (only.line.clone(), only.path.clone()),
                several => (
                    format!("{} things wait for staff.", several.len()),
                    if several.iter().all(|alert| alert.path == first.path) {
                        first.path.clone()
                    } else {
                        "/staff".to_owned()
                    },
                ),
            };
            let lines: Vec<&str> = match new.as_slice() {
                [_] => Vec::new(),
                several => several
                    .iter()
                    .take(NAMED)
                    .map(|alert| alert.line.as_str())
                    .collect(),
            };
            for user in store::account::staff_who_get(tx.conn, MailKind::StaffNeeded)? {
                let mail = UserMail::StaffNeeded {
                    title: &title,
                    path: &path,
                    lines: &lines.join("\n"),
                };
                tx.mail(&user, mail)?;
            }
            Ok(new.len())
        })
    }
}
