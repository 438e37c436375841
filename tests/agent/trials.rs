//! Trials over simulated hosts: a clone of the copies boots beside its Linode, which knows nothing of it, and whatever
//! happens nothing of the clone is left.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xenbeta::agent::control::JobControl;
use xenbeta::agent::disk::FileStore;
use xenbeta::agent::driver::Guest;
use xenbeta::agent::driver::simulated::{Simulated, SimulatedConfig};
use xenbeta::agent::host::Host;
use xenbeta::agent::ledger::rules::Marks;
use xenbeta::agent::ledger::{Entry, Ledger, Trial};
use xenbeta::agent::steps;
use xenbeta::agent::transfer::Identity;
use xenbeta::domain::ids::{JobId, MigrationId};
use xenbeta::domain::trial::{LIMIT_S, TrialEnd};
use xenbeta::wire::{Order, Outcome, Report, Task};

use crate::agents::{Agent, Machine, PROGRAM, ask, eventually};
use crate::moves::{DISK, LINODE, Scene};
use crate::samples;

const MOVE: MigrationId = MigrationId(101);

fn trial(limit_s: u32) -> Task {
    Task::Trial {
        migration: MOVE,
        guest: samples::guest(LINODE),
        boot: samples::boot(DISK),
        limit_s,
    }
}

/// In step: the Linode runs on the first host, and the second has its copies.
fn in_step() -> Scene {
    let scene = Scene::new();
    let mut orders = scene.orders(0, 1, 1, None);
    orders.truncate(5);
    for (at, task) in orders {
        scene.done(at, task);
    }
    scene
}

fn copy(agent: &Agent) -> Vec<u8> {
    let path = format!("disks/linodes/{LINODE}/m{MOVE}.partial/{DISK}.img");
    fs::read(agent.dir.join(path)).unwrap()
}

/// Guest, clones, folders and record.
fn left(agent: &Agent) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(agent.trial(LINODE).map(|it| format!("process {}", it.pid)));
    let mut names = |dir: String, odd: &dyn Fn(&str) -> bool| {
        for found in fs::read_dir(agent.dir.join(&dir))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = found.file_name().to_string_lossy().into_owned();
            if odd(&name) {
                left.push(format!("{dir}/{name}"));
            }
        }
    };
    names("state/driver/trials".into(), &|name| {
        name.starts_with("linode-")
    });
    names(format!("disks/linodes/{LINODE}"), &|name| {
        name.contains("trial")
    });
    names("state/ledger".into(), &|name| name.starts_with("trial"));
    left
}

#[track_caller]
fn nothing_left(agent: &Agent) {
    assert_eq!(left(agent), Vec::<String>::new());
}

#[test]
fn a_clone_comes_up_beside_its_linode_and_nothing_of_it_is_left() {
    let scene = in_step();
    let before = copy(&scene.agents[1]);
    let run = scene.agents[0].guest(LINODE);
    let report = scene.done(1, trial(LIMIT_S.min(8)));
    let Report::Tried {
        end: TrialEnd::CameUp,
        console,
        seconds,
    } = report
    else {
        panic!("{report:?}")
    };
    assert!(
        console.contains("Network: none") && console.ends_with("login:"),
        "{console}"
    );
    assert!((1.0..8.0).contains(&seconds), "{seconds}");
    nothing_left(&scene.agents[1]);
    assert!(copy(&scene.agents[1]) == before, "the copies are only read");
    assert!(run.is_some() && scene.agents[0].guest(LINODE) == run);
    let address = &samples::guest(LINODE).addresses[0].address;
    let answer = ask(&scene.machine.addresses(), address).unwrap();
    assert!(answer.contains("host uml-1"), "{answer}");
    let verdict = scene.machine.judge();
    assert_eq!((verdict.starts, verdict.trials), (1, 1));
    let state = scene.portal.state.0.lock().unwrap();
    let told = state
        .renewals
        .iter()
        .filter_map(|(_, renew)| renew.console.as_ref());
    assert!(
        told.into_iter().any(|text| text.contains("login:")),
        "while it ran"
    );
    let marks = state.inventories[&scene.agents[1].credential()]
        .linodes
        .clone();
    assert!(
        marks.iter().all(|it| !it.running && it.granted == 0),
        "{marks:?}"
    );
}

