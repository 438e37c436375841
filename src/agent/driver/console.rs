//! A guest's console: a file the guest appends to, kept small from outside, since a guest may write for ever and must not
//! wait for its host.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::files::absent_is_fine;
use crate::agent::absent::if_there;
use crate::command::printable;
use crate::domain::text::unreadable;

/// How much of the console a page gets at most.
const TAIL: u64 = 64 * 1024;

/// Where a guest's console is.
pub struct Console {
    pub now: PathBuf,
    /// What was on it before.
    pub earlier: PathBuf,
}

impl Console {
    /// A fresh console for a start; the last one is kept beside it.
    pub fn open(&self) -> io::Result<File> {
        absent_is_fine(fs::rename(&self.now, &self.earlier))?;
        // Appending: after `bound` cut the file, the guest goes on at its new end and leaves no hole.
        OpenOptions::new().create(true).append(true).open(&self.now)
    }

    /// Cuts a console that has grown over `limit` bytes: the newest half of it moves to the earlier one. What the guest
    /// says in that moment may be lost. With a limit of 0 all of it that is worth keeping is the earlier one then.
    pub fn bound(&self, limit: u64) -> io::Result<()> {
        let there = if_there(fs::metadata(&self.now))?;
        if there.is_some_and(|meta| meta.len() > limit) {
            let kept = if limit == 0 { TAIL } else { limit / 2 };
            fs::write(&self.earlier, end_of(&self.now, kept)?)?;
            OpenOptions::new().write(true).open(&self.now)?.set_len(0)?;
        }
        Ok(())
    }

    /// A fresh console as [`Console::open`] makes one, for a writer that keeps it small itself.
    pub fn open_to_cut(&self) -> io::Result<Cut> {
        absent_is_fine(fs::rename(&self.now, &self.earlier))?;
        let open = |path| {
            OpenOptions::new()
                .create(true)
                .read(true)
                .append(true)
                .open(path)
        };
        Ok(Cut {
            now: open(&self.now)?,
            earlier: open(&self.earlier)?,
        })
    }

    /// The last lines, oldest first, of this run and, if it has said less, of what was before.
    pub fn tail(&self, lines: usize) -> String {
        let mut bytes = end_of(&self.now, TAIL).unwrap_or_default();
        if bytes.split(|byte| *byte == b'\n').count() <= lines {
            let mut earlier = end_of(&self.earlier, TAIL).unwrap_or_default();
            earlier.append(&mut bytes);
            bytes = earlier;
        }
        let text = shown(&bytes);
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.get(from..).unwrap_or_default().join("\n")
    }
}

/// A console and the one before it, as files: their writer may be where their names mean nothing.
pub struct Cut {
    now: File,
    earlier: File,
}

impl Cut {
    /// As [`Console::bound`] before it writes.
    pub fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<()> {
        let length = self.now.metadata()?.len();
        if length + bytes.len() as u64 > limit {
            let kept = end(&self.now, limit / 2)?;
            self.earlier.set_len(0)?;
            self.earlier.write_all(&kept)?;
            self.now.set_len(0)?;
        }
        self.now.write_all(bytes)
    }
}

/// What a guest wrote, as a page may show it.
pub(super) fn shown(bytes: &[u8]) -> String {
    let hidden = |c| !matches!(c, '\n' | '\t') && unreadable(c);
    without_escapes(&printable(bytes, usize::MAX).replace(hidden, ""))
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
    end(&File::open(path)?, limit)
}

fn end(mut file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_console_stays_small_and_its_end_readable() {
        let dir = tempfile::tempdir().unwrap();
        let console = Console {
            now: dir.path().join("console"),
            earlier: dir.path().join("console.old"),
        };
        let length = |path: &Path| fs::metadata(path).unwrap().len();
        assert_eq!(console.tail(5), "");
        console.bound(100).unwrap();
        let mut guest = console.open().unwrap();
        for number in 0..40 {
            writeln!(guest, "line \x1b[1;31m{number}\x1b[0m\r").unwrap();
        }
        assert_eq!(console.tail(2), "line 38\nline 39");
        console.bound(200).unwrap();
        assert_eq!(length(&console.now), 0);
        assert!(length(&console.earlier) <= 100);
        // The guest's own handle goes on, without a hole.
        writeln!(guest, "after [x] \u{7}").unwrap();
        assert_eq!(length(&console.now), 12);
        assert_eq!(console.tail(2), "line 39\nafter [x]");
        console.bound(0).unwrap();
        assert_eq!(length(&console.now), 0);
        assert_eq!(console.tail(1), "after [x]");
        writeln!(guest, "and on").unwrap();
        drop(guest);
        console.open().unwrap();
        assert_eq!(console.tail(1), "and on");
    }

    /// Staff and members read it in a page, in a log, in a terminal.
    #[test]
    fn what_a_guest_says_moves_no_cursor_and_turns_no_line_around() {
        let dir = tempfile::tempdir().unwrap();
        let console = Console {
            now: dir.path().join("console"),
            earlier: dir.path().join("console.old"),
        };
        for (said, read) in [
            (
                "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m",
                "]0;title[2Jred",
            ),
            ("a\u{9b}2Jb\x08\x7f\0\rc", "a2Jbc"),
            ("\u{202e}txt.\u{2066}exe\u{2069}\u{feff}\u{202c}", "txt.exe"),
        ] {
            fs::write(&console.now, said).unwrap();
            assert_eq!(console.tail(1), read);
        }
        fs::write(&console.now, b"a\x9b2J\xffb\n\n").unwrap();
        assert_eq!(console.tail(9), "a\u{fffd}2J\u{fffd}b");
        fs::write(&console.now, vec![b'y'; 1 << 20]).unwrap();
        assert_eq!(console.tail(1).len() as u64, TAIL, "however long a line");
    }
}
