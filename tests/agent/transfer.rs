//! Copies between two agents over the loopback: equal bytes, deltas, broken lines, bad peers, broken disks.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use xenbeta::agent::disk::{DiskStore, FileStore, Image};
use xenbeta::agent::transfer::{Fault, Fetch, TransferError, Watch};
use xenbeta::domain::ids::MigrationId;
use xenbeta::wire::Progress;

use super::mover::{EPOCH, LINODE, Lab, MIB, MIGRATION, spec, unpaced};
use super::mover_store::{Faults, Faulty};
use super::rng::Rng;

fn fault<T: std::fmt::Debug>(result: Result<T, TransferError>) -> Fault {
    let error = result.unwrap_err();
    assert!(
        !error.public.is_empty() && !error.public.contains('/'),
        "{error}"
    );
    error.fault
}

#[test]
fn a_sparse_disk_arrives_equal_and_sparse() {
    let lab = Lab::new(&[40 * MIB + 4096 + 512, 3 * MIB]);
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(1);
    rng.write(&disk, 0, 700_000);
    rng.write(&disk, 9 * MIB + 5, 3_000_000);
    rng.write(&disk, 40 * MIB, 4096 + 512);
    let warm = lab.warm(4).unwrap();
    assert!(
        warm.sent_bytes >= 3_700_000 && warm.sent_bytes < 4_200_000,
        "{warm:?}"
    );
    rng.write(&disk, 20 * MIB, 5000);
    disk.write_all_at(&vec![0; 1_000_000], 9 * MIB).unwrap();
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < 200_000, "{report:?}");
    assert_eq!(lab.finish().unwrap(), report, "asked twice, answered alike");
    let usage = lab.to.check(LINODE, EPOCH + 1, &lab.disks).unwrap();
    assert!(usage.allocated < 5 * MIB, "{usage:?}");
    let last = lab.watch.last.lock().unwrap().unwrap();
    assert_eq!(last.total_bytes, 43 * MIB + 4096 + 512);
    assert_eq!(last.done_bytes, last.total_bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_layouts_arrive_equal(
        size in 1_u64..(2 * MIB + 77),
        steps in prop::collection::vec((any::<u64>(), 1_usize..90_000, any::<bool>()), 0..12),
        warm in 0_u32..3,
    ) {
        let lab = Lab::new(&[size]);
        let disk = lab.source_disk(1);
        let mut rng = Rng::new(size);
        let half = steps.len() / 2;
        for (i, (at, len, zero)) in steps.iter().enumerate() {
            if i == half {
                lab.warm(warm).unwrap();
            }
            let at = at % size;
            let len = (*len as u64).min(size - at) as usize;
            if *zero {
                disk.write_all_at(&vec![0; len], at).unwrap();
            } else {
                rng.write(&disk, at, len);
            }
        }
        lab.seal();
        let report = lab.finish().unwrap();
        lab.assert_equal(&report);
    }
}

#[test]
fn what_compresses_is_compressed_on_a_slow_link() {
    let text: Vec<u8> = (0..)
        .map(|i: u32| b"the same line "[i as usize % 14])
        .take(12_000_000)
        .collect();
    let slow = Lab::new(&[16 * MIB]);
    slow.source_disk(1).write_all_at(&text, 0).unwrap();
    slow.source_cap.set(Some(5));
    let sent = slow.warm(1).unwrap().sent_bytes;
    assert!(sent < 5_000_000, "{sent}");
    slow.seal();
    let report = slow.finish().unwrap();
    slow.assert_equal(&report);
}

