//! A copy never hurts its source: clones are made only where all that a guest can overwrite has room beside them, and go
//! when it has no longer.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};
use xenbeta::agent::disk::{DiskStore, Dropped, FileStore, Moment, View};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::DiskSpec;

use super::ground::FakeGround;
use super::mover::{EPOCH, LINODE, Lab, MIB, MIGRATION, Mount, make_generation, spec};
use super::rng::Rng;

const RESERVE: u64 = MIB;
/// What a pass notes of a disk, at most.
const NOTES: u64 = 64 * 1024;

/// A source on a file system of which guests' disks are all but `free` bytes.
struct Rig {
    lab: Lab,
    ground: Arc<FakeGround>,
}

impl Rig {
    /// Two disks of so many full MiB.
    fn new(full: [u64; 2], free: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        let disks = vec![spec(1, 8 * MIB), spec(2, 8 * MIB)];
        make_generation(&a, LINODE, EPOCH, &disks);
        let ground = FakeGround::new(1 << 30);
        let store = FileStore::on(&a, Some(RESERVE), ground.clone()).unwrap();
        assert!(store.tells_changes());
        ground.forget_clones();
        let lab = Lab::from_store(dir, disks, Arc::new(store), &b, |store| store);
        for (id, full) in (1..).zip(full) {
            let disk = lab.source_disk(id);
            Rng::new(full + 1).write(&disk, 0, usize::try_from(full * MIB).unwrap());
            ground.disk(&disk);
        }
        ground.leave(free);
        Self { lab, ground }
    }

    fn guest_writes(&self, disk: i64, at: u64, len: usize) {
        let mut bytes = vec![0; len];
        Rng::new(at + len as u64).fill(&mut bytes);
        self.ground.write(&self.lab.source_disk(disk), at, &bytes);
    }

    fn until_dropped(&self) {
        let begun = Instant::now();
        while self.ground.clones() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "not dropped");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ends_equal(&self) {
        assert_eq!(
            self.ground.hurt.load(Ordering::SeqCst),
            0,
            "a guest was hurt"
        );
        self.lab.seal();
        let report = self.lab.finish().unwrap();
        self.lab.assert_equal(&report);
        assert_eq!(self.ground.clones(), 0, "a sealed disk needs no clone");
    }
}