#[test]
fn one_that_does_not_come_up_is_told_with_its_last_lines() {
    let scene = in_step();
    scene.agents[1].trial_fault("fail-boot", LINODE, true);
    let report = scene.done(1, trial(LIMIT_S));
    let Report::Tried {
        end: TrialEnd::Stopped,
        console,
        ..
    } = report
    else {
        panic!("{report:?}")
    };
    assert!(console.contains("Kernel panic"), "{console}");
    nothing_left(&scene.agents[1]);
    // And then the move goes on as if nothing had been.
    for (at, task) in scene.orders(0, 1, 1, None).into_iter().skip(5) {
        scene.done(at, task);
    }
    assert!(scene.agents[1].guest(LINODE).is_some());
    scene.machine.judge();
}

#[test]
fn one_that_is_asked_to_end_is_gone_within_seconds() {
    let scene = in_step();
    let job = scene.give(1, trial(LIMIT_S));
    eventually("the clone runs", || scene.agents[1].trial(LINODE).is_some());
    scene.portal.mood(|mood| mood.cancel = true);
    let begun = Instant::now();
    assert_eq!(scene.portal.outcome(job), Outcome::Cancelled);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    nothing_left(&scene.agents[1]);
    assert_eq!(scene.machine.judge().trials, 1);
}

#[test]
fn an_agent_killed_at_any_moment_of_a_trial_leaves_nothing_after_its_next_start() {
    let mut scene = in_step();
    for after_ms in [0, 10, 25, 50, 80, 120, 200, 400, 900] {
        let job = scene.give(1, trial(LIMIT_S));
        thread::sleep(Duration::from_millis(after_ms));
        scene.agents[1].kill();
        scene.portal.forget(job);
        scene.agents[1].start();
        eventually("nothing is left", || left(&scene.agents[1]).is_empty());
        let state = scene.portal.state.0.lock().unwrap();
        assert!(
            state.finishes.iter().all(|(of, _)| *of != job),
            "no word of it"
        );
    }
    // One that runs for sure.
    let job = scene.give(1, trial(LIMIT_S));
    eventually("the clone runs", || scene.agents[1].trial(LINODE).is_some());
    scene.agents[1].kill();
    assert!(
        scene.agents[1].trial(LINODE).is_some(),
        "it outlives its agent"
    );
    scene.portal.forget(job);
    scene.agents[1].start();
    eventually("nothing is left", || left(&scene.agents[1]).is_empty());
    assert!(scene.machine.judge().trials >= 1);
    for (at, task) in scene.orders(0, 1, 1, None).into_iter().skip(5) {
        scene.done(at, task);
    }
    scene.machine.judge();
}

#[test]
fn two_at_once_never_run_together() {
    let scene = in_step();
    let jobs = [scene.give(1, trial(4)), scene.give(1, trial(4))];
    for job in jobs {
        let outcome = scene.portal.outcome(job);
        assert!(
            matches!(
                outcome,
                Outcome::Succeeded {
                    report: Report::Tried { .. }
                }
            ),
            "{outcome:?}"
        );
    }
    assert_eq!(scene.machine.judge().trials, 2);
    nothing_left(&scene.agents[1]);
}

/// A host in this process.
struct One {
    machine: Machine,
    host: Host,
    _dir: TempDir,
}

fn host(reserve: Option<u64>, memory_mb: i64) -> One {
    let machine = Machine::new();
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "host = \"a\"\nwitness = {:?}\naddresses = {:?}\nguest_program = {PROGRAM:?}\nwrite_every_ms = 2\nmemory_mb = {memory_mb}\n",
        machine.witness(),
        machine.addresses()
    );
    let config: SimulatedConfig = toml::from_str(&text).unwrap();
    let driver = Simulated::new(config, &machine.dir.path().join("a/state/driver")).unwrap();
    let disks = machine.dir.path().join("a/disks");
    fs::create_dir_all(&disks).unwrap();
    let host = Host::new(
        Ledger::open(&dir.path().join("ledger")).unwrap(),
        Box::new(driver),
        Arc::new(FileStore::with_reserve(&disks, reserve).unwrap()),
        Arc::new(Identity::load_or_create(dir.path()).unwrap()),
    );
    let disks = samples::guest(LINODE).disks;
    host.disks.reserve(LINODE, MOVE, &disks, None).unwrap();
    One {
        machine,
        host,
        _dir: dir,
    }
}