/// Passes bytes on both ways, and cuts a connection when it has carried as many as the next limit says.
struct Proxy {
    address: String,
    cuts: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: String, limits: Vec<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cuts, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let limits = Arc::new(Mutex::new(limits));
        let (count, ended) = (cuts.clone(), stop.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else {
                    continue;
                };
                let limit = limits.lock().unwrap().pop();
                let count = count.clone();
                let (c2, s2) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pump(c2, s2, None));
                std::thread::spawn(move || {
                    if pump(server, client, limit) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            address,
            cuts,
            stop,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, limit: Option<u64>) -> bool {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut buf = vec![0; 32 * 1024];
    let cut = loop {
        let Ok(n) = from.read(&mut buf) else {
            break false;
        };
        if n == 0 {
            break false;
        }
        if n as u64 >= left {
            let _ = to.write_all(&buf[..left as usize]);
            break true;
        }
        left -= n as u64;
        if to.write_all(&buf[..n]).is_err() {
            break false;
        }
    };
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
    cut
}

#[test]
fn a_line_cut_at_random_points_is_taken_up_again() {
    let mut lab = Lab::new(&[96 * MIB]);
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(5);
    rng.write(&disk, MIB, 60 << 20);
    let limits = (0..12).map(|_| 2000 + rng.below(6 * MIB)).collect();
    let proxy = Proxy::start(lab.peer.address.clone(), limits);
    lab.peer.address = proxy.address.clone();
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    // One cut ends its attempt, and with it the other connections.
    assert!(proxy.cuts.load(Ordering::SeqCst) >= 3);
    // What arrived whole before a cut was not sent again: at most one segment a connection and cut.
    assert!(report.sent_bytes < 60 * MIB * 3, "{report:?}");
}

#[test]
fn a_source_that_went_away_is_given_up_and_then_resumed() {
    let mut lab = Lab::new(&[64 * MIB]);
    Rng::new(6).write(&lab.source_disk(1), 0, 48 << 20);
    lab.cap.set(Some(40));
    let report = std::thread::scope(|scope| {
        let cut = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700));
            lab.server.close(LINODE, MIGRATION).unwrap();
            lab.source.open.store(false, Ordering::SeqCst);
            lab.server.close(LINODE, MIGRATION).unwrap();
        });
        let report = lab.warm(1);
        cut.join().unwrap();
        report
    });
    assert_eq!(fault(report), Fault::Refused);
    lab.source.open.store(true, Ordering::SeqCst);
    lab.cap.set(None);
    lab.seal();
    let again = lab.finish().unwrap();
    assert!(again.sent_bytes < 40 * MIB, "{again:?}");
    lab.assert_equal(&again);
    // And nobody there at all: a clear word, within reason.
    lab.peer.address = "127.0.0.1:1".into();
    let start = Instant::now();
    lab.to.activate(LINODE, MIGRATION, EPOCH + 1).unwrap();
    lab.to.reserve(LINODE, MIGRATION, &lab.disks, None).unwrap();
    assert_eq!(fault(lab.warm(1)), Fault::Unreachable);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn strangers_and_wrong_moments_are_refused() {
    let mut lab = Lab::new(&[MIB]);
    Rng::new(2).write(&lab.source_disk(1), 0, 5000);
    assert_eq!(fault(lab.finish()), Fault::NotSealed);
    lab.source.sealed.store(EPOCH - 1, Ordering::SeqCst);
    assert_eq!(fault(lab.finish()), Fault::NotSealed);
    lab.seal();
    assert_eq!(fault(lab.fetch().finish(EPOCH + 1)), Fault::NotSealed);

    let token = std::mem::replace(&mut lab.peer.token, "another token".into());
    assert_eq!(fault(lab.finish()), Fault::Refused);
    lab.peer.token = String::new();
    assert_eq!(fault(lab.finish()), Fault::Refused);
    lab.peer.token = token;

    let right = std::mem::replace(&mut lab.peer.fingerprint, "0".repeat(64));
    assert_eq!(fault(lab.finish()), Fault::Refused);
    lab.peer.fingerprint = String::new();
    assert_eq!(fault(lab.finish()), Fault::Refused);
    lab.peer.fingerprint = right;

    // The right token in another agent's hands.
    let state = tempfile::tempdir().unwrap();
    let thief = xenbeta::agent::transfer::Identity::load_or_create(state.path()).unwrap();
    let own = std::mem::replace(&mut lab.identity, thief);
    assert_eq!(fault(lab.finish()), Fault::Refused);
    lab.identity = own;

    let mut other = lab.fetch();
    other.migration = MigrationId(99);
    lab.to
        .reserve(LINODE, MigrationId(99), &lab.disks, None)
        .unwrap();
    assert_eq!(fault(other.finish(EPOCH)), Fault::Refused);

    let disks = vec![spec(1, MIB), spec(2, MIB)];
    lab.to.reserve(LINODE, MIGRATION, &disks, None).unwrap();
    let mut more = lab.fetch();
    more.disks = &disks;
    assert_eq!(fault(more.finish(EPOCH)), Fault::Refused);

    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
    assert!(lab.source.reported.lock().unwrap().is_empty());
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
}

