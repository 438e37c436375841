//! A disk that says no: programs are run by `refusing.c`, which counts their writes, syncs, renames and new files below
//! folders, and lets those fail whose turn it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::io::Errno;

/// Numbers of 64 bits in the file that both sides look into.
const SEEN: u64 = 0;
const FROM: u64 = 8;
const TO: u64 = 16;
const ERRNO: u64 = 24;
const EVERY: u64 = 32;

/// Which calls are refused, from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum These {
    Alone,
    /// So many, as on a disk that stays full for a while.
    Following(u64),
    /// One in so many, until they are accepted again.
    Every(u64),
}

pub struct Refusing {
    control: PathBuf,
    numbers: File,
    log: PathBuf,
    folders: Vec<PathBuf>,
}

impl Refusing {
    /// Below these folders; a file's path does as well, with all that begins like it.
    pub fn new(dir: &Path, name: &str, folders: &[PathBuf]) -> Self {
        let control = dir.join(format!("{name}.refusing"));
        fs::write(&control, [0; 40]).unwrap();
        let numbers = File::options().read(true).write(true).open(&control);
        Self {
            numbers: numbers.unwrap(),
            log: control.with_extension("refused"),
            control,
            folders: folders.to_vec(),
        }
    }

    /// What stands before a program and its arguments.
    pub fn command(&self) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![supervisor().into()];
        command.push(self.control.clone().into());
        command.push(self.log.clone().into());
        command.extend(self.folders.iter().map(Into::into));
        command.push("--".into());
        command
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.numbers.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, at: u64, number: u64) {
        let bytes = number.to_ne_bytes();
        self.numbers.write_all_at(&bytes, at).unwrap();
    }

    /// Calls that were counted, from the first start on.
    pub fn seen(&self) -> u64 {
        self.get(SEEN)
    }

    /// From now on the call of this number, 1 being the next, and the others of `these`.
    pub fn refuse(&self, number: u64, these: These, errno: Errno) {
        let from = self.seen() + number;
        let (to, every) = match these {
            These::Alone => (from + 1, 1),
            These::Following(count) => (from + count, 1),
            These::Every(every) => (u64::MAX, every),
        };
        self.set(FROM, 0);
        self.set(ERRNO, u64::try_from(errno.raw_os_error()).unwrap());
        self.set(TO, to);
        self.set(EVERY, every);
        self.set(FROM, from);
    }

    pub fn accept(&self) {
        self.set(FROM, 0);
    }

    /// What was refused, a line each.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Built once in a run of the tests.
fn supervisor() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("refusing.c", &[]))
}

/// What `cc` makes of a file beside this one.
pub fn built(name: &str, more: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let stem = name.trim_end_matches(".c");
    let program = folder.join(format!("{stem}-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/chaos")
        .join(name);
    let out = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror"])
        .args(more)
        .arg("-o")
        .args([&program, &source])
        .output()
        .expect("cc, of Debian's build-essential");
    assert!(out.status.success(), "{out:?}");
    let built = folder.join(stem);
    // Others may run one that was built before.
    fs::rename(program, &built).unwrap();
    built
}
