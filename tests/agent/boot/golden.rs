//! Every layout, before and after, in both directions: what changes can be read here. Then: a second run changes nothing,
//! the way back gives the original bytes, and what is switched off is undone.

use super::tree::{Content, Entry, Tree, difference, have_busybox, without_backups};

const LAYOUTS: [&str; 4] = ["debian12-systemd", "debian-sysvinit", "busybox", "old"];

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
