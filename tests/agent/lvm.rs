//! Disks as volumes: on a group that is a folder of files everywhere, and on real LVM in a machine of its own (User Mode
//! Linux has a device-mapper), which runs this very test program again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xenbeta::agent::disk::lvm::{Adopted, Commands, Group, TRIAL_TAG, Volume};
use xenbeta::agent::disk::{DiskFault, DiskStore, FileStore, Image, LvmStore, Moment};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::DiskSpec;

use super::lvm_fake::{EXTENT, FakeGroup, Program};
use super::mover::{EPOCH, Lab, MIB, MIGRATION, make_generation, spec, unpaced};
use super::mover_store::{Faults, Faulty};
use super::rng::Rng;
use super::stores::{LINODE, MOVE, Shop, receipt, suite};

/// A store on some group, and a way to the group itself.
pub struct Rig {
    pub dir: tempfile::TempDir,
    pub store: Arc<LvmStore>,
    pub group: Arc<dyn Group>,
}

impl Rig {
    pub fn new(dir: tempfile::TempDir, group: Arc<dyn Group>) -> Self {
        let records = dir.path().join("records");
        fs::create_dir_all(&records).unwrap();
        let store = LvmStore::open(group.clone(), &records).unwrap();
        Self {
            dir,
            store: Arc::new(store),
            group,
        }
    }

    pub fn shop(&self) -> Shop {
        let (store, group) = (self.store.clone(), self.group.clone());
        let looked = (store.clone(), group.clone());
        Shop {
            store: store.clone(),
            dir: self.dir.path().join("records"),
            make: Box::new(move |linode, epoch, disks| {
                make_volumes(&store, &*group, linode, epoch, disks);
            }),
            own_room: true,
            sealed: Box::new(move |linode, epoch, disk| {
                let path = looked.0.path(linode, epoch, disk);
                let name = path.file_name().unwrap().to_str().unwrap();
                let volume = looked.1.named(name).unwrap().unwrap();
                let opened = looked.1.open(name, &volume.uuid, true);
                assert_eq!(opened.is_ok(), volume.writable);
                !volume.writable
            }),
        }
    }
}

/// As an operator had them before the agent came; zeros, as fresh disks are.
pub fn make_volumes(
    store: &LvmStore,
    group: &dyn Group,
    linode: LinodeId,
    epoch: i64,
    disks: &[DiskSpec],
) {
    let extent = group.extents().unwrap().size;
    let mut adopted = Vec::new();
    for disk in disks {
        let volume = format!("old-{linode}-{epoch}-{}", disk.id);
        let extents = disk.size_bytes.div_ceil(extent);
        group.create(&volume, extents, &[]).unwrap();
        let device = File::options()
            .write(true)
            .open(group.path(&volume))
            .unwrap();
        let zeros = vec![0; usize::try_from(extent).unwrap()];
        for at in 0..extents {
            device.write_all_at(&zeros, at * extent).unwrap();
        }
        device.sync_all().unwrap();
        adopted.push(Adopted {
            disk: disk.id,
            volume,
            size: Some(disk.size_bytes),
        });
    }
    store.adopt(linode, epoch, &adopted).unwrap();
}

fn fake() -> (Rig, FakeGroup) {
    let dir = tempfile::tempdir().unwrap();
    let group = FakeGroup::new(&dir.path().join("vg"));
    (Rig::new(dir, Arc::new(group.clone())), group)
}

mod on_files {
    use super::*;

