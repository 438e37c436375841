//! Mail as `.eml` files in a folder: for the demo, for tests, and for operators who hand mail on by other means.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;

use super::{Message, SendError, SetupError, Transport, mime};

pub struct FolderTransport {
    folder: PathBuf,
    from: Mailbox,
}

impl FolderTransport {
    /// Makes the folder if it is not there, readable by the portal's user alone.
    ///
    /// # Errors
    /// If the folder can not be made, or `from` is no address.
    pub fn new(folder: &Path, from: &str) -> Result<Self, SetupError> {
        let from = mime::sender(from)?;
        make_private(folder).map_err(|source| SetupError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            from,
        })
    }

    /// Whole or not at all: readers of the folder only ever see finished files.
    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let partial = self.folder.join(format!(".{name}.partial"));
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, self.folder.join(format!("{name}.eml")))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

impl Transport for FolderTransport {
    /// The file is named by the Message-ID, so that a repetition replaces its first copy.
    fn send(&self, message: &Message) -> Result<(), SendError> {
        let bytes = mime::build(&self.from, message)?.formatted();
        let name: String = message
            .message_id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-'))
            .collect();
        self.write(name.trim_start_matches('.'), &bytes)
            .map_err(|e| SendError::Temporary(format!("{}: {e}", self.folder.display())))
    }
}
