//! `xenbeta backup` and `xenbeta restore` onto a disk that says no, call by call: they say so, and leave what was there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::io::Errno;
use xenbeta::store;

use crate::processes::Portal;
use crate::refusing::{Refusing, These};
use crate::support::fleet::WEB;
use crate::support::{On, SECRET, TestApp};

/// A database in which a Linode is registered (a part of it in its log only), a backup in which it is not, and the program.
struct Desk {
    folder: tempfile::TempDir,
    database: PathBuf,
    backup: PathBuf,
    program: Portal,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let live = TestApp::new(On::Sqlite).with_fleet();
        let backup = folder.path().join("backup");
        store::backup::copy_sqlite(&live.db, backup.to_str().unwrap()).unwrap();
        live.register(&live.member(), &[WEB]).unwrap();
        let database = folder.path().join("portal.db");
        // As a portal leaves it that is killed.
        for ending in ["", "-wal"] {
            let from = format!("{}{ending}", live.url);
            fs::copy(from, with(&database, ending)).unwrap();
        }
        let program = Portal::new(folder.path(), database.to_str().unwrap(), SECRET);
        Self {
            folder,
            database,
            backup,
            program,
        }
    }

    /// Runs the program with the call of this number refused; what was refused comes with it.
    fn run(&mut self, args: &[&str], number: u64, errno: Errno) -> (Output, Vec<String>) {
        let refusing = Refusing::new(self.folder.path(), "tool", &[self.folder.path().into()]);
        fs::remove_file(self.folder.path().join("tool.refused")).ok();
        refusing.refuse(number, These::Alone, errno);
        self.program.program.refusing = Some(refusing);
        let out = self.program.program.tool(args);
        let refused = self.program.program.refusing.take().unwrap().log();
        (out, refused)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        names
            .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains("restoring") || name.ends_with(".part"))
            .collect()
    }
}

fn with(path: &Path, ending: &str) -> PathBuf {
    format!("{}{ending}", path.display()).into()
}

fn registered(database: &Path) -> bool {
    let database = xenbeta::store::schema_migrations::open(database.to_str().unwrap(), 1).unwrap();
    store::backup::check_sqlite(&database).unwrap();
    database
        .read(|conn| store::registration::newest_of(conn, WEB))
        .unwrap()
        .is_some()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// In words of the system or of SQLite (which opens a file to read only, where it may not write).
fn names_the_disk(why: &str) -> bool {
    let words = [
        "No space left",
        "Input/output error",
        "disk is full",
        "disk I/O error",
        "unable to open",
        "readonly database",
    ];
    words.iter().any(|word| why.contains(word)) && !why.contains("panicked")
}

/// Every call in turn, or so many apart; ends after the first run in which none was left to refuse.
fn each(apart: usize, mut one: impl FnMut(u64, Errno) -> bool) {
    for errno in [Errno::NOSPC, Errno::IO] {
        for number in (1..5000).step_by(apart) {
            if !one(number, errno) {
                println!("{number} calls, with {errno:?}");
                break;
            }
        }
    }
}

fn restores(apart: usize) {
    each(apart, |number, errno| {
        let mut desk = Desk::new();
        let backup = desk.backup.to_str().unwrap().to_owned();
        let (out, refused) = desk.run(&["restore", &backup, "--yes"], number, errno);
        let at = format!("{refused:?}: {out:?}");
        assert_eq!(desk.names(), Vec::<String>::new(), "{at}");
        if out.status.success() {
            assert!(!registered(&desk.database), "{at}");
            let database =
                xenbeta::store::schema_migrations::open(desk.database.to_str().unwrap(), 1)
                    .unwrap();
            let row = database.read(store::ownership::memory::get).unwrap();
            assert!(
                row.recovery_since.is_some(),
                "it knows that it went back: {at}"
            );
            assert!(registered(&with(&desk.database, ".before-restore")), "{at}");
        } else {
            let why = said(&out);
            assert!(names_the_disk(&why), "{at}");
            let begun = !refused.iter().all(|call| call.contains(".lock:"));
            assert!(!begun || why.contains("is as it was"), "{at}");
            assert!(registered(&desk.database), "{at}");
        }
        !refused.is_empty()
    });
}

fn backups(apart: usize) {
    let mut desk = Desk::new();
    let file = desk.folder.path().join("new");
    each(apart, |number, errno| {
        let (out, refused) = desk.run(&["backup", file.to_str().unwrap()], number, errno);
        let at = format!("{refused:?}: {out:?}");
        if out.status.success() {
            assert!(registered(&file), "{at}");
        } else {
            assert!(names_the_disk(&said(&out)), "{at}");
        }
        // There as a whole, or not at all.
        if file.exists() {
            assert!(registered(&file), "{at}");
            fs::remove_file(&file).unwrap();
        }
        assert_eq!(desk.names(), Vec::<String>::new(), "{at}");
        assert!(registered(&desk.database), "{at}");
        !refused.is_empty()
    });
}

#[test]
fn a_restore_that_fails_leaves_the_database() {
    restores(23);
}

#[test]
fn a_backup_that_fails_leaves_no_half_of_one() {
    backups(23);
}

#[test]
#[ignore = "minutes: make faults"]
fn backups_and_restores_at_every_call() {
    restores(1);
    backups(1);
}
