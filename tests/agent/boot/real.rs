//! Real guests under `linux.uml`, without a network: the whole way through the initramfs and on into the guest's own init.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::build::{built, have_depmod};
use super::tree::Tree;

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/uml/guest");
const MODULES: &str = "/usr/lib/uml/modules";
/// Three seconds on a quiet machine.
const LIMIT: Duration = Duration::from_secs(60);
const WORDS: &str = "xb.platform=uml xb.root=/dev/ubda";

/// The initramfs of the machine's UML kernel without the set of modules, made once for all tests that run at a time.
struct Lab {
    dir: tempfile::TempDir,
    initramfs: PathBuf,
    modules: PathBuf,
}

impl Lab {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn lab() -> Option<Arc<Lab>> {
    static LAB: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
    let mut known = LAB.lock().unwrap();
    if let Some(lab) = known.upgrade() {
        return Some(lab);
    }
    let missing = Command::new(TOOL).arg("missing").output().unwrap().stdout;
    let modules = fs::read_dir(MODULES)
        .ok()
        .and_then(|mut found| found.next());
    let (true, Some(modules)) = (missing.is_empty(), modules) else {
        let missing = String::from_utf8_lossy(&missing).into_owned();
        eprintln!("SKIPPED: boots under UML need the packages {missing:?} and {MODULES}");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let (modules, initramfs) = (modules.unwrap().path(), dir.path().join("initramfs"));
    run(
        TOOL,
        &["preload", dir.path().join("xstate.so").to_str().unwrap()],
    );
    let (from, out) = (modules.to_str().unwrap(), initramfs.to_str().unwrap());
    built(&["--modules-dir", from, "--out", out, "--set", "none"]);
    let lab = Arc::new(Lab {
        dir,
        initramfs,
        modules,
    });
    *known = Arc::downgrade(&lab);
    Some(lab)
}

/// A guest's program, with all it started: gone with this value.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

struct Booted {
    console: String,
    took: Duration,
}

impl Booted {
    /// What the initramfs said.
    fn said(&self) -> Vec<&str> {
        self.console
            .lines()
            .filter_map(|line| line.strip_prefix("xenbeta: "))
            .collect()
    }

