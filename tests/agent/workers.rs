//! A step that panics and an order that cannot be written down: each is answered for, comes again later and not at once, and
//! holds up nobody else. The daemon in this process, on the world in memory.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xenbeta::agent::client::{Client, Credential};
use xenbeta::agent::daemon::Daemon;
use xenbeta::agent::host::Host;
use xenbeta::agent::ledger::Ledger;
use xenbeta::agent::transfer::Identity;
use xenbeta::domain::ids::{DiskId, JobId, LinodeId};
use xenbeta::wire::{Outcome, Report, Task};

use super::agents::eventually;
use super::fakes::{FakeDisks, FakeDriver, Shared};
use super::mover::{MIB, Mount};
use super::portal::Portal;
use super::samples;

const WHO: &str = "credential";
const ONE: LinodeId = LinodeId(4);
const TWO: LinodeId = LinodeId(5);

struct Rig {
    world: Shared,
    portal: Portal,
    daemon: Arc<Daemon>,
    polling: Option<std::thread::JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// Owns [`ONE`] and [`TWO`], with its ledger in this folder.
    fn new(ledger: &std::path::Path) -> Self {
        let (world, portal, dir) = (
            Shared::default(),
            Portal::start(),
            tempfile::tempdir().unwrap(),
        );
        for linode in [ONE, TWO] {
            world
                .lock()
                .unwrap()
                .generations
                .insert((0, linode, 1), false);
        }
        let host = Host::new(
            Ledger::open(ledger).unwrap(),
            Box::new(FakeDriver(0, Arc::clone(&world))),
            Arc::new(FakeDisks(0, Arc::clone(&world))),
            Arc::new(Identity::load_or_create(dir.path()).unwrap()),
        );
        let client = Client::new(&portal.url(), None, Some(Credential::new(WHO))).unwrap();
        let daemon = Daemon::new(Arc::new(host), client, 4, None);
        let polling = std::thread::spawn({
            let daemon = Arc::clone(&daemon);
            move || daemon.run()
        });
        let rig = Self {
            world,
            portal,
            daemon,
            polling: Some(polling),
            _dir: dir,
        };
        for linode in [ONE, TWO] {
            let adopt = Task::Adopt {
                epoch: 1,
                guest: samples::guest(linode),
                boot: None,
            };
            assert_eq!(
                rig.done(rig.give(linode, adopt)),
                Report::Adopted { running: false }
            );
        }
        rig
    }

    fn give(&self, linode: LinodeId, task: Task) -> JobId {
        self.portal.give(WHO, linode, task)
    }

    fn boot(&self, linode: LinodeId) -> JobId {
        let boot = Task::Boot {
            epoch: 1,
            guest: samples::guest(linode),
            boot: samples::boot(DiskId(linode.0 * 10)),
        };
        self.give(linode, boot)
    }

    #[track_caller]
    fn done(&self, job: JobId) -> Report {
        match self.portal.outcome(job) {
            Outcome::Succeeded { report } => report,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn failed(&self, job: JobId) -> String {
        match self.portal.outcome(job) {
            Outcome::Failed {
                retry: true,
                public,
                detail,
                ..
            } => {
                assert!(!public.is_empty() && !public.contains('/'), "{public}");
                detail
            }
            other => panic!("{other:?}"),
        }
    }

    fn told(&self, job: JobId) -> usize {
        let state = self.portal.state.0.lock().unwrap();
        state.finishes.iter().filter(|(of, _)| *of == job).count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.daemon.stop();
        // An open poll is not waited for.
        self.portal
            .give(WHO, LinodeId(99), Task::Purge { epoch: 1 });
        let _ = self.polling.take().unwrap().join();
    }
}

/// What is over is taken out of the ledger when the portal has heard of it, a moment later.
#[track_caller]
fn none_held(ledger: &std::path::Path) {
    eventually("nothing is held that is over", || {
        let names = fs::read_dir(ledger).unwrap().flatten();
        let mut jobs = names.map(|it| it.file_name().into_string().unwrap());
        !jobs.any(|name| name.starts_with("job-"))
    });
}

#[test]
fn a_step_that_panics_is_a_failure_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path());
    rig.world.lock().unwrap().panics = Some(ONE);
    // As many as there are slots, and once more: none of them is lost with its worker.
    for _ in 0..5 {
        let detail = rig.failed(rig.boot(ONE));
        assert!(
            detail.contains("panicked") && detail.contains("a bug of the driver"),
            "{detail}"
        );
    }
    rig.done(rig.boot(TWO));
    none_held(dir.path());
    // The Linode's lock was given back: mended, it starts.
    rig.world.lock().unwrap().panics = None;
    rig.done(rig.boot(ONE));
    assert_eq!(rig.world.lock().unwrap().running.len(), 2);
}

#[test]
fn an_order_that_cannot_be_written_down_is_answered_and_not_asked_for_in_a_loop() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path());
    // A folder is where the next job's record should be.
    let in_the_way = dir.path().join("job-3.json/here");
    fs::create_dir_all(&in_the_way).unwrap();
    let job = rig.boot(ONE);
    assert_eq!(job, JobId(3));
    assert!(rig.failed(job).contains("cannot be written down"));
    rig.done(rig.boot(TWO));

    // The portal does not hear of it either, and gives it again and again: ever more slowly.
    let in_the_way = dir.path().join("job-5.json/here");
    fs::create_dir_all(&in_the_way).unwrap();
    rig.portal.mood(|mood| mood.lose_finishes = 1000);
    let begun = Instant::now();
    let job = rig.boot(ONE);
    assert_eq!(job, JobId(5));
    while begun.elapsed() < Duration::from_secs(6) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = rig.told(job);
    assert!((1..=12).contains(&told), "{told} times in six seconds");
    // There is room again, and it is taken.
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    rig.portal.mood(|mood| mood.lose_finishes = 0);
    let taken = rig.portal.wait_for(Duration::from_secs(60), |state| {
        let mut of_it = state.finishes.iter().filter(|(of, _)| *of == job);
        of_it
            .any(|(_, it)| matches!(it.outcome, Outcome::Succeeded { .. }))
            .then_some(())
    });
    assert!(taken.is_some());
    assert_eq!(rig.world.lock().unwrap().running.len(), 2);
}

#[test]
fn a_full_state_folder_starts_nothing_and_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(dir.path(), MIB) else {
        return;
    };
    let ledger = mount.at.join("ledger");
    fs::create_dir(&ledger).unwrap();
    let rig = Rig::new(&ledger);
    none_held(&ledger);
    let filler = mount.at.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    for step in [64 << 10, 4096, 1] {
        while file.write_all(&vec![7; step]).is_ok() {}
    }
    for linode in [ONE, TWO] {
        let detail = rig.failed(rig.boot(linode));
        assert!(detail.contains("No space left"), "{detail}");
    }
    assert!(
        rig.world.lock().unwrap().running.is_empty(),
        "not without a record"
    );
    drop(file);
    fs::remove_file(filler).unwrap();
    for linode in [ONE, TWO] {
        rig.done(rig.boot(linode));
    }
    drop(rig);
    drop(mount);
}
