//! Every layout, before and after, in both directions: what changes can be read here. Then: a second run changes nothing,
//! the way back gives the original bytes, and what is switched off is undone.

use super::tree::{Content, Entry, Tree, difference, have_busybox, without_backups};

const LAYOUTS: [&str; 18] = [
    "debian12-systemd",
    "debian-sysvinit",
    "busybox",
    "old",
    "hostfs",
    "options",
    "console",
    "console-busybox",
    "console-systemd",
    "xvc0",
    "crypttab",
    "crypttab-moved",
    "upstart",
    "event.d",
    "openrc",
    "runit",
    "debian-openrc",
    "debian-runit",
];

/// The same tree with what the helpers keep for themselves left out.
fn seen(tree: &Tree) -> Content {
    without_backups(tree.content())
}

fn to_xen(layout: &str) -> String {
    let tree = Tree::of(layout);
    let before = tree.content();
    let said = tree.run_all("xen", "do");
    format!("{}--\n{said}", difference(&before, &tree.content()))
}

#[test]
fn what_changes_on_the_way_to_xen() {
    if !have_busybox() {
        return;
    }
    for layout in LAYOUTS {
        insta::assert_snapshot!(format!("{layout}_to_xen"), to_xen(layout));
    }
}

/// A guest that was made on Xen, or lost its backups: what its files look like under UML.
#[test]
fn what_changes_on_the_way_to_uml() {
    if !have_busybox() {
        return;
    }
    for layout in LAYOUTS {
        let tree = Tree::of(layout);
        tree.run_all("xen", "do");
        for path in tree
            .content()
            .keys()
            .filter(|path| path.ends_with(".xenbeta-orig"))
        {
            std::fs::remove_file(tree.at(path)).unwrap();
        }
        let before = tree.content();
        let said = tree.run_all("uml", "do");
        let changed = format!("{}--\n{said}", difference(&before, &tree.content()));
        insta::assert_snapshot!(format!("{layout}_to_uml"), changed);
        // And to Xen again: as it was there.
        tree.run_all("xen", "do");
        assert_eq!(difference(&before, &seen(&tree)), "", "{layout}");
    }
}

#[test]
fn a_second_run_changes_nothing_and_says_nothing() {
    if !have_busybox() {
        return;
    }
    for layout in LAYOUTS {
        for platform in ["xen", "uml"] {
            let tree = Tree::of(layout);
            tree.run_all(platform, "do");
            let once = tree.content();
            assert_eq!(tree.run_all(platform, "do"), "", "{layout} {platform}");
            assert_eq!(
                difference(&once, &tree.content()),
                "",
                "{layout} {platform}"
            );
        }
    }
}

#[test]
fn there_and_back_again_gives_the_original_bytes() {
    if !have_busybox() {
        return;
    }
    for layout in LAYOUTS {
        let tree = Tree::of(layout);
        let before = tree.content();
        for platform in ["uml", "xen", "uml", "xen", "uml"] {
            tree.run_all(platform, "do");
        }
        // These do the same on both platforms; switched off, they undo it.
        for helper in ["disable_tls", "udev_net", "updatedb_off"] {
            assert!(tree.run("uml", helper, "undo").good);
            assert_eq!(
                tree.run("uml", helper, "undo").said,
                "",
                "{layout} {helper}"
            );
        }
        assert_eq!(difference(&before, &seen(&tree)), "", "{layout}");
        // The first originals are there, as they were.
        for (path, entry) in tree.content() {
            if let Some(of) = path.strip_suffix(".xenbeta-orig") {
                assert_eq!(Some(&entry), before.get(of), "{path}");
            }
        }
    }
}

/// What the guest's owner changed on Xen is kept on the way back; only the devices are translated.
#[test]
fn an_edit_in_between_is_kept() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::of("old");
    tree.run_all("xen", "do");
    let edited = tree.text("etc/fstab").replace("noauto", "noauto,ro")
        + "\n/dev/xvdd /new ext4 defaults 0 2\n";
    tree.file("etc/fstab", edited.as_bytes());
    tree.run_all("uml", "do");
    insta::assert_snapshot!(tree.text("etc/fstab"), @r"
    /dev/ubda	/	ext3	defaults	1 1
    /dev/ubdb	swap	swap	defaults	0 0
    /dev/ubdc1 /var ext3 defaults 1 2
    /dev/ubda3	/opt	ext2	noauto,ro	0 0
    none /dev/pts devpts gid=5,mode=620 0 0
    /dev/ubdd /new ext4 defaults 0 2
    ");
    let original = &Tree::of("old").content()["etc/fstab"];
    assert_eq!(&tree.content()["etc/fstab.xenbeta-orig"], original);
}

