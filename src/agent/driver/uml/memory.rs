//! What the guests of a host were started with.

use super::processes::Table;
use super::{Uml, folder};
use crate::agent::driver::Result;
use crate::agent::driver::files::host;
use crate::domain::ids::LinodeId;

impl Uml {
    /// Memory of all guests but `except`, in MiB: of Linodes and of trials, whose clones take as much.
    pub(super) fn memory_used_mb(&self, except: LinodeId) -> Result<i64> {
        let table = Table::read().map_err(host)?;
        let used = self.memory_of(&table, Some(except))?;
        Ok(match self.twin() {
            Some(twin) => used + twin.memory_of(&table, None)?,
            None => used,
        })
    }

    fn memory_of(&self, table: &Table, except: Option<LinodeId>) -> Result<i64> {
        let mut used = 0;
        for linode in folder::linodes(&self.state).map_err(host)? {
            if Some(linode) == except {
                continue;
            }
            let folder = self.folder(linode);
            // One damaged folder concerns its own Linode only; what its guest takes is left to the host's own limits.
            let record = folder.record().unwrap_or_else(|error| {
                tracing::warn!(dir = %folder.dir().display(), %error, "a record cannot be read");
                None
            });
            let found = table.guest(&self.marks(table, linode, record.as_ref()));
            if !found.all.is_empty() {
                used += record.map_or(0, |record| record.ram_mb);
            }
        }
        Ok(used)
    }
}
