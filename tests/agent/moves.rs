//! Whole moves between two agents over simulated hosts, also with agents killed at random moments.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use xenbeta::agent::driver::simulated::records::Ring;
use xenbeta::domain::ids::{DiskId, JobId, LinodeId, MigrationId};
use xenbeta::domain::linode::check::Check;
use xenbeta::wire::{Outcome, Peer, Report, Task};

use crate::agents::{Agent, Machine, ask};
use crate::portal::Portal;
use crate::samples;

pub const LINODE: LinodeId = LinodeId(8);
pub const DISK: DiskId = DiskId(80);

/// Two hosts and a portal; the Linode runs on the first under epoch 1.
pub struct Scene {
    pub machine: Machine,
    pub portal: Portal,
    pub agents: [Agent; 2],
}

impl Scene {
    pub fn new() -> Self {
        let (machine, portal) = (Machine::new(), Portal::start());
        let mut agents =
            ["uml-1", "uml-2"].map(|name| Agent::enrolled(&machine, name, &portal.url()));
        agents.iter_mut().for_each(Agent::start);
        let scene = Self {
            machine,
            portal,
            agents,
        };
        let guest = samples::guest(LINODE);
        let adopt = Task::Adopt {
            epoch: 1,
            guest: guest.clone(),
            boot: None,
        };
        scene.done(0, adopt);
        let boot = samples::boot(DISK);
        scene.done(
            0,
            Task::Boot {
                epoch: 1,
                guest,
                boot,
            },
        );
        scene
    }

    pub fn give(&self, at: usize, task: Task) -> JobId {
        self.portal
            .give(&self.agents[at].credential(), LINODE, task)
    }

    #[track_caller]
    pub fn done(&self, at: usize, task: Task) -> Report {
        match self.portal.outcome(self.give(at, task.clone())) {
            Outcome::Succeeded { report } => report,
            other => panic!("{task:?}: {other:?}"),
        }
    }

    pub fn peer(&self, at: usize, token: &str) -> Peer {
        let state = self.portal.state.0.lock().unwrap();
        let enrolled = &state.enrolled[&self.agents[at].name];
        Peer {
            address: enrolled.transfer_address.clone(),
            fingerprint: enrolled.fingerprint.clone(),
            token: token.into(),
        }
    }

    /// The orders of a move, in order: at which host, and what.
    pub fn orders(
        &self,
        from: usize,
        to: usize,
        epoch: i64,
        base: Option<i64>,
    ) -> Vec<(usize, Task)> {
        let migration = MigrationId(100 + epoch);
        let guest = samples::guest(LINODE);
        let token = format!("token-of-{migration}");
        let source = self.peer(from, &token);
        vec![
            (
                from,
                Task::PreflightSource {
                    epoch,
                    guest: guest.clone(),
                    checks: vec![],
                },
            ),
            (
                to,
                Task::PreflightDestination {
                    migration,
                    guest: guest.clone(),
                    boots: vec![samples::boot(DISK)],
                },
            ),
            (
                to,
                Task::Reserve {
                    migration,
                    guest: guest.clone(),
                    base_epoch: base,
                },
            ),
            (
                from,
                Task::OpenTransfer {
                    migration,
                    epoch,
                    guest: guest.clone(),
                    peer_fingerprint: self.peer(to, "").fingerprint,
                    token,
                },
            ),
            (
                to,
                Task::WarmCopy {
                    migration,
                    guest: guest.clone(),
                    source: source.clone(),
                    max_passes: 3,
                },
            ),
            (
                from,
                Task::StopSeal {
                    migration,
                    epoch,
                    stop_limit_s: 5,
                },
            ),
            (
                to,
                Task::FinalCopy {
                    migration,
                    epoch,
                    guest: guest.clone(),
                    source,
                },
            ),
            (
                to,
                Task::Start {
                    epoch: epoch + 1,
                    guest,
                    boot: Some(samples::boot(DISK)),
                    migration: Some(migration),
                    watch_s: 0,
                },
            ),
            (from, Task::CloseTransfer { migration }),
        ]
    }

