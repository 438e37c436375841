//! The `xl` that `xl create` leaves behind for every domain: it waits for the domain's end, cleans up after it, and makes it
//! anew if the guest rebooted. While it lives there may be a domain in a moment, even where there is none now.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::agent::driver::files::pids;
use crate::agent::process::ProcessRef;

/// Those of each guest, known by the file they were started with; also an `xl create` that is still at it. One look at all
/// processes, however many guests there are. In the order of `domain_files`.
pub(super) fn among(domain_files: &[PathBuf]) -> io::Result<Vec<Vec<ProcessRef>>> {
    let files = domain_files.iter().enumerate();
    let wanted: HashMap<&[u8], usize> = files
        .map(|(at, file)| (file.as_os_str().as_encoded_bytes(), at))
        .collect();
    let mut found = vec![Vec::new(); domain_files.len()];
    if wanted.is_empty() {
        return Ok(found);
    }
    for pid in pids()? {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let file = kept(&cmdline, |arg| wanted.get(arg).copied());
        if let Some(found) = file.and_then(|at| found.get_mut(at)) {
            found.extend(ProcessRef::of(pid));
        }
    }
    Ok(found)
}

/// `xl create FILE`, whatever its path and whatever ran it: which of the wanted files.
pub(super) fn kept(cmdline: &[u8], wanted: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let args = || cmdline.split(|byte| *byte == 0);
    args().find(|arg| *arg == b"create")?;
    args().find_map(wanted)
}

/// Is there a `xenconsoled` that keeps what guests say?
pub(super) fn consoles_are_logged() -> io::Result<Result<(), String>> {
    for pid in pids()? {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if let Some(logs) = logs_guests(&cmdline) {
            return Ok(if logs {
                Ok(())
            } else {
                Err("xenconsoled runs without --log=guest: nobody could say why a guest did not boot".to_owned())
            });
        }
    }
    Ok(Err(
        "xenconsoled does not run: no guest would start".to_owned()
    ))
}

/// `None`: that is another program.
pub(super) fn logs_guests(cmdline: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(cmdline).into_owned();
    let mut args = text.split('\0');
    let program = args.next()?;
    (program.rsplit('/').next() == Some("xenconsoled")).then(|| {
        let args: Vec<&str> = args.collect();
        let given = args.windows(2).find_map(|pair| match pair {
            ["--log", value] => Some(*value),
            _ => None,
        });
        let joined = args.iter().find_map(|arg| arg.strip_prefix("--log="));
        matches!(joined.or(given), Some("guest" | "all"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_known_by_its_file() {
        let file = b"/var/d/xb-7/domain.cfg".as_slice();
        let keeps = |cmdline: &[u8], file: &[u8]| {
            kept(cmdline, |arg| (arg == file).then_some(3)) == Some(3)
        };
        assert!(keeps(b"xl\0create\0/var/d/xb-7/domain.cfg\0", file));
        assert!(keeps(
            b"/usr/lib/xen-4.17/bin/xl\0-v\0create\0/var/d/xb-7/domain.cfg\0",
            file
        ));
        for other in [
            b"xl\0create\0/var/d/xb-70/domain.cfg\0".as_slice(),
            b"vi\0/var/d/xb-7/domain.cfg\0",
            b"xl\0create\0",
            b"sh\0-c\0xl create /var/d/xb-7/domain.cfg\0",
            b"",
        ] {
            assert!(!keeps(other, file));
        }
    }

    #[test]
    fn the_console_daemon_is_asked_for_its_arguments() {
        assert_eq!(
            logs_guests(b"xenconsoled\0--log=all\0--pid-file=/x\0"),
            Some(true)
        );
        assert_eq!(
            logs_guests(b"/usr/lib/xen-4.17/bin/xenconsoled\0--log\0guest\0"),
            Some(true)
        );
        assert_eq!(logs_guests(b"xenconsoled\0--log=hv\0"), Some(false));
        assert_eq!(logs_guests(b"xenconsoled\0"), Some(false));
        assert_eq!(logs_guests(b"grep\0xenconsoled\0--log=all\0"), None);
    }
}
