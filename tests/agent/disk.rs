//! Disks as files: layout, repetition, refusal of what is not ours.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use xenbeta::agent::disk::{DiskFault, DiskStore, FileStore};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};

use super::mover::{MIB, Mount, make_generation, spec, unpaced, work_dir};
use super::rng::Rng;
use super::stores::{self, LINODE, MOVE, Shop, suite};

struct Files {
    dir: tempfile::TempDir,
    store: Arc<FileStore>,
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FileStore::open(dir.path()).unwrap());
    Files { dir, store }
}

impl Files {
    fn path(&self, rest: &str) -> PathBuf {
        self.dir.path().join("linodes").join(rest)
    }

    fn shop(&self) -> Shop {
        let dir = self.dir.path().to_owned();
        let store = self.store.clone();
        Shop {
            store: store.clone(),
            dir: dir.clone(),
            make: Box::new(move |linode, epoch, disks| make_generation(&dir, linode, epoch, disks)),
            own_room: false,
            sealed: Box::new(move |linode, epoch, disk| {
                let meta = fs::metadata(store.path(linode, epoch, disk)).unwrap();
                match meta.permissions().mode() & 0o777 {
                    0o400 => true,
                    0o600 => false,
                    mode => {
                        // As an import left it.
                        assert_eq!(mode & 0o200, 0o200);
                        false
                    }
                }
            }),
        }
    }
}

thread_local! {
    /// A test's folder lives as long as its thread.
    static KEPT: std::cell::RefCell<Vec<Files>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn shop() -> Shop {
    let files = files();
    let shop = files.shop();
    KEPT.with(|kept| kept.borrow_mut().push(files));
    shop
}

suite!([] shop());

/// Where the file system clones, a trial's clones take what their guest writes, and no more.
fn a_trials_clones_share_their_blocks(mount: &Mount) {
    let dir = mount.at.join("store");
    fs::create_dir(&dir).unwrap();
    let store = Arc::new(FileStore::open(&dir).unwrap());
    assert!(store.tells_changes(), "it clones");
    let shop = Shop {
        store: store.clone(),
        dir: dir.clone(),
        make: Box::new(|_, _, _| unreachable!("copies only")),
        own_room: true,
        sealed: Box::new(|_, _, _| false),
    };
    stores::a_trials_clones_are_the_copies_as_they_are_and_nothing_of_them_is_left(&shop);
    let disks = [spec(1, 96 * MIB)];
    store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let copy = store.target(LINODE, MOVE, &disks[0]).unwrap().image;
    let mut bytes = vec![0; 1 << 20];
    for at in 0..64 {
        Rng::new(at).fill(&mut bytes);
        copy.write_at(&bytes, at * MIB).unwrap();
    }
    copy.sync().unwrap();
    let free = || {
        let found = rustix::fs::statvfs(&mount.at).unwrap();
        found.f_bavail * found.f_frsize
    };
    rustix::fs::sync();
    let before = free();
    let clones = store.make_trial(LINODE, MOVE, &disks, &|_| true).unwrap();
    rustix::fs::sync();
    assert!(free() + 8 * MIB > before, "{before} {}", free());
    let clone = File::options().write(true).open(&clones[0].1).unwrap();
    clone.write_all_at(&vec![1; 16 << 20], 0).unwrap();
    clone.sync_all().unwrap();
    rustix::fs::sync();
    assert!(free() + 12 * MIB < before && free() + 32 * MIB > before);
    drop(clone);
    // An agent that starts finds them by their folder.
    drop(store);
    let store = FileStore::open(&dir).unwrap();
    assert_eq!(store.list().unwrap().trials, [(LINODE, MOVE)]);
    store.drop_trial(LINODE, MOVE).unwrap();
    let copy = store.target(LINODE, MOVE, &disks[0]).unwrap().image;
    Rng::new(0).fill(&mut bytes);
    let mut found = bytes.clone();
    copy.read_uncached(&mut found, 0).unwrap();
    assert!(found == bytes, "the copy is as it was");
}

#[test]
fn on_xfs_a_trials_clones_share_their_blocks() {
    let dir = tempfile::tempdir_in(work_dir()).unwrap();
    if let Some(mount) = Mount::xfs(dir.path(), 512 * MIB) {
        a_trials_clones_share_their_blocks(&mount);
    }
}

#[test]
fn on_btrfs_a_trials_clones_share_their_blocks() {
    let dir = tempfile::tempdir_in(work_dir()).unwrap();
    if let Some(mount) = Mount::btrfs(dir.path(), 512 * MIB) {
        a_trials_clones_share_their_blocks(&mount);
    }
}

#[test]
fn a_copy_may_start_from_sealed_disks_and_stays_sparse() {
    let shop = files();
    let disks = [spec(1, 64 * MIB)];
    make_generation(shop.dir.path(), LINODE, 3, &disks);
    let old = File::options()
        .read(true)
        .write(true)
        .open(shop.path("1/e3/1.img"))
        .unwrap();
    Rng::new(1).write(&old, 40 * MIB, 70_000);
    shop.store.seal(LINODE, 3).unwrap();
    shop.store
        .reserve(LINODE, MOVE, &disks, Some(unpaced(3)))
        .unwrap();
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
    let shop = files();
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
fn links_pipes_and_wrong_sizes_are_refused() {
    let shop = files();
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
fn a_retry_is_not_refused_for_the_room_its_own_copy_holds() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(dir.path(), 32 * MIB) else {
        return;
    };
    let store = FileStore::open(&mount.at).unwrap();
    let disks = [spec(1, 20 * MIB)];
    let ask = |migration: i64| store.preflight(LINODE, MigrationId(migration), &disks);
    ask(MOVE.0).unwrap();
    store.reserve(LINODE, MOVE, &disks, None).unwrap();
    assert!(store.space().unwrap().free < 20 * MIB, "room is held");
    ask(MOVE.0).unwrap();
    // Half of it arrived.
    store.use_room(LINODE, MOVE, 10 * MIB).unwrap();
    let target = store.target(LINODE, MOVE, &disks[0]).unwrap();
    target.image.write_at(&vec![7; 10 << 20], 0).unwrap();
    ask(MOVE.0).unwrap();
    store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let other = ask(MOVE.0 + 1).unwrap_err();
    assert_eq!(other.fault, DiskFault::NoSpace);
}
