//! What guests and processes say, and what guests are started with, for `crate::fuzz`.

use std::path::Path;

use super::cmdline::{self, Place};
use super::jail;
use super::mconsole::{self, MconsoleError};
use super::processes::Row;
use crate::agent::driver::Guest;

/// A guest's answer. It is no longer than what came (three bytes for one that is no text), and a cut one is none.
pub(crate) fn answer(bytes: &[u8]) {
    match mconsole::parse(bytes) {
        Ok(text) | Err(MconsoleError::Said(text)) => assert!(text.len() <= 3 * bytes.len()),
        Err(MconsoleError::Short(length)) => assert!(length < 12 && length == bytes.len()),
        Err(other) => unreachable!("{other}"),
    }
}

/// The first line as `/proc/PID/stat`, the rest as `/proc/PID/cmdline`; and as what `ldd` says.
pub(crate) fn processes(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let stat = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let _ = Row::parse(7, 0, &stat, parts.next().unwrap_or_default());
    let paths = jail::paths(&String::from_utf8_lossy(bytes));
    assert!(paths.iter().all(|path| path.is_absolute()));
}

/// The kernel's command line: each word is one, and a disk's has one file.
pub(crate) fn starts(guest: &Guest<'_>) {
    let place = Place {
        umid: "xb-linode-7",
        uml_dir: Path::new("/run/uml"),
        tap: Some("xb7"),
        initramfs: Some(Path::new("/boot/uml.img")),
    };
    let Ok(words) = cmdline::arguments(guest, &place) else {
        return;
    };
    for word in &words {
        let plain = |c: char| c.is_ascii_graphic() && !"\"'\\`$".contains(c);
        assert!(word.chars().all(plain), "{word:?}");
        match word.split_once('=') {
            Some(("eth0", value)) => assert_eq!(value.matches(',').count(), 2, "{word}"),
            Some((key, value)) if key.starts_with("ubd") => {
                assert!(key.len() == 5 && !value.contains([',', ':', '=']), "{word}");
            }
            Some(("root", value)) => assert!(value.starts_with("/dev/ubd"), "{word}"),
            _ => {}
        }
    }
    let named = |name: &str| words.iter().filter(|word| word.starts_with(name)).count();
    assert_eq!((named("root="), named("eth0="), named("umid=")), (1, 1, 1));
}
