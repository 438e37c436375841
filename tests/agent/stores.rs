//! What every disk store does, whatever a disk is made of. Each store's own module runs all of these ([`suite!`]).

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use xenbeta::agent::control::JobControl;
use xenbeta::agent::disk::{Base, DiskFault, DiskStore, Image, Moment, Receipt};
use xenbeta::agent::host::Host;
use xenbeta::agent::ledger::Ledger;
use xenbeta::agent::steps;
use xenbeta::agent::transfer::Identity;
use xenbeta::domain::ids::{DiskId, JobId, LinodeId, MigrationId};
use xenbeta::wire::{DiskSpec, GuestSpec, Order, Outcome, Report, Task};

use super::fakes::{FakeDriver, Shared};
use super::mover::{MIB, spec, unpaced};
use super::mover_store::{Faults, Faulty};
use super::rng::Rng;
use super::samples;

pub const LINODE: LinodeId = LinodeId(1);
pub const MOVE: MigrationId = MigrationId(5);

pub type Make = Box<dyn Fn(LinodeId, i64, &[DiskSpec])>;

/// A store to try things on.
pub struct Shop {
    pub store: Arc<dyn DiskStore>,
    /// Its folder.
    pub dir: PathBuf,
    /// Makes a generation as an import leaves it.
    pub make: Make,
    /// Nobody else takes or gives of its room meanwhile.
    pub own_room: bool,
    /// Does a disk of a generation refuse writers?
    pub sealed: Box<dyn Fn(LinodeId, i64, DiskId) -> bool>,
}

impl Shop {
    pub fn path(&self, rest: &str) -> PathBuf {
        self.dir.join("linodes").join(rest)
    }

    pub fn disk(&self, epoch: i64, disk: i64) -> File {
        let path = self.store.path(LINODE, epoch, DiskId(disk));
        File::options().read(true).write(true).open(path).unwrap()
    }
}

pub fn receipt(sealed: i64) -> Receipt {
    Receipt {
        migration: MOVE,
        sealed,
        digests: vec![],
        sent_bytes: 1,
        seconds: 0.5,
        uncached: None,
    }
}

/// Makes a test of each of the functions here, on a new `$shop` each.
macro_rules! suite {
    ([$($meta:tt)*] $shop:expr) => {
        crate::stores::suite!(@all [$($meta)*] $shop,
            a_copy_goes_from_reserved_to_run_and_every_step_may_be_repeated,
            releasing_drops_copies_in_the_making_and_published_ones,
            two_claims_on_one_epoch_are_refused_and_nothing_is_lost,
            a_disk_that_does_not_fit_is_told_in_plain_words,
            what_follows_no_rule_is_listed_and_left_alone,
            a_copy_may_start_from_sealed_disks,
            a_copy_of_sealed_disks_stops_when_told_and_is_begun_again,
            sealing_refuses_writers_and_unsealing_lets_them_in,
            images_hold_what_is_written_wherever_it_is,
            disks_of_another_size_are_refused,
            a_proof_is_what_the_disks_show,
            a_trials_clones_are_the_copies_as_they_are_and_nothing_of_them_is_left,
        );
    };
    (@all $meta:tt $shop:expr, $($name:ident,)*) => {
        $(crate::stores::suite!(@one $meta $shop, $name);)*
    };
    (@one [$($meta:tt)*] $shop:expr, $name:ident) => {
        #[test]
        $($meta)*
        fn $name() {
            crate::stores::$name(&$shop)
        }
    };
}
pub(crate) use suite;

pub fn a_copy_goes_from_reserved_to_run_and_every_step_may_be_repeated(shop: &Shop) {
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
        .filter(|name| name != "origin.json")
        .collect();
    assert_eq!(left.len(), 2, "only disks are left: {left:?}");
    let mut kept = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&shop.disk(9, 1), &mut kept, 3).unwrap();
    assert_eq!(kept, [9; 4]);

    drop(target);
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

