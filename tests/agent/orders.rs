//! The steps against the world in memory: every order repeated, failed at every call, cut off and carried on by a new
//! run of the agent; and thousands of orders replayed out of their time. Two runners, a start from disks that are not
//! whole and a purge under a guest are noticed by the world, not by the agent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tempfile::TempDir;
use xenbeta::agent::control::JobControl;
use xenbeta::agent::disk::Receipt;
use xenbeta::agent::host::Host;
use xenbeta::agent::inventory;
use xenbeta::agent::ledger::rules::Marks;
use xenbeta::agent::ledger::{Entry, Ledger};
use xenbeta::agent::sampler::Sampler;
use xenbeta::agent::steps;
use xenbeta::agent::transfer::Identity;
use xenbeta::domain::ids::{DiskId, JobId, LinodeId, MigrationId};
use xenbeta::domain::linode::Helper;
use xenbeta::wire::{BootSpec, Order, Outcome, Report, Task};

use crate::fakes::{FakeDisks, FakeDriver, Shared};
use crate::rng::Rng;
use crate::samples;

const LINODE: LinodeId = LinodeId(4);
const MIGRATION: MigrationId = MigrationId(9);

/// Two hosts over one world; their ledgers are real files.
struct Pair {
    world: Shared,
    dirs: [TempDir; 2],
    hosts: [Host; 2],
    identity: Arc<Identity>,
}

fn open(at: usize, world: &Shared, dir: &TempDir, identity: &Arc<Identity>) -> Host {
    Host::new(
        Ledger::open(dir.path()).unwrap(),
        Box::new(FakeDriver(at, Arc::clone(world))),
        Arc::new(FakeDisks(at, Arc::clone(world))),
        Arc::clone(identity),
    )
}

/// The ledger's fsyncs are real; on memory-backed files ten thousands of them are quick.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl Pair {
    /// The Linode lives on host 0 under epoch 1, not running.
    fn new() -> Self {
        let world = Shared::default();
        world
            .lock()
            .unwrap()
            .generations
            .insert((0, LINODE, 1), false);
        let dirs = [quick_dir(), quick_dir()];
        let identity = Arc::new(Identity::load_or_create(dirs[0].path()).unwrap());
        let hosts = [0, 1].map(|at| open(at, &world, &dirs[at], &identity));
        let pair = Self {
            world,
            dirs,
            hosts,
            identity,
        };
        let adopt = Task::Adopt {
            epoch: 1,
            guest: samples::guest(LINODE),
            boot: None,
        };
        assert!(succeeded(&pair.run(0, adopt)));
        pair
    }

    fn run(&self, at: usize, task: Task) -> Outcome {
        let order = Order {
            job: JobId(1),
            attempt: 1,
            lease_token: "t".into(),
            linode: LINODE,
            task,
        };
        steps::run(&self.hosts[at], &JobControl::default(), &order).unwrap()
    }

    /// The agent of a host ends and starts again, with nothing but its ledger.
    fn restart(&mut self, at: usize) {
        self.hosts[at] = open(at, &self.world, &self.dirs[at], &self.identity);
    }

    /// What a final copy leaves behind.
    fn publish(&self, at: usize, epoch: i64) {
        let receipt = Receipt {
            migration: MIGRATION,
            sealed: epoch - 1,
            digests: vec![],
            sent_bytes: 0,
            seconds: 0.0,
            uncached: None,
        };
        self.hosts[at]
            .disks
            .publish(LINODE, epoch, &[], &receipt)
            .unwrap();
    }

    fn marks(&self, at: usize) -> Marks {
        self.hosts[at].ledger.entry(LINODE).unwrap().marks
    }

    fn runners(&self) -> usize {
        self.world.lock().unwrap().running.len()
    }

    #[track_caller]
    fn no_violation(&self) {
        let world = self.world.lock().unwrap();
        assert_eq!(world.violations, Vec::<String>::new());
        assert!(world.running.len() <= 1);
    }
}

fn boot_spec() -> BootSpec {
    samples::boot(DiskId(40))
}

fn boot(epoch: i64) -> Task {
    Task::Boot {
        epoch,
        guest: samples::guest(LINODE),
        boot: boot_spec(),
    }
}

/// Of another move than the one that brought it.
fn seal(epoch: i64) -> Task {
    seal_of(MigrationId(10), epoch)
}

