//! Puts an initramfs together. The same busybox, modules and options give the same bytes, on any machine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::GzBuilder;

use super::cpio::Archive;
use super::elf;
use super::modules::Modules;
use crate::command::Tool;

/// Loaded before the root device is looked for, where the kernel has them as modules: file system, disk, network card
/// (for the card's address). `crc32c_generic` is asked for by name, so that no list of dependencies has it.
const BOOT: [&str; 4] = ["crc32c_generic", "ext4", "xen-blkfront", "xen-netfront"];
/// A static busybox is 2 MB.
const BUSYBOX_LIMIT: u64 = 16 << 20;

/// The first Linux that fills /dev by itself.
const DEVTMPFS: (u32, u32, u32) = (2, 6, 32);

const APPLETS: &str = include_str!("files/applets");
const SET: &str = include_str!("files/set");

/// The scripts, where they are in the initramfs.
const SCRIPTS: [(&str, &str); 18] = [
    (
        "xb/awk/crypttab.awk",
        include_str!("files/awk/crypttab.awk"),
    ),
    ("xb/awk/device.awk", include_str!("files/awk/device.awk")),
    ("xb/awk/fstab.awk", include_str!("files/awk/fstab.awk")),
    ("xb/awk/getty.awk", include_str!("files/awk/getty.awk")),
    ("xb/awk/inittab.awk", include_str!("files/awk/inittab.awk")),
    ("xb/awk/rules.awk", include_str!("files/awk/rules.awk")),
    (
        "xb/awk/rules_back.awk",
        include_str!("files/awk/rules_back.awk"),
    ),
    (
        "xb/awk/securetty.awk",
        include_str!("files/awk/securetty.awk"),
    ),
    ("xb/awk/text.awk", include_str!("files/awk/text.awk")),
    ("xb/helper", include_str!("files/helper")),
    ("xb/helpers/console", include_str!("files/helpers/console")),
    (
        "xb/helpers/disable_tls",
        include_str!("files/helpers/disable_tls"),
    ),
    ("xb/helpers/fstab", include_str!("files/helpers/fstab")),
    ("xb/helpers/modules", include_str!("files/helpers/modules")),
    (
        "xb/helpers/udev_net",
        include_str!("files/helpers/udev_net"),
    ),
    (
        "xb/helpers/updatedb_off",
        include_str!("files/helpers/updatedb_off"),
    ),
    ("xb/lib.sh", include_str!("files/lib.sh")),
    ("init", include_str!("files/init")),
];

/// What the kernel unpacks it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    None,
}

/// What the helper `modules` finds to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Standard,
    None,
}

pub struct Options {
    /// The kernel's folder of modules, called as the kernel calls itself.
    pub modules_dir: PathBuf,
    /// A statically linked busybox.
    pub busybox: PathBuf,
    /// Modules to load at boot besides the usual ones.
    pub modules: Vec<String>,
    pub set: Set,
    pub compression: Compression,
}

/// An initramfs and what is in it.
pub struct Built {
    pub bytes: Vec<u8>,
    pub version: String,
    /// What is loaded at boot, in this order.
    pub boot: Vec<String>,
    /// How many modules the helper `modules` installs, and how much room they take.
    pub set: usize,
    pub set_kib: usize,
}