#[test]
fn what_others_disabled_stays_disabled() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::empty();
    tree.file("lib/tls.disabled/libc.so", b"by hand");
    tree.link("etc/systemd/system/plocate-updatedb.timer", "/dev/null");
    tree.file("lib/systemd/system/plocate-updatedb.timer", b"[Timer]\n");
    tree.file("etc/cron.daily/mlocate", b"#!/bin/sh\n");
    let before = tree.content();
    for action in ["do", "undo"] {
        assert_eq!(tree.run_all("xen", action), "");
        assert_eq!(difference(&before, &tree.content()), "");
    }
    // A package brought a new /lib/tls while somebody's own is disabled: nobody's files are merged or lost.
    tree.file("lib/tls/libc.so", b"new");
    let said = tree.run("xen", "disable_tls", "do").said;
    assert!(said.contains("/lib/tls left alone"), "{said}");
    assert!(matches!(
        tree.content()["lib/tls/libc.so"],
        Entry::File { .. }
    ));
}

#[test]
fn rules_of_this_card_stay_where_the_network_files_use_their_name() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::of("old");
    tree.file(
        "etc/network/interfaces",
        b"auto eth1\niface eth1 inet dhcp\n",
    );
    assert_eq!(tree.run("xen", "udev_net", "do").said, "");
}

/// Names of cards that are gone bind nobody, and a slot is another platform's.
#[test]
fn rules_of_two_old_cards_and_of_a_slot_leave_the_card_eth0() {
    if !have_busybox() {
        return;
    }
    let first = "SUBSYSTEM==\"net\", ATTR{address}==\"00:16:3e:00:00:01\", NAME=\"eth0\"\n";
    let others = "SUBSYSTEM==\"net\", ATTR{address}==\"00:16:3e:00:00:02\", NAME=\"eth1\"\n\
        SUBSYSTEM==\"net\", KERNELS==\"0000:00:04.0\", NAME=\"eth2\"\n";
    let tree = Tree::empty();
    let rules = "etc/udev/rules.d/70-persistent-net.rules";
    tree.file(rules, format!("{first}{others}").as_bytes());
    tree.run("xen", "udev_net", "do");
    assert_eq!(tree.text(rules), format!("#xenbeta# {first}{others}"));
}

#[test]
fn in_an_fstab_only_disks_change_and_every_other_byte_stays() {
    if !have_busybox() {
        return;
    }
    let written: &[u8] = b"/dev/ubdc   none  swap  sw  0 0\n/dev/ubda\t/\text3\tnoatime\t0 1\n\
        UUID=\"6d1f0c1e-3a52-4b0e-8f38-0f5a9c7e1b22\" /var ext3 defaults 0 2\n\x20 # a comment, /dev/ubdb\n\n\
        /dev/ubdd1 /srv/my\\040files\\011x ext3 defaults,comment=a\\054b 0 2\r\n\
        LABEL=/home  /home ext3 defaults 1 2 \t \n192.0.2.4:/ubda /mnt nfs ro 0 0\n/dev/ubde /last ext3 defaults 0 2";
    let tree = Tree::empty();
    tree.file("etc/fstab", written);
    tree.run("xen", "fstab", "do");
    let mut wanted = String::from_utf8(written.to_vec()).unwrap();
    for disk in ["ubdc ", "ubda\t", "ubdd1", "ubde "] {
        wanted = wanted.replace(&format!("/dev/{disk}"), &format!("/dev/xv{}", &disk[2..]));
    }
    assert_eq!(tree.text("etc/fstab"), wanted);
    tree.run("uml", "fstab", "do");
    assert_eq!(tree.text("etc/fstab").as_bytes(), written);
}

