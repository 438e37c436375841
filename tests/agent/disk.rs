//! Disks as files: layout, repetition, refusal of what is not ours.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;

use xenbeta::agent::disk::{DiskFault, DiskStore, FileStore, Receipt};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};

use super::mover::{Dice, MIB, make_generation, spec};

const LINODE: LinodeId = LinodeId(1);
const MOVE: MigrationId = MigrationId(5);

struct Shop {
    dir: tempfile::TempDir,
    store: FileStore,
}

fn shop() -> Shop {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    Shop { dir, store }
}

impl Shop {
    fn path(&self, rest: &str) -> PathBuf {
        self.dir.path().join("linodes").join(rest)
    }
}

fn receipt(sealed: i64) -> Receipt {
    Receipt {
        migration: MOVE,
        sealed,
        digests: vec![],
        sent_bytes: 1,
        seconds: 0.5,
    }
}

#[test]
fn a_copy_goes_from_reserved_to_run_and_every_step_may_be_repeated() {
    let shop = shop();
    let disks = [spec(1, 2 * MIB), spec(2, MIB + 5)];
    for _ in 0..2 {
        shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    }
    let target = shop.store.target(LINODE, MOVE, &disks[0]).unwrap();
    target.image.write_at(&[9; 5000], 3).unwrap();
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let mut kept = [0; 4];
    target.image.read_at(&mut kept, 3).unwrap();
    assert_eq!(kept, [9; 4], "reserving again keeps what was copied");
    assert!(
        shop.store.check(LINODE, 8, &disks).is_err(),
        "a copy in the making is no generation"
    );

    for _ in 0..2 {
        shop.store.publish(LINODE, 8, &disks, &receipt(7)).unwrap();
    }
    assert_eq!(
        shop.store.published(LINODE, MOVE).unwrap(),
        Some((8, receipt(7)))
    );
    assert_eq!(
        shop.store.check(LINODE, 8, &disks).unwrap().total,
        3 * MIB + 5
    );
    for _ in 0..2 {
        shop.store.activate(LINODE, MOVE, 9).unwrap();
    }
    shop.store.check(LINODE, 9, &disks).unwrap();
    let left: Vec<_> = fs::read_dir(shop.path("1/e9"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "only disks are left: {left:?}");

    // Once it may have run, releasing the migration does not touch it.
    shop.store.release(LINODE, MOVE).unwrap();
    shop.store.check(LINODE, 9, &disks).unwrap();

    for _ in 0..2 {
        shop.store.regrant(LINODE, 9, 11).unwrap();
    }
    shop.store.check(LINODE, 11, &disks).unwrap();
    for _ in 0..2 {
        shop.store.purge(LINODE, 11).unwrap();
    }
    assert_eq!(
        shop.store.check(LINODE, 11, &disks).unwrap_err().fault,
        DiskFault::Missing
    );
    assert_eq!(fs::read_dir(shop.path("1")).unwrap().count(), 0);
}

#[test]
fn releasing_drops_copies_in_the_making_and_published_ones() {
    let shop = shop();
    let disks = [spec(1, MIB)];
    make_generation(shop.dir.path(), LINODE, 3, &disks);
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    for _ in 0..2 {
        shop.store.release(LINODE, MOVE).unwrap();
    }
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    shop.store.publish(LINODE, 8, &disks, &receipt(7)).unwrap();
    for _ in 0..2 {
        shop.store.release(LINODE, MOVE).unwrap();
    }
    assert_eq!(shop.store.list().unwrap().generations, [(LINODE, 3)]);
    shop.store.release(LinodeId(99), MOVE).unwrap();
    shop.store.purge(LinodeId(99), 1).unwrap();
    shop.store.close_source(LinodeId(99), MOVE).unwrap();
}

#[test]
fn two_claims_on_one_epoch_are_refused_and_nothing_is_lost() {
    let shop = shop();
    let disks = [spec(1, MIB)];
    make_generation(shop.dir.path(), LINODE, 8, &disks);
    make_generation(shop.dir.path(), LINODE, 9, &disks);
    assert_eq!(
        shop.store.regrant(LINODE, 8, 9).unwrap_err().fault,
        DiskFault::Refused
    );
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let taken = shop
        .store
        .publish(LINODE, 8, &disks, &receipt(7))
        .unwrap_err();
    assert_eq!(taken.fault, DiskFault::Refused);
    shop.store.publish(LINODE, 10, &disks, &receipt(9)).unwrap();
    assert_eq!(
        shop.store
            .publish(LINODE, 12, &disks, &receipt(11))
            .unwrap_err()
            .fault,
        DiskFault::Refused
    );
    assert_eq!(
        shop.store.activate(LINODE, MOVE, 9).unwrap_err().fault,
        DiskFault::Refused
    );
    assert_eq!(shop.store.list().unwrap().generations.len(), 3);
    assert_eq!(
        shop.store
            .activate(LINODE, MigrationId(77), 99)
            .unwrap_err()
            .fault,
        DiskFault::Missing
    );
    assert_eq!(
        shop.store.regrant(LINODE, 55, 56).unwrap_err().fault,
        DiskFault::Missing
    );
}

#[test]
fn a_copy_may_start_from_sealed_disks_and_stays_sparse() {
    let shop = shop();
    let disks = [spec(1, 64 * MIB)];
    make_generation(shop.dir.path(), LINODE, 3, &disks);
    let old = shop.store.open_disk(LINODE, 3, DiskId(1)).unwrap();
    Dice(1).write(&old, 40 * MIB, 70_000);
    shop.store.seal(LINODE, 3).unwrap();
    shop.store.reserve(LINODE, MOVE, &disks, Some(3)).unwrap();
    let target = shop.store.target(LINODE, MOVE, &disks[0]).unwrap();
    let (mut a, mut b) = (vec![0; 70_000], vec![0; 70_000]);
    target.image.read_at(&mut a, 40 * MIB).unwrap();
    old.read_exact_at(&mut b, 40 * MIB).unwrap();
    assert!(a == b && a.iter().any(|x| *x != 0));
    let data = target.image.next_data(0).unwrap().unwrap();
    assert!(data.start > 39 * MIB && data.end < 41 * MIB, "{data:?}");
    target.image.write_at(&vec![0; 70_000], 40 * MIB).unwrap();
    old.read_exact_at(&mut a, 40 * MIB).unwrap();
    assert!(a == b, "the sealed disk is not the copy");
}

#[test]
fn sealing_takes_write_permission_away_and_unsealing_gives_it_back() {
    let shop = shop();
    let disks = [spec(1, MIB)];
    make_generation(shop.dir.path(), LINODE, 3, &disks);
    let mode = || {
        fs::metadata(shop.store.path(LINODE, 3, DiskId(1)))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    shop.store.seal(LINODE, 3).unwrap();
    assert_eq!(mode(), 0o400);
    shop.store.seal(LINODE, 3).unwrap();
    shop.store.unseal(LINODE, 3).unwrap();
    assert_eq!(mode(), 0o600);
    assert_eq!(
        shop.store.seal(LINODE, 99).unwrap_err().fault,
        DiskFault::Missing
    );
}

#[test]
fn what_follows_no_rule_is_listed_and_left_alone() {
    let shop = shop();
    make_generation(shop.dir.path(), LINODE, 3, &[spec(1, MIB)]);
    shop.store
        .reserve(LINODE, MOVE, &[spec(1, MIB)], None)
        .unwrap();
    for odd in [
        "1/notes",
        "1/e",
        "1/e-4",
        "1/e+4",
        "2x/e1",
        "1/m7.source.bak",
    ] {
        fs::create_dir_all(shop.path(odd)).unwrap();
    }
    File::create(shop.path("77")).unwrap();
    let listing = shop.store.list().unwrap();
    assert_eq!(listing.generations, [(LINODE, 3)]);
    assert_eq!(listing.copies, [(LINODE, MOVE)]);
    assert_eq!(
        listing.unknown,
        [
            "linodes/1/e",
            "linodes/1/e+4",
            "linodes/1/e-4",
            "linodes/1/m7.source.bak",
            "linodes/1/notes",
            "linodes/2x",
            "linodes/77",
        ]
    );
    shop.store.release(LINODE, MOVE).unwrap();
    assert!(shop.path("1/notes").exists());
}

#[test]
fn links_pipes_and_wrong_sizes_are_refused() {
    let shop = shop();
    let disks = [spec(1, MIB)];
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("1.img");
    let file = File::create(&secret).unwrap();
    file.set_len(MIB).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();

    // A disk that is a link, a pipe, a folder, too short.
    fs::create_dir_all(shop.path("1/e3")).unwrap();
    let disk = shop.path("1/e3/1.img");
    symlink(&secret, &disk).unwrap();
    assert!(shop.store.check(LINODE, 3, &disks).is_err());
    assert!(shop.store.seal(LINODE, 3).is_err());
    assert!(shop.store.open_disk(LINODE, 3, DiskId(1)).is_err());
    let mode = fs::metadata(&secret).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "the link was not followed");
    fs::remove_file(&disk).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&disk)
            .status()
            .unwrap()
            .success()
    );
    assert!(shop.store.check(LINODE, 3, &disks).is_err());
    fs::remove_file(&disk).unwrap();
    fs::create_dir(&disk).unwrap();
    assert!(shop.store.check(LINODE, 3, &disks).is_err());
    fs::remove_dir(&disk).unwrap();
    File::create(&disk).unwrap().set_len(MIB - 1).unwrap();
    let short = shop.store.check(LINODE, 3, &disks).unwrap_err();
    assert_eq!(short.fault, DiskFault::Missing);
    assert!(!short.public.contains('/'));

    // A generation and a Linode's folder that are links.
    symlink(outside.path(), shop.path("1/e4")).unwrap();
    assert!(shop.store.check(LINODE, 4, &disks).is_err());
    let _ = shop.store.purge(LINODE, 4);
    assert!(secret.exists(), "purging a link leaves what it points to");
    symlink(outside.path(), shop.path("2")).unwrap();
    assert!(shop.store.reserve(LinodeId(2), MOVE, &disks, None).is_err());
    assert!(shop.store.purge(LinodeId(2), 1).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_disk_that_does_not_fit_is_told_in_plain_words() {
    let shop = shop();
    let space = shop.store.space().unwrap();
    assert!(space.free > 0 && space.total >= space.free);
    let error = shop
        .store
        .preflight(&[spec(1, space.free), spec(2, space.free)])
        .unwrap_err();
    assert_eq!(error.fault, DiskFault::NoSpace);
    assert_eq!(
        error.public,
        "The new host does not have enough free disk space for this Linode"
    );
    shop.store.preflight(&[spec(1, MIB)]).unwrap();
    assert!(
        shop.store
            .preflight(&[spec(1, u64::MAX), spec(2, u64::MAX)])
            .is_err()
    );
}