    thread_local! {
        /// The folder lives as long as the test's thread.
        static KEPT: std::cell::RefCell<Vec<Rig>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    fn shop() -> Shop {
        let rig = fake().0;
        let shop = rig.shop();
        KEPT.with(|kept| kept.borrow_mut().push(rig));
        shop
    }

    suite!([] shop());
}

// What only volumes can get wrong, on any group.

fn nothing_of_an_earlier_tenant_is_left(rig: &Rig) {
    let disks = [spec(1, 2 * MIB + 4096 + 9)];
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("a");
    make_generation(&from, super::mover::LINODE, EPOCH, &disks);
    let file_store = Arc::new(FileStore::open(&from).unwrap());
    let lab = Lab::between(dir, disks.to_vec(), file_store, rig.store.clone());
    // Almost all of the source is a hole; the volume's extents hold something everywhere.
    let target = lab.to.target(super::mover::LINODE, MIGRATION, &disks[0]);
    target
        .unwrap()
        .image
        .write_at(&[0xEE; 2 << 20], 4096)
        .unwrap();
    Rng::new(3).write(&lab.source_disk(1), MIB, 3000);
    lab.warm(1).unwrap();
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    lab.to
        .check(super::mover::LINODE, EPOCH + 1, &disks)
        .unwrap();
}

fn a_disk_used_beyond_its_size_is_not_cut_off(rig: &Rig) {
    let disks = [spec(1, MIB + 5000)];
    make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
    let view = || {
        rig.store
            .view(LINODE, 3, MOVE, &disks[0], Moment::Live, &mut |_| {})
            .map(|view| view.told)
    };
    assert!(!view().unwrap(), "linear volumes do not tell");
    let path = rig.store.path(LINODE, 3, DiskId(1));
    let device = File::options().read(true).write(true).open(path).unwrap();
    device.write_all_at(&[1], MIB + 4999).unwrap();
    device.sync_all().unwrap();
    view().unwrap();
    device.write_all_at(&[1], MIB + 5000).unwrap();
    device.sync_all().unwrap();
    assert_eq!(view().unwrap_err().fault, DiskFault::Refused);
}

fn a_volume_made_anew_under_a_disks_name_is_refused(rig: &Rig) {
    let disks = [spec(1, MIB)];
    make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
    let path = rig.store.path(LINODE, 3, DiskId(1));
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let old = rig.group.named(&name).unwrap().unwrap();
    rig.group.remove(&[&old.uuid]).unwrap();
    assert_eq!(
        rig.store.check(LINODE, 3, &disks).unwrap_err().fault,
        DiskFault::Missing
    );
    let extents = MIB.div_ceil(rig.group.extents().unwrap().size);
    rig.group.create(&name, extents, &["xb".into()]).unwrap();
    assert_eq!(
        rig.store.check(LINODE, 3, &disks).unwrap_err().fault,
        DiskFault::Refused
    );
    // It is reported, and purging what once had its name leaves it.
    assert_eq!(
        rig.store.list().unwrap().unknown,
        [format!("volume {name}")]
    );
    rig.store.purge(LINODE, 3).unwrap();
    let stays = rig.group.named(&name).unwrap().unwrap();
    rig.group.remove(&[&stays.uuid]).unwrap();
}

fn what_is_somebodys_cannot_be_adopted(rig: &Rig) {
    make_volumes(&rig.store, &*rig.group, LINODE, 3, &[spec(1, MIB)]);
    let adopt = |linode: i64, what: &str| {
        let disks = [what.parse().unwrap()];
        rig.store.adopt(LinodeId(linode), 4, &disks)
    };
    let taken = adopt(2, "1=old-1-3-1").unwrap_err();
    assert_eq!(taken.fault, DiskFault::Refused);
    assert_eq!(
        adopt(1, "1=old-1-3-1").unwrap_err().fault,
        DiskFault::Refused
    );
    assert_eq!(adopt(2, "1=nowhere").unwrap_err().fault, DiskFault::Missing);
    rig.group.create("web", 1, &[]).unwrap();
    let bytes = rig.group.named("web").unwrap().unwrap().bytes;
    let large = adopt(2, &format!("1=web:{}", bytes + 1)).unwrap_err();
    assert_eq!(large.fault, DiskFault::Refused);
    // Not one volume as two disks, and not a second generation.
    let both = ["1=web", "2=web"].map(|what| what.parse().unwrap());
    let twice = rig.store.adopt(LinodeId(2), 4, &both).unwrap_err();
    assert_eq!(twice.fault, DiskFault::Refused);
    assert!(rig.group.named("web").unwrap().unwrap().tags.is_empty());
    assert_eq!(adopt(1, "1=web").unwrap_err().fault, DiskFault::Refused);
    adopt(2, "1=web").unwrap();
    rig.store.check(LinodeId(2), 4, &[spec(1, bytes)]).unwrap();
    assert_eq!(rig.store.list().unwrap().unknown, Vec::<String>::new());
}

/// Flips a bit of what is read back, a few times.
struct Flip(AtomicU64);

impl Faults for Flip {
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        image.read_uncached(buf, at)?;
        if self.0.fetch_sub(1, Ordering::SeqCst) == 3 && !buf.is_empty() {
            buf[0] ^= 4;
            // On the device itself, so that only writing it again helps.
            image.write_at(buf, at)?;
        }
        Ok(())
    }
}

fn copies_between_groups_arrive_equal_and_spoilt_chunks_are_caught(rig: &Rig) {
    let disks = vec![spec(1, 5 * MIB + 512), spec(2, MIB)];
    let linode = super::mover::LINODE;
    make_volumes(&rig.store, &*rig.group, linode, EPOCH, &disks);
    let flip: Arc<dyn Faults> = Arc::new(Flip(AtomicU64::new(4)));
    // One group is both ends: the destination keeps its records elsewhere.
    let dir = tempfile::tempdir().unwrap();
    let records = dir.path().join("records");
    fs::create_dir_all(&records).unwrap();
    let to: Arc<dyn DiskStore> = Arc::new(LvmStore::open(rig.group.clone(), &records).unwrap());
    let lab = Lab::between(dir, disks, rig.store.clone(), Faulty::wrap(to, flip));
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(9);
    rng.write(&disk, 0, 3_000_000);
    rng.write(&disk, 5 * MIB, 512);
    lab.warm(2).unwrap();
    rng.write(&disk, MIB, 100_000);
    disk.write_all_at(&vec![0; 500_000], 0).unwrap();
    disk.sync_all().unwrap();
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < MIB, "{report:?}");
    // The way back starts from the sealed disks, which stay as they are.
    let back = MigrationId(44);
    lab.from
        .reserve(linode, back, &lab.disks, Some(unpaced(EPOCH)))
        .unwrap();
    let copy = lab.from.target(linode, back, &lab.disks[0]).unwrap().image;
    let whole = usize::try_from(lab.disks[0].size_bytes).unwrap();
    let mut bytes = vec![0; whole];
    copy.read_uncached(&mut bytes, 0).unwrap();
    let path = lab.from.path(linode, EPOCH, DiskId(1));
    assert!(bytes == fs::read(path).unwrap()[..whole]);
    drop((copy, disk));
    lab.from.release(linode, back).unwrap();
    lab.to.release(linode, MIGRATION).unwrap();
    lab.server.close(linode, MIGRATION).unwrap();
    lab.from.purge(linode, EPOCH).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), []);
}