fn seal_of(migration: MigrationId, epoch: i64) -> Task {
    Task::StopSeal {
        migration,
        epoch,
        stop_limit_s: 0,
    }
}

fn start(epoch: i64, migration: Option<MigrationId>) -> Task {
    Task::Start {
        epoch,
        guest: samples::guest(LINODE),
        boot: Some(boot_spec()),
        migration,
        watch_s: 0,
    }
}

fn succeeded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded { .. })
}

#[track_caller]
fn refused(outcome: &Outcome) {
    assert!(
        matches!(outcome, Outcome::Failed { retry: false, .. }),
        "{outcome:?}"
    );
}

#[test]
fn a_whole_move_and_nothing_of_the_old_epoch_acts_afterwards() {
    let pair = Pair::new();
    assert!(succeeded(&pair.run(0, boot(1))));
    let Outcome::Succeeded {
        report: Report::Sealed {
            was_running, epoch, ..
        },
    } = pair.run(0, seal(1))
    else {
        panic!("not sealed")
    };
    assert!(was_running && epoch == 1);
    pair.publish(1, 2);
    assert!(succeeded(&pair.run(1, start(2, Some(MIGRATION)))));
    assert_eq!(
        pair.world.lock().unwrap().running.keys().next(),
        Some(&(1, LINODE))
    );
    for late in [boot(1), start(1, None), boot(2)] {
        refused(&pair.run(0, late));
    }
    refused(&pair.run(1, seal(1)));
    let release = Task::Release {
        migration: MIGRATION,
        epoch: 2,
    };
    refused(&pair.run(1, release));
    refused(&pair.run(1, Task::Purge { epoch: 2 }));
    assert!(succeeded(&pair.run(0, Task::Purge { epoch: 1 })));
    assert!(succeeded(&pair.run(0, Task::Purge { epoch: 1 })));
    assert!(
        !pair
            .world
            .lock()
            .unwrap()
            .generations
            .contains_key(&(0, LINODE, 1))
    );
    pair.no_violation();
}

#[test]
fn purge_is_refused_before_the_seal_and_release_before_the_grant_is_not() {
    let pair = Pair::new();
    refused(&pair.run(0, Task::Purge { epoch: 1 }));
    refused(&pair.run(0, Task::Purge { epoch: 2 }));
    pair.publish(1, 2);
    let release = Task::Release {
        migration: MIGRATION,
        epoch: 2,
    };
    assert!(succeeded(&pair.run(1, release)));
    refused(&pair.run(1, start(2, Some(MIGRATION))));
    assert_eq!(pair.marks(1), Marks::default());
}

#[test]
fn a_seal_that_overtakes_the_start_wins() {
    let pair = Pair::new();
    pair.run(0, seal(1));
    pair.publish(1, 2);
    assert!(succeeded(&pair.run(1, seal(2))));
    refused(&pair.run(1, start(2, Some(MIGRATION))));
    assert!(succeeded(&pair.run(0, start(3, None))));
    assert_eq!(pair.runners(), 1);
    pair.no_violation();
}

