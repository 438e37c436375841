//! A kernel's modules by what `depmod` wrote beside them: where each is, what it needs first, what is built in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Lists of modules are this long at most (Debian's are a tenth of it).
const LIST_LIMIT: u64 = 16 << 20;

/// The modules of one kernel.
pub(super) struct Modules {
    dir: PathBuf,
    version: String,
    /// By name: the file, relative to the folder, and the files it needs.
    known: BTreeMap<String, (String, Vec<String>)>,
    builtin: BTreeSet<String>,
}

impl Modules {
    /// `dir` is called as its kernel calls itself, like `/lib/modules/6.1.0-50-amd64`.
    ///
    /// # Errors
    /// In words, if the folder is not one of modules.
    pub(super) fn read(dir: &Path) -> Result<Self, String> {
        let version = dir
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| is_version(name))
            .ok_or_else(|| format!("{} is not called like a kernel's version", dir.display()))?;
        let known = list(&dir.join("modules.dep"))?
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| {
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                (name_of(file), (file.to_owned(), needs))
            })
            .collect();
        // A kernel without anything built in may have no such list.
        let builtin = list(&dir.join("modules.builtin")).unwrap_or_default();
        Ok(Self {
            dir: dir.to_owned(),
            version: version.to_owned(),
            known,
            builtin: builtin.lines().map(name_of).collect(),
        })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// With what the kernel was made, if it stands where distributions put it, in the same tree.
    pub(super) fn config(&self) -> Option<String> {
        let beside = self.dir.join("config");
        let in_boot = self.dir.ancestors().nth(3).map(|root| {
            let name = format!("config-{}", self.version);
            root.join("boot").join(name)
        });
        let mut files = [Some(beside), in_boot].into_iter().flatten();
        files.find_map(|file| list(&file).ok())
    }

    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&name_of(name))
    }

    pub(super) fn is_module(&self, name: &str) -> bool {
        self.known.contains_key(&name_of(name))
    }

    /// Names of modules that a pattern with `*` means.
    pub(super) fn matching<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = &'a str> {
        let pattern = name_of(pattern);
        self.known
            .keys()
            .map(String::as_str)
            .filter(move |name| matches(&pattern, name))
    }

    /// The files of these modules and of all they need, each once, in an order they can be loaded in.
    pub(super) fn files(&self, names: &[String]) -> Vec<String> {
        let mut files = Vec::new();
        for name in names {
            self.add(&name_of(name), &mut files, 0);
        }
        files
    }

    fn add(&self, name: &str, files: &mut Vec<String>, depth: usize) {
        // Deeper than any real chain: a list that goes in circles ends here.
        let Some((file, needs)) = self.known.get(name).filter(|_| depth < 32) else {
            return;
        };
        if files.contains(file) {
            return;
        }
        for need in needs {
            self.add(&name_of(need), files, depth + 1);
        }
        if !files.contains(file) {
            files.push(file.clone());
        }
    }

    /// A file of the folder.
    ///
    /// # Errors
    /// In words, with its path.
    pub(super) fn content(&self, file: &str) -> Result<Vec<u8>, String> {
        let path = self.dir.join(file);
        if Path::new(file).is_absolute() || file.split('/').any(|part| part == "..") {
            return Err(format!("{}: not in the folder of modules", path.display()));
        }
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What stands between the words and slashes of the scripts' lists.
fn is_version(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '~');
    text.starts_with(|c: char| c.is_ascii_digit()) && text.len() < 64 && text.chars().all(fine)
}

/// `kernel/drivers/block/xen-blkfront.ko.xz` and `xen_blkfront` are one module: to the kernel `-` and `_` are the same.
fn name_of(file: &str) -> String {
    let last = file.rsplit('/').next().unwrap_or(file);
    let name = last.split(".ko").next().unwrap_or(last);
    name.replace('-', "_")
}

/// `*` stands for any characters, also none.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

fn list(path: &Path) -> Result<String, String> {
    let read = || {
        if fs::metadata(path)?.len() > LIST_LIMIT {
            return Err(io::Error::other("too long"));
        }
        fs::read_to_string(path)
    };
    read().map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(dep: &str) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("6.1.0-50-amd64");
        fs::create_dir(&at).unwrap();
        fs::write(at.join("modules.dep"), dep).unwrap();
        fs::write(at.join("modules.builtin"), "kernel/lib/crc32.ko\n").unwrap();
        let modules = Modules::read(&at).unwrap();
        (dir, modules)
    }

    #[test]
    fn what_is_needed_comes_first() {
        let (_dir, modules) = tree(
            "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko\n\
             kernel/fs/jbd2/jbd2.ko: kernel/crypto/base.ko\nkernel/crypto/base.ko:\nkernel/lib/crc16.ko:\n\
             kernel/fs/mbcache.ko:\nkernel/drivers/block/xen-blkfront.ko.xz:\n",
        );
        let names = ["ext4", "xen_blkfront", "ext4", "gone"].map(str::to_owned);
        assert_eq!(
            modules.files(&names),
            [
                "kernel/lib/crc16.ko",
                "kernel/fs/mbcache.ko",
                "kernel/crypto/base.ko",
                "kernel/fs/jbd2/jbd2.ko",
                "kernel/fs/ext4/ext4.ko",
                "kernel/drivers/block/xen-blkfront.ko.xz",
            ]
        );
        assert!(modules.is_builtin("crc32") && !modules.is_builtin("ext4"));
        assert!(modules.is_module("xen-blkfront"));
        assert_eq!(
            modules.matching("*b*").collect::<Vec<_>>(),
            ["base", "jbd2", "mbcache", "xen_blkfront"]
        );
    }

    #[test]
    fn lists_that_go_in_circles_or_out_of_the_folder_do_no_harm() {
        let (_dir, modules) = tree("a.ko: b.ko\nb.ko: a.ko\n../../etc/c.ko:\n");
        assert_eq!(modules.files(&["a".to_owned()]).len(), 2);
        assert!(modules.content("../../etc/c.ko").is_err());
        assert!(modules.content("/etc/passwd").is_err());
    }

    #[test]
    fn a_folder_that_is_no_kernels_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["6.1 x", "modules", "6.1"] {
            let at = dir.path().join(name);
            fs::create_dir(&at).unwrap();
            assert!(Modules::read(&at).is_err(), "{name}");
        }
    }
}