#[test]
fn a_plain_or_silent_client_gets_nothing_and_harms_nothing() {
    let lab = Lab::new(&[MIB]);
    let mut plain = TcpStream::connect(lab.server.local_addr()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    plain
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.len() < 100, "an alert at most");
    let silent: Vec<_> = (0..80)
        .map(|_| TcpStream::connect(lab.server.local_addr()).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    drop(silent);
    std::thread::sleep(Duration::from_millis(300));
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
}

/// Sixty-four strangers that sent a byte now and then had every place, and moves failed.
#[test]
fn strangers_that_trickle_do_not_stop_a_move() {
    let lab = Lab::new(&[MIB]);
    Rng::new(7).write(&lab.source_disk(1), 0, 500_000);
    let begun = Instant::now();
    let mut strangers: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(lab.server.local_addr()).unwrap())
        .collect();
    // The head of a record as long as may be.
    for stranger in &mut strangers {
        let _ = stranger.write_all(&[22, 3, 1, 64, 0]);
    }
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    while !strangers.is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{} are there yet",
            strangers.len()
        );
        std::thread::sleep(Duration::from_secs(1));
        strangers.retain_mut(|stranger| {
            let sent = stranger.write_all(&[1]).is_ok();
            stranger.set_nonblocking(true).unwrap();
            let there = stranger.read(&mut [0; 16]);
            sent && there.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
        });
    }
}

#[test]
fn nothing_is_told_or_published_while_the_portal_does_not_hear_the_source() {
    let lab = Lab::new(&[MIB]);
    lab.seal();
    lab.source.portal_up.store(false, Ordering::SeqCst);
    assert_eq!(fault(lab.finish()), Fault::Unreachable);
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
    lab.source.portal_up.store(true, Ordering::SeqCst);
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
}

#[test]
fn the_cap_holds_and_changes_while_it_runs() {
    for source_side in [false, true] {
        let lab = Lab::new(&[32 * MIB]);
        Rng::new(3).write(&lab.source_disk(1), 0, 20_000_000);
        let cap = if source_side {
            &lab.source_cap
        } else {
            &lab.cap
        };
        cap.set(Some(2));
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(1));
                let sent = lab.watch.last.lock().unwrap().unwrap().sent_bytes;
                assert!(sent < 6_000_000, "{sent} in the first second at 2 MB/s");
                assert!(sent > 400_000, "{sent} in the first second at 2 MB/s");
                cap.set(None);
            });
            lab.warm(1).unwrap();
        });
        let took = start.elapsed();
        assert!(took > Duration::from_secs(1), "{took:?}");
        assert!(
            took < Duration::from_secs(6),
            "20 MB at 2 MB/s were not let go: {took:?}"
        );
        assert!(lab.watch.reports.load(Ordering::SeqCst) >= 3);
    }
}

#[test]
fn a_cancel_ends_it_at_once_and_keeps_what_was_copied() {
    let lab = Lab::new(&[64 * MIB]);
    Rng::new(3).write(&lab.source_disk(1), 0, 60_000_000);
    lab.cap.set(Some(30));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| lab.warm(1));
        std::thread::sleep(Duration::from_secs(1));
        let asked = Instant::now();
        lab.watch.cancel.store(true, Ordering::SeqCst);
        assert_eq!(fault(job.join().unwrap()), Fault::Cancelled);
        assert!(
            asked.elapsed() < Duration::from_secs(4),
            "{:?}",
            asked.elapsed()
        );
    });
    lab.watch.cancel.store(false, Ordering::SeqCst);
    lab.cap.set(None);
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < 50_000_000, "{report:?}");
}

/// All that was said.
#[derive(Default)]
struct Said(Mutex<Vec<Progress>>);