#[test]
fn a_guest_that_dies_is_sealed_and_may_be_owned_again_without_a_boot() {
    let pair = Pair::new();
    pair.run(0, seal(1));
    pair.publish(1, 2);
    pair.world.lock().unwrap().dies = true;
    let outcome = pair.run(1, start(2, Some(MIGRATION)));
    let Outcome::Succeeded {
        report:
            Report::StartFailedSealed {
                epoch: 2,
                console,
                detail,
                ..
            },
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(!detail.is_empty(), "staff read why");
    assert_eq!(console, "Kernel panic");
    assert_eq!(
        pair.marks(1),
        Marks {
            granted: 2,
            sealed: 2
        }
    );
    // Its word was lost: the step again gives the same answer, and starts nothing.
    let repeated = pair.run(1, start(2, Some(MIGRATION)));
    assert!(
        matches!(
            repeated,
            Outcome::Succeeded {
                report: Report::StartFailedSealed { epoch: 2, .. }
            }
        ),
        "{repeated:?}"
    );
    let again = pair.run(0, start(3, None));
    assert!(
        matches!(
            again,
            Outcome::Succeeded {
                report: Report::StartFailedSealed { epoch: 3, .. }
            }
        ),
        "{again:?}"
    );
    refused(&pair.run(0, boot(3)));
    let owned = Task::Start {
        epoch: 4,
        guest: samples::guest(LINODE),
        boot: None,
        migration: None,
        watch_s: 0,
    };
    assert!(succeeded(&pair.run(0, owned)));
    assert_eq!(
        pair.marks(0),
        Marks {
            granted: 4,
            sealed: 3
        }
    );
    pair.world.lock().unwrap().dies = false;
    assert!(succeeded(&pair.run(0, boot(4))));
    pair.no_violation();
}

/// The word of a start was lost, five times or for good, and its migration wants the Linode back at its source: a guest that
/// holds has written, and stays. Only another move stops it.
#[test]
fn a_guest_that_held_is_not_taken_back_by_the_move_that_brought_it() {
    for noted in [true, false] {
        let mut pair = Pair::new();
        pair.run(0, boot(1));
        pair.run(0, seal(1));
        pair.publish(1, 2);
        assert!(succeeded(&pair.run(1, start(2, Some(MIGRATION)))));
        if !noted {
            // It came up, and that could not be written down.
            let mut entry = pair.hosts[1].ledger.entry(LINODE).unwrap();
            entry.stayed_up = None;
            pair.hosts[1].ledger.put(&entry).unwrap();
        }
        pair.restart(1);
        let runs = pair.world.lock().unwrap().runs;
        for _ in 0..2 {
            let outcome = pair.run(1, seal_of(MIGRATION, 2));
            assert_eq!(owned(&outcome), Some((2, 0, Some(2))), "{outcome:?}");
        }
        assert_eq!(pair.world.lock().unwrap().runs, runs);
        assert_eq!(pair.runners(), 1);
        if !noted {
            let noted = pair.hosts[1].ledger.entry(LINODE).unwrap();
            assert_eq!(
                noted.stayed_up,
                Some(2),
                "whoever ends the guest now changes nothing"
            );
        }
        // The start repeated says so, and is noted from then on: the guest may end, and still nothing is taken back.
        let again = pair.run(1, start(2, Some(MIGRATION)));
        assert!(
            matches!(
                again,
                Outcome::Succeeded {
                    report: Report::Started { running: true, .. }
                }
            ),
            "{again:?}"
        );
        pair.world.lock().unwrap().running.clear();
        let outcome = pair.run(1, seal_of(MIGRATION, 2));
        assert_eq!(owned(&outcome), Some((2, 0, Some(2))), "{outcome:?}");
        let off = pair.run(1, start(2, Some(MIGRATION)));
        assert!(
            matches!(
                off,
                Outcome::Succeeded {
                    report: Report::Started { running: false, .. }
                }
            ),
            "{off:?}"
        );
        assert!(
            succeeded(&pair.run(1, seal(2))),
            "its way back is another move"
        );
        // A portal that was put back to before that move wants to take the first one back: its source has old data.
        let forgotten = pair.run(1, seal_of(MIGRATION, 2));
        assert_eq!(owned(&forgotten), Some((2, 2, Some(2))), "{forgotten:?}");
        pair.no_violation();
    }
}

/// One that never came up is taken back, and the promise holds against a start that comes late.
#[test]
fn a_guest_that_never_held_is_taken_back() {
    let pair = Pair::new();
    pair.run(0, seal(1));
    pair.publish(1, 2);
    // The agent accepted and ended before it booted.
    pair.world.lock().unwrap().fail = Some((4, true));
    let cut = pair.run(1, start(2, Some(MIGRATION)));
    pair.world.lock().unwrap().fail = None;
    assert!(!succeeded(&cut) && pair.marks(1).owns(), "{cut:?}");
    assert_eq!(pair.runners(), 0);
    assert!(succeeded(&pair.run(1, seal_of(MIGRATION, 2))));
    refused(&pair.run(1, start(2, Some(MIGRATION))));
    assert!(succeeded(&pair.run(0, start(3, None))));
    // And if the same migration tries again and fails again, under its newer epochs.
    assert!(
        succeeded(&pair.run(0, seal_of(MIGRATION, 3))),
        "its source is not what it brought"
    );
    pair.no_violation();
}

/// A stop that was to end in a seal did not, after the disks were closed: whoever boots the Linode again opens them first.
#[test]
fn a_boot_between_two_tries_of_a_seal_has_disks_it_can_write_to() {
    let calls = 12;
    for at in 1..calls {
        let pair = Pair::new();
        pair.run(0, boot(1));
        pair.world.lock().unwrap().fail = Some((at, false));
        let first = pair.run(0, seal(1));
        pair.world.lock().unwrap().fail = None;
        if succeeded(&first) {
            assert!(at > 3, "it fails at some call");
            return;
        }
        if pair.marks(0).owns() {
            assert!(succeeded(&pair.run(0, boot(1))), "at call {at}");
            assert_eq!(pair.runners(), 1);
        }
        assert!(succeeded(&pair.run(0, seal(1))));
        refused(&pair.run(0, boot(1)));
        pair.no_violation();
    }
    panic!("it still fails at call {calls}");
}

/// The agent was killed in its watch and came back after it; the guest ran meanwhile, or did not, and is gone. It may have
/// written for long: a start that fails then gives nothing up, nor does the move take it back. Only another move stops it.
#[test]
fn a_guest_that_ran_unseen_is_not_given_up() {
    for (away, kept) in [(true, true), (false, false)] {
        let mut pair = Pair::new();
        pair.run(0, seal(1));
        pair.publish(1, 2);
        assert!(succeeded(&pair.run(1, start(2, Some(MIGRATION)))));
        // As the ledger was when the agent was killed, right after the guest's start.
        let mut entry = pair.hosts[1].ledger.entry(LINODE).unwrap();
        entry.stayed_up = None;
        let watch = entry.watch.as_mut().unwrap();
        assert_eq!(watch.epoch, 2);
        if !away {
            watch.until += TimeDelta::hours(1);
        }
        pair.hosts[1].ledger.put(&entry).unwrap();
        pair.world.lock().unwrap().running.clear();
        pair.world.lock().unwrap().dies = true;
        pair.restart(1);
        let again = pair.run(1, start(2, Some(MIGRATION)));
        if kept {
            assert!(
                matches!(&again, Outcome::Failed { retry: false, public, .. } if public.contains("is kept")),
                "{again:?}"
            );
            let outcome = pair.run(1, seal_of(MIGRATION, 2));
            assert_eq!(owned(&outcome), Some((2, 0, Some(2))), "{outcome:?}");
            pair.world.lock().unwrap().dies = false;
            assert!(succeeded(&pair.run(1, boot(2))), "its member may try again");
            assert!(succeeded(&pair.run(1, seal(2))), "or move it back");
        } else {
            assert!(
                matches!(
                    again,
                    Outcome::Succeeded {
                        report: Report::StartFailedSealed { epoch: 2, .. }
                    }
                ),
                "{again:?}"
            );
        }
        pair.no_violation();
    }
}

/// There and back: the disks of the first stay may go although the Linode lives here again, and only they.
#[test]
fn disks_of_an_earlier_stay_are_purged_under_their_own_epoch() {
    let pair = Pair::new();
    pair.run(0, seal(1));
    pair.publish(1, 2);
    pair.run(1, start(2, Some(MIGRATION)));
    pair.run(1, seal(2));
    pair.publish(0, 3);
    assert!(succeeded(&pair.run(0, start(3, Some(MIGRATION)))));
    refused(&pair.run(0, Task::Purge { epoch: 2 }));
    refused(&pair.run(0, Task::Purge { epoch: 3 }));
    for _ in 0..2 {
        assert!(succeeded(&pair.run(0, Task::Purge { epoch: 1 })));
    }
    let world = pair.world.lock().unwrap();
    let left: Vec<_> = world.generations.keys().copied().collect();
    assert_eq!(left, [(0, LINODE, 3), (1, LINODE, 2)]);
    drop(world);
    assert_eq!(pair.runners(), 1);
    pair.no_violation();
}

#[test]
fn a_roll_back_keeps_a_guest_that_was_never_stopped() {
    let pair = Pair::new();
    pair.run(0, boot(1));
    let before = pair.world.lock().unwrap().runs;
    assert!(succeeded(&pair.run(0, start(2, None))));
    assert_eq!(pair.world.lock().unwrap().runs, before);
    refused(&pair.run(0, seal(1)));
    pair.no_violation();
}

#[test]
fn a_reboot_that_could_not_start_leaves_the_guest_running() {
    let pair = Pair::new();
    let reboot = || Task::Reboot {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: boot_spec(),
        stop_limit_s: 0,
    };
    assert!(succeeded(&pair.run(0, boot(1))));
    pair.world.lock().unwrap().unbootable = true;
    refused(&pair.run(0, reboot()));
    assert_eq!(pair.runners(), 1, "a profile that cannot boot");
    pair.world.lock().unwrap().unbootable = false;
    let disks = (0, LINODE, 1);
    let sealed = pair.world.lock().unwrap().generations.remove(&disks);
    assert!(!succeeded(&pair.run(0, reboot())));
    assert_eq!(pair.runners(), 1, "disks that are not whole");
    let mut world = pair.world.lock().unwrap();
    world.generations.insert(disks, sealed.unwrap());
    let runs = world.runs;
    drop(world);
    assert!(succeeded(&pair.run(0, reboot())));
    assert_eq!(pair.world.lock().unwrap().runs, runs + 1);
    pair.no_violation();
}

/// Without an initramfs nothing puts the guest's own files right: it is not brought there. One that is there boots, and
/// the answer says what was left out.
#[test]
fn helpers_that_cannot_run_are_never_skipped_silently() {
    let pair = Pair::new();
    let mut profile = boot_spec();
    let there = |helpers: &[Helper]| Task::PreflightDestination {
        migration: MIGRATION,
        guest: samples::guest(LINODE),
        boots: vec![BootSpec {
            helpers: helpers.to_vec(),
            ..boot_spec()
        }],
    };
    let names = [Helper::Fstab, Helper::Console, Helper::Modules];
    assert!(succeeded(&pair.run(1, there(&names))));
    pair.world.lock().unwrap().no_initramfs = true;
    assert!(succeeded(&pair.run(1, there(&[]))));
    assert!(
        succeeded(&pair.run(1, there(&[Helper::Modules, Helper::UpdatedbOff]))),
        "not what the move depends on"
    );
    let Outcome::Failed {
        retry: false,
        public,
        detail,
        ..
    } = pair.run(1, there(&names))
    else {
        panic!("it goes where it cannot boot")
    };
    assert!(
        public.contains("boot helpers (fstab, console)") && public.contains(&profile.kernel),
        "{public}"
    );
    assert!(detail.contains("initramfs build"), "{detail}");

    let skipped = |task: Task| match pair.run(0, task) {
        Outcome::Succeeded {
            report:
                Report::Started {
                    running: true,
                    helpers_skipped,
                    ..
                },
        } => helpers_skipped,
        other => panic!("it did not boot: {other:?}"),
    };
    assert!(!skipped(boot(1)), "it asks for none");
    profile.helpers = vec![Helper::UpdatedbOff];
    let with_helpers = Task::Boot {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: profile,
    };
    assert!(skipped(with_helpers.clone()));
    pair.world.lock().unwrap().no_initramfs = false;
    assert!(!skipped(with_helpers));
    pair.no_violation();
}

/// What a store copies within the host counts as any other copy: held to the cap, and ended by a cancel or a lost lease.
#[test]
fn a_copy_of_earlier_disks_is_capped_reported_and_cancelled() {
    let pair = Pair::new();
    assert!(succeeded(&pair.run(0, boot(1))));
    assert!(succeeded(&pair.run(0, seal(1))));
    let reserve = |control: &JobControl| {
        let order = Order {
            job: JobId(1),
            attempt: 1,
            lease_token: "t".into(),
            linode: LINODE,
            task: Task::Reserve {
                migration: MigrationId(10),
                guest: samples::guest(LINODE),
                base_epoch: Some(1),
            },
        };
        let begun = Instant::now();
        (steps::run(&pair.hosts[0], control, &order), begun.elapsed())
    };
    let (outcome, took) = reserve(&JobControl::default());
    assert!(outcome.is_some_and(|outcome| succeeded(&outcome)));
    assert!(took < Duration::from_secs(1), "no cap: {took:?}");
    pair.hosts[0].cap.set(Some(200));
    let control = JobControl::default();
    let (outcome, took) = reserve(&control);
    assert!(outcome.is_some_and(|outcome| succeeded(&outcome)));
    // 100 MB at 200 MB/s, less one burst.
    assert!(took > Duration::from_millis(350), "{took:?}");
    let progress = control.latest().0.unwrap();
    assert_eq!((progress.done_bytes, progress.pass), (99_000_000, 0));
    // A hundred seconds' worth, cut short.
    pair.hosts[0].cap.set(Some(1));
    for lost in [false, true] {
        let control = JobControl::default();
        let (outcome, took) = std::thread::scope(|scope| {
            let end = || {
                if lost {
                    control.lose()
                } else {
                    control.cancel()
                }
            };
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                end();
            });
            reserve(&control)
        });
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(outcome, (!lost).then_some(Outcome::Cancelled));
    }
}

