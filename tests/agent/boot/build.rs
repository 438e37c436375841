//! How an initramfs is made, through the agent's own program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::tree::have_busybox;

/// A kernel's folder of modules, made by hand; nothing in it can be loaded.
pub fn modules(dir: &Path) -> PathBuf {
    let at = dir.join("6.1.0-test");
    let list = [
        (
            "kernel/fs/ext4/ext4.ko",
            "kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko",
        ),
        ("kernel/fs/jbd2/jbd2.ko", ""),
        ("kernel/fs/mbcache.ko", ""),
        ("kernel/lib/crc16.ko", ""),
        ("kernel/crypto/crc32c_generic.ko", ""),
        ("kernel/drivers/block/xen-blkfront.ko", ""),
        ("kernel/drivers/net/xen-netfront.ko", ""),
        ("kernel/drivers/net/tun.ko", ""),
        ("kernel/drivers/gpu/huge.ko", ""),
    ];
    let mut dep = String::new();
    for (file, needs) in list {
        fs::create_dir_all(at.join(file).parent().unwrap()).unwrap();
        fs::write(at.join(file), format!("not a module: {file}")).unwrap();
        dep.push_str(&format!("{file}: {needs}\n"));
    }
    fs::write(at.join("modules.dep"), dep).unwrap();
    fs::write(at.join("modules.builtin"), "kernel/fs/xfs/xfs.ko\n").unwrap();
    at
}

pub fn build(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xenbeta-agent"))
        .args(["initramfs", "build"])
        .args(args)
        .output()
        .unwrap()
}