impl Watch for Said {
    fn progress(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
    fn cancelled(&self) -> bool {
        false
    }
}

#[test]
fn what_is_left_to_send_comes_to_nothing_and_holes_are_not_sent() {
    let lab = Lab::new(&[256 * MIB]);
    Rng::new(3).write(&lab.source_disk(1), 0, 40 << 20);
    let said = Said::default();
    lab.cap.set(Some(30));
    let watch = Fetch {
        watch: &said,
        ..lab.fetch()
    };
    watch.warm(1).unwrap();
    let said = said.0.into_inner().unwrap();
    assert!(said.len() >= 4, "{said:?}");
    for progress in &said {
        let rest = progress.total_bytes - progress.done_bytes;
        assert!(progress.left_bytes.unwrap() <= rest, "{progress:?}");
    }
    let last = said.last().unwrap();
    assert_eq!((last.left_bytes, last.checked_bytes), (Some(0), None));
}

/// Cuts a pass short at the destination's n-th touch of a disk.
#[derive(Default)]
struct CutAt {
    touches: AtomicU64,
    at: AtomicU64,
    cut: Mutex<Option<Instant>>,
    read: AtomicU64,
}

impl CutAt {
    fn touched(&self) {
        if self.touches.fetch_add(1, Ordering::SeqCst) + 1 == self.at.load(Ordering::SeqCst) {
            *self.cut.lock().unwrap() = Some(Instant::now());
            // Until the watcher has seen it: this very touch is where the pass ends.
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    /// From now on, at its `at`-th touch; 0: never. Gives what was touched and read before.
    fn begin(&self, at: u64) -> (u64, u64) {
        self.at.store(at, Ordering::SeqCst);
        *self.cut.lock().unwrap() = None;
        let touches = self.touches.swap(0, Ordering::SeqCst);
        (touches, self.read.swap(0, Ordering::SeqCst))
    }
}

impl Faults for CutAt {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> io::Result<()> {
        self.touched();
        image.write_at(buf, at)
    }
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.touched();
        self.read.fetch_add(buf.len() as u64, Ordering::SeqCst);
        image.read_uncached(buf, at)
    }
    fn sync(&self, image: &dyn Image) -> io::Result<()> {
        self.touched();
        image.sync()
    }
}

impl Watch for CutAt {
    fn progress(&self, _progress: Progress) {}
    fn cancelled(&self) -> bool {
        self.cut.lock().unwrap().is_some()
    }
}

/// A pass over what changed, cut short at a touch, and then the final copy. Gives the touches of the pass, and what the final
/// copy read at the destination.
fn final_after_a_cut(lab: &Lab, cut: &CutAt, at: u64) -> (u64, u64) {
    let disk = lab.source_disk(1);
    Rng::new(3).write(&disk, 0, 20 << 20);
    cut.begin(0);
    lab.warm(2).unwrap();
    let mut rng = Rng::new(at + 7);
    for place in 0..40 {
        rng.write(&disk, place * 500_000, 30_000);
    }
    cut.begin(at);
    let pass = Fetch {
        watch: cut,
        ..lab.fetch()
    };
    let done = pass.warm(1);
    if at == 0 {
        done.unwrap();
    } else {
        assert_eq!(fault(done), Fault::Cancelled, "at touch {at}");
        let took = cut.cut.lock().unwrap().unwrap().elapsed();
        assert!(took < Duration::from_secs(1), "at touch {at}: {took:?}");
    }
    // What it wrote until it was shut down.
    rng.write(&disk, 9_000, 10);
    lab.seal();
    let (touches, _) = cut.begin(0);
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    (touches, cut.begin(0).1)
}

/// What a stop at a chosen time does to a pass that is at work then.
fn a_pass_is_cut_short_anywhere(lab: impl Fn(Arc<CutAt>) -> Option<Lab>, most_read: u64) {
    let run = |at| {
        let cut = Arc::new(CutAt::default());
        let lab = lab(Arc::clone(&cut))?;
        Some(final_after_a_cut(&lab, &cut, at))
    };
    let Some((touches, _)) = run(0) else {
        return;
    };
    assert!(touches > 20, "{touches}");
    for place in 0..12 {
        // What several threads do first is never quite the same.
        let at = 1 + place * (touches - 4) / 12;
        let (_, read) = run(at).unwrap();
        assert!(read <= most_read, "cut at {at}: {read} bytes read");
    }
}

#[test]
fn a_pass_cut_short_anywhere_is_finished_by_the_final_copy() {
    let size = 24 * MIB;
    // It reads the whole copy, as always where the source cannot tell what changed, and what it writes again; not twice.
    a_pass_is_cut_short_anywhere(
        |cut| Some(Lab::wrapped(&[size], |store| Faulty::wrap(store, cut))),
        size + 3 * MIB,
    );
}

#[test]
fn a_pass_cut_short_costs_no_reading_where_the_store_can_tell_what_changed() {
    let mounts = Mutex::new(Vec::new());
    let lab = |cut: Arc<CutAt>| {
        let dir = tempfile::tempdir().unwrap();
        let mount = super::mover::Mount::xfs(dir.path(), 512 * MIB)?;
        let (a, b) = (mount.at.join("a"), mount.at.join("b"));
        std::fs::create_dir_all(&a).unwrap();
        std::fs::create_dir_all(&b).unwrap();
        mounts.lock().unwrap().push(mount);
        let store = |store| store;
        Some(Lab::on(dir, &a, &b, &[24 * MIB], store, |store| {
            Faulty::wrap(store, cut)
        }))
    };
    a_pass_is_cut_short_anywhere(lab, 4 * MIB);
}

/// Spoils what was written, once a chunk: flips a bit, or cuts the write short.
struct Spoil {
    left: AtomicU64,
    spoilt: Mutex<HashSet<u64>>,
    always: bool,
}

impl Faults for Spoil {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> io::Result<()> {
        image.write_at(buf, at)?;
        for (i, piece) in buf.chunks(16 * 1024).enumerate() {
            let start = at + i as u64 * 16 * 1024;
            let fresh = self.spoilt.lock().unwrap().insert(start);
            let some = |left: u64| left.checked_sub(1);
            if (fresh || self.always)
                && self
                    .left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, some)
                    .is_ok()
            {
                let mut bad = piece.to_vec();
                let middle = bad.len() / 2;
                if (start / 16384).is_multiple_of(2) {
                    bad[middle] ^= 1 << (start / 32768 % 8);
                } else {
                    bad[middle..].fill(0);
                }
                image.write_at(&bad, start)?;
                image.sync()?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_thousand_spoilt_chunks_are_all_caught() {
    let spoil = Arc::new(Spoil {
        left: AtomicU64::new(1000),
        spoilt: Mutex::default(),
        always: false,
    });
    let faults = spoil.clone();
    let lab = Lab::wrapped(&[32 * MIB], |store| Faulty::wrap(store, faults));
    Rng::new(9).write(&lab.source_disk(1), 0, 24 << 20);
    lab.seal();
    let report = lab.finish().unwrap();
    assert_eq!(
        spoil.left.load(Ordering::SeqCst),
        0,
        "all thousand were spoilt"
    );
    lab.assert_equal(&report);
    assert!(
        report.sent_bytes >= (24 << 20) + 1000 * 16 * 1024,
        "each was fetched again: {report:?}"
    );
}

#[test]
fn a_disk_that_never_keeps_what_it_is_given_is_never_published() {
    let spoil = Arc::new(Spoil {
        left: AtomicU64::new(u64::MAX),
        spoilt: Mutex::default(),
        always: true,
    });
    let lab = Lab::wrapped(&[4 * MIB], |store| Faulty::wrap(store, spoil));
    Rng::new(9).write(&lab.source_disk(1), 0, 100_000);
    lab.seal();
    assert_eq!(fault(lab.finish()), Fault::Corrupt);
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
    assert!(!lab.to.path(LINODE, EPOCH + 1, lab.disks[0].id).exists());
}

/// Past the cache, or not: as the destination's store has it.
struct Cached(bool);

impl Faults for Cached {
    fn passes_cache(&self, _: &dyn Image) -> bool {
        !self.0
    }
}

#[test]
fn a_copy_read_back_through_the_cache_says_so() {
    for cached in [false, true] {
        let lab = Lab::wrapped(&[2 * MIB, MIB], |store| {
            Faulty::wrap(store, Arc::new(Cached(cached)))
        });
        Rng::new(4).write(&lab.source_disk(1), 0, 1 << 20);
        lab.seal();
        let report = lab.finish().unwrap();
        lab.assert_equal(&report);
        assert_eq!(report.uncached, Some(!cached));
        let published = lab.to.published(LINODE, MIGRATION).unwrap().unwrap();
        assert_eq!(
            published.1.uncached, report.uncached,
            "also when asked again"
        );
    }
    // And where the kernel refuses.
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = super::mover::Mount::ramfs(dir.path()) else {
        return;
    };
    let (a, b) = (dir.path().join("a"), mount.at.join("b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    let disks = vec![spec(1, 2 * MIB + 5)];
    super::mover::make_generation(&a, LINODE, EPOCH, &disks);
    let from = Arc::new(FileStore::open(&a).unwrap());
    let ground = super::ground::FakeGround::new(1 << 30);
    let to: Arc<dyn DiskStore> = Arc::new(FileStore::on(&b, None, ground).unwrap());
    let lab = Lab::between(dir, disks, from, to);
    Rng::new(4).write(&lab.source_disk(1), 5, 1 << 20);
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert_eq!(report.uncached, Some(false));
    drop(lab);
    drop(mount);
}

/// Fails one kind of call after so many.
struct Fail {
    kind: &'static str,
    after: AtomicU64,
    error: i32,
}

impl Fail {
    fn at(&self, kind: &str) -> io::Result<()> {
        let some = |left: u64| left.checked_sub(1);
        if kind == self.kind
            && self
                .after
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, some)
                .is_err()
        {
            return Err(io::Error::from_raw_os_error(self.error));
        }
        Ok(())
    }
}

impl Faults for Fail {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> io::Result<()> {
        self.at("write").and_then(|()| image.write_at(buf, at))
    }
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.at("read back")
            .and_then(|()| image.read_uncached(buf, at))
    }
    fn read(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.at("read").and_then(|()| image.read_at(buf, at))
    }
    fn sync(&self, image: &dyn Image) -> io::Result<()> {
        self.at("sync").and_then(|()| image.sync())
    }
}

#[test]
fn errors_of_the_devices_end_the_copy_with_clear_words() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    let cases = [
        ("write", ENOSPC, Fault::NoSpace),
        ("write", EIO, Fault::Disk),
        ("read back", EIO, Fault::Disk),
        ("sync", EIO, Fault::Disk),
    ];
    for (kind, error, expected) in cases {
        let fail = Arc::new(Fail {
            kind,
            after: AtomicU64::new(1),
            error,
        });
        let faults = fail.clone();
        let lab = Lab::wrapped(&[8 * MIB], |store| Faulty::wrap(store, faults));
        Rng::new(4).write(&lab.source_disk(1), 0, 6 << 20);
        lab.seal();
        assert_eq!(fault(lab.finish()), expected, "{kind}");
        assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
        // Mended, it goes on.
        fail.after.store(u64::MAX, Ordering::SeqCst);
        let report = lab.finish().unwrap();
        lab.assert_equal(&report);
    }
}

#[test]
fn an_error_of_the_sources_disk_is_told_and_nothing_is_published() {
    let fail = Arc::new(Fail {
        kind: "read",
        after: AtomicU64::new(2),
        error: 5,
    });
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    let faults = fail.clone();
    let lab = Lab::on(
        dir,
        &a,
        &b,
        &[8 * MIB],
        |store| Faulty::wrap(store, faults),
        |store| store,
    );
    Rng::new(4).write(&lab.source_disk(1), 0, 6 << 20);
    lab.seal();
    assert_eq!(fault(lab.finish()), Fault::Disk);
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
    // A source's image cut short is an error too, not a shorter copy.
    fail.after.store(u64::MAX, Ordering::SeqCst);
    lab.server.close(LINODE, MIGRATION).unwrap();
    lab.from.unseal(LINODE, EPOCH).unwrap();
    lab.source_disk(1).set_len(8 * MIB - 1).unwrap();
    assert_eq!(fault(lab.finish()), Fault::Disk);
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
}

#[test]
fn a_copy_published_for_an_earlier_seal_is_made_again() {
    let lab = Lab::new(&[2 * MIB]);
    let disk = lab.source_disk(1);
    Rng::new(1).write(&disk, 0, 300_000);
    lab.seal();
    lab.finish().unwrap();
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_some());
    // The migration is taken up again: the published copy is a copy in the making again, with all it holds.
    lab.to.reserve(LINODE, MIGRATION, &lab.disks, None).unwrap();
    assert!(lab.to.published(LINODE, MIGRATION).unwrap().is_none());
    lab.server.close(LINODE, MIGRATION).unwrap();
    Rng::new(2).write(&disk, MIB, 10_000);
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < 50_000, "{report:?}");
}

#[test]
fn the_way_back_starts_from_the_old_disks() {
    let lab = Lab::new(&[32 * MIB]);
    Rng::new(8).write(&lab.source_disk(1), 0, 20 << 20);
    // The destination still has them under an older epoch.
    let old = lab.to.path(LINODE, 2, lab.disks[0].id);
    std::fs::create_dir_all(old.parent().unwrap()).unwrap();
    std::fs::copy(lab.from.path(LINODE, EPOCH, lab.disks[0].id), &old).unwrap();
    lab.to.release(LINODE, MIGRATION).unwrap();
    lab.to
        .reserve(LINODE, MIGRATION, &lab.disks, Some(unpaced(2)))
        .unwrap();
    Rng::new(10).write(&lab.source_disk(1), 5 * MIB, 40_000);
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    assert!(report.sent_bytes < 100_000, "{report:?}");
    assert!(old.exists(), "the old generation is still there");
}

/// Counts what is read through the page cache: the source's reads.
#[derive(Default)]
struct Count(AtomicU64);

impl Faults for Count {
    fn read(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.0.fetch_add(buf.len() as u64, Ordering::SeqCst);
        image.read_at(buf, at)
    }
}

#[test]
fn where_the_store_can_tell_only_what_changed_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = super::mover::Mount::xfs(dir.path(), 512 * MIB) else {
        return;
    };
    let (a, b) = (mount.at.join("a"), mount.at.join("b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    let count = Arc::new(Count::default());
    let faults = count.clone();
    let lab = Lab::on(
        dir,
        &a,
        &b,
        &[64 * MIB, MIB],
        |store| Faulty::wrap(store, faults),
        |store| store,
    );
    assert!(lab.from.tells_changes());
    let disk = lab.source_disk(1);
    let mut rng = Rng::new(11);
    rng.write(&disk, 0, 30 << 20);
    let warm = lab.warm(3).unwrap();
    assert!(warm.passes >= 2);
    assert!(
        count.0.swap(0, Ordering::SeqCst) < 31 * MIB,
        "a pass over nothing changed reads nothing"
    );
    // Ten rounds of scattered writes, some to what a clone holds, some to holes, some punched out again.
    for _ in 0..10 {
        for _ in 0..5 {
            let at = dice_at(&mut rng);
            rng.write(&disk, at, 4096);
        }
        punch(&disk, dice_at(&mut rng), 100_000);
        lab.warm(1).unwrap();
    }
    rng.write(&disk, 9_000, 10);
    lab.seal();
    count.0.store(0, Ordering::SeqCst);
    let report = lab.finish().unwrap();
    let read = count.0.load(Ordering::SeqCst);
    lab.assert_equal(&report);
    // Each warm() began anew here; the last one's clone is what the sealed disk is compared with.
    assert!(read <= 64 * 1024, "{read} bytes read for ten changed");
    assert!(
        a.join(format!("linodes/{LINODE}/m{MIGRATION}.source/1.table"))
            .exists()
    );
    lab.server.close(LINODE, MIGRATION).unwrap();
    assert!(
        !a.join(format!("linodes/{LINODE}/m{MIGRATION}.source"))
            .exists()
    );
    drop(lab);
    drop(mount);
}

fn dice_at(rng: &mut Rng) -> u64 {
    rng.below(60 * MIB)
}

fn punch(disk: &std::fs::File, at: u64, len: u64) {
    use rustix::fs::{FallocateFlags, fallocate};
    fallocate(
        disk,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        at,
        len,
    )
    .unwrap();
}

#[test]
fn room_that_was_promised_stays_free_while_others_fill_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = super::mover::Mount::tmpfs(dir.path(), 96 * MIB) else {
        return;
    };
    let (a, b) = (dir.path().join("a"), mount.at.join("b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    let lab = Lab::on(dir, &a, &b, &[64 * MIB], |store| store, |store| store);
    Rng::new(12).write(&lab.source_disk(1), 0, 64 << 20);
    // Somebody else fills what is left.
    let mut filler = std::fs::File::create(mount.at.join("filler")).unwrap();
    while filler.write_all(&vec![7; 1 << 20]).is_ok() {}
    lab.seal();
    let report = lab.finish().unwrap();
    lab.assert_equal(&report);
    // And a second Linode is told at once that it does not fit.
    let error = lab
        .to
        .preflight(
            super::mover::LINODE,
            super::mover::MIGRATION,
            &[spec(9, 64 * MIB)],
        )
        .unwrap_err();
    assert_eq!(error.fault, xenbeta::agent::disk::DiskFault::NoSpace);
    let again = lab
        .to
        .reserve(LINODE, MigrationId(50), &[spec(9, 64 * MIB)], None);
    assert_eq!(
        again.unwrap_err().fault,
        xenbeta::agent::disk::DiskFault::NoSpace
    );
    drop(lab);
    drop(mount);
}