    fn move_all(&self, from: usize, to: usize, epoch: i64, base: Option<i64>) {
        for (at, task) in self.orders(from, to, epoch, base) {
            let report = self.done(at, task);
            if let Report::Copied {
                digests,
                epoch: sealed,
                ..
            } = report
            {
                assert_eq!(sealed, epoch);
                let state = self.portal.state.0.lock().unwrap();
                let source = state.digests.last().unwrap();
                assert_eq!((source.epoch, &source.digests), (epoch, &digests));
            }
        }
    }

    /// Every number the guest ever synced is on the disk it runs from now, or was overwritten by a later one.
    #[track_caller]
    fn nothing_lost(&self, at: usize, epoch: i64) {
        let file = fs::File::open(self.agents[at].disk(LINODE, epoch)).unwrap();
        let found = Ring::of(samples::DISK_BYTES)
            .unwrap()
            .read(&file, LINODE)
            .unwrap();
        assert!(found.newest > 0 && found.missing.is_empty(), "{found:?}");
        self.machine.judge();
    }
}

#[test]
fn there_and_back_again_with_the_same_address_and_data_and_then_purged() {
    let scene = Scene::new();
    let address = &samples::guest(LINODE).addresses[0].address;
    let answers = || ask(&scene.machine.addresses(), address).unwrap();
    assert!(answers().contains("host uml-1"));
    scene.move_all(0, 1, 1, None);
    assert!(answers().contains("host uml-2"));
    assert!(scene.agents[0].guest(LINODE).is_none());
    scene.nothing_lost(1, 2);
    scene.move_all(1, 0, 2, Some(1));
    assert!(answers().contains("host uml-1"));
    scene.nothing_lost(0, 3);
    scene.done(1, Task::Purge { epoch: 2 });
    assert!(!scene.agents[1].disk(LINODE, 2).exists());
    assert!(scene.agents[0].disk(LINODE, 3).exists());
    assert_eq!(scene.machine.judge().starts, 3);
}

#[test]
fn a_boot_that_fails_at_the_destination_goes_back_to_the_source() {
    let scene = Scene::new();
    scene.agents[1].fault("fail-boot", LINODE, true);
    let orders = scene.orders(0, 1, 1, None);
    let mut reports = Vec::new();
    for (at, mut task) in orders {
        if let Task::Start { watch_s, .. } = &mut task {
            *watch_s = 2;
        }
        reports.push(scene.done(at, task));
    }
    let Report::StartFailedSealed {
        epoch: 2, console, ..
    } = &reports[7]
    else {
        panic!("{:?}", reports[7])
    };
    assert!(console.contains("Kernel panic"), "{console}");
    let restore = Task::Start {
        epoch: 3,
        guest: samples::guest(LINODE),
        boot: Some(samples::boot(DISK)),
        migration: None,
        watch_s: 0,
    };
    let report = scene.done(0, restore);
    let Report::Started {
        epoch: 3,
        running: true,
        helpers_skipped: false,
        started_after_s: Some(after_s),
        ..
    } = report
    else {
        panic!("{report:?}")
    };
    assert!((0.0..10.0).contains(&after_s), "{after_s}");
    scene.nothing_lost(0, 3);
}

#[test]
fn a_cancel_stops_a_copy_and_the_linode_runs_on() {
    let scene = Scene::new();
    scene.portal.mood(|mood| mood.cancel = true);
    let mut orders = scene.orders(0, 1, 1, None);
    orders.truncate(4);
    for (at, task) in orders {
        scene.done(at, task);
    }
    // A source that never answers keeps the copy at work until the cancel reaches it.
    let mut source = scene.peer(0, "token");
    source.address = "192.0.2.1:9".into();
    let warm = Task::WarmCopy {
        migration: MigrationId(101),
        guest: samples::guest(LINODE),
        source,
        max_passes: 3,
    };
    let begun = Instant::now();
    let outcome = scene.portal.outcome(scene.give(1, warm));
    assert_eq!(outcome, Outcome::Cancelled, "after {:?}", begun.elapsed());
    let release = Task::Release {
        migration: MigrationId(101),
        epoch: 2,
    };
    scene.done(1, release);
    assert!(scene.agents[0].guest(LINODE).is_some());
    let left = fs::read_dir(scene.agents[1].dir.join(format!("disks/linodes/{LINODE}")));
    assert_eq!(left.map_or(0, Iterator::count), 0, "the copies are gone");
}