#[test]
fn a_watched_start_is_looked_at_once_a_second_and_one_look_serves_all_who_watch() {
    let pair = Pair::new();
    let looks = || std::mem::take(&mut pair.world.lock().unwrap().looked);
    looks();
    assert!(succeeded(&pair.run(0, seal(1))));
    let mut watched = start(2, None);
    if let Task::Start { watch_s, .. } = &mut watched {
        *watch_s = 2;
    }
    assert!(succeeded(&pair.run(0, watched)));
    let looked = looks().len();
    assert!((2..=4).contains(&looked), "{looked} looks in two seconds");

    let host = &pair.hosts[0];
    let linodes: Vec<LinodeId> = (11..=18).map(LinodeId).collect();
    let watching: Vec<_> = linodes.iter().map(|it| host.looks.watch(*it)).collect();
    let after = Instant::now();
    std::thread::scope(|scope| {
        for one in &watching {
            scope.spawn(move || one.state(&*host.driver, after).unwrap());
        }
    });
    assert_eq!(looks(), [(0, linodes)]);
    // Who wants to know of a later moment looks again; who came in between is in that look.
    let late = host.looks.watch(LINODE);
    assert!(late.state(&*host.driver, after).is_ok());
    drop(watching);
    assert!(late.state(&*host.driver, Instant::now()).is_ok());
    let counts: Vec<usize> = looks().iter().map(|(_, of)| of.len()).collect();
    assert_eq!(counts, [9, 1]);
}

