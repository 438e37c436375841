//! What stands in guests' files and in programs, for `crate::fuzz`.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, process};

use super::elf;
use crate::command::{CommandError, Tool};

/// A program's headers.
pub(crate) fn programs(bytes: &[u8]) {
    let _ = (elf::has_interpreter(bytes), elf::least_kernel(bytes));
}

/// What each program of `files/awk` can be about: a line without any of these stays as it is.
const ABOUT: [&str; 11] = [
    "ubd",
    "xvd",
    "tty",
    "xvc",
    "hvc",
    "console",
    "hostfs",
    "humfs",
    "xenfs",
    "mapper",
    "#xenbeta#",
];
const FILES: [(&str, &str); 6] = [
    ("fstab\n", "fstab"),
    ("crypttab\n", "crypttab"),
    ("inittab\n", "inittab"),
    ("securetty\n", "securetty"),
    ("getty\n", "getty"),
    ("rules\n", "rules"),
];

/// The first line says which file of a guest the rest is, as `files/helper` changes it: to Xen and back. What was done once
/// is not done again, and a line that is about none of this stays, whatever stands in it.
pub(crate) fn guest_files(bytes: &[u8]) {
    let file = |(head, program): &(&str, &'static str)| {
        Some((*program, bytes.strip_prefix(head.as_bytes())?))
    };
    let Some((program, text)) = FILES.iter().find_map(file) else {
        return;
    };
    // Such a file is left alone.
    if text.contains(&0) || text.len() > 262_144 {
        return;
    }
    let Some(there) = edited(program, "xen", text) else {
        return;
    };
    let again = edited(program, "xen", &there).unwrap_or_default();
    assert_eq!(shown(&there), shown(&again), "twice is not as once");
    stay(program, text, &there);
    if program == "rules" {
        let back = edited("rules_back", "uml", &there).unwrap_or_default();
        let ours = b"#xenbeta# ".as_slice();
        if !text.windows(ours.len()).any(|part| part == ours) {
            assert_eq!(shown(text), shown(&back));
        }
        return;
    }
    let back = edited(program, "uml", &there).unwrap_or_default();
    stay(program, &there, &back);
    let again = edited(program, "uml", &back).unwrap_or_default();
    assert_eq!(shown(&back), shown(&again), "twice is not as once");
    // Leave to log in is given and not taken.
    if program == "securetty" {
        return;
    }
    let on_xen = edited(program, "xen", &back).unwrap_or_default();
    assert_eq!(
        shown(&there),
        shown(&on_xen),
        "there, back and there is not there"
    );
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lines that are about none of it.
fn stay(program: &str, before: &[u8], after: &[u8]) {
    if program == "rules" {
        return;
    }
    let others = |text: &[u8]| -> Vec<Vec<u8>> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        lines
            .filter(|line| {
                let line = String::from_utf8_lossy(line);
                !ABOUT.iter().any(|word| line.contains(word))
            })
            .collect()
    };
    assert_eq!(others(before), others(after));
    assert_eq!(before.ends_with(b"\n"), after.ends_with(b"\n"));
}

/// As `edit` of `files/helper`. `None` where there is no busybox, as the helpers say by themselves.
#[allow(
    clippy::disallowed_methods,
    reason = "it names a folder for files of an instant"
)]
fn edited(program: &str, platform: &str, text: &[u8]) -> Option<Vec<u8>> {
    let awk = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent/initramfs/files/awk");
    let file = env::temp_dir().join(format!("xenbeta-fuzz-{}", process::id()));
    fs::write(&file, text).ok()?;
    let end = i32::from(text.is_empty() || text.ends_with(b"\n"));
    let mut call = Tool::new("busybox")
        .arg("awk")
        .limit(Duration::from_secs(30));
    let set = [
        format!("end={end}"),
        format!("platform={platform}"),
        "mac=fe:fd:40:16:47:b4".to_owned(),
        "fstab=/dev/null".to_owned(),
    ];
    for set in set {
        call = call.arg("-v").arg(set);
    }
    for part in ["text", "device", program] {
        call = call.arg("-f").arg(awk.join(format!("{part}.awk")));
    }
    let said = call.arg(&file).run();
    let _ = fs::remove_file(&file);
    match said {
        Ok(said) => Some(said.stdout),
        Err(CommandError::Start { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(error) => unreachable!("{program}: {error}"),
    }
}
