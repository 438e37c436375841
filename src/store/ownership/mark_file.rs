//! What an SQLite database cannot say of itself: that a copy was written into its very file. So the last mark that agents
//! were shown stands in a file beside it, written before they see it; a database that is behind went back (rule 16).

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::store::error::{Result, StoreError};
use crate::wire::PortalMark;

pub struct MarkFile {
    path: PathBuf,
    /// What the file says, once that is known.
    last: Mutex<Option<PortalMark>>,
}

impl MarkFile {
    /// Beside the database `path`.
    pub fn beside(path: &str) -> Self {
        Self {
            path: PathBuf::from(format!("{path}.mark")),
            last: Mutex::new(None),
        }
    }

    /// The last mark that agents were shown.
    pub fn last(&self) -> Result<Option<PortalMark>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() {
            *last = match fs::read(&self.path) {
                Ok(text) => Some(serde_json::from_slice(&text).map_err(|_| self.damaged())?),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(self.named(&error)),
            };
        }
        Ok(last.clone())
    }

    /// Agents are about to be shown this one. Polls that overlap may come in any order: a mark of the same life never falls.
    pub fn keep(&self, mark: &PortalMark) -> Result<()> {
        let before = self.last()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept =
            |it: &PortalMark| it.incarnation == mark.incarnation && it.revision >= mark.revision;
        if before.as_ref().is_some_and(is_kept) || last.as_ref().is_some_and(is_kept) {
            return Ok(());
        }
        self.write(mark).map_err(|error| self.named(&error))?;
        *last = Some(mark.clone());
        Ok(())
    }

    fn write(&self, mark: &PortalMark) -> std::io::Result<()> {
        let new = self.path.with_extension("mark.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(mark)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn damaged(&self) -> StoreError {
        StoreError::Data(format!(
            "{} is damaged. If the database beside it is the newest there is, remove that file and start again; else put a backup back with `xenbeta restore`",
            self.path.display()
        ))
    }

    fn named(&self, error: &std::io::Error) -> StoreError {
        StoreError::Connect(format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(incarnation: &str, revision: i64) -> PortalMark {
        PortalMark {
            incarnation: incarnation.to_owned(),
            revision,
        }
    }

    #[test]
    fn it_says_the_highest_that_was_shown_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("portal.db").display().to_string();
        let file = MarkFile::beside(&database);
        assert_eq!(file.last().unwrap(), None);
        for (shown, kept) in [(mark("a", 3), 3), (mark("a", 2), 3), (mark("b", 1), 1)] {
            file.keep(&shown).unwrap();
            assert_eq!(file.last().unwrap().unwrap().revision, kept);
            let again = MarkFile::beside(&database);
            assert_eq!(again.last().unwrap(), file.last().unwrap());
        }
        fs::write(format!("{database}.mark"), "{").unwrap();
        let why = MarkFile::beside(&database).last().unwrap_err().to_string();
        assert!(why.contains("portal.db.mark is damaged"), "{why}");
    }

    #[test]
    fn what_cannot_be_written_down_is_not_shown() {
        let file = MarkFile::beside("/nonexistent/portal.db");
        let error = file.keep(&mark("a", 1)).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/portal.db.mark"), "{error}");
    }
}