/// Makes a test of each of the functions above, on a new rig each.
macro_rules! volumes {
    ([$($meta:tt)*] $rig:expr) => {
        volumes!(@all [$($meta)*] $rig,
            nothing_of_an_earlier_tenant_is_left,
            a_disk_used_beyond_its_size_is_not_cut_off,
            a_volume_made_anew_under_a_disks_name_is_refused,
            what_is_somebodys_cannot_be_adopted,
            copies_between_groups_arrive_equal_and_spoilt_chunks_are_caught,
        );
    };
    (@all $meta:tt $rig:expr, $($name:ident,)*) => {
        $(volumes!(@one $meta $rig, $name);)*
    };
    (@one [$($meta:tt)*] $rig:expr, $name:ident) => {
        #[test]
        $($meta)*
        fn $name() {
            super::$name(&$rig)
        }
    };
}

mod volumes_on_files {
    volumes!([] super::fake().0);
}

/// What a whole life of disks is, step by step; each step may be repeated.
fn life(
    store: &LvmStore,
    step: usize,
    disks: &[DiskSpec],
) -> Result<(), xenbeta::agent::disk::DiskError> {
    match step {
        0 => store.reserve(LINODE, MOVE, disks, Some(unpaced(3))),
        1 => {
            let copy = store.target(LINODE, MOVE, &disks[0])?;
            copy.image.write_at(&[8; 9000], 100).unwrap();
            store.publish(LINODE, 8, disks, &receipt(7))
        }
        2 => store.activate(LINODE, MOVE, 8),
        3 => store.unseal(LINODE, 8),
        4 => store.check(LINODE, 8, disks).map(|_| ()),
        5 => store.seal(LINODE, 8),
        6 => store.regrant(LINODE, 8, 9),
        7 => store.purge(LINODE, 3),
        _ => unreachable!(),
    }
}

const STEPS: usize = 8;

/// The agent is killed before and after every change to the group. Afterwards nothing is nobody's, the old disks are as
/// they were, and the same steps again, or a cancel, come to the same end as without.
#[test]
fn a_kill_between_any_two_commands_is_repaired_by_the_next_attempt() {
    let disks = [spec(1, MIB + 11), spec(2, 3 * EXTENT)];
    let mut kills = 0;
    for cancel in [false, true] {
        for before in [true, false] {
            for nth in 1.. {
                let (rig, group) = fake();
                make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
                rig.store.seal(LINODE, 3).unwrap();
                let old = fs::read(rig.store.path(LINODE, 3, DiskId(1))).unwrap();
                group.state.lock().unwrap().fail = Some((nth, before));
                let failed = (0..STEPS).find(|step| life(&rig.store, *step, &disks).is_err());
                let Some(failed) = failed else {
                    break;
                };
                kills += 1;
                // A new agent on the same folder.
                let records = rig.dir.path().join("records");
                let store = LvmStore::open(rig.group.clone(), &records).unwrap();
                // The last step deletes: that it was cut short is said, and of no volume that it is nobody's.
                let unfinished = "linodes/1/e3.gone: its deletion has not come to its end";
                let expected: &[&str] = if failed == 7 { &[unfinished] } else { &[] };
                assert_eq!(store.list().unwrap().unknown, expected);
                if failed < 7 {
                    assert!(old == fs::read(store.path(LINODE, 3, DiskId(1))).unwrap());
                }
                if cancel && failed < 2 {
                    store.release(LINODE, MOVE).unwrap();
                    assert_eq!(rig.group.volumes().unwrap().len(), disks.len());
                    store.purge(LINODE, 3).unwrap();
                    assert_eq!(rig.group.volumes().unwrap(), []);
                    continue;
                }
                for step in failed..STEPS {
                    life(&store, step, &disks).unwrap();
                }
                let copy = fs::read(store.path(LINODE, 9, DiskId(1))).unwrap();
                assert!(copy[100..9100].iter().all(|byte| *byte == 8));
                assert!(copy[9100..] == old[9100..] && copy[..100] == old[..100]);
                let volumes = rig.group.volumes().unwrap();
                assert_eq!(volumes.len(), disks.len());
                assert!(volumes.iter().all(|volume| !volume.writable));
                assert_eq!(store.list().unwrap().generations, [(LINODE, 9)]);
                store.purge(LINODE, 9).unwrap();
                assert_eq!(rig.group.volumes().unwrap(), []);
            }
        }
    }
    // Two volumes made, one seal, one purge.
    assert_eq!(kills, 4 * 2 * 2);
}