/// # Errors
/// In words: what is missing or not as it must be.
pub fn build(options: &Options) -> Result<Built, String> {
    let modules = Modules::read(&options.modules_dir)?;
    let busybox = busybox(&options.busybox)?;
    runs(&modules, &busybox)?;
    let boot = boot_modules(&modules, &options.modules)?;
    let mut archive = Archive::default();
    for folder in [
        "bin",
        "dev",
        "proc",
        "root",
        "run",
        "sys",
        "xb",
        "xb/awk",
        "xb/boot",
        "xb/helpers",
    ] {
        archive.folder(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.file("bin/busybox", 0o755, &busybox);
    for applet in APPLETS.split_whitespace() {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for (path, text) in SCRIPTS {
        archive.file(
            path,
            if path == "init" { 0o755 } else { 0o644 },
            text.as_bytes(),
        );
    }
    let mut load = String::new();
    for (number, file) in boot.iter().enumerate() {
        let name = file.rsplit('/').next().unwrap_or(file);
        // Numbered, for two modules may be called the same in different folders.
        let path = format!("xb/boot/{number:02}-{name}");
        archive.file(&path, 0o644, &modules.content(file)?);
        load.push_str(&format!("/{path}\n"));
    }
    archive.file("xb/load", 0o644, load.as_bytes());
    let (mut set, mut set_kib) = (0, 0);
    if options.set == Set::Standard {
        let made = module_set(&modules, &boot)?;
        (set, set_kib) = (made.count, made.kib);
        let about = format!("{} {}\n", modules.version(), made.kib);
        archive.file("xb/set.about", 0o644, about.as_bytes());
        archive.file("xb/set.cpio.gz", 0o644, &made.archive);
    }
    Ok(Built {
        bytes: compress(archive.finish(), options.compression)
            .map_err(|error| error.to_string())?,
        version: modules.version().to_owned(),
        boot,
        set,
        set_kib,
    })
}

/// Whole or not at all, also after a loss of power: a host boots its guests with this file.
///
/// # Errors
/// With the path.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let name = path.file_name().ok_or("--out names no file")?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut beside = name.to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = folder.join(beside);
    let put = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(|error| {
        // What is left of it is of no use; that it may not be there is fine.
        let _ = fs::remove_file(&beside);
        format!("{}: {error}", path.display())
    })
}

fn boot_modules(modules: &Modules, more: &[String]) -> Result<Vec<String>, String> {
    for name in more {
        if !modules.is_module(name) && !modules.is_builtin(name) {
            return Err(format!(
                "kernel {} has no module {name} in {}",
                modules.version(),
                modules.dir().display()
            ));
        }
    }
    let usual = BOOT.iter().map(|name| (*name).to_owned());
    let names: Vec<String> = usual.chain(more.iter().cloned()).collect();
    Ok(modules.files(&names))
}

/// Static, as there are no libraries in the initramfs, and with all that the scripts use.
fn busybox(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |what: &str| {
        format!(
            "{}: {what} (Debian's busybox-static is right)",
            path.display()
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(BUSYBOX_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(&error.to_string()))?;
    if bytes.len() as u64 > BUSYBOX_LIMIT {
        return Err(wrong("too large for a busybox"));
    }
    if !bytes.starts_with(b"\x7fELF") || elf::has_interpreter(&bytes) {
        return Err(wrong("not a statically linked program"));
    }
    let said = Tool::new(path)
        .arg("--list")
        .limit(Duration::from_secs(5))
        .run();
    let said = said.map_err(|error| wrong(&error.to_string()))?.text();
    let has: BTreeSet<&str> = said.lines().collect();
    let missing: Vec<&str> = APPLETS
        .split_whitespace()
        .filter(|applet| !has.contains(applet))
        .collect();
    if missing.is_empty() {
        Ok(bytes)
    } else {
        Err(wrong(&format!("it has no {}", missing.join(", "))))
    }
}

/// Can this kernel run what is put in? A guest whose kernel cannot would panic as it boots, after its move.
fn runs(modules: &Modules, busybox: &[u8]) -> Result<(), String> {
    let kernel = modules.version();
    let least = elf::least_kernel(busybox).unwrap_or_default();
    let least = least.max(DEVTMPFS);
    if version(kernel) < least {
        let (major, minor, patch) = least;
        return Err(format!(
            "kernel {kernel} cannot run it: this busybox and the devtmpfs of its init need Linux {major}.{minor}.{patch}"
        ));
    }
    let set_up = modules.config().unwrap_or_default();
    if !set_up.is_empty() && !set_up.lines().any(|line| line == "CONFIG_DEVTMPFS=y") {
        return Err(format!(
            "kernel {kernel} cannot run it: it was made without CONFIG_DEVTMPFS=y"
        ));
    }
    Ok(())
}

/// The numbers that a version begins with.
fn version(text: &str) -> (u32, u32, u32) {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

struct ModuleSet {
    archive: Vec<u8>,
    count: usize,
    kib: usize,
}

/// The set with the lists that `depmod` makes of it, packed as the guest gets it. Packed again inside the initramfs so
/// that a small guest need not hold it unpacked in memory.
fn module_set(modules: &Modules, boot: &[String]) -> Result<ModuleSet, String> {
    let patterns = SET
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut names: Vec<String> = Vec::new();
    for pattern in patterns {
        names.extend(modules.matching(pattern).map(str::to_owned));
    }
    let files: BTreeSet<String> = modules
        .files(&names)
        .into_iter()
        .chain(boot.iter().cloned())
        .collect();
    let base = tempfile_dir()?;
    let made = pack(modules, &files, &base);
    // Gone or not, it is only in the way of nobody.
    let _ = fs::remove_dir_all(&base);
    made
}

fn pack(modules: &Modules, files: &BTreeSet<String>, base: &Path) -> Result<ModuleSet, String> {
    let version = modules.version();
    let root = base.join("lib/modules").join(version);
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let put = |file: &str, content: &[u8]| {
        let path = root.join(file);
        let folder = path.parent().unwrap_or(&root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .map_err(|error| failed(&path, error))
    };
    fs::create_dir_all(&root).map_err(|error| failed(&root, error))?;
    for file in files {
        put(file, &modules.content(file)?)?;
    }
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        if let Ok(content) = modules.content(list) {
            put(list, &content)?;
        }
    }
    let depmod = Tool::new("depmod").arg("-b").arg(base).arg(version).run();
    depmod.map_err(|error| format!("{error} (it is in Debian's kmod)"))?;
    let mut archive = Archive::default();
    archive.folder(version);
    let mut bytes = 0;
    for (path, content) in tree(&root, version).map_err(|error| failed(&root, error))? {
        match content {
            None => archive.folder(&path),
            Some(content) => {
                // As the guest's file system will store it.
                bytes += content.len().next_multiple_of(4096);
                archive.file(&path, 0o644, &content);
            }
        }
    }
    Ok(ModuleSet {
        archive: compress(archive.finish(), Compression::Gzip)
            .map_err(|error| error.to_string())?,
        count: files.len(),
        kib: bytes / 1024,
    })
}

/// Everything in a folder that this program made, sorted, folders first; a file with its content.
fn tree(folder: &Path, name: &str) -> io::Result<Vec<(String, Option<Vec<u8>>)>> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            found.push((path.clone(), None));
            found.extend(tree(&entry.path(), &path)?);
        } else {
            found.push((path, Some(fs::read(entry.path())?)));
        }
    }
    Ok(found)
}

/// A folder nobody else has.
fn tempfile_dir() -> Result<PathBuf, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    let name = format!("xenbeta-initramfs-{:016x}", u64::from_le_bytes(bytes));
    let path = std::env::temp_dir().join(name);
    fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn compress(bytes: Vec<u8>, how: Compression) -> io::Result<Vec<u8>> {
    match how {
        Compression::None => Ok(bytes),
        Compression::Zstd => zstd::encode_all(bytes.as_slice(), 15),
        Compression::Gzip => {
            let mut gzip = GzBuilder::new().write(Vec::new(), flate2::Compression::best());
            gzip.write_all(&bytes)?;
            gzip.finish()
        }
    }
}
