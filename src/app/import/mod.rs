//! `xenbeta import`: a manager's data, from a file into the database. All of it or nothing, in one transaction; what is
//! there already stays exactly as it is, so that the same file can be imported again at any time.

pub(super) mod apply;
pub mod check;
pub(super) mod existing;
pub(super) mod fields;
pub mod file;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod position;
pub mod report;

use crate::domain::audit::{Action, Object};
use apply::add;
use existing::known;

use super::App;
use super::context::Who;
use super::import::report::{ImportError, Imported};
use crate::store;

impl App {
    /// Imports a fleet file (docs/IMPORT.md).
    pub fn import(&self, who: Who<'_>, bytes: &[u8]) -> Result<Imported, ImportError> {
        let text = file::text(bytes)?;
        let fleet = file::parse(text)?;
        self.transact(who, |tx| {
            store::import::lock(tx.conn)?;
            let known = known(tx.conn, &fleet)?;
            let problems = check::check(text, &fleet, &known);
            if !problems.told.is_empty() {
                return Err(ImportError::File(problems));
            }
            let imported = add(tx.conn, tx.now, &fleet, &known)?;
            store::name_index::fill(tx.conn)?;
            tx.audit(Action::Import, Object::Fleet, ("", &imported))?;
            Ok(imported)
        })
    }
}