/// A disk that is not there may come later, as another; one that two lines use is not made anew by either.
#[test]
fn no_disk_is_made_anew_that_may_be_another() {
    if !have_busybox() {
        return;
    }
    let after = |crypttab: &str, disks: &[(&str, &[u8])]| {
        let tree = Tree::empty();
        tree.file("etc/fstab", b"/dev/ubde1 /srv ext4 defaults 0 2\n");
        tree.file("etc/crypttab", crypttab.as_bytes());
        for (name, content) in disks {
            tree.file(&format!("dev/{name}"), content);
            tree.file(
                &format!("dev/{}", name.replace("xvd", "ubd").trim_end_matches('1')),
                b"noise",
            );
        }
        tree.run("xen", "fstab", "do");
        let once = tree.text("etc/crypttab");
        assert_eq!(tree.run("xen", "fstab", "do").said, "", "{crypttab}");
        assert_eq!(tree.text("etc/crypttab"), once);
        tree.run("uml", "fstab", "do");
        // Back on its own disks all is as it was; what never worked there still does not, nor what was not told apart.
        let back = crypttab.replace("/dev/xvd", "/dev/ubd");
        let text = tree.text("etc/crypttab");
        let marked = ["#xenbeta# old /dev/xvdb ", "#xenbeta# t "];
        assert!(
            text == crypttab || text == back || marked.iter().any(|begin| text.starts_with(begin)),
            "{text}"
        );
        once
    };
    let swap = "s /dev/ubdb /dev/urandom swap\n";
    let kept = format!("#xenbeta# {swap}");
    let moved = swap.replace("ubd", "xvd");
    assert_eq!(after(swap, &[]), kept, "not there");
    for content in [b"".as_slice(), b"noise", &[0; 8192]] {
        assert_eq!(after(swap, &[("xvdb", content)]), moved);
    }
    assert_eq!(
        after(swap, &[("xvdb", b""), ("xvdb1", b"")]),
        kept,
        "has partitions"
    );
    let with = |at: usize, magic: &[u8]| {
        let mut disk = vec![7; 70_000];
        disk[at..at + magic.len()].copy_from_slice(magic);
        disk
    };
    assert_eq!(after(swap, &[("xvdb", &with(4086, b"SWAPSPACE2"))]), moved);
    for (at, magic) in [
        (0, b"LUKS\xba\xbe".as_slice()),
        (0, b"XFSB"),
        (510, b"\x55\xaa"),
        (512, b"LABELONE"),
        (1024, b"\x10\x20\xf5\xf2"),
        (1080, b"\x53\xef"),
        (4096, b"\xfc\x4e\x2b\xa9"),
        (32_768, b"JFS1"),
        (65_588, b"ReIsErFs"),
        (65_600, b"_BHRfS_M"),
    ] {
        assert_eq!(after(swap, &[("xvdb", &with(at, magic))]), kept, "{at}");
    }
    // What never worked under UML would come to life on Xen, on the disk that the other line is about.
    let stale = "old /dev/xvdb /dev/urandom swap\nvault /dev/ubdb key plain\n";
    let both = "#xenbeta# old /dev/xvdb /dev/urandom swap\nvault /dev/xvdb key plain\n";
    assert_eq!(after(stale, &[("xvdb", b"noise")]), both);
    let mounted = "t /dev/ubde /dev/random tmp=ext4\n";
    assert_eq!(
        after(mounted, &[("xvde", b"noise")]),
        format!("#xenbeta# {mounted}")
    );
    // The owner's own, on this platform, is the owner's.
    let own = "s /dev/xvdb /dev/urandom swap\n";
    assert_eq!(after(own, &[("xvdb", b"LUKS")]), own);
}

/// What the owner did on Xen beside a line of the other platform's.
#[test]
fn shares_come_back_in_an_edited_fstab() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::of("hostfs");
    tree.run_all("xen", "do");
    let edited = tree.text("etc/fstab")
        + "proc /proc/xen xenfs defaults 0 0\n/dev/xvdc /new ext4 defaults 0 2\n";
    tree.file("etc/fstab", edited.as_bytes());
    let said = tree.run_all("uml", "do");
    assert!(
        said.contains("comments in /etc/fstab while here: line 8 (cannot be mounted here)"),
        "{said}"
    );
    let back = tree.text("etc/fstab");
    let expected = Tree::of("hostfs")
        .text("etc/fstab")
        .replace("/dev/ubd0 ", "/dev/ubda ");
    assert_eq!(
        back,
        expected
            + "#xenbeta# proc /proc/xen xenfs defaults 0 0\n/dev/ubdc /new ext4 defaults 0 2\n"
    );
    tree.run_all("xen", "do");
    assert_eq!(tree.text("etc/fstab"), edited);
}