/// A host that thousands have left looks for those that could be there, all at once, and still knows of the others.
#[test]
fn who_left_with_their_disks_cost_no_look() {
    let pair = Pair::new();
    let looked = || std::mem::take(&mut pair.world.lock().unwrap().looked);
    assert!(succeeded(&pair.run(0, boot(1))));
    assert_eq!(inventory::running(&pair.hosts[0]), [(LINODE, true)].into());
    assert!(succeeded(&pair.run(0, seal(1))));
    looked();
    assert_eq!(
        inventory::running(&pair.hosts[0]),
        [(LINODE, false)].into(),
        "its disks are here"
    );
    pair.publish(1, 2);
    assert!(succeeded(&pair.run(1, start(2, Some(MIGRATION)))));
    assert!(succeeded(&pair.run(0, Task::Purge { epoch: 1 })));
    assert!(inventory::running(&pair.hosts[0]).is_empty());
    let watched = (1, vec![LINODE]);
    assert_eq!(looked(), [(0, vec![LINODE]), watched, (0, vec![])]);
    let report = inventory::collect(&pair.hosts[0]);
    assert_eq!(looked(), [(0, vec![LINODE])], "once for all");
    assert_eq!(
        (report.linodes[0].sealed, report.linodes[0].running),
        (1, false)
    );
    // It comes back behind our back: the next report says so.
    let mut world = pair.world.lock().unwrap();
    let there = world.running.remove(&(1, LINODE)).unwrap();
    world.running.insert((0, LINODE), there);
    drop(world);
    let report = inventory::collect(&pair.hosts[0]);
    assert!(report.linodes[0].running && report.unknown.concat().contains("without the right"));
}