/// A name intended by a migration that was killed before it made the volume may be another's by now.
#[test]
fn a_cancel_removes_only_what_its_own_migration_made() {
    let (rig, group) = fake();
    let disks = [spec(1, MIB)];
    group.state.lock().unwrap().fail = Some((1, true));
    rig.store.reserve(LINODE, MOVE, &disks, None).unwrap_err();
    let other = MigrationId(6);
    rig.store.reserve(LINODE, other, &disks, None).unwrap();
    rig.store.release(LINODE, MOVE).unwrap();
    rig.store.target(LINODE, other, &disks[0]).unwrap();
    rig.store.release(LINODE, other).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), []);
}

/// Killed after a record was written, and before what was intended was struck out; or in the middle of writing either.
#[test]
fn what_was_intended_and_done_is_not_done_again() {
    for released in [false, true] {
        let (rig, _) = fake();
        let disks = [spec(1, MIB)];
        rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
        let copy = rig.shop().path("1/m5.partial");
        let made = rig.group.volumes().unwrap();
        let intent = format!("{{\"name\":{:?},\"migration\":5}}", made[0].name);
        fs::write(copy.join("1.making"), intent).unwrap();
        fs::write(copy.join("1.vol.new"), "{\"na").unwrap();
        assert_eq!(rig.store.list().unwrap().unknown, Vec::<String>::new());
        if !released {
            rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
            assert!(!copy.join("1.making").exists());
            rig.store.publish(LINODE, 8, &disks, &receipt(7)).unwrap();
            assert_eq!(rig.group.volumes().unwrap(), made);
        }
        rig.store.release(LINODE, MOVE).unwrap();
        assert_eq!(rig.group.volumes().unwrap(), []);
    }
}

/// A record that does not parse stops everything about its disks, and nothing is removed by guess.
#[test]
fn a_damaged_record_is_refused() {
    let (rig, _) = fake();
    let disks = [spec(1, MIB), spec(2, MIB)];
    make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
    let record = rig.shop().path("1/e3/1.vol");
    let whole = fs::read_to_string(&record).unwrap();
    let odd = whole.replace("\"blank\"", "\"colour\"");
    for damage in ["", "{}", &whole[..20], &odd] {
        fs::write(&record, damage).unwrap();
        let store = &rig.store;
        assert_eq!(
            store.check(LINODE, 3, &disks).unwrap_err().fault,
            DiskFault::Refused
        );
        assert!(store.seal(LINODE, 3).is_err());
        let unknown = store.list().unwrap().unknown;
        assert!(unknown[0].starts_with("linodes/1/e3: 1.vol does not parse"));
        assert_eq!(unknown[1..], ["volume old-1-3-1", "volume old-1-3-2"]);
        assert!(!store.path(LINODE, 3, DiskId(1)).exists());
        assert!(store.purge(LINODE, 3).is_err());
        assert_eq!(rig.group.volumes().unwrap().len(), 2);
        // The purge has begun, by the folder's name, and goes on when a person has mended the record.
        fs::rename(rig.shop().path("1/e3.gone"), rig.shop().path("1/e3")).unwrap();
    }
    fs::write(&record, whole).unwrap();
    rig.store.check(LINODE, 3, &disks).unwrap();
    rig.store.purge(LINODE, 3).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), []);
}

