//! Images made to hurt: whatever is in a guest's root, a helper ends soon, says a line or two, writes nowhere else, and
//! leaves alone what it cannot put back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::tree::{HELPERS, Ran, SCRIPTS, Tree, difference, have_busybox};

/// On a quiet machine a helper takes a tenth of a second; its limit in the guest is 20 s.
const SOON: Duration = Duration::from_secs(15);
const FSTAB: &[u8] = b"/dev/ubda / ext4 defaults 0 1\n";

/// Runs a helper for Xen: it ends soon and by itself, says little, and touches nothing outside the guest's root.
fn run(tree: &Tree, helper: &str) -> Ran {
    fs::create_dir_all(tree.outside()).unwrap();
    let secret = tree.outside().join("fstab");
    fs::write(&secret, FSTAB).unwrap();
    let ran = tree.run("xen", helper, "do");
    assert!(
        ran.good && ran.took < SOON,
        "{helper}: {:?}: {}",
        ran.took,
        ran.said
    );
    assert!(ran.said.len() < 1000, "{helper}: {}", ran.said);
    assert_eq!(fs::read(&secret).unwrap(), FSTAB, "{helper} wrote outside");
    assert_eq!(
        fs::read_dir(tree.outside()).unwrap().count(),
        1,
        "{helper} wrote outside"
    );
    ran
}

/// Runs a helper for Xen that changes nothing, and says this about it.
fn refused(tree: &Tree, helper: &str, why: &str) {
    let before = tree.content();
    let ran = run(tree, helper);
    assert!(ran.said.contains(why), "{helper}: {why}: {}", ran.said);
    assert_eq!(difference(&before, &tree.content()), "", "{helper}: {why}");
}

#[test]
fn files_too_large_to_look_at() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    tree.file(
        "etc/inittab",
        &b"1:2345:respawn:/sbin/getty 38400 tty1\n".repeat(280_000),
    );
    assert!(fs::metadata(tree.at("etc/inittab")).unwrap().len() > 10_000_000);
    refused(
        &tree,
        "console",
        "/etc/inittab is over 262144 bytes; left alone",
    );
    // A terabyte of hole.
    let tree = Tree::empty();
    let file = fs::File::create(tree.at("etc/fstab")).unwrap();
    if file.set_len(1 << 40).is_ok() {
        let ran = run(&tree, "fstab");
        assert!(ran.said.contains("/etc/fstab is over"), "{}", ran.said);
    }
}

#[test]
fn things_that_are_no_text_files() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    fs::create_dir(tree.at("etc/fstab")).unwrap();
    refused(&tree, "fstab", "/etc/fstab is not a file; left alone");
    let tree = Tree::empty();
    assert!(
        Command::new("mkfifo")
            .arg(tree.at("etc/fstab"))
            .status()
            .unwrap()
            .success()
    );
    refused(&tree, "fstab", "/etc/fstab is not a file; left alone");
    let tree = Tree::empty();
    tree.file("etc/fstab", b"/dev/ubda / ext4\0defaults 0 1\n");
    refused(&tree, "fstab", "/etc/fstab is not text; left alone");
    let tree = Tree::empty();
    let device = Command::new("mknod")
        .arg(tree.at("etc/inittab"))
        .args(["c", "1", "5"])
        .output();
    if device.unwrap().status.success() {
        refused(&tree, "console", "/etc/inittab is not a file; left alone");
    }
}

#[test]
fn links_that_lead_out() {
    if !have_busybox() {
        return;
    }
    for target in [
        "../../outside/fstab",
        "../../../../../../etc/fstab",
        "/etc/fstab",
        "fstab",
    ] {
        let tree = Tree::empty();
        tree.link("etc/fstab", target);
        refused(&tree, "fstab", "/etc/fstab is a link; left alone");
    }
    // A folder that is a link is where the guest would find it: inside its own root, however many `..` there are.
    for target in ["../outside", "../../../../../outside", "/outside"] {
        let tree = Tree::empty();
        fs::remove_dir(tree.at("etc")).unwrap();
        tree.link("etc", target);
        assert_eq!(run(&tree, "fstab").said, "");
        tree.file("outside/fstab", FSTAB);
        assert!(run(&tree, "fstab").said.contains("changed /etc/fstab"));
        assert!(tree.text("outside/fstab").contains("xvda"));
    }
    let tree = Tree::empty();
    tree.link("lib", "../outside");
    fs::create_dir_all(tree.outside()).unwrap();
    assert_eq!(run(&tree, "disable_tls").said, "");
}

#[test]
fn links_and_folders_in_circles() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    fs::remove_dir(tree.at("etc")).unwrap();
    for (link, target) in [
        ("etc", "a"),
        ("a", "b/../b"),
        ("b", "/etc"),
        ("lib", "lib"),
        ("usr", "usr/usr/usr"),
    ] {
        tree.link(link, target);
    }
    for helper in HELPERS {
        assert_eq!(run(&tree, helper).said, "", "{helper}");
    }
    let tree = Tree::empty();
    tree.link("etc/udev", ".");
    tree.link("etc/rules.d", "udev/udev/udev/udev");
    tree.link("etc/systemd", "../etc");
    tree.link("etc/system", &"./".repeat(1500));
    for helper in HELPERS {
        assert_eq!(run(&tree, helper).said, "", "{helper}");
    }
}

