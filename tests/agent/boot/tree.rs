//! A guest's root as a folder, made from a layout's text, and the helpers run on it with the machine's busybox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/agent/initramfs/files");
/// The network card's address in every tree.
pub const MAC: &str = "fe:fd:40:16:47:b4";
pub const HELPERS: [&str; 5] = [
    "disable_tls",
    "fstab",
    "console",
    "udev_net",
    "updatedb_off",
];

/// Says so where there is no busybox to run the scripts with.
pub fn have_busybox() -> bool {
    let there = Command::new("busybox")
        .arg("true")
        .stdin(Stdio::null())
        .status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        eprintln!(
            "SKIPPED: the boot helpers run with busybox (busybox-static), which is not installed"
        );
    }
    there
}

pub struct Tree {
    dir: tempfile::TempDir,
}

/// Everything in a tree: path → what it is.
pub type Content = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Folder,
    Link(String),
    File { mode: u32, text: Vec<u8> },
}

pub struct Ran {
    pub said: String,
    pub took: Duration,
    pub good: bool,
}

impl Tree {
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        fs::write(dir.path().join("mac"), MAC).unwrap();
        Self { dir }
    }

    /// `layouts/NAME.txt`: a file is `== PATH (MODE)` and its lines, a link `== PATH -> TARGET`.
    pub fn of(layout: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/agent/boot/layouts/{layout}.txt"));
        let tree = Self::empty();
        let text = fs::read_to_string(path).unwrap();
        for part in text.strip_prefix("== ").unwrap().split("\n== ") {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            if let Some((path, target)) = head.split_once(" -> ") {
                tree.link(path, target);
                continue;
            }
            let (path, mode) = match head.split_once(" (") {
                Some((path, mode)) => (
                    path,
                    u32::from_str_radix(mode.trim_end_matches(')'), 8).unwrap(),
                ),
                None => (head, 0o644),
            };
            let mut body = body.to_owned();
            match body.find("\n\\ no newline at the end") {
                Some(at) => body.truncate(at),
                None if body.is_empty() || body.ends_with('\n') => {}
                None => body.push('\n'),
            }
            tree.file(path, body.as_bytes());
            fs::set_permissions(tree.at(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        tree
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Beside the guest's root, where no helper may ever write.
    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn file(&self, path: &str, content: &[u8]) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// One helper as the initramfs runs it, without its time limit.
    pub fn run(&self, platform: &str, helper: &str, action: &str) -> Ran {
        let begun = Instant::now();
        let output = Command::new("timeout")
            .args(["-s", "KILL", "30", "busybox", "sh"])
            .arg(format!("{SCRIPTS}/helper"))
            .args([helper, action])
            .env("ROOT", self.root())
            .env("WORK", self.dir.path().join("work"))
            .env("XB", SCRIPTS)
            .env("PLATFORM", platform)
            .env("CARD", self.dir.path().join("mac"))
            .env("DEVICES", self.at("dev"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ran {
            said,
            took: begun.elapsed(),
            good: output.status.success(),
        }
    }

    /// All helpers that need no kernel of their own; what they said.
    pub fn run_all(&self, platform: &str, action: &str) -> String {
        let mut said = String::new();
        for helper in HELPERS {
            let ran = self.run(platform, helper, action);
            assert!(ran.good, "{helper}: {}", ran.said);
            said.push_str(&ran.said);
        }
        said
    }

    pub fn content(&self) -> Content {
        let mut content = Content::new();
        read(&self.root(), "", &mut content);
        content
    }
}

fn read(folder: &Path, prefix: &str, content: &mut Content) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let meta = entry.metadata().unwrap();
        if meta.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            content.insert(path, Entry::Link(target.to_string_lossy().into_owned()));
        } else if meta.is_dir() {
            read(&entry.path(), &format!("{path}/"), content);
            content.insert(path, Entry::Folder);
        } else if meta.is_file() {
            let mode = meta.permissions().mode() & 0o7777;
            let text = fs::read(entry.path()).unwrap();
            content.insert(path, Entry::File { mode, text });
        }
    }
}

/// Without the backups, which are new after the first change.
pub fn without_backups(content: Content) -> Content {
    content
        .into_iter()
        .filter(|(path, _)| !path.ends_with(".xenbeta-orig"))
        .collect()
}

/// What became of a tree, to be read: changed lines, new and lost paths, new modes.
pub fn difference(before: &Content, after: &Content) -> String {
    let mut out = String::new();
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for path in paths {
        match (before.get(path), after.get(path)) {
            (a, b) if a == b => {}
            (Some(Entry::File { mode: m, text: a }), Some(Entry::File { mode: n, text: b })) => {
                out.push_str(&format!("changed {path}"));
                if m != n {
                    out.push_str(&format!(" ({m:o} to {n:o})"));
                }
                out.push('\n');
                out.push_str(&lines(a, b));
            }
            (Some(was), None) => out.push_str(&format!("lost {path}{}\n", shown(was))),
            (None, Some(is)) => out.push_str(&format!("new {path}{}\n", shown(is))),
            (was, is) => out.push_str(&format!("other {path}: {was:?} {is:?}\n")),
        }
    }
    out
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Folder => "/".to_owned(),
        Entry::Link(target) => format!(" -> {target}"),
        Entry::File { text, .. } => format!(" ({} bytes)", text.len()),
    }
}

fn lines(before: &[u8], after: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, before).unwrap();
    fs::write(&b, after).unwrap();
    let output = Command::new("diff")
        .arg("-U0")
        .args([a, b])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let changed = text.lines().skip(2).filter(|line| !line.starts_with("@@"));
    changed.map(|line| format!("  {line}\n")).collect()
}