/// Each process costs 50 to 100 ms, and these steps are within a move's downtime.
#[test]
fn between_stop_and_start_there_is_one_process() {
    let (rig, group) = fake();
    let disks = [spec(1, MIB), spec(2, MIB), spec(3, MIB)];
    make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
    rig.store
        .reserve(LINODE, MOVE, &disks, Some(unpaced(3)))
        .unwrap();
    let count = |act: &dyn Fn()| {
        let before = group.state.lock().unwrap().processes;
        act();
        group.state.lock().unwrap().processes - before
    };
    let store = &rig.store;
    assert_eq!(count(&|| store.seal(LINODE, 3).unwrap()), 1, "source");
    let destination = count(&|| {
        store.publish(LINODE, 8, &disks, &receipt(3)).unwrap();
        store.published(LINODE, MOVE).unwrap().unwrap();
        store.check(LINODE, 8, &disks).unwrap();
        store.activate(LINODE, MOVE, 8).unwrap();
        store.unseal(LINODE, 8).unwrap();
        store.path(LINODE, 8, DiskId(1));
    });
    assert_eq!(destination, 0);
    let reports = count(&|| {
        for _ in 0..10 {
            store.space().unwrap();
            store.list().unwrap();
        }
    });
    assert_eq!(reports, 2, "what is reported may be a little old");
    store.space().unwrap();
    store.release(LINODE, MigrationId(99)).unwrap();
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_made() {
    let (rig, _) = fake();
    let free = rig.store.space().unwrap().free;
    let disks = [spec(1, free - 2 * EXTENT + 1), spec(2, EXTENT + 1)];
    let refused = rig.store.reserve(LINODE, MOVE, &disks, None).unwrap_err();
    assert_eq!(refused.fault, DiskFault::NoSpace);
    assert_eq!(rig.store.space().unwrap().free, free);
    let disks = [spec(1, free - 2 * EXTENT), spec(2, EXTENT + 1)];
    rig.store.preflight(LINODE, MOVE, &disks).unwrap();
    rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    assert_eq!(rig.store.space().unwrap().free, 0);
    // A retry is not refused for what its own copies hold, also published ones; another migration is.
    rig.store.preflight(LINODE, MOVE, &disks).unwrap();
    let refused = |migration, disks: &[DiskSpec]| {
        let asked = rig.store.preflight(LINODE, migration, disks);
        assert_eq!(asked.unwrap_err().fault, DiskFault::NoSpace);
    };
    refused(MigrationId(6), &disks);
    refused(MOVE, &[disks[0].clone(), spec(2, 2 * EXTENT + 1)]);
    rig.store.publish(LINODE, 8, &disks, &receipt(7)).unwrap();
    rig.store.preflight(LINODE, MOVE, &disks).unwrap();
    rig.store.activate(LINODE, MOVE, 8).unwrap();
    refused(MOVE, &disks);
}

/// What hosts' `lvm.conf` makes of LVM's answers.
const SAYINGS: [&str; 5] = ["plain", "prune", "log", "comma", "prefix"];

#[test]
fn what_lvm_says_beside_its_report_changes_no_answer() {
    for saying in SAYINGS {
        for obeys in [true, false] {
            let program = Program::new(saying, obeys);
            let group = Commands::through(program.path(), "vg0");
            let extents = group.extents().unwrap();
            assert_eq!(
                (extents.total, extents.free),
                (409_600, 120_000),
                "{saying}"
            );
            let volumes = group.volumes().unwrap();
            assert_eq!(volumes.len(), 1, "{saying}");
            assert_eq!(volumes[0].tags, ["xb", "xb.linode=7"], "{saying}");
            // A seal whose first try fails asks how it is.
            group.set_writable(&[&volumes[0].uuid], true).unwrap();
        }
    }
}

#[test]
fn every_call_says_how_lvm_is_to_answer() {
    let program = Program::new("plain", true);
    let group = Commands::through(program.path(), "vg0");
    group.extents().unwrap();
    group.volumes().unwrap();
    group.named("web").unwrap();
    group.create("web", 1, &["xb".to_owned()]).unwrap();
    group.add_tags("uuid", &["xb".to_owned()]).unwrap();
    group.set_writable(&["uuid"], false).unwrap();
    group.remove(&["uuid"]).unwrap();
    let calls = program.calls();
    // A removal is three: what is idle, active to be discarded, gone.
    assert_eq!(calls.lines().count(), 9, "{calls}");
    for call in calls.lines() {
        for word in [
            "-qq",
            "log/report_command_log=0",
            "log/command_names=0",
            "log/prefix=\"  \"",
            "report/list_item_separator=\",\"",
            "report/mark_hidden_devices=0",
        ] {
            assert!(call.contains(&format!(" {word}")), "{word}: {call}");
        }
    }
}

#[test]
fn a_setting_that_cannot_be_overridden_is_named() {
    let stubborn = |obeys| {
        let program = Program::new("plain", obeys);
        let group = Commands::through(program.path(), "vg0");
        group.stubborn().unwrap()
    };
    assert_eq!(stubborn(true), Vec::<String>::new());
    assert_eq!(stubborn(false), ["log/command_names", "log/verbose"]);
}

/// On real LVM. Run by [`real_lvm_in_a_machine_of_its_own`], or by hand where there is a group to try things on:
/// `XENBETA_TEST_VG=vg0 agent-… lvm::real --ignored --test-threads 1`.
mod real {
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use xenbeta::agent::disk::aligned::AlignedBuf;
    use xenbeta::agent::disk::lvm::Commands;

    use super::*;

    fn rig() -> Rig {
        let vg = std::env::var(GROUP).expect("XENBETA_TEST_VG names a volume group to use up");
        // What the test before left: only its own volumes, and only in a group named for this.
        for tag in ["@xb", "/^old-/"] {
            let select = match tag {
                "@xb" => "lv_tags=xb",
                _ => "lv_name=~^old- || lv_name=web",
            };
            let done = std::process::Command::new("lvm")
                .args(["lvremove", "--yes", "--select", select, &vg])
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        }
        Rig::new(tempfile::tempdir().unwrap(), Arc::new(Commands::new(&vg)))
    }

    thread_local! {
        static KEPT: std::cell::RefCell<Vec<Rig>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    fn shop() -> Shop {
        let rig = rig();
        let shop = rig.shop();
        KEPT.with(|kept| kept.borrow_mut().push(rig));
        shop
    }

    suite!([#[ignore = "needs a volume group"]] shop());
    volumes!([#[ignore = "needs a volume group"]] rig());

    /// An `lvm.conf` with everything that changes how LVM answers, as hosts have it one by one.
    #[test]
    #[ignore = "needs a volume group"]
    fn the_hosts_own_settings_change_no_answer() {
        let rig = rig();
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &[spec(1, MIB)]);
        let conf = "config { checks = 1 }\nlog { report_command_log = 1\ncommand_names = 1\nprefix = \"> \"\nverbose = 2 }\n\
            report { list_item_separator = \";\"\nmark_hidden_devices = 1\ncompact_output = 1\ncolumns_as_rows = 1\n\
            prefixes = 1\nlvs_sort = \"devices\"\nvgs_sort = \"pv_name\"\nbinary_values_as_numeric = 1 }\n";
        let dir = rig.dir.path();
        fs::write(dir.join("lvm.conf"), conf).unwrap();
        let lvm = dir.join("lvm");
        let program = format!(
            "#!/bin/sh\nLVM_SYSTEM_DIR={} exec lvm \"$@\"\n",
            dir.display()
        );
        fs::write(&lvm, program).unwrap();
        fs::set_permissions(&lvm, fs::Permissions::from_mode(0o755)).unwrap();
        let odd = Commands::through(lvm, &std::env::var(GROUP).unwrap());
        assert_eq!(odd.stubborn().unwrap(), ["log/verbose"]);
        let volumes = odd.volumes().unwrap();
        assert_eq!(volumes, rig.group.volumes().unwrap());
        assert_eq!(
            odd.extents().unwrap().free,
            rig.group.extents().unwrap().free
        );
        let full = odd.create("web", 1 << 20, &["xb".to_owned()]).unwrap_err();
        assert_eq!(full.fault, DiskFault::NoSpace, "{full:?}");
        for writable in [false, false, true] {
            odd.set_writable(&[&volumes[0].uuid], writable).unwrap();
        }
        odd.remove(&[&volumes[0].uuid]).unwrap();
        assert_eq!(odd.volumes().unwrap(), []);
    }

    /// Sealed disks refuse writers also after a reboot, and whoever had them open.
    #[test]
    #[ignore = "needs a volume group"]
    fn a_seal_outlasts_deactivation_and_open_files() {
        let rig = rig();
        let disks = [spec(1, MIB), spec(2, MIB)];
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
        let path = rig.store.path(LINODE, 3, DiskId(1));
        let open = File::options().read(true).write(true).open(&path).unwrap();
        open.write_all_at(b"before the seal", 0).unwrap();
        rig.store.seal(LINODE, 3).unwrap();
        let late = open
            .write_all_at(b"too late", 0)
            .and_then(|()| open.sync_all());
        assert!(late.is_err());
        drop(open);
        let vg = std::env::var(GROUP).unwrap();
        let done = std::process::Command::new("lvm")
            .args(["vgchange", "--activate", "n", &vg])
            .status();
        assert!(done.unwrap().success());
        assert!(!path.exists());
        // Found again, made active, and as it was.
        rig.store.check(LINODE, 3, &disks).unwrap();
        let shop = rig.shop();
        assert!((shop.sealed)(LINODE, 3, DiskId(1)) && (shop.sealed)(LINODE, 3, DiskId(2)));
        let begun = fs::read(&path).unwrap();
        assert!(begun.starts_with(b"before the seal"));
        rig.store.unseal(LINODE, 3).unwrap();
        rig.store.purge(LINODE, 3).unwrap();
    }

    /// What is in use is not removed, and the purge can be repeated.
    #[test]
    #[ignore = "needs a volume group"]
    fn a_disk_in_use_is_not_purged() {
        let rig = rig();
        let disks = [spec(1, MIB)];
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
        fill(&rig.store.path(LINODE, 3, DiskId(1)));
        let open = File::open(rig.store.path(LINODE, 3, DiskId(1))).unwrap();
        let begins = || {
            let mut block = AlignedBuf::new(4096);
            let name = &rig.group.volumes().unwrap()[0].name;
            direct(&rig.group.path(name))
                .read_exact_at(&mut block, 0)
                .unwrap();
            block[..8].to_vec()
        };
        let before = begins();
        assert_ne!(before, [0; 8]);
        assert!(rig.store.purge(LINODE, 3).is_err());
        assert_eq!(begins(), before, "nor discarded");
        assert_eq!(rig.group.volumes().unwrap().len(), 1);
        assert_eq!(
            rig.store.list().unwrap().unknown,
            ["linodes/1/e3.gone: its deletion has not come to its end"]
        );
        drop(open);
        rig.store.purge(LINODE, 3).unwrap();
        assert_eq!(rig.group.volumes().unwrap(), []);
    }

    /// A snapshot is the copy as it was, whatever its guest writes; one that is full is lost, and the copy is not.
    #[test]
    #[ignore = "needs a volume group"]
    fn a_snapshot_is_told_when_it_is_full_and_its_copy_stays() {
        let rig = rig();
        let disks = [spec(1, 2 * MIB)];
        rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
        let copy = rig.group.volumes().unwrap().remove(0);
        let path = rig.group.path(&copy.name);
        fill(&path);
        let tags = ["xb", TRIAL_TAG].map(str::to_owned);
        let of = (copy.name.as_str(), copy.uuid.as_str());
        let extent = rig.group.extents().unwrap().size;
        let room = (MIB / extent).max(1);
        if let Err(error) = rig.group.snapshot(of, "xbt-1-1-1", room, &tags) {
            // Then clones are copies, which the suite has looked at.
            eprintln!("SKIPPED: this kernel takes no snapshots: {error}");
            rig.store.release(LINODE, MOVE).unwrap();
            return;
        }
        let other = ("xb-1-1-9", copy.uuid.as_str());
        rig.group
            .snapshot(other, "xbt-1-1-2", 1, &tags)
            .unwrap_err();
        let other = (copy.name.as_str(), "another");
        rig.group
            .snapshot(other, "xbt-1-1-2", 1, &tags)
            .unwrap_err();
        assert!(!rig.group.is_short_of_room().unwrap());
        let clone = rig.group.path("xbt-1-1-1");
        let mut block = AlignedBuf::new(4096);
        direct(&clone).read_exact_at(&mut block, 0).unwrap();
        assert_eq!(block[..], [7; 4096]);
        let guest = File::options().write(true).open(&clone).unwrap();
        let written = guest.write_all_at(&vec![9; 2 * MIB as usize], 0);
        let written = written.and_then(|()| guest.sync_all());
        assert!(
            extent > MIB || written.is_err(),
            "it has less room than that"
        );
        assert!(rig.group.is_short_of_room().unwrap());
        direct(&path).read_exact_at(&mut block, 0).unwrap();
        assert_eq!(block[..], [7; 4096]);
        drop(guest);
        let snapshot = rig.group.named("xbt-1-1-1").unwrap().unwrap();
        rig.group.remove(&[&snapshot.uuid]).unwrap();
        rig.store.release(LINODE, MOVE).unwrap();
        assert_eq!(rig.group.volumes().unwrap(), []);
    }

    fn fill(path: &Path) {
        let disk = File::options().write(true).open(path).unwrap();
        disk.write_all_at(&[7; 4096], 0).unwrap();
        disk.sync_all().unwrap();
    }

    fn direct(path: &Path) -> File {
        let flags = rustix::fs::OFlags::DIRECT.bits();
        let mut options = File::options();
        options
            .read(true)
            .custom_flags(i32::try_from(flags).unwrap());
        options.open(path).unwrap()
    }

    /// Others change the group meanwhile: what takes long is done before its lock is taken.
    #[test]
    #[ignore = "needs a volume group"]
    fn a_purge_discards_without_the_groups_lock() {
        let rig = rig();
        let disks = [spec(1, 8 * MIB), spec(2, MIB)];
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
        let paths = [1, 2].map(|disk| rig.store.path(LINODE, 3, DiskId(disk)));
        let vg = std::env::var(GROUP).unwrap();
        // As a report holds it: changes wait, other reports do not.
        let lock = File::options()
            .create(true)
            .append(true)
            .open(format!("/run/lock/lvm/V_{vg}"))
            .unwrap();
        lock.lock_shared().unwrap();
        let blank = |path: &PathBuf| {
            let mut block = AlignedBuf::new(4096);
            direct(path).read_exact_at(&mut block, 0).unwrap();
            block.iter().all(|byte| *byte == 0)
        };
        paths.iter().for_each(|path| fill(path));
        assert!(!paths.iter().any(blank));
        std::thread::scope(|scope| {
            let purge = scope.spawn(|| rig.store.purge(LINODE, 3));
            let begun = std::time::Instant::now();
            while !paths.iter().all(blank) {
                assert!(begun.elapsed() < Duration::from_secs(40), "not discarded");
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(!purge.is_finished());
            lock.unlock().unwrap();
            purge.join().unwrap().unwrap();
        });
        assert_eq!(rig.group.volumes().unwrap(), []);
        // Sealed, as disks of a move are.
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
        rig.store.seal(LINODE, 3).unwrap();
        rig.store.purge(LINODE, 3).unwrap();
        assert_eq!(rig.group.volumes().unwrap(), []);
    }

    /// Figures for the documentation.
    #[test]
    #[ignore = "needs a volume group"]
    fn what_the_steps_cost() {
        let rig = rig();
        let disks = [spec(1, 128 * MIB), spec(2, 16 * MIB)];
        make_volumes(&rig.store, &*rig.group, LINODE, 3, &disks);
        let time = |what: &str, act: &dyn Fn()| {
            let begun = std::time::Instant::now();
            act();
            println!("COST {what}: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        };
        let store = &rig.store;
        time("seal", &|| store.seal(LINODE, 3).unwrap());
        time("seal again", &|| store.seal(LINODE, 3).unwrap());
        time("reserve", &|| {
            store.reserve(LINODE, MOVE, &disks, None).unwrap()
        });
        time("zero 128 MiB", &|| {
            let image = store.target(LINODE, MOVE, &disks[0]).unwrap().image;
            for at in 0..8 {
                image.punch(at * 16 * MIB..(at + 1) * 16 * MIB).unwrap();
            }
            image.sync().unwrap();
        });
        time("write 128 MiB", &|| {
            let image = store.target(LINODE, MOVE, &disks[0]).unwrap().image;
            let mut buf = AlignedBuf::new(1 << 20);
            buf.fill(7);
            for at in 0..128 {
                image.write_at(&buf, at * MIB).unwrap();
            }
            image.sync().unwrap();
        });
        time("publish, check, activate, unseal", &|| {
            store.publish(LINODE, 8, &disks, &receipt(7)).unwrap();
            store.check(LINODE, 8, &disks).unwrap();
            store.activate(LINODE, MOVE, 8).unwrap();
            store.unseal(LINODE, 8).unwrap();
        });
        let back = MigrationId(6);
        time("reserve from sealed disks, 144 MiB", &|| {
            store
                .reserve(LINODE, back, &disks, Some(unpaced(3)))
                .unwrap();
        });
        time("release", &|| store.release(LINODE, back).unwrap());
        time("purge", &|| store.purge(LINODE, 3).unwrap());
    }
}

/// Names the volume group that tests may use up.
const GROUP: &str = "XENBETA_TEST_VG";

#[test]
fn real_lvm_in_a_machine_of_its_own() {
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lvm/machine");
    let program = std::env::current_exe().unwrap();
    let args = [
        "lvm::real",
        "--ignored",
        "--nocapture",
        "--test-threads",
        "1",
    ];
    let out = std::process::Command::new(machine)
        .arg(program)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    if out.status.code() == Some(77) {
        eprintln!("SKIPPED: real LVM: {}", said.trim());
        return;
    }
    println!("{said}");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let summary = said
        .lines()
        .find(|line| line.starts_with("test result: ok"));
    assert!(
        summary.is_some_and(|line| !line.contains(" 0 passed")),
        "nothing ran"
    );
}

fn tagged(group: &dyn Group, tag: &str) -> Vec<Volume> {
    let mut volumes = group.volumes().unwrap();
    volumes.retain(|volume| volume.tags.iter().any(|it| it == tag));
    volumes
}

/// A snapshot takes what it may hold, and not what its disk has; where none can be taken, all is copied.
#[test]
fn a_trials_clones_are_snapshots_where_those_can_be_taken() {
    let (rig, group) = fake();
    let disks = [spec(1, 2 * MIB), spec(2, 3 * EXTENT + 5)];
    let made = || rig.store.make_trial(LINODE, MOVE, &disks, &|_| true);
    rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
    let before = rig.group.volumes().unwrap();
    let clones = made().unwrap();
    let snapshots = tagged(&*rig.group, TRIAL_TAG);
    assert_eq!(snapshots.len(), disks.len());
    for ((_, path), snapshot) in clones.iter().zip(&snapshots) {
        assert_eq!(*path, rig.group.path(&snapshot.name));
        assert!(snapshot.name.starts_with("xbt-1-"), "{snapshot:?}");
    }
    // It is nobody's disk, whatever becomes of its record.
    let adopted = |name: &str| Adopted {
        disk: DiskId(9),
        volume: name.into(),
        size: None,
    };
    let name = snapshots[0].name.clone();
    rig.store.adopt(LINODE, 9, &[adopted(&name)]).unwrap_err();
    let folder = rig.dir.path().join("records/linodes/1/m5.trial");
    fs::remove_dir_all(&folder).unwrap();
    rig.store.adopt(LINODE, 9, &[adopted(&name)]).unwrap_err();
    let listed = rig.store.list().unwrap();
    assert!(
        listed.unknown.iter().any(|it| it.contains(&name)),
        "{listed:?}"
    );
    for volume in &snapshots {
        rig.group.remove(&[&volume.uuid]).unwrap();
    }
    // Full: said, after a while in which nobody asks again.
    made().unwrap();
    assert!(rig.store.has_room_for_trial());
    group.state.lock().unwrap().snapshots_are_full = true;
    let full = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        rig.store.has_room_for_trial()
    });
    assert!(full.take(50).any(|has_room| !has_room));
    rig.store.drop_trial(LINODE, MOVE).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), before);
    // None can be taken.
    group.state.lock().unwrap().no_snapshots = true;
    made().unwrap();
    assert_eq!(tagged(&*rig.group, TRIAL_TAG), []);
    assert_eq!(rig.group.volumes().unwrap().len(), 2 * disks.len());
    assert!(rig.store.has_room_for_trial());
    rig.store.drop_trial(LINODE, MOVE).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), before);
    rig.store.release(LINODE, MOVE).unwrap();
    assert_eq!(rig.group.volumes().unwrap(), []);
}

/// The agent is killed before and after every change to the group: the next one finds the trial, and nothing of it is left.
#[test]
fn a_kill_at_any_moment_of_a_trials_snapshots_leaves_nothing_after_the_next_start() {
    let disks = [spec(1, MIB + 11), spec(2, 3 * EXTENT)];
    let mut kills = 0;
    for no_snapshots in [false, true] {
        for before in [true, false] {
            for nth in 1.. {
                let (rig, group) = fake();
                rig.store.reserve(LINODE, MOVE, &disks, None).unwrap();
                let copies = rig.group.volumes().unwrap();
                let fail = Some((nth, before));
                {
                    let mut state = group.state.lock().unwrap();
                    (state.fail, state.no_snapshots) = (fail, no_snapshots);
                }
                let tried = rig
                    .store
                    .make_trial(LINODE, MOVE, &disks, &|_| true)
                    .and_then(|_| rig.store.drop_trial(LINODE, MOVE));
                let fell_over = group.state.lock().unwrap().fail.is_none();
                if tried.is_ok() && !fell_over {
                    break;
                }
                kills += 1;
                let records = rig.dir.path().join("records");
                let store = LvmStore::open(rig.group.clone(), &records).unwrap();
                let listed = store.list().unwrap();
                let odd = |it: &&String| !it.ends_with("its deletion has not come to its end");
                assert_eq!(listed.unknown.iter().find(odd), None);
                store.drop_trial(LINODE, MOVE).unwrap();
                assert_eq!(rig.group.volumes().unwrap(), copies, "kill {nth}, {before}");
                store.release(LINODE, MOVE).unwrap();
                assert_eq!(rig.group.volumes().unwrap(), []);
            }
        }
    }
    assert!(kills > 12, "{kills}");
}