    fn has(&self, text: &str) {
        assert!(
            self.console.contains(text),
            "{text:?} is not on the console:\n{}",
            self.console
        );
    }
}

/// Boots until the guest ends by itself, which it must.
fn boot(lab: &Lab, initramfs: &Path, disk: &Path, memory: u32, words: &str) -> Booted {
    let begun = Instant::now();
    let console = disk.with_extension("console");
    let out = File::create(&console).unwrap();
    let name = disk.file_stem().unwrap().to_str().unwrap();
    let mut command = Command::new("setarch");
    command
        .args(["-R", "linux.uml", &format!("mem={memory}M")])
        .arg(format!("ubda={}", disk.display()))
        .arg(format!("initrd={}", initramfs.display()))
        .args([
            "root=/dev/ubda",
            "con=null",
            "con0=null,fd:2",
            "ssl=null",
            "quiet",
        ])
        .arg(format!("umid=xb{}{name}", std::process::id()))
        .arg(format!("uml_dir={}/umid/", lab.dir.path().display()))
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .process_group(0);
    let preload = lab.at("xstate.so");
    if preload.exists() {
        command.env("LD_PRELOAD", preload);
    }
    let mut guest = Guest(command.spawn().unwrap());
    while guest.0.try_wait().unwrap().is_none() {
        let said = || String::from_utf8_lossy(&fs::read(&console).unwrap()).into_owned();
        assert!(
            begun.elapsed() < LIMIT,
            "the guest did not end within {LIMIT:?}:\n{}",
            said()
        );
        thread::sleep(Duration::from_millis(20));
    }
    let console = String::from_utf8_lossy(&fs::read(&console).unwrap()).replace('\r', "");
    Booted {
        console,
        took: begun.elapsed(),
    }
}

/// Makes a tree a guest with busybox as its init, which says what it finds and goes off.
fn with_busybox_init(tree: &Tree) {
    for folder in ["bin", "sbin", "proc", "sys", "dev", "run", "root"] {
        fs::create_dir_all(tree.at(folder)).unwrap();
    }
    fs::copy("/bin/busybox", tree.at("bin/busybox")).unwrap();
    for applet in [
        "sh", "cat", "mount", "grep", "poweroff", "modprobe", "lsmod", "sleep", "ls", "ps", "env",
        "touch",
    ] {
        tree.link(&format!("bin/{applet}"), "busybox");
    }
    tree.link("sbin/init", "/bin/busybox");
    let report = "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sys /sys\n\
         echo \"guest: $(grep -c ' / ext' /proc/mounts) root: $(grep ' / ext' /proc/mounts)\"\n\
         while read -r line; do echo \"fstab: $line\"; done < /etc/fstab\n\
         [ -c /dev/null ] && [ -b /dev/ubda ] && echo 'guest: devices'\n\
         echo \"guest: arguments $*\"\n\
         echo \"guest: environment $(tr '\\0' ' ' < /proc/1/environ)\"\n\
         [ ! -x /etc/more ] || /etc/more\npoweroff -f\n";
    tree.file("etc/report", report.as_bytes());
    run("chmod", &["755", tree.at("etc/report").to_str().unwrap()]);
    tree.link("bin/tr", "busybox");
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn image(lab: &Lab, tree: &Tree, name: &str, mib: u32) -> PathBuf {
    let disk = lab.at(&format!("{name}.img"));
    let _ = fs::remove_file(&disk);
    let (disk_text, root) = (disk.to_str().unwrap().to_owned(), tree.root());
    let size = format!("{mib}M");
    run(
        "mke2fs",
        &[
            "-q",
            "-t",
            "ext4",
            "-E",
            "root_owner=0:0",
            "-d",
            root.to_str().unwrap(),
            &disk_text,
            &size,
        ],
    );
    disk
}

fn from_disk(disk: &Path, file: &str) -> String {
    run(
        "debugfs",
        &["-R", &format!("cat {file}"), disk.to_str().unwrap()],
    )
}

fn is_clean(disk: &Path) {
    let said = run("e2fsck", &["-fn", disk.to_str().unwrap()]);
    assert!(
        !said.contains("FIXED") && !said.contains("errors"),
        "{said}"
    );
}

/// A guest that comes back from Xen: its files say so.
fn from_xen(layout: &str) -> Tree {
    let tree = Tree::of(layout);
    tree.run_all("xen", "do");
    with_busybox_init(&tree);
    tree.file(
        "etc/inittab",
        b"::sysinit:/etc/report\nhvc0::respawn:/sbin/getty 38400 hvc0\n",
    );
    tree
}

#[test]
fn a_guest_from_xen_boots_under_uml_and_its_root_is_as_asked() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let disk = image(lab, &from_xen("busybox"), "back", 16);
    let helpers = format!("{WORDS} xb.helpers=fstab,console,udev_net,disable_tls,updatedb_off");
    let first = boot(lab, &lab.initramfs, &disk, 64, &format!("{helpers} ro"));
    // The first original comes back, byte for byte.
    first.has("xenbeta: fstab: changed /etc/fstab");
    first.has("xenbeta: console: changed /etc/inittab");
    first.has("fstab: /dev/ubda\t/\text4");
    first.has("guest: devices");
    assert_eq!(
        from_disk(&disk, "/etc/fstab"),
        Tree::of("busybox").text("etc/fstab")
    );
    assert!(from_disk(&disk, "/etc/inittab").contains("tty0::respawn:/sbin/getty 38400 tty0\n"));
    // Written to, and yet mounted as the profile says; what the kernel would have told init, it is told.
    assert!(
        first.console.lines().any(
            |line| line.starts_with("guest: 1 root: /dev/root / ext4 ro,")
                || line.starts_with("guest: 1 root: /dev/ubda / ext4 ro,")
        ),
        "{}",
        first.console
    );
    let environment = first
        .console
        .lines()
        .find(|line| line.starts_with("guest: environment "))
        .unwrap();
    for ours in ["ROOT=", "PLATFORM", "WORK", "SHLVL", "PWD", "PATH"] {
        assert!(!environment.contains(ours), "{environment}");
    }
    is_clean(&disk);
    // The second time there is nothing to do, and nothing is said; rw is rw.
    let second = boot(
        lab,
        &lab.initramfs,
        &disk,
        64,
        &format!("{helpers} init=/etc/report emergency rw"),
    );
    assert_eq!(second.said(), Vec::<&str>::new());
    second.has("guest: arguments emergency");
    assert!(second.console.contains("/ ext4 rw,"), "{}", second.console);
    is_clean(&disk);
    eprintln!(
        "boots under UML through the initramfs: {:?} and {:?}",
        first.took, second.took
    );
}

/// A share of the host, disks among options and a swap that is made anew at every boot: back on the disks of before as it
/// was, and never over a disk that now has another's letter.
#[test]
fn a_guest_with_shares_and_encrypted_swap_boots() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let lines = "none /host hostfs defaults 0 0\n/dev/ubdc /srv btrfs device=/dev/ubdc,noatime,noauto 0 0\n";
    let tree = Tree::of("crypttab");
    let fstab = tree.text("etc/fstab") + lines;
    tree.file("etc/fstab", fstab.as_bytes());
    let crypttab = tree.text("etc/crypttab");
    tree.run_all("xen", "do");
    assert!(
        tree.text("etc/fstab")
            .contains("\n#xenbeta# none /host hostfs ")
    );
    with_busybox_init(&tree);
    tree.file("etc/inittab", b"::sysinit:/etc/report\n");
    let (noise, vault) = (lab.at("noise.disk"), lab.at("vault.disk"));
    fs::write(&noise, vec![0xa5; 1 << 20]).unwrap();
    let mut content = vec![0; 1 << 20];
    content[..6].copy_from_slice(b"LUKS\xba\xbe");
    fs::write(&vault, &content).unwrap();
    let words = |second: &Path, third: &Path| {
        let (second, third) = (second.display(), third.display());
        format!("{WORDS} xb.helpers=fstab ro ubdb={second} ubdc={third}")
    };
    let disk = image(lab, &tree, "same", 16);
    boot(lab, &lab.initramfs, &disk, 64, &words(&noise, &vault)).has("fstab: none /host hostfs");
    assert_eq!(from_disk(&disk, "/etc/fstab"), fstab);
    assert_eq!(from_disk(&disk, "/etc/crypttab"), crypttab);
    let disk = image(lab, &tree, "moved", 16);
    let moved = boot(lab, &lab.initramfs, &disk, 64, &words(&vault, &noise));
    moved.has("fstab: comments in /etc/crypttab while here: line 2 (");
    moved.has("fstab: #xenbeta# /dev/mapper/cswap none swap sw 0 0");
    assert!(from_disk(&disk, "/etc/crypttab").contains("\n#xenbeta# cswap      /dev/xvdb "));
    is_clean(&disk);
}

/// Sizes that guests really have: the initramfs must not be what does not fit. Not smaller: from 36 MiB down, Debian's UML
/// kernel at times runs out of memory by itself before any of ours runs, for it starts a program for each device it finds.
#[test]
fn a_guest_of_48_mib_boots() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let disk = image(lab, &from_xen("busybox"), "small", 16);
    boot(
        lab,
        &lab.initramfs,
        &disk,
        48,
        &format!("{WORDS} xb.helpers=fstab,console ro"),
    )
    .has("fstab: /dev/ubda\t/\text4");
}