/// `check`, say, while an agent starts: both find out by trying, and one that fails reads whole disks from then on.
#[test]
fn whoever_tries_clones_at_the_same_time_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let tell = || {
        let ground = FakeGround::new(1 << 30);
        let store = FileStore::on(dir.path(), None, ground).unwrap();
        assert!(store.tells_changes());
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| tell()));
        }
    });
    let left = fs::read_dir(dir.path().join("linodes")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_clone_is_made_only_where_all_that_the_guest_can_overwrite_has_room() {
    let enough = 3 * MIB + 2 * NOTES + RESERVE;
    let rig = Rig::new([2, 1], enough);
    let warm = rig.lab.warm(1).unwrap();
    assert_eq!(warm.moving_passes, 0);
    assert_eq!(rig.ground.clones(), 2);
    rig.guest_writes(1, 0, 2 << 20);
    rig.guest_writes(2, 0, 1 << 20);
    rig.ends_equal();

    // The first disk's clone fits, the second's does not beside it: also then the pass is said to have read a live disk.
    let rig = Rig::new([2, 1], 2 * MIB + NOTES + RESERVE);
    let warm = rig.lab.warm(2).unwrap();
    assert_eq!(warm.moving_passes, warm.passes);
    assert_eq!(rig.ground.clones(), 1);
    rig.guest_writes(1, 0, 2 << 20);
    rig.guest_writes(2, 0, 1 << 20);
    rig.ends_equal();

    let rig = Rig::new([2, 1], RESERVE);
    let warm = rig.lab.warm(2).unwrap();
    assert_eq!((warm.moving_passes, rig.ground.clones()), (warm.passes, 0));
    rig.guest_writes(2, 0, 8 << 10);
    rig.ends_equal();
}

/// What a guest overwrites takes no more of the room than was kept for it: its clone stays until the end.
#[test]
fn a_guest_that_overwrites_everything_keeps_its_clone() {
    let rig = Rig::new([2, 1], 3 * MIB + 2 * NOTES + RESERVE);
    rig.lab.warm(1).unwrap();
    for at in 0..32 {
        rig.guest_writes(1, at * 64 * 1024, 64 << 10);
        std::thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(rig.ground.clones(), 2);
    // The next clones have no room beside what the elder ones hold, so those go first.
    assert_eq!(rig.lab.warm(1).unwrap().moving_passes, 0);
    assert_eq!(rig.ground.clones(), 2);
    rig.ends_equal();
}

/// In the middle of a pass: it begins anew, from the live disk, and says so.
#[test]
fn a_clone_goes_at_once_when_others_take_its_room() {
    let rig = Rig::new([6, 0], 40 * MIB);
    rig.lab.source_cap.set(Some(1));
    let warm = std::thread::scope(|scope| {
        let warm = scope.spawn(|| rig.lab.warm(1));
        let begun = Instant::now();
        while rig.ground.clones() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no clone");
            std::thread::sleep(Duration::from_millis(5));
        }
        rig.ground.leave(6 * MIB);
        rig.until_dropped();
        rig.lab.source_cap.set(None);
        rig.guest_writes(1, 0, 3 << 20);
        rig.ground.leave(0);
        rig.guest_writes(1, 3 << 20, 2 << 20);
        warm.join().unwrap().unwrap()
    });
    // The pass, and the one after the copy was read again.
    assert_eq!((warm.passes, warm.moving_passes), (2, 2));
    rig.ends_equal();
}

/// What was told of a clone that is gone holds for nothing: also what became a hole since is found.
#[test]
fn after_a_dropped_clone_everything_may_have_changed() {
    let rig = Rig::new([4, 4], 40 * MIB);
    assert_eq!(rig.lab.warm(1).unwrap().moving_passes, 0);
    rig.guest_writes(1, 0, 4096);
    rig.ground.leave(MIB);
    rig.until_dropped();
    rig.guest_writes(1, MIB, 8192);
    let disk = rig.lab.source_disk(2);
    rig.ground.write(&disk, 0, &vec![0; 1 << 20]);
    rig.ground.leave(40 * MIB);
    let warm = rig.lab.warm(1).unwrap();
    assert_eq!(warm.moving_passes, 0);
    rig.guest_writes(2, 3 * MIB, 4096);
    rig.ends_equal();

    // And gone before the final pass.
    let rig = Rig::new([4, 4], 40 * MIB);
    rig.lab.warm(2).unwrap();
    rig.ground.leave(MIB);
    rig.until_dropped();
    rig.ground
        .write(&rig.lab.source_disk(2), MIB, &vec![0; 1 << 20]);
    rig.ends_equal();
}

#[test]
fn what_is_read_of_a_clone_while_it_goes_is_no_disk() {
    let rig = Rig::new([2, 0], 40 * MIB);
    let view = rig.live_view(LINODE, MIGRATION, &rig.lab.disks[0]);
    let mut buf = vec![0; 4096];
    view.image.read_at(&mut buf, 0).unwrap();
    assert!(view.image.next_data(0).unwrap().is_some());
    rig.ground.leave(0);
    rig.until_dropped();
    let why = |error: std::io::Error| assert!(Dropped::is_why(&error), "{error}");
    why(view.image.read_at(&mut buf, 0).unwrap_err());
    why(view.image.read_uncached(&mut buf, 0).unwrap_err());
    why(view.image.next_data(0).unwrap_err());
    assert!(view.image.write_at(&buf, 0).is_err() && view.image.punch(0..4096).is_err());
}

impl Rig {
    fn live_view(&self, linode: LinodeId, migration: MigrationId, disk: &DiskSpec) -> View {
        let store = &self.lab.from;
        let view = store.view(linode, EPOCH, migration, disk, Moment::Live, &mut |_| {});
        view.unwrap()
    }

    /// Other Linodes on the same file system, each with one disk of so many full MiB.
    fn neighbours(&self, count: i64, full: u64) -> Vec<(LinodeId, DiskSpec)> {
        let free = self.lab.from.space().unwrap().free;
        let disk = spec(9, full * MIB);
        let path = self.lab.from.path(LINODE, EPOCH, DiskId(1));
        let root = path.ancestors().nth(4).unwrap();
        let make = |n: i64| {
            let linode = LinodeId(100 + n);
            make_generation(root, linode, EPOCH, std::slice::from_ref(&disk));
            let path = self.lab.from.path(linode, EPOCH, disk.id);
            let file = File::options().read(true).write(true).open(path).unwrap();
            Rng::new(n.unsigned_abs()).write(&file, 0, usize::try_from(full * MIB).unwrap());
            self.ground.disk(&file);
            (linode, disk.clone())
        };
        let made = (0..count).map(make).collect();
        self.ground.leave(free);
        made
    }
}

#[test]
fn clones_of_several_linodes_need_room_together() {
    let rig = Rig::new([0, 0], 2 * (2 * MIB + NOTES) + RESERVE);
    let linodes = rig.neighbours(8, 2);
    let moves = |linode: LinodeId| MigrationId(1000 + linode.0);
    let barrier = Barrier::new(linodes.len());
    let views: Vec<View> = std::thread::scope(|scope| {
        let open = |(linode, disk): &(LinodeId, DiskSpec)| {
            barrier.wait();
            rig.live_view(*linode, moves(*linode), disk)
        };
        let threads: Vec<_> = linodes
            .iter()
            .map(|it| scope.spawn(move || open(it)))
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(views.iter().filter(|view| !view.moving).count(), 2);
    assert_eq!(rig.ground.clones(), 2);
    for (linode, disk) in &linodes {
        let path = rig.lab.from.path(*linode, EPOCH, disk.id);
        let file = File::options().read(true).write(true).open(path).unwrap();
        rig.ground.write(&file, 0, &vec![7; 2 << 20]);
    }
    assert_eq!(rig.ground.hurt.load(Ordering::SeqCst), 0);
    for (linode, _) in &linodes {
        rig.lab.from.close_source(*linode, moves(*linode)).unwrap();
    }
    assert_eq!(
        rig.ground.clones(),
        0,
        "closed is dropped, whoever reads it"
    );
    let (linode, disk) = &linodes[7];
    assert!(!rig.live_view(*linode, moves(*linode), disk).moving);
}

#[test]
fn clones_go_before_a_copy_that_comes_in_takes_their_room() {
    let rig = Rig::new([4, 0], 20 * MIB);
    let view = rig.live_view(LINODE, MIGRATION, &rig.lab.disks[0]);
    assert!(!view.moving);
    let incoming = |mib: u64| {
        let disks = [spec(3, mib * MIB)];
        rig.lab
            .from
            .reserve(LinodeId(50), MigrationId(51), &disks, None)
    };
    incoming(12).unwrap();
    assert_eq!(rig.ground.clones(), 1);
    rig.lab.from.release(LinodeId(50), MigrationId(51)).unwrap();
    incoming(18).unwrap();
    assert_eq!(
        rig.ground.clones(),
        0,
        "before the room was taken, not after"
    );
}

#[test]
fn a_clone_has_no_name_and_what_an_older_agent_left_is_forgotten() {
    let rig = Rig::new([2, 1], 40 * MIB);
    let _view = rig.live_view(LINODE, MIGRATION, &rig.lab.disks[0]);
    assert_eq!(rig.ground.clones(), 1);
    let home = rig.lab.from.path(LINODE, EPOCH, DiskId(1));
    let home = home.ancestors().nth(2).unwrap().to_owned();
    let names = |folder: &str| -> Vec<String> {
        let read = fs::read_dir(home.join(folder)).unwrap();
        read.map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(&format!("m{MIGRATION}.source")), Vec::<String>::new());

    // As releases before this one had them, and another Linode's.
    for folder in [home.join("m8.source"), home.join("../44/m9.source")] {
        fs::create_dir_all(&folder).unwrap();
        for name in ["1.snap", "1.snap.new", "1.table"] {
            fs::write(folder.join(name), "left").unwrap();
        }
    }
    fs::create_dir_all(home.join("notes")).unwrap();
    assert_eq!(rig.lab.from.forget_sources().unwrap(), 3);
    assert_eq!(rig.lab.from.forget_sources().unwrap(), 0);
    let mut left = names("");
    left.sort();
    assert_eq!(left, [format!("e{EPOCH}"), "notes".into()]);
    assert!(home.join("../44").exists());
}

/// The kernel's own clones, on a file system that is as full as it may be: the guest overwrites its whole disk, and what
/// else is on the host fills up what it gets.
#[test]
fn on_a_nearly_full_xfs_a_guest_never_finds_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::xfs(dir.path(), 400 * MIB) else {
        return;
    };
    let (a, b) = (mount.at.join("a"), dir.path().join("b"));
    fs::create_dir_all(&a).unwrap();
    fs::create_dir_all(&b).unwrap();
    let reserve = 32 * MIB;
    let store = Arc::new(FileStore::with_reserve(&a, Some(reserve)).unwrap());
    let disks = vec![spec(1, 64 * MIB)];
    make_generation(&a, LINODE, EPOCH, &disks);
    let lab = Lab::from_store(dir, disks, store, &b, |store| store);
    let disk = lab.source_disk(1);
    Rng::new(1).write(&disk, 0, 64 << 20);
    disk.sync_all().unwrap();
    let filler = File::create(mount.at.join("filler")).unwrap();
    // Takes so many bytes more, if it can.
    let take = |bytes: u64| {
        let at = filler.metadata().unwrap().len();
        fallocate(&filler, FallocateFlags::empty(), at, bytes).is_ok()
    };
    let fill = |leave: u64| {
        let free = || lab.from.space().unwrap().free;
        while free() > leave && take((free() - leave).clamp(4096, MIB)) {}
    };

    // Room for just what the guest can overwrite: it does, all of it, while the clone is open.
    fill(65 * MIB + reserve);
    lab.source_cap.set(Some(25));
    let warm = with_guest(&disk, || lab.warm(1).unwrap());
    assert_eq!(warm.moving_passes, 0);

    // Now others take the room meanwhile, to the last block: the clone goes, and the guest writes on.
    let stop = AtomicBool::new(false);
    let warm = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                take(MIB);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let _ends = Ends(&stop);
        with_guest(&disk, || lab.warm(2).unwrap())
    });
    assert!(warm.moving_passes > 0, "{warm:?}");
    fill(0);

    // And with no room at all from the beginning.
    lab.source_cap.set(None);
    let warm = with_guest(&disk, || lab.warm(2).unwrap());
    assert_eq!(warm.moving_passes, warm.passes);
    lab.seal();
    let report = lab.finish();
    match report {
        Ok(report) => lab.assert_equal(&report),
        Err(error) => panic!("{error}"),
    }
    drop((disk, filler, lab));
    drop(mount);
}

/// Ends what runs beside a test, also beside one that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Meanwhile a guest overwrites all of its disk, again and again, past its cache; every write must find room.
fn with_guest<T>(disk: &File, act: impl FnOnce() -> T) -> T {
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let mut rng = Rng::new(99);
            let mut bytes = vec![0; 1 << 20];
            while rounds.load(Ordering::SeqCst) < 1 || !stop.load(Ordering::SeqCst) {
                rng.fill(&mut bytes);
                for at in 0..64 {
                    bytes[..8].copy_from_slice(&rng.next().to_le_bytes());
                    disk.write_all_at(&bytes, at * MIB)?;
                    disk.sync_data()?;
                }
                rounds.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, std::io::Error>(())
        });
        let done = {
            let _ends = Ends(&stop);
            act()
        };
        guest.join().unwrap().expect("the guest finds room");
        done
    })
}