/// What one look costs does not grow with the guests: the driver is asked once for all of them.
#[test]
fn two_hundred_guests_are_sampled_in_one_look() {
    const GUESTS: i64 = 200;
    let pair = Pair::new();
    let host = &pair.hosts[0];
    for n in 0..GUESTS {
        let linode = LinodeId(1000 + n);
        let marks = Marks {
            granted: 1,
            sealed: 0,
        };
        let entry = Entry::new(linode);
        host.ledger.put(&Entry { marks, ..entry }).unwrap();
        let mut world = pair.world.lock().unwrap();
        world.running.insert((0, linode), (7000 + n as u64, None));
    }
    let mut sampler = Sampler::default();
    let mut look = || {
        std::thread::sleep(Duration::from_millis(2));
        let begun = Instant::now();
        sampler.look(host);
        begun.elapsed()
    };
    let spent: Vec<Duration> = (0..7).map(|_| look()).collect();
    eprintln!("looks at {GUESTS} guests: {spent:?}");
    let batch = sampler.batch().unwrap();
    assert_eq!(batch.rounds.len(), 6);
    for round in &batch.rounds {
        assert_eq!(round.guests.len(), GUESTS as usize);
        assert!(
            round
                .guests
                .iter()
                .all(|it| it.cpu_ms == 1000 && it.share.is_some())
        );
    }
    // One more, new: only its share is not known.
    let mut world = pair.world.lock().unwrap();
    // With the one that lives here and does not run.
    assert_eq!(world.sampled, [GUESTS as usize + 1; 7]);
    assert_eq!(
        world.shared, [GUESTS as usize; 2],
        "the first look, and the seventh"
    );
    world.running.insert((0, LinodeId(1000)), (1, None));
    drop(world);
    std::thread::sleep(Duration::from_millis(2));
    sampler.look(host);
    assert_eq!(pair.world.lock().unwrap().shared.last(), Some(&1));
    // Three were given another share: nobody else is asked for theirs.
    sampler.changed([1001, 1002, 1003].map(LinodeId));
    std::thread::sleep(Duration::from_millis(2));
    sampler.look(host);
    assert_eq!(pair.world.lock().unwrap().shared.last(), Some(&3));
    let rounds = sampler.batch().unwrap().rounds;
    let guests: Vec<usize> = rounds.iter().map(|round| round.guests.len()).collect();
    assert_eq!(guests[6..], [199, 200], "its counters began anew");
}