#[test]
fn without_words_nothing_of_the_guests_is_touched() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let disk = image(lab, &from_xen("old"), "plain", 16);
    let booted = boot(lab, &lab.initramfs, &disk, 64, "ro");
    assert_eq!(booted.said(), Vec::<&str>::new());
    booted.has("fstab: /dev/xvda");
    assert!(from_disk(&disk, "/lib/tls.disabled/libc-2.3.2.so").contains("not really"));
    // The platform alone: what is not named and can be undone is undone.
    let undone = boot(lab, &lab.initramfs, &disk, 64, &format!("{WORDS} ro"));
    undone.has("disable_tls: /lib/tls is back");
    undone.has("fstab: /dev/xvda");
    assert!(from_disk(&disk, "/lib/tls/libc-2.3.2.so").contains("not really"));
}

#[test]
fn modules_for_the_kernel_come_along_and_can_be_loaded() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    if !have_depmod() {
        return;
    }
    let initramfs = lab.at("initramfs-with-modules");
    let said = built(&[
        "--modules-dir",
        lab.modules.to_str().unwrap(),
        "--out",
        initramfs.to_str().unwrap(),
    ]);
    let version = lab.modules.file_name().unwrap().to_str().unwrap();
    let tree = from_xen("busybox");
    tree.file(
        "etc/more",
        b"#!/bin/sh\nmodprobe dummy && echo \"loaded: $(lsmod | grep '^dummy')\"\n",
    );
    run("chmod", &["755", tree.at("etc/more").to_str().unwrap()]);
    fs::create_dir_all(tree.at("usr/lib")).unwrap();
    tree.link("lib", "usr/lib");
    let words = format!("{WORDS} xb.helpers=modules rw");
    let disk = image(lab, &tree, "room", 64);
    let first = boot(lab, &initramfs, &disk, 96, &words);
    first.has(&format!("modules: installed /lib/modules/{version}"));
    first.has("loaded: dummy");
    assert_eq!(
        boot(lab, &initramfs, &disk, 96, &words).said(),
        Vec::<&str>::new()
    );
    is_clean(&disk);
    // No room for them: said, and booted all the same.
    let disk = image(lab, &tree, "noroom", 12);
    let full = boot(lab, &initramfs, &disk, 96, &words);
    full.has("are free; none installed");
    full.has("fstab: ");
    eprintln!("{}first boot {:?}", said, first.took);
}