#[test]
fn folders_with_very_many_files() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::of("old");
    for folder in ["etc/udev/rules.d", "etc/cron.daily", "lib/tls"] {
        for number in 0..15_000 {
            fs::write(
                tree.at(&format!("{folder}/{number}-persistent-net.rules")),
                "",
            )
            .unwrap();
        }
    }
    for helper in HELPERS {
        run(&tree, helper);
    }
    assert!(tree.at("lib/tls.disabled/7-persistent-net.rules").exists());
}

#[test]
fn names_of_ours_that_are_taken() {
    if !have_busybox() {
        return;
    }
    let with_fstab = || {
        let tree = Tree::empty();
        tree.file("etc/fstab", FSTAB);
        tree
    };
    let tree = with_fstab();
    fs::create_dir_all(tree.at("etc/fstab.xenbeta-orig")).unwrap();
    refused(&tree, "fstab", "no backup can be kept");
    let tree = with_fstab();
    tree.link("etc/fstab.xenbeta-orig", "../../outside/fstab");
    refused(&tree, "fstab", "no backup can be kept");
    let tree = with_fstab();
    tree.file("etc/fstab.xenbeta-new/x", b"");
    refused(&tree, "fstab", "/etc/fstab.xenbeta-new is in the way");
    // A link in place of the new file is replaced itself, never followed.
    let tree = with_fstab();
    tree.link("etc/fstab.xenbeta-new", "../../outside/fstab");
    assert!(run(&tree, "fstab").said.contains("changed /etc/fstab"));
    assert!(!tree.at("etc/fstab.xenbeta-new").exists());
    // Records that are none of ours.
    let tree = Tree::of("upstart");
    tree.link("etc/xenbeta-console", "../../outside/fstab");
    refused(&tree, "console", "/etc/xenbeta-console is not ours");
    for record in ["../../outside/fstab", "/dev/zero"] {
        let tree = Tree::of("old");
        tree.link("etc/xenbeta-updatedb", record);
        refused(&tree, "updatedb_off", "is not ours");
    }
    let tree = Tree::empty();
    tree.file(
        "etc/xenbeta-updatedb",
        b"script ../../../outside/fstab\nscript ..\ntimer ../../x\n",
    );
    assert!(tree.run("xen", "updatedb_off", "undo").good);
}

#[test]
fn contents_made_for_a_shell_or_awk() {
    if !have_busybox() {
        return;
    }
    let odd: &[u8] = b"$(touch /tmp/xb-was-run)`touch /tmp/xb-was-run`;%s%n%d\\n\\0 \"'\xff\xfe\xc3(\r\n/dev/ubda$(id) / x\n\
        /dev/ubda\t/\text4\t%s%n\\t0 1\r\n::::::\n1:2:respawn:getty $(id) tty1 \\1 & /dev/tty1\n\n\n";
    let tree = Tree::empty();
    tree.file("etc/fstab", odd);
    tree.file("etc/inittab", odd);
    tree.file("etc/securetty", odd);
    tree.file("etc/udev/rules.d/z25_persistent-net.rules", odd);
    run(&tree, "fstab");
    run(&tree, "console");
    run(&tree, "udev_net");
    assert!(!Path::new("/tmp/xb-was-run").exists());
    let replaced = |from: &str, to: &str| {
        let from = from.as_bytes();
        let at = odd
            .windows(from.len())
            .position(|part| part == from)
            .unwrap();
        [&odd[..at], to.as_bytes(), &odd[at + from.len()..]].concat()
    };
    assert_eq!(
        fs::read(tree.at("etc/fstab")).unwrap(),
        replaced("/dev/ubda\t", "/dev/xvda\t")
    );
    assert_eq!(
        fs::read(tree.at("etc/inittab")).unwrap(),
        replaced("tty1 \\1 & /dev/tty1", "hvc0 \\1 & /dev/hvc0")
    );
    // The longest line that is looked at, and the most of them.
    let tree = Tree::empty();
    tree.file(
        "etc/fstab",
        &[b"/dev/ubda ".as_slice(), &b"x".repeat(262_000)].concat(),
    );
    tree.file("etc/inittab", &b"a:1:respawn:tty1\n".repeat(15_000));
    tree.file(
        "etc/udev/rules.d/z25_persistent-net.rules",
        &b"a\\\n".repeat(80_000),
    );
    for helper in ["fstab", "console", "udev_net"] {
        run(&tree, helper);
    }
    assert!(tree.text("etc/fstab").starts_with("/dev/xvda x"));
}