/// What the build said; it must have worked.
pub fn built(args: &[&str]) -> String {
    let output = build(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(args: &[&str]) -> String {
    let output = build(args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn list(archive: &Path, flags: &str) -> String {
    let output = Command::new("busybox")
        .args(["cpio", flags, "-F"])
        .arg(archive)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_kernel_that_cannot_run_it_is_refused() {
    if !have_busybox() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("lib/modules");
    fs::create_dir_all(&from).unwrap();
    let newer = modules(&from);
    let out = dir.path().join("out").to_str().unwrap().to_owned();
    let args = |from: &Path| {
        let from = from.to_str().unwrap().to_owned();
        [
            "--modules-dir".into(),
            from,
            "--out".into(),
            out.clone(),
            "--set".into(),
            "none".into(),
        ]
    };
    let refused = |from: &Path| refused(&args(from).each_ref().map(String::as_str));
    // What Debian's busybox was built for says it itself.
    let older = from.join("2.6.18-xenu");
    fs::rename(&newer, &older).unwrap();
    let said = refused(&older);
    assert!(
        said.contains("2.6.18-xenu cannot run it") && said.contains("Linux 3.2.0"),
        "{said}"
    );
    fs::rename(&older, &newer).unwrap();
    let boot = dir.path().join("boot");
    fs::create_dir(&boot).unwrap();
    let config = boot.join("config-6.1.0-test");
    fs::write(&config, "CONFIG_X86=y\n# CONFIG_DEVTMPFS is not set\n").unwrap();
    let said = refused(&newer);
    assert!(said.contains("without CONFIG_DEVTMPFS=y"), "{said}");
    assert!(!Path::new(&out).exists());
    fs::write(&config, "CONFIG_X86=y\nCONFIG_DEVTMPFS=y\n").unwrap();
    built(&args(&newer).each_ref().map(String::as_str));
}

#[test]
fn the_same_input_gives_the_same_bytes_and_holds_what_it_should() {
    if !have_busybox() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = modules(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (from, a, b) = (from.to_str().unwrap(), path("a"), path("b"));
    let said = built(&[
        "--modules-dir",
        from,
        "--out",
        &a,
        "--compress",
        "none",
        "--set",
        "none",
    ]);
    assert!(said.contains("kernel 6.1.0-test"), "{said}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    built(&[
        "--modules-dir",
        from,
        "--out",
        &b,
        "--compress",
        "none",
        "--set",
        "none",
    ]);
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let names = list(Path::new(&a), "-t");
    for name in [
        "init",
        "bin/busybox",
        "bin/awk",
        "dev/console",
        "xb/helpers/fstab",
        "xb/boot/04-ext4.ko",
    ] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }
    assert!(
        !names.contains("huge") && !names.contains("set.cpio"),
        "{names}"
    );
    // The order that they are loaded in.
    let order = [
        "crc32c_generic",
        "crc16",
        "mbcache",
        "jbd2",
        "ext4",
        "xen-blkfront",
        "xen-netfront",
    ];
    let boot: Vec<&str> = names
        .lines()
        .filter_map(|line| line.strip_prefix("xb/boot/"))
        .collect();
    assert_eq!(boot.len(), order.len());
    for (file, name) in boot.iter().zip(order) {
        assert!(file.ends_with(&format!("-{name}.ko")), "{boot:?}");
    }
    for compression in ["gzip", "zstd"] {
        for out in [&a, &b] {
            built(&[
                "--modules-dir",
                from,
                "--out",
                out,
                "--compress",
                compression,
                "--set",
                "none",
            ]);
        }
        assert_eq!(
            fs::read(&a).unwrap(),
            fs::read(&b).unwrap(),
            "{compression}"
        );
    }
    // Nothing half written is left beside it.
    let left = fs::read_dir(dir.path()).unwrap().filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("part")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn the_set_is_a_small_choice_with_depmods_lists() {
    if !have_busybox() || !have_depmod() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = modules(dir.path());
    let (from, out) = (from.to_str().unwrap(), dir.path().join("a"));
    built(&[
        "--modules-dir",
        from,
        "--out",
        out.to_str().unwrap(),
        "--compress",
        "none",
    ]);
    let root = dir.path().join("unpacked");
    fs::create_dir(&root).unwrap();
    let unpack =
        "cpio -id -F ../a xb/set.cpio.gz xb/set.about && gunzip -c xb/set.cpio.gz | cpio -i";
    let output = Command::new("busybox")
        .args(["sh", "-c", unpack])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let has = |file: &str| root.join("6.1.0-test").join(file).exists();
    assert!(
        has("kernel/drivers/net/tun.ko") && has("kernel/fs/ext4/ext4.ko") && has("modules.dep.bin")
    );
    assert!(!has("kernel/drivers/gpu/huge.ko"));
    let dep = fs::read_to_string(root.join("6.1.0-test/modules.dep")).unwrap();
    assert!(dep.contains("tun.ko:") && !dep.contains("huge"), "{dep}");
}

pub fn have_depmod() -> bool {
    let there = Command::new("depmod")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: the set of modules is made with depmod (kmod), which is not installed");
    }
    there
}

#[test]
fn what_cannot_work_is_refused_in_words() {
    if !have_busybox() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = modules(dir.path());
    let (from, out) = (from.to_str().unwrap(), dir.path().join("a"));
    let out = out.to_str().unwrap();
    assert!(
        refused(&["--modules-dir", "/nowhere/6.1", "--out", out])
            .contains("/nowhere/6.1/modules.dep")
    );
    assert!(refused(&["--kernel", "../x", "--out", out]).contains("--kernel"));
    assert!(refused(&["--out", out]).contains("--kernel"));
    assert!(
        refused(&["--modules-dir", from, "--out", out, "--module", "zfs"])
            .contains("no module zfs")
    );
    // Dynamically linked, not a program, not a busybox.
    for busybox in ["/bin/sh", "/etc/passwd", "/nowhere"] {
        let said = refused(&["--modules-dir", from, "--out", out, "--busybox", busybox]);
        assert!(
            said.contains(busybox) && said.contains("busybox-static"),
            "{said}"
        );
    }
    assert!(!Path::new(out).exists());
    let nowhere = dir.path().join("no/such/folder");
    assert!(
        refused(&[
            "--modules-dir",
            from,
            "--set",
            "none",
            "--out",
            nowhere.to_str().unwrap()
        ])
        .contains("no/such/folder")
    );
    // What is built in needs no loading, and is no mistake to ask for.
    built(&[
        "--modules-dir",
        from,
        "--set",
        "none",
        "--out",
        out,
        "--module",
        "xfs",
    ]);
}
