//! A bit rots where it lies: in a copy in the making, in the tables of both ends, in a receipt.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use xenbeta::domain::ids::DiskId;

use crate::flight::SIZE;
use crate::mover::{EPOCH, LINODE, Lab, MIGRATION};
use crate::mover_store::{Faults, Faulty};
use crate::rng::Rng;

/// Flips one bit of what a file has in these bytes.
pub fn rot(path: &Path, range: Range<u64>, rng: &mut Rng) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let at = range.start + rng.below(range.end - range.start);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << rng.below(8);
    file.write_all_at(&byte, at).unwrap();
    file.sync_all().unwrap();
}

fn rot_anywhere(path: &Path, rng: &mut Rng) {
    let len = std::fs::metadata(path).unwrap().len();
    rot(path, 0..len, rng);
}

/// The last quarter of the disk is a hole.
fn lab(rng: &mut Rng) -> Lab {
    let lab = Lab::new(&[SIZE]);
    fill(&lab, rng);
    lab
}

fn fill(lab: &Lab, rng: &mut Rng) {
    rng.write(&lab.source_disk(1), 0, SIZE as usize * 3 / 4);
}

/// A file of the Linode's at the destination (`true`), or at the source.
fn place(lab: &Lab, destination: bool, name: &str) -> PathBuf {
    let store = if destination { &lab.to } else { &lab.from };
    let disk = store.path(LINODE, EPOCH, DiskId(1));
    disk.ancestors().nth(2).unwrap().join(name)
}

fn copy(lab: &Lab) -> PathBuf {
    place(lab, true, &format!("m{MIGRATION}.partial/1.img"))
}

fn ends_right(lab: &Lab) -> Result<(), String> {
    let report = lab.finish().map_err(|e| e.to_string())?;
    let copied = std::fs::read(lab.to.path(LINODE, EPOCH + 1, DiskId(1))).unwrap();
    if copied != std::fs::read(lab.from.path(LINODE, EPOCH, DiskId(1))).unwrap() {
        return Err("a copy that is not its source was published".into());
    }
    lab.assert_equal(&report);
    Ok(())
}

pub fn between_steps(rng: &mut Rng) -> Result<(), String> {
    let lab = lab(rng);
    lab.warm(3).map_err(|e| e.to_string())?;
    lab.seal();
    rot(&copy(&lab), 0..SIZE, rng);
    ends_right(&lab)
}

/// Everything is copied and compared, and the portal is asked in vain to hear of it, until the step is cancelled.
fn all_but_published(lab: &Lab) {
    lab.seal();
    lab.source.portal_up.store(false, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let given_up = scope.spawn(|| lab.finish().is_err());
        let looked_at_all = || {
            let last = lab.watch.last.lock().unwrap();
            last.as_ref()
                .is_some_and(|it| it.total_bytes > 0 && it.done_bytes == it.total_bytes)
        };
        while !looked_at_all() {
            std::thread::sleep(Duration::from_millis(20));
        }
        lab.watch.cancel.store(true, Ordering::SeqCst);
        assert!(given_up.join().unwrap(), "nothing is published");
    });
    lab.watch.cancel.store(false, Ordering::SeqCst);
    lab.source.portal_up.store(true, Ordering::SeqCst);
}

pub fn before_publishing(rng: &mut Rng) -> Result<(), String> {
    let lab = lab(rng);
    all_but_published(&lab);
    rot(&copy(&lab), 0..SIZE, rng);
    ends_right(&lab)
}

/// A store that could tell what changed, and nothing ever does; the copy rots when the second pass begins.
struct Telling {
    views: AtomicU64,
    rots: Box<dyn Fn() + Send + Sync>,
    done: AtomicBool,
}

impl Faults for Telling {
    fn tells(&self, _really: bool) -> bool {
        true
    }
    fn told(&self, _really: bool) -> bool {
        if self.views.fetch_add(1, Ordering::SeqCst) == 1 {
            (self.rots)();
            self.done.store(true, Ordering::SeqCst);
        }
        true
    }
}

pub fn where_the_store_tells(rng: &mut Rng) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    let partial = b.join(format!("linodes/{LINODE}/m{MIGRATION}.partial/1.img"));
    let seed = rng.next();
    let telling = Arc::new(Telling {
        views: AtomicU64::new(0),
        rots: Box::new(move || rot(&partial, 0..SIZE, &mut Rng::new(seed))),
        done: AtomicBool::new(false),
    });
    let faults = telling.clone();
    let wrap = |store| Faulty::wrap(store, faults);
    let lab = Lab::on(dir, &a, &b, &[SIZE], wrap, |store| store);
    fill(&lab, rng);
    lab.warm(3).map_err(|e| e.to_string())?;
    assert!(telling.done.load(Ordering::SeqCst), "it rotted");
    lab.seal();
    ends_right(&lab)
}

pub fn copys_table(rng: &mut Rng) -> Result<(), String> {
    let lab = lab(rng);
    lab.warm(2).map_err(|e| e.to_string())?;
    lab.seal();
    let table = place(&lab, true, &format!("m{MIGRATION}.partial/1.digests"));
    rot_anywhere(&table, rng);
    ends_right(&lab)
}

/// Of sealed disks, after the pass over them and before its roots were agreed on.
pub fn sources_table(rng: &mut Rng) -> Result<(), String> {
    let lab = lab(rng);
    all_but_published(&lab);
    let table = place(&lab, false, &format!("m{MIGRATION}.source/1.table"));
    rot_anywhere(&table, rng);
    ends_right(&lab)
}

/// A damaged receipt is said to be that, and nothing is told from it.
pub fn receipt(rng: &mut Rng) -> Result<(), String> {
    let lab = lab(rng);
    lab.seal();
    lab.finish().map_err(|e| e.to_string())?;
    rot_anywhere(
        &place(&lab, true, &format!("e{}/copy.json", EPOCH + 1)),
        rng,
    );
    match (lab.to.published(LINODE, MIGRATION), lab.finish()) {
        (Err(e), Err(_)) if e.to_string().contains("receipt") || e.detail.contains("receipt") => {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    }
}