#[test]
fn a_login_that_was_made_is_this_platforms_own_and_goes_again() {
    if !have_busybox() {
        return;
    }
    let tree = Tree::of("upstart");
    tree.run_all("xen", "do");
    let made = tree.text("etc/init/hvc0.conf");
    assert_eq!(
        made,
        tree.text("etc/init/tty1.conf").replace("tty1", "hvc0")
    );
    // Edited, it is its owner's.
    tree.file(
        "etc/init/hvc0.conf",
        (made.clone() + "console none\n").as_bytes(),
    );
    let said = tree.run_all("uml", "do");
    assert!(
        said.contains("/etc/init/hvc0.conf was edited; left alone"),
        "{said}"
    );
    assert!(tree.at("etc/init/hvc0.conf").exists() && !tree.at("etc/init/tty0.conf").exists());
    // Removed on its platform, it is not made again there.
    let tree = Tree::of("upstart");
    tree.run_all("xen", "do");
    std::fs::remove_file(tree.at("etc/init/hvc0.conf")).unwrap();
    tree.run_all("xen", "do");
    assert!(!tree.at("etc/init/hvc0.conf").exists());
    // A guest that was made on Xen, under UML and back.
    let tree = Tree::empty();
    tree.file("etc/init/hvc0.conf", made.as_bytes());
    let before = tree.content();
    let said = tree.run_all("uml", "do");
    assert!(said.contains("made /etc/init/tty0.conf"), "{said}");
    assert!(
        tree.text("etc/init/tty0.conf")
            .ends_with("exec /sbin/getty -8 38400 tty0\n")
    );
    tree.run_all("xen", "do");
    assert_eq!(difference(&before, &tree.content()), "");
}

#[test]
fn an_init_that_is_not_known_is_named_and_known_ones_are_not() {
    if !have_busybox() {
        return;
    }
    let unknown = "xenbeta: console: no login on hvc0: this init is not known, or has none that could be moved\n";
    let said = |files: &[(&str, &str)], links: &[(&str, &str)]| {
        let tree = Tree::empty();
        for (path, text) in files {
            tree.file(path, text.as_bytes());
        }
        for (path, target) in links {
            tree.link(path, target);
        }
        assert_eq!(tree.run("uml", "console", "do").said, "");
        tree.run("xen", "console", "do").said
    };
    assert_eq!(said(&[("sbin/init", "dinit")], &[]), unknown);
    assert_eq!(
        said(
            &[
                ("sbin/init", "upstart"),
                ("etc/init/tty.conf", "exec /sbin/mingetty $TTY\n")
            ],
            &[]
        ),
        unknown
    );
    let runit = [(
        "etc/runit/runsvdir/default/agetty-tty1",
        "/etc/sv/agetty-tty1",
    )];
    assert_eq!(
        said(
            &[("sbin/init", "runit"), ("etc/sv/agetty-tty1/run", "")],
            &runit
        ),
        unknown
    );
    for (files, links) in [
        (
            vec![("usr/lib/systemd/systemd", "")],
            vec![("sbin/init", "/usr/lib/systemd/systemd")],
        ),
        (
            vec![("bin/busybox", "")],
            vec![("sbin/init", "../bin/busybox")],
        ),
        (
            vec![
                ("sbin/init", ""),
                ("etc/inittab", "1:2345:respawn:/sbin/getty 38400 console\n"),
            ],
            vec![],
        ),
        (
            vec![
                ("bin/busybox", ""),
                ("etc/inittab", "::askfirst:-/bin/sh\n"),
            ],
            vec![("sbin/init", "/bin/busybox")],
        ),
        // RHEL 6 starts one on the kernel's console by itself.
        (
            vec![
                ("sbin/init", ""),
                (
                    "etc/init/serial.conf",
                    "exec /sbin/agetty /dev/$DEV $SPEED vt100-nav\n",
                ),
            ],
            vec![],
        ),
        (
            vec![
                ("sbin/init", ""),
                (
                    "etc/init/console.conf",
                    "exec /sbin/getty -8 38400 console\n",
                ),
                ("etc/init/tty1.conf", "exec /sbin/getty -8 38400 tty1\n"),
            ],
            vec![],
        ),
    ] {
        assert_eq!(said(&files, &links), "", "{files:?}");
    }
}