#[test]
fn a_guest_that_cannot_boot_says_why_and_ends() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let disk = image(lab, &from_xen("busybox"), "broken", 16);
    let missing = boot(
        lab,
        &lab.initramfs,
        &disk,
        64,
        "xb.platform=uml xb.root=/dev/ubdb xb.wait=2 ro",
    );
    missing.has("xenbeta: no root device /dev/ubdb after 2 s; there are: ");
    missing.has("giving up: this guest cannot boot like this\nreboot: ");
    let init = boot(
        lab,
        &lab.initramfs,
        &disk,
        64,
        &format!("{WORDS} ro init=/bin/bash"),
    );
    init.has("xenbeta: /bin/bash is not on /dev/ubda");
    init.has("giving up: this guest cannot boot like this\nreboot: ");
    let empty = lab.at("empty.img");
    File::create(&empty).unwrap().set_len(8 << 20).unwrap();
    let nothing = boot(
        lab,
        &lab.initramfs,
        &empty,
        64,
        &format!("{WORDS} xb.helpers=fstab ro"),
    );
    nothing.has("xenbeta: /dev/ubda holds no file system");
    nothing.has("giving up: this guest cannot boot like this\nreboot: ");
}

/// Everything at once that is made to hurt; the guest gets to its own init.
#[test]
fn a_malicious_image_boots() {
    let Some(lab) = lab() else { return };
    let lab = &*lab;
    let tree = from_xen("old");
    let report = "#!/bin/sh\n";
    tree.file("etc/securetty", b"tty1\0\n");
    fs::remove_file(tree.at("etc/fstab")).unwrap();
    run("mkfifo", &[tree.at("etc/fstab").to_str().unwrap()]);
    tree.file(
        "etc/inittab",
        &[
            b"::sysinit:/etc/survived\n".as_slice(),
            &b"#hvc0::respawn:/bin/getty hvc0\n".repeat(330_000),
        ]
        .concat(),
    );
    tree.file(
        "etc/survived",
        format!("{report}echo 'guest: survived'\npoweroff -f\n").as_bytes(),
    );
    run("chmod", &["755", tree.at("etc/survived").to_str().unwrap()]);
    fs::remove_dir_all(tree.at("etc/udev")).unwrap();
    tree.link("etc/udev", "../../../../etc/udev");
    for number in 0..3000 {
        tree.file(&format!("etc/cron.daily/{number}"), b"");
    }
    fs::remove_dir_all(tree.at("lib")).unwrap();
    tree.link("lib", "usr/../lib");
    fs::remove_dir(tree.at("dev")).unwrap();
    tree.link("dev", "/proc/self/fd");
    let disk = image(lab, &tree, "malice", 48);
    let all = "disable_tls,fstab,console,modules,udev_net,updatedb_off";
    let booted = boot(
        lab,
        &lab.initramfs,
        &disk,
        64,
        &format!("{WORDS} xb.helpers={all},../init,fstab rw"),
    );
    booted.has("xenbeta: fstab: /etc/fstab is not a file; left alone");
    booted.has("xenbeta: console: /etc/inittab is over 262144 bytes; left alone");
    booted.has("guest: survived");
    eprintln!("a malicious image boots in {:?}", booted.took);
}