/// Every step of a move, with a failure before and after every call it makes, twice over, and the agent restarted in
/// between: the repeated order finishes, and the end is the same.
#[test]
fn every_step_may_fail_at_every_call_and_be_repeated() {
    type Stage = (usize, fn() -> Task);
    let stages: [Stage; 6] = [
        (0, || boot(1)),
        (0, || seal(1)),
        (1, || start(2, Some(MIGRATION))),
        (1, || seal(2)),
        (0, || start(3, None)),
        (1, || Task::Purge { epoch: 2 }),
    ];
    let mut failures = 0;
    for target in 0..stages.len() {
        for before in [true, false] {
            for call in 1.. {
                let mut pair = Pair::new();
                let mut injected = false;
                for (number, (at, task)) in stages.iter().enumerate() {
                    if number == 2 {
                        pair.publish(1, 2);
                    }
                    if number == target {
                        pair.world.lock().unwrap().fail = Some((call, before));
                        let first = pair.run(*at, task());
                        injected = pair.world.lock().unwrap().fail.take().is_none();
                        failures += usize::from(!succeeded(&first));
                        pair.no_violation();
                        pair.restart(*at);
                    }
                    // A host that gave up is sealed: then the start is over, and the way goes on.
                    let gave_up = (number == 2 && pair.marks(1).sealed == 2)
                        || (number == 4 && pair.marks(0).sealed == 3);
                    let outcome = pair.run(*at, task());
                    assert!(
                        gave_up || succeeded(&outcome),
                        "step {number}, call {call}: {outcome:?}"
                    );
                    assert!(
                        gave_up || succeeded(&pair.run(*at, task())),
                        "step {number} repeated"
                    );
                    pair.no_violation();
                }
                assert_eq!(pair.marks(0).granted, 3);
                assert_eq!(pair.runners(), usize::from(pair.marks(0).sealed == 1));
                if !injected {
                    break;
                }
            }
        }
    }
    assert!(failures > 30, "only {failures} failures were injected");
}