pub fn releasing_drops_copies_in_the_making_and_published_ones(shop: &Shop) {
    let disks = [spec(1, MIB)];
    (shop.make)(LINODE, 3, &disks);
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
    // Cut short after it was decided and before anything was deleted: the step again comes to the end of it.
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    shop.store.publish(LINODE, 9, &disks, &receipt(7)).unwrap();
    fs::rename(shop.path("1/e9"), shop.path("1/e9.gone")).unwrap();
    assert_eq!(
        shop.store.list().unwrap().unknown,
        ["linodes/1/e9.gone: its deletion has not come to its end"]
    );
    shop.store.release(LINODE, MOVE).unwrap();
    assert!(!shop.path("1/e9.gone").exists());
    assert_eq!(shop.store.list().unwrap().unknown, Vec::<String>::new());
    shop.store.release(LinodeId(99), MOVE).unwrap();
    shop.store.purge(LinodeId(99), 1).unwrap();
    shop.store.close_source(LinodeId(99), MOVE).unwrap();
}

pub fn two_claims_on_one_epoch_are_refused_and_nothing_is_lost(shop: &Shop) {
    let disks = [spec(1, MIB)];
    (shop.make)(LINODE, 8, &disks);
    let back = MigrationId(4);
    shop.store.reserve(LINODE, back, &disks, None).unwrap();
    let came = Receipt {
        migration: back,
        ..receipt(8)
    };
    shop.store.publish(LINODE, 9, &disks, &came).unwrap();
    shop.store.activate(LINODE, back, 9).unwrap();
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

pub fn a_disk_that_does_not_fit_is_told_in_plain_words(shop: &Shop) {
    let space = shop.store.space().unwrap();
    assert!(space.free > 0 && space.total >= space.free);
    let error = shop
        .store
        .preflight(LINODE, MOVE, &[spec(1, space.free), spec(2, space.free)])
        .unwrap_err();
    assert_eq!(error.fault, DiskFault::NoSpace);
    assert_eq!(
        error.public,
        "The new host does not have enough free disk space for this Linode. Staff can make room on it or offer another"
    );
    shop.store.preflight(LINODE, MOVE, &[spec(1, MIB)]).unwrap();
    assert!(
        shop.store
            .preflight(LINODE, MOVE, &[spec(1, u64::MAX), spec(2, u64::MAX)])
            .is_err()
    );
}

pub fn what_follows_no_rule_is_listed_and_left_alone(shop: &Shop) {
    (shop.make)(LINODE, 3, &[spec(1, MIB)]);
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

pub fn a_copy_may_start_from_sealed_disks(shop: &Shop) {
    let disks = [spec(1, 6 * MIB + 700)];
    (shop.make)(LINODE, 3, &disks);
    let mut rng = Rng::new(1);
    rng.write(&shop.disk(3, 1), 4 * MIB, 70_000);
    rng.write(&shop.disk(3, 1), 6 * MIB, 700);
    shop.store.seal(LINODE, 3).unwrap();
    shop.store
        .reserve(LINODE, MOVE, &disks, Some(unpaced(3)))
        .unwrap();
    let target = shop.store.target(LINODE, MOVE, &disks[0]).unwrap();
    let view = |changed: &mut dyn FnMut(std::ops::Range<u64>)| {
        let view = shop
            .store
            .view(LINODE, 3, MOVE, &disks[0], Moment::Sealed, changed);
        view.unwrap().image
    };
    let old = view(&mut |_| {});
    let whole = usize::try_from(disks[0].size_bytes).unwrap();
    let (mut a, mut b) = (vec![1; whole], vec![2; whole]);
    old.read_at(&mut a, 0).unwrap();
    target.image.read_uncached(&mut b, 0).unwrap();
    assert!(a == b && a[4 * 1024 * 1024..].iter().any(|x| *x != 0));
    target.image.write_at(&vec![0; 70_000], 4 * MIB).unwrap();
    target.image.sync().unwrap();
    old.read_uncached(&mut b, 0).unwrap();
    assert!(a == b, "the sealed disk is not the copy");
    shop.store.close_source(LINODE, MOVE).unwrap();
}

pub fn a_copy_of_sealed_disks_stops_when_told_and_is_begun_again(shop: &Shop) {
    let disks = [spec(1, 2 * MIB), spec(2, 6 * MIB)];
    (shop.make)(LINODE, 3, &disks);
    for disk in &disks {
        let whole = usize::try_from(disk.size_bytes).unwrap();
        Rng::new(disk.id.0.unsigned_abs()).write(&shop.disk(3, disk.id.0), 0, whole);
    }
    shop.store.seal(LINODE, 3).unwrap();
    let free = shop.store.space().unwrap().free;
    let left = Cell::new(0);
    let pace = |_: usize| {
        left.set(left.get() - 1);
        left.get() >= 0
    };
    // Within the first disk, and within the second.
    for pieces in [1, 5] {
        left.set(pieces);
        let base = Base {
            epoch: 3,
            pace: &pace,
        };
        match shop.store.reserve(LINODE, MOVE, &disks, Some(base)) {
            Err(error) => assert_eq!(error.fault, DiskFault::Stopped, "{error}"),
            Ok(()) => assert_eq!(left.get(), pieces, "a store that clones asks for nothing"),
        }
    }
    shop.store.release(LINODE, MOVE).unwrap();
    let listed = shop.store.list().unwrap();
    assert!(listed.copies.is_empty() && listed.unknown.is_empty());
    if shop.own_room {
        assert!(shop.store.space().unwrap().free >= free - MIB);
    }

    left.set(5);
    let base = Base {
        epoch: 3,
        pace: &pace,
    };
    let _ = shop.store.reserve(LINODE, MOVE, &disks, Some(base));
    shop.store
        .reserve(LINODE, MOVE, &disks, Some(unpaced(3)))
        .unwrap();
    for disk in &disks {
        let whole = usize::try_from(disk.size_bytes).unwrap();
        let mut copied = vec![0; whole];
        let copy = shop.store.target(LINODE, MOVE, disk).unwrap().image;
        copy.read_uncached(&mut copied, 0).unwrap();
        let mut elder = vec![1; whole];
        let view = shop
            .store
            .view(LINODE, 3, MOVE, disk, Moment::Sealed, &mut |_| {});
        view.unwrap().image.read_uncached(&mut elder, 0).unwrap();
        assert!(copied == elder, "disk {}", disk.id);
    }
    shop.store.close_source(LINODE, MOVE).unwrap();
}

pub fn sealing_refuses_writers_and_unsealing_lets_them_in(shop: &Shop) {
    let disks = [spec(1, MIB), spec(2, MIB)];
    (shop.make)(LINODE, 3, &disks);
    let both = |sealed| {
        for disk in &disks {
            assert_eq!((shop.sealed)(LINODE, 3, disk.id), sealed);
        }
    };
    both(false);
    for _ in 0..2 {
        shop.store.seal(LINODE, 3).unwrap();
        both(true);
    }
    shop.store.check(LINODE, 3, &disks).unwrap();
    shop.store.regrant(LINODE, 3, 6).unwrap();
    for _ in 0..2 {
        shop.store.unseal(LINODE, 6).unwrap();
        assert!(!(shop.sealed)(LINODE, 6, DiskId(1)));
    }
    let missing = shop.store.seal(LINODE, 99).unwrap_err();
    assert_eq!(missing.fault, DiskFault::Missing);
}

/// Reads and writes of any length at any place, holes too, against a plain picture of the disk in memory.
pub fn images_hold_what_is_written_wherever_it_is(shop: &Shop) {
    let size = 3 * MIB + 777;
    let disks = [spec(1, size)];
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let image = shop.store.target(LINODE, MOVE, &disks[0]).unwrap().image;
    image.punch(0..size).unwrap();
    let mut picture = vec![0_u8; usize::try_from(size).unwrap()];
    let mut rng = Rng::new(77);
    for round in 0..200 {
        let at = rng.below(size);
        let most = [1, 600, 5000, 300_000][round % 4];
        let len = (1 + rng.below(most)).min(size - at);
        // Whole blocks from a boundary on are another way through the store.
        let at = if round % 3 == 0 { at - at % 4096 } else { at };
        let part = usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap();
        if round % 5 == 4 {
            image.punch(at..at + len).unwrap();
            picture[part.clone()].fill(0);
        } else {
            rng.fill(&mut picture[part.clone()]);
            image.write_at(&picture[part.clone()], at).unwrap();
        }
        let mut found = vec![1; part.len()];
        image.read_uncached(&mut found, at).unwrap();
        assert!(found == picture[part], "round {round}: {len} bytes at {at}");
    }
    image.sync().unwrap();
    let mut all = xenbeta::agent::disk::aligned::AlignedBuf::new(picture.len());
    image.read_uncached(&mut all, 0).unwrap();
    assert!(*all == *picture);
    image.read_at(&mut all[..1000], 5).unwrap();
    assert!(all[..1000] == picture[5..1005]);
    assert!(image.read_at(&mut [0; 2], size - 1).is_err());
    assert!(image.write_at(&[0; 2], size - 1).is_err() || image.size() == size);
    // All that is not zeros is in what the store says may be data.
    let mut at = 0;
    while let Some(data) = image.next_data(at).unwrap() {
        assert!(
            picture[usize::try_from(at).unwrap()..usize::try_from(data.start).unwrap()]
                .iter()
                .all(|byte| *byte == 0)
        );
        assert!(data.end > at && data.end <= size);
        at = data.end;
    }
    assert_eq!(image.size(), size);
}

pub fn disks_of_another_size_are_refused(shop: &Shop) {
    (shop.make)(LINODE, 3, &[spec(1, 2 * MIB)]);
    for wrong in [spec(1, 2 * MIB - 1), spec(1, 2 * MIB + 1), spec(2, 2 * MIB)] {
        let error = shop.store.check(LINODE, 3, &[wrong]).unwrap_err();
        assert_eq!(error.fault, DiskFault::Missing);
        assert!(!error.public.contains('/'), "{error}");
    }
    // A copy that was reserved for another size is made anew.
    shop.store
        .reserve(LINODE, MOVE, &[spec(1, MIB)], None)
        .unwrap();
    let disks = [spec(1, 5 * MIB + 5)];
    assert!(shop.store.target(LINODE, MOVE, &disks[0]).is_err());
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let image = shop.store.target(LINODE, MOVE, &disks[0]).unwrap().image;
    image.write_at(&[3; 5], 5 * MIB).unwrap();
    drop(image);
    shop.store.release(LINODE, MOVE).unwrap();
    assert_eq!(shop.store.list().unwrap().copies, []);
}

/// A disk whose device is worn out from some byte on, while it is told so.
struct Worn(AtomicBool);

impl Faults for Worn {
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> std::io::Result<()> {
        if self.0.load(Ordering::SeqCst) && at >= MIB {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        image.read_uncached(buf, at)
    }
}

/// The owner shows its disks while the guest writes and while it is off, and shows nothing it does not have.
pub fn a_proof_is_what_the_disks_show(shop: &Shop) {
    let disks = [spec(1, 3 * MIB), spec(2, MIB + 512)];
    (shop.make)(LINODE, 3, &disks);
    let state = tempfile::tempdir().unwrap();
    let world = Shared::default();
    let worn = Arc::new(Worn(AtomicBool::new(false)));
    let host = Host::new(
        Ledger::open(state.path()).unwrap(),
        Box::new(FakeDriver(0, Arc::clone(&world))),
        Faulty::wrap(shop.store.clone(), worn.clone()),
        Arc::new(Identity::load_or_create(state.path()).unwrap()),
    );
    let run = |task: Task| {
        let order = Order {
            job: JobId(1),
            attempt: 1,
            lease_token: "t".into(),
            linode: LINODE,
            task,
        };
        steps::run(&host, &JobControl::default(), &order).unwrap()
    };
    let guest = |disks: &[DiskSpec]| GuestSpec {
        disks: disks.to_vec(),
        ..samples::guest(LINODE)
    };
    let prove = |epoch, disks: &[DiskSpec]| {
        run(Task::Prove {
            epoch,
            guest: guest(disks),
        })
    };
    let shown = |outcome: Outcome| match outcome {
        Outcome::Succeeded {
            report:
                Report::Proof {
                    epoch: 3,
                    running,
                    disks,
                },
        } => (running, disks.iter().map(|it| it.size_bytes).collect()),
        other => panic!("{other:?}"),
    };
    let adopt = Task::Adopt {
        epoch: 3,
        guest: guest(&disks),
        boot: None,
    };
    assert!(matches!(run(adopt), Outcome::Succeeded { .. }));
    let sizes: Vec<u64> = disks.iter().map(|disk| disk.size_bytes).collect();

    // A guest that writes all the while, to the disk that is read.
    world
        .lock()
        .unwrap()
        .running
        .insert((0, LINODE), (1, Some(3)));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (device, stop) = (shop.disk(3, 1), &stop);
        scope.spawn(move || {
            let mut at = 0;
            while !stop.load(Ordering::SeqCst) {
                device.write_all_at(&[7; 4096], at % (3 * MIB)).unwrap();
                at += 4096;
            }
        });
        for _ in 0..3 {
            assert_eq!(shown(prove(3, &disks)), (true, sizes.clone()));
        }
        stop.store(true, Ordering::SeqCst);
    });
    world.lock().unwrap().running.clear();
    assert_eq!(shown(prove(3, &disks)), (false, sizes.clone()));

    // Nothing is shown that is not here, whole, readable and its own; a device may recover, the rest does not.
    let failed = |outcome: Outcome, again: bool| match outcome {
        Outcome::Failed { retry, public, .. } => {
            assert_eq!(retry, again, "{public}");
            assert!(!public.contains('/'), "{public}");
        }
        other => panic!("{other:?}"),
    };
    worn.0.store(true, Ordering::SeqCst);
    failed(prove(3, &disks), true);
    worn.0.store(false, Ordering::SeqCst);
    failed(prove(3, &[spec(1, 3 * MIB), spec(2, 9 * MIB)]), false);
    failed(prove(3, &[spec(1, 3 * MIB), spec(3, MIB)]), false);
    failed(prove(2, &disks), false);
    failed(prove(4, &disks), false);
    assert_eq!(shown(prove(3, &disks)), (false, sizes));
    shop.store.purge(LINODE, 3).unwrap();
    failed(prove(3, &disks), false);
}

pub fn a_trials_clones_are_the_copies_as_they_are_and_nothing_of_them_is_left(shop: &Shop) {
    let disks = [spec(1, 2 * MIB), spec(2, MIB + 512)];
    let go = |_: usize| true;
    let made = |pace| shop.store.make_trial(LINODE, MOVE, &disks, pace);
    assert!(made(&go).is_err(), "there is nothing to clone");
    shop.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let mut rng = Rng::new(7);
    let content: Vec<Vec<u8>> = disks
        .iter()
        .map(|disk| {
            let mut bytes = vec![0; usize::try_from(disk.size_bytes).unwrap()];
            rng.fill(&mut bytes);
            let copy = shop.store.target(LINODE, MOVE, disk).unwrap().image;
            copy.write_at(&bytes, 0).unwrap();
            copy.sync().unwrap();
            bytes
        })
        .collect();
    let free = shop.store.space().unwrap().free;
    for _ in 0..2 {
        let clones = made(&go).unwrap();
        assert_eq!(shop.store.list().unwrap().trials, [(LINODE, MOVE)]);
        for ((id, path), (disk, bytes)) in clones.iter().zip(disks.iter().zip(&content)) {
            assert_eq!(*id, disk.id);
            let clone = File::options().read(true).write(true).open(path).unwrap();
            let mut found = vec![0; bytes.len()];
            clone.read_exact_at(&mut found, 0).unwrap();
            assert!(found == *bytes, "disk {id}");
            clone.write_all_at(&vec![1; 8192], 4096).unwrap();
            clone.sync_all().unwrap();
        }
    }
    for (disk, bytes) in disks.iter().zip(&content) {
        let copy = shop.store.target(LINODE, MOVE, disk).unwrap().image;
        let mut found = vec![0; bytes.len()];
        copy.read_uncached(&mut found, 0).unwrap();
        assert!(found == *bytes, "what the clone wrote is not in the copy");
    }
    for _ in 0..2 {
        shop.store.drop_trial(LINODE, MOVE).unwrap();
    }
    let listed = shop.store.list().unwrap();
    assert!(
        listed.trials.is_empty() && listed.unknown.is_empty(),
        "{listed:?}"
    );
    if shop.own_room {
        assert!(shop.store.space().unwrap().free >= free - MIB);
    }
    let stop = |_: usize| false;
    match made(&stop) {
        Err(error) => assert_eq!(error.fault, DiskFault::Stopped, "{error}"),
        Ok(_) => assert!(
            shop.store.tells_changes(),
            "a store that clones asks for nothing"
        ),
    }
    shop.store.drop_trial(LINODE, MOVE).unwrap();
    shop.store.release(LINODE, MOVE).unwrap();
    let listed = shop.store.list().unwrap();
    assert!(
        listed.copies.is_empty() && listed.unknown.is_empty(),
        "{listed:?}"
    );
}
