//! A guest's console: a file the guest appends to, kept small from outside, since a guest may write for ever and must not
//! wait for its host.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::folder::{Folder, absent_is_fine};
use crate::agent::command::printable;

/// How much of the console a page gets at most.
const TAIL: u64 = 64 * 1024;

/// A fresh console for a start; the last one is kept beside it.
pub fn open(folder: &Folder) -> io::Result<File> {
    absent_is_fine(fs::rename(folder.console(), folder.earlier_console()))?;
    // Appending: after `bound` cut the file, the guest goes on at its new end and leaves no hole.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.console())
}

/// Cuts a console that has grown over `limit` bytes: the newest half of it moves to the earlier one. What the guest
/// says in that moment may be lost.
pub fn bound(folder: &Folder, limit: u64) -> io::Result<()> {
    let length = match fs::metadata(folder.console()) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if length > limit {
        fs::write(
            folder.earlier_console(),
            end_of(&folder.console(), limit / 2)?,
        )?;
        OpenOptions::new()
            .write(true)
            .open(folder.console())?
            .set_len(0)?;
    }
    Ok(())
}

/// The last lines, oldest first, of this run and, if it has said less, of what was before.
#[must_use]
pub fn tail(folder: &Folder, lines: usize) -> String {
    let mut bytes = end_of(&folder.console(), TAIL).unwrap_or_default();
    if bytes.split(|byte| *byte == b'\n').count() <= lines {
        let mut earlier = end_of(&folder.earlier_console(), TAIL).unwrap_or_default();
        earlier.append(&mut bytes);
        bytes = earlier;
    }
    let text = without_escapes(&printable(&bytes, usize::MAX));
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}

/// `printable` takes out the escape character itself; this the colours that followed it.
fn without_escapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, after) = rest.split_at(at);
        clean.push_str(before);
        let codes = after.get(1..).unwrap_or_default();
        let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.and_then(|end| codes.split_at_checked(end)) {
            Some((_, after_codes)) if after_codes.starts_with('m') => {
                rest = after_codes.get(1..).unwrap_or_default();
            }
            _ => {
                clean.push('[');
                rest = codes;
            }
        }
    }
    clean.push_str(rest);
    clean
}

fn end_of(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::domain::ids::LinodeId;

    #[test]
    fn a_console_stays_small_and_its_end_readable() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), LinodeId(7));
        folder.make().unwrap();
        assert_eq!(tail(&folder, 5), "");
        bound(&folder, 100).unwrap();
        let mut guest = open(&folder).unwrap();
        for number in 0..40 {
            writeln!(guest, "line \x1b[1;31m{number}\x1b[0m\r").unwrap();
        }
        assert_eq!(tail(&folder, 2), "line 38\nline 39");
        bound(&folder, 200).unwrap();
        assert_eq!(fs::metadata(folder.console()).unwrap().len(), 0);
        assert!(fs::metadata(folder.earlier_console()).unwrap().len() <= 100);
        // The guest's own handle goes on, without a hole.
        writeln!(guest, "after [x] \u{7}").unwrap();
        assert_eq!(fs::metadata(folder.console()).unwrap().len(), 12);
        assert_eq!(tail(&folder, 2), "line 39\nafter [x]");
        drop(guest);
        open(&folder).unwrap();
        assert_eq!(tail(&folder, 1), "after [x]");
    }
}