/// A portal that moves a Linode back and forth, and a network that brings old orders again at any time: 10,000 orders
/// out of their time, to either host, in between agents that restart. None is carried out.
#[test]
fn ten_thousand_shuffled_and_repeated_orders_move_nothing() {
    let mut rng = Rng::new(20_051_201);
    let mut pair = Pair::new();
    let (mut owner, mut epoch) = (0, 1);
    let mut history = vec![(0, boot(1))];
    assert!(succeeded(&pair.run(0, boot(1))));
    let (mut replayed, mut moves) = (0, 0);
    while replayed < 10_000 {
        for _ in 0..20 {
            let (at, task) = history[rng.below(history.len() as u64) as usize].clone();
            let runs = pair.world.lock().unwrap().runs;
            let marks = [pair.marks(0), pair.marks(1)];
            let current = at == owner && of_epoch(&task) == epoch;
            if current {
                continue;
            }
            let outcome = pair.run(at, task.clone());
            replayed += 1;
            assert_eq!(
                [pair.marks(0), pair.marks(1)],
                marks,
                "{task:?}: {outcome:?}"
            );
            assert_eq!(
                pair.world.lock().unwrap().runs,
                runs,
                "{task:?} started a guest"
            );
            assert_eq!(pair.runners(), 1, "{task:?} stopped the guest");
            pair.no_violation();
        }
        if rng.below(4) == 0 {
            pair.restart(rng.below(2) as usize);
        }
        let other = 1 - owner;
        let mut step = |at: usize, task: Task| {
            assert!(succeeded(&pair.run(at, task.clone())), "{task:?}");
            history.push((at, task));
        };
        step(owner, seal(epoch));
        if rng.below(3) == 0 {
            step(owner, start(epoch + 1, None));
        } else {
            let receipt = Receipt {
                migration: MIGRATION,
                sealed: epoch,
                digests: vec![],
                sent_bytes: 0,
                seconds: 0.0,
                uncached: None,
            };
            let disks = &pair.hosts[other].disks;
            disks.publish(LINODE, epoch + 1, &[], &receipt).unwrap();
            step(other, start(epoch + 1, Some(MIGRATION)));
            history.push((owner, Task::Purge { epoch }));
            owner = other;
            moves += 1;
        }
        epoch += 1;
        if history.len() > 400 {
            history.drain(..200);
        }
    }
    assert!(moves > 100, "{moves} moves");
}

fn of_epoch(task: &Task) -> i64 {
    match task {
        Task::Boot { epoch, .. }
        | Task::StopSeal { epoch, .. }
        | Task::Start { epoch, .. }
        | Task::Purge { epoch } => *epoch,
        _ => 0,
    }
}

/// The marks an outcome carries as "I already own this".
fn owned(outcome: &Outcome) -> Option<(i64, i64, Option<i64>)> {
    let Outcome::Failed { retry, owns, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(!retry);
    owns.map(|it| (it.granted, it.sealed, it.generation))
}

#[test]
fn a_host_that_is_ahead_says_that_it_owns_the_linode() {
    let pair = Pair::new();
    assert!(succeeded(&pair.run(0, start(5, None))));
    let reserve = Task::Reserve {
        migration: MIGRATION,
        guest: samples::guest(LINODE),
        base_epoch: None,
    };
    let seal = Task::StopSeal {
        migration: MIGRATION,
        epoch: 4,
        stop_limit_s: 1,
    };
    let release = Task::Release {
        migration: MIGRATION,
        epoch: 5,
    };
    for task in [
        reserve,
        seal.clone(),
        release,
        start(4, None),
        Task::Purge { epoch: 5 },
    ] {
        let outcome = pair.run(0, task.clone());
        assert_eq!(owned(&outcome), Some((5, 0, Some(5))), "{task:?}");
    }
    // One that is behind owns nothing that the portal does not know of, and one that gave it up neither.
    let outcome = pair.run(
        0,
        Task::Shutdown {
            epoch: 6,
            stop_limit_s: 1,
        },
    );
    assert_eq!(owned(&outcome), None);
    let now = Task::StopSeal {
        migration: MIGRATION,
        epoch: 5,
        stop_limit_s: 1,
    };
    assert!(succeeded(&pair.run(0, now)));
    assert_eq!(owned(&pair.run(0, start(5, None))), None);
    pair.no_violation();
}

#[test]
fn nothing_starts_from_disks_of_an_earlier_epoch() {
    let pair = Pair::new();
    // Granted on disk, and cut off before the new disks were taken.
    let ledger = &pair.hosts[0].ledger;
    let entry = ledger.entry(LINODE).unwrap();
    ledger
        .put(&Entry {
            marks: entry.marks.grant(2),
            guest: Some(samples::guest(LINODE)),
            boot: Some(samples::boot(DiskId(40))),
            ..entry
        })
        .unwrap();
    let error = steps::override_start(&pair.hosts[0], &JobControl::default(), LINODE).unwrap_err();
    assert!(error.to_string().contains("epoch 2"), "{error}");
    let prove = Task::Prove {
        epoch: 2,
        guest: samples::guest(LINODE),
    };
    assert!(!succeeded(&pair.run(0, prove)));
    assert_eq!(pair.runners(), 0);
    pair.no_violation();
}