/// `kill -9` of either agent at random moments of moves to and fro: every move ends, no write is lost, never two runners.
#[test]
fn agents_killed_at_random_moments_of_a_move() {
    let mut scene = Scene::new();
    let mut seed: u64 = 0x5eed;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (mut from, mut kills) = (0, 0);
    let moves: i64 = 6;
    for epoch in 1..=moves {
        let to = 1 - from;
        let base = (epoch > 1).then_some(epoch - 1);
        for (at, task) in scene.orders(from, to, epoch, base) {
            let job = scene.give(at, task.clone());
            if random(2) == 0 {
                thread::sleep(Duration::from_millis(random(60)));
                let victim = usize::try_from(random(2)).unwrap();
                scene.agents[victim].kill();
                scene.agents[victim].start();
                kills += 1;
            }
            match scene.portal.outcome(job) {
                Outcome::Succeeded { .. } => {}
                // The other end was away: the portal tries again.
                Outcome::Failed { retry: true, .. } => {
                    scene.done(at, task);
                }
                other => panic!("{task:?}: {other:?}"),
            }
        }
        scene.nothing_lost(to, epoch + 1);
        from = to;
    }
    assert!(kills >= 15, "{kills} kills");
    println!("{moves} moves, {kills} kills, 0 overlaps, 0 lost writes");
}

#[test]
fn checks_are_asked_of_the_linodes_own_addresses_and_of_nothing_else() {
    let mut scene = Scene::new();
    let guest = samples::guest(LINODE);
    let own = guest.addresses[0].address.clone();
    let check =
        |address: &str, port: &str, path: &str| Check::parse(address, port, path, "").unwrap();
    let task = |checks: Vec<Check>| Task::Check {
        epoch: 1,
        guest: guest.clone(),
        checks,
    };
    let answers = |report: Report| match report {
        Report::Checked {
            epoch: 1,
            answers,
            console,
        } => {
            let answers: Vec<_> = answers.into_iter().map(|it| (it.ok, it.said)).collect();
            (answers, console)
        }
        other => panic!("{other:?}"),
    };
    let well = [check(&own, "80", "/"), check(&own, "22", "")];
    let (said, console) = answers(scene.done(0, task(well.to_vec())));
    assert_eq!(
        said,
        [
            (Some(true), "Answered 200".to_owned()),
            (Some(true), "Takes connections".to_owned())
        ]
    );
    assert_eq!(console, "");
    // Its neighbour's address, the host itself, a port that nobody has, a page that is not there.
    let bad = [
        check("10.77.0.1", "80", ""),
        check("127.0.0.1", "22", ""),
        check(&own, "81", ""),
        check(&own, "80", "/missing"),
    ];
    let (said, console) = answers(scene.done(0, task(bad.to_vec())));
    let ok: Vec<_> = said.iter().map(|(ok, _)| *ok).collect();
    assert_eq!(ok, [None, None, Some(false), Some(false)], "{said:?}");
    assert!(console.contains("login:"), "{console}");
    let preflight = Task::PreflightSource {
        epoch: 1,
        guest: guest.clone(),
        checks: well.to_vec(),
    };
    let Report::Source { checks, .. } = scene.done(0, preflight) else {
        panic!()
    };
    assert!(checks.iter().all(|it| it.ok == Some(true)), "{checks:?}");
    // Only its owner asks.
    let foreign = Task::Check {
        epoch: 2,
        guest: guest.clone(),
        checks: well.to_vec(),
    };
    let outcome = scene.portal.outcome(scene.give(0, foreign));
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    // A network that is not there, and a service that does not start.
    for (fault, want) in [
        ("no-network", [Some(false), Some(false)]),
        ("no-service", [Some(false), Some(true)]),
    ] {
        scene.agents[0].fault(fault, LINODE, true);
        scene.done(
            0,
            Task::Shutdown {
                epoch: 1,
                stop_limit_s: 5,
            },
        );
        let boot = samples::boot(DISK);
        scene.done(
            0,
            Task::Boot {
                epoch: 1,
                guest: guest.clone(),
                boot,
            },
        );
        let (said, _) = answers(scene.done(0, task(well.to_vec())));
        let ok: Vec<_> = said.iter().map(|(ok, _)| *ok).collect();
        assert_eq!(ok, want, "{fault}: {said:?}");
        scene.agents[0].fault(fault, LINODE, false);
    }
    scene.agents.iter_mut().for_each(Agent::kill);
}