/// Many lines about disks that are not there or hold nothing, logins that lead out, and records with more than ours.
#[test]
fn crypttabs_and_logins_made_to_hurt() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    tree.file(
        "etc/fstab",
        &b"/dev/ubda1 / ext4 device=/dev/ubdb\n".repeat(7000),
    );
    let line = b"s$(id) /dev/ubdb1 /dev/urandom swap,tmp\n";
    tree.file("etc/crypttab", &line.repeat(6000));
    assert!(
        run(&tree, "fstab")
            .said
            .contains("/etc/crypttab would be over 262144 bytes; left alone")
    );
    tree.file("etc/crypttab", &line.repeat(5000));
    assert!(run(&tree, "fstab").said.contains("line 1 2 3 4 5 6 7 8 ("));
    assert!(
        tree.text("etc/fstab")
            .ends_with("/dev/xvda1 / ext4 device=/dev/xvdb\n")
    );
    let tree = Tree::empty();
    tree.file("etc/fstab", FSTAB);
    tree.link("etc/crypttab", "../../outside/fstab");
    assert!(
        run(&tree, "fstab")
            .said
            .contains("/etc/crypttab is a link; left alone")
    );
    let tree = Tree::empty();
    tree.file("sbin/init", b"");
    tree.link(
        "etc/runlevels/default/agetty.tty1",
        "/../../outside/agetty.tty1",
    );
    tree.link(
        "etc/runit/runsvdir/default/agetty-tty1",
        "/etc/sv/agetty-tty1",
    );
    tree.link("etc/sv", "../../outside");
    tree.link("etc/init/tty1.conf", "../../../outside/fstab");
    tree.file(
        "etc/event.d/tty1",
        &b"exec getty tty1 $(id)\n".repeat(20_000),
    );
    tree.file("etc/xenbeta-console", b"/etc/fstab\n../../outside/fstab\n");
    refused(&tree, "console", "no login on hvc0");
}

#[test]
fn mode_and_owner_stay() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    tree.file("etc/fstab", FSTAB);
    fs::set_permissions(tree.at("etc/fstab"), fs::Permissions::from_mode(0o640)).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(tree.at("etc/fstab"), Some(1234), Some(4321)).unwrap();
    }
    run(&tree, "fstab");
    let meta = fs::metadata(tree.at("etc/fstab")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o640);
    if root {
        assert_eq!((meta.uid(), meta.gid()), (1234, 4321));
    }
}

/// In a mount namespace of its own: a file system with no room, and one that is read-only.
#[test]
fn no_room_and_no_leave_to_write() {
    if !have_busybox() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a full and a read-only file system need root");
        return;
    }
    let script = r#"
        set -e
        mount -t tmpfs -o size=256k tmpfs "$1"
        mkdir -p "$1/etc/udev/rules.d" "$1/lib/tls" "$1/etc/cron.daily"
        i=0; while [ $i -lt 2000 ]; do echo "/dev/ubda / ext4 defaults 0 1"; i=$((i + 1)); done > "$1/etc/fstab"
        echo '#!/bin/sh' > "$1/etc/cron.daily/mlocate"; chmod 755 "$1/etc/cron.daily/mlocate"
        echo "1:2345:respawn:/sbin/getty 38400 tty1" > "$1/etc/inittab"
        case $2 in full) cat /dev/zero > "$1/full" 2>/dev/null || true ;; ro) mount -o remount,ro "$1" ;; esac
        for helper in fstab console disable_tls udev_net updatedb_off; do
            ROOT=$1 WORK=$3 XB=$4 PLATFORM=xen timeout -s KILL 30 busybox sh "$4/helper" $helper do < /dev/null
            echo "$helper: status $?"
        done
        grep -c ubda "$1/etc/fstab"
        ls "$1/etc"
    "#;
    for kind in ["full", "ro"] {
        let tree = Tree::empty();
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(tree.root())
            .arg(kind)
            .arg(tree.root().parent().unwrap().join("work"))
            .arg(SCRIPTS)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for helper in HELPERS {
            assert!(
                said.contains(&format!("{helper}: status 0")),
                "{kind}: {said}"
            );
        }
        assert!(said.contains("xenbeta: fstab: "), "{kind}: {said}");
        // Every line is as it was, and nothing half written is left.
        assert!(
            said.contains("\n2000\n") && !said.contains("xenbeta-new"),
            "{kind}: {said}"
        );
    }
}

#[test]
fn a_helper_that_hangs_is_ended_with_all_it_started() {
    if !have_busybox() {
        return;
    }
    let begun = Instant::now();
    let script = format!(
        ". {SCRIPTS}/lib.sh; limited 1 /bin/busybox sh -c 'sleep 57.25 & sleep 57.25'; echo status $?; \
         limited 5 /bin/busybox sh -c 'exit 3'; echo status $?"
    );
    let output = Command::new("busybox")
        .args(["sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.ends_with("status 137\nstatus 3\n"), "{said}");
    assert!(begun.elapsed() < SOON);
    let left = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&left.stdout).contains("sleep 57.25"));
}