impl One {
    fn run(&self, task: Task) -> Outcome {
        let order = Order {
            job: JobId(1),
            attempt: 1,
            lease_token: "t".into(),
            linode: LINODE,
            task,
        };
        steps::run(&self.host, &JobControl::default(), &order).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &str) {
        let outcome = self.run(trial(LIMIT_S));
        let Outcome::Failed {
            retry: false,
            public,
            ..
        } = &outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(public.contains(words), "{public}");
        assert!(self.host.ledger.trials().is_empty());
        assert!(self.host.disks.list().unwrap().trials.is_empty());
        assert_eq!(self.machine.judge().trials, 0);
    }

    /// A clone that runs, with nobody at work on it: as a step leaves it that was cut off.
    fn leave_one(&self) {
        let (spec, boot) = (samples::guest(LINODE), samples::boot(DISK));
        let migration = MOVE;
        self.host
            .ledger
            .begin_trial(&Trial {
                linode: LINODE,
                migration,
            })
            .unwrap();
        let disks = self
            .host
            .disks
            .make_trial(LINODE, MOVE, &spec.disks, &|_| true)
            .unwrap();
        let clone = Guest {
            linode: LINODE,
            spec: &spec,
            boot: &boot,
            disks: &disks,
        };
        let trials = self.host.trials.as_ref().unwrap();
        trials.start(&clone).unwrap();
        assert!(trials.runs(LINODE).unwrap());
        assert_eq!(trials.guests().unwrap(), [LINODE]);
        assert!(
            self.host.driver.guests().unwrap().is_empty(),
            "no guest of the Linode's"
        );
    }

    #[track_caller]
    fn all_gone(&self) {
        assert!(!self.host.trials.as_ref().unwrap().runs(LINODE).unwrap());
        assert!(self.host.disks.list().unwrap().trials.is_empty());
        assert!(self.host.ledger.trials().is_empty());
        self.machine.judge();
    }
}

#[test]
fn a_host_without_room_or_memory_says_so() {
    host(Some(u64::MAX / 4), 4096).refused("not have enough free disk space");
    host(Some(0), 32).refused("memory");
}

#[test]
fn where_the_linode_lives_nothing_is_tried() {
    let one = host(Some(0), 4096);
    let owns = Entry {
        marks: Marks {
            granted: 2,
            sealed: 1,
        },
        ..Entry::new(LINODE)
    };
    one.host.ledger.put(&owns).unwrap();
    let outcome = one.run(trial(LIMIT_S));
    assert!(
        matches!(outcome, Outcome::Failed { retry: false, .. }),
        "{outcome:?}"
    );
    assert_eq!(one.machine.judge().trials, 0);
}

#[test]
fn whatever_is_ordered_next_a_trial_that_was_left_is_gone_first() {
    let one = host(Some(0), 4096);
    let guest = samples::guest(LINODE);
    let start = Task::Start {
        epoch: 2,
        guest: guest.clone(),
        boot: Some(samples::boot(DISK)),
        migration: Some(MOVE),
        watch_s: 0,
    };
    let reserve = Task::Reserve {
        migration: MOVE,
        guest,
        base_epoch: None,
    };
    let release = Task::Release {
        migration: MOVE,
        epoch: 2,
    };
    for task in [start, reserve, release] {
        one.leave_one();
        // What it does itself is another question: nothing was published that could start.
        let _ = one.run(task);
        one.all_gone();
    }
}

#[test]
fn an_agents_start_destroys_what_is_there_without_a_record_too() {
    let one = host(Some(0), 4096);
    one.leave_one();
    one.host.ledger.end_trial(LINODE).unwrap();
    steps::sweep(&one.host);
    one.all_gone();
}
