//! The agent's program against a portal that misbehaves.

use std::time::Duration;

use xenbeta::agent::ledger::{HeldJob, Ledger};
use xenbeta::domain::ids::{DiskId, JobId, LinodeId, MigrationId};
use xenbeta::wire::{Order, Outcome, PROTOCOL, PortalMark, Report, Share, Task};

use crate::agents::{Agent, Machine, eventually};
use crate::portal::Portal;
use crate::samples;

const LINODE: LinodeId = LinodeId(5);

fn adopt() -> Task {
    Task::Adopt {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: None,
    }
}

fn boot() -> Task {
    Task::Boot {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: samples::boot(DiskId(50)),
    }
}

fn shutdown() -> Task {
    Task::Shutdown {
        epoch: 1,
        stop_limit_s: 5,
    }
}

#[track_caller]
fn succeeded(outcome: Outcome) -> Report {
    match outcome {
        Outcome::Succeeded { report } => report,
        other => panic!("{other:?}"),
    }
}

/// A running agent that owns a running Linode.
fn with_guest(machine: &Machine, portal: &Portal) -> Agent {
    let mut agent = Agent::enrolled(machine, "uml-1", &portal.url());
    agent.start();
    let who = agent.credential();
    let report = succeeded(portal.outcome(portal.give(&who, LINODE, adopt())));
    assert_eq!(report, Report::Adopted { running: false });
    succeeded(portal.outcome(portal.give(&who, LINODE, boot())));
    agent
}

#[test]
fn guests_outlive_the_agent_and_are_found_again() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    let guest = agent.guest(LINODE).unwrap();
    let took = agent.terminate();
    assert!(took < Duration::from_secs(2), "SIGTERM took {took:?}");
    assert!(guest.lives());
    agent.start();
    agent.kill();
    assert!(guest.lives());
    agent.start();
    let again = portal.give(&agent.credential(), LINODE, boot());
    succeeded(portal.outcome(again));
    assert_eq!(
        agent.guest(LINODE),
        Some(guest),
        "the same run of the guest"
    );
    let running = portal.wait_for(Duration::from_secs(30), |state| {
        let inventory = state.inventories.get(&agent.credential())?;
        let linode = inventory.linodes.first()?;
        (linode.running && linode.granted == 1 && linode.sample.is_some()).then_some(())
    });
    assert!(running.is_some(), "the inventory says that it runs");
    let report = succeeded(portal.outcome(portal.give(&agent.credential(), LINODE, shutdown())));
    assert!(matches!(
        report,
        Report::Stopped {
            forced: false,
            stopped_after_s: Some(0.0..60.0)
        }
    ));
    assert!(!guest.lives());
    assert_eq!(machine.judge().starts, 1);
}

/// As a folder has it that was put back: an order that was in hand once.
fn hold_again(agent: &Agent, task: Task) -> JobId {
    let order = Order {
        job: JobId(9001),
        attempt: 1,
        lease_token: "of-long-ago".to_owned(),
        linode: LINODE,
        task,
    };
    let job = order.job;
    let held = HeldJob {
        order,
        life: None,
        outcome: None,
    };
    let ledger = Ledger::open(&agent.state().join("ledger")).unwrap();
    ledger.hold_job(&held).unwrap();
    job
}

#[test]
fn an_order_in_a_folder_that_was_put_back_is_asked_about_before_it_is_carried_out() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    let guest = agent.guest(LINODE).unwrap();
    agent.terminate();
    let job = hold_again(&agent, shutdown());
    portal.mood(|mood| mood.stale = true);
    agent.start();
    let asked = portal.wait_for(Duration::from_secs(20), |state| {
        state
            .renewals
            .iter()
            .any(|(of, _)| *of == job)
            .then_some(())
    });
    assert!(asked.is_some(), "it is asked about");
    eventually("it is dropped", || {
        agent.log().contains("is not wanted any more")
    });
    assert!(guest.lives(), "and nothing was done");
    let finished = portal.wait_for(Duration::ZERO, |state| {
        state
            .finishes
            .iter()
            .any(|(of, _)| *of == job)
            .then_some(())
    });
    assert!(finished.is_none());
    agent.terminate();

    // Wanted yet: it is carried out.
    hold_again(&agent, shutdown());
    portal.mood(|mood| mood.stale = false);
    agent.start();
    let report = succeeded(portal.outcome(job));
    assert!(matches!(report, Report::Stopped { forced: false, .. }));
    assert!(!guest.lives());
}

#[test]
fn a_share_that_cannot_be_set_keeps_no_other_from_being_set() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    let share = Share {
        cpu_weight: 777,
        io_priority: 2,
    };
    portal.state.0.lock().unwrap().shares = vec![(LinodeId(99), share), (LINODE, share)];
    // A poll is answered sooner with something to do.
    portal.give(&agent.credential(), LINODE, boot());
    portal.wait_for(Duration::from_secs(30), |state| {
        let inventory = state.inventories.get(&agent.credential())?;
        (inventory.linodes.first()?.share == Some(share)).then_some(())
    });
    assert!(agent.log().contains("share not set"));
}

#[test]
fn a_guest_that_dies_is_reported_while_a_poll_is_open() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    let reported = |running: bool| {
        let found = portal.wait_for(Duration::from_secs(20), |state| {
            let linode = state.reports.last()?.linodes.first()?;
            (linode.running == running).then_some(())
        });
        assert!(found.is_some(), "running: {running}");
    };
    reported(true);
    agent
        .guest(LINODE)
        .unwrap()
        .signal(rustix::process::Signal::KILL)
        .unwrap();
    reported(false);
}

#[test]
fn a_finish_is_repeated_until_it_is_answered_and_the_step_is_not() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    portal.mood(|mood| mood.lose_finishes = 3);
    let who = agent.credential();
    let reboot = Task::Reboot {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: samples::boot(DiskId(50)),
        stop_limit_s: 5,
    };
    let job = portal.give(&who, LINODE, reboot);
    let told = |least: usize| {
        portal.wait_for(Duration::from_secs(20), |state| {
            let told = state.finishes.iter().filter(|(of, _)| *of == job);
            (told.count() >= least).then_some(())
        })
    };
    // Killed while the portal does not take the answer: the next run only answers.
    assert!(told(2).is_some());
    agent.kill();
    agent.start();
    assert!(told(4).is_some());
    let same = portal.state.0.lock().unwrap();
    let mut answers = same.finishes.iter().filter(|(of, _)| *of == job);
    let first = answers.next().unwrap();
    assert!(answers.all(|(_, finish)| {
        finish.attempt == first.1.attempt
            && finish.lease_token == first.1.lease_token
            && finish.outcome == first.1.outcome
    }));
    drop(same);
    assert_eq!(machine.judge().starts, 2, "booted once, rebooted once");
}

#[test]
fn a_job_cut_short_is_carried_on_with_the_same_attempt_and_lease() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    agent.fault("ignore-term", LINODE, true);
    let who = agent.credential();
    let reboot = |limit| Task::Reboot {
        epoch: 1,
        guest: samples::guest(LINODE),
        boot: samples::boot(DiskId(50)),
        stop_limit_s: limit,
    };
    // A guest that ignores the request, so that the next stop takes its whole limit.
    succeeded(portal.outcome(portal.give(&who, LINODE, reboot(5))));
    let seal = Task::StopSeal {
        migration: MigrationId(1),
        epoch: 1,
        stop_limit_s: 1,
    };
    let job = portal.give(&who, LINODE, seal);
    eventually("the job is in hand", || {
        agent
            .state()
            .join(format!("ledger/job-{job}.json"))
            .exists()
    });
    agent.kill();
    agent.start();
    let report = succeeded(portal.outcome(job));
    let Report::Sealed {
        epoch: 1,
        forced,
        was_running,
        ..
    } = report
    else {
        panic!("{report:?}")
    };
    assert!(forced && was_running);
    let state = portal.state.0.lock().unwrap();
    let (_, finish) = state.finishes.iter().find(|(of, _)| *of == job).unwrap();
    assert_eq!(
        (finish.attempt, finish.lease_token.as_str()),
        (1, &*format!("lease-{job}"))
    );
    drop(state);
    machine.judge();
}

#[test]
fn a_revoked_agent_stops_asking_and_leaves_its_guests_alone() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    let guest = agent.guest(LINODE).unwrap();
    portal.mood(|mood| mood.revoked = true);
    // The open poll is answered with this order; what it says can no longer be reported.
    portal.give(&agent.credential(), LinodeId(6), shutdown());
    eventually("the agent says so", || {
        agent.log().contains("takes no more orders")
    });
    let polls = portal.state.0.lock().unwrap().polls;
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(portal.state.0.lock().unwrap().polls, polls);
    assert!(guest.lives());
}

#[test]
fn a_running_agent_takes_up_a_rotated_credential() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    assert!(agent.tool(&["rotate"]).status.success());
    let old = agent.credential();
    portal.state.0.lock().unwrap().replaced.insert(old.clone());
    // Ends the open poll; the next one is refused, and asked again with the new credential.
    portal.give(&old, LinodeId(6), shutdown());
    let job = portal.give(&format!("{old}-new"), LINODE, shutdown());
    succeeded(portal.outcome(job));
}

/// A lease that is refused with a credential of yesterday is no lost lease: the copy goes on, under the new one.
#[test]
fn a_copy_outlives_the_rotation_of_its_hosts_credential() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    let old = agent.credential();
    let other = LinodeId(6);
    let reserve = Task::Reserve {
        migration: MigrationId(2),
        guest: samples::guest(other),
        base_epoch: None,
    };
    succeeded(portal.outcome(portal.give(&old, other, reserve)));
    // A source that nobody listens at: it is tried for a good while.
    let job = portal.give(&old, other, warm_from_nowhere(other));
    let held = agent.state().join(format!("ledger/job-{job}.json"));
    eventually("it is in hand", || held.exists());
    // The portal knows the new one before the host does: for a moment there is none that both know.
    portal.state.0.lock().unwrap().replaced.insert(old.clone());
    std::thread::sleep(Duration::from_secs(12));
    assert!(held.exists(), "{}", agent.log());
    assert!(
        portal
            .state
            .0
            .lock()
            .unwrap()
            .finishes
            .iter()
            .all(|(of, _)| *of != job)
    );
    std::fs::write(agent.state().join("credential"), format!("{old}-new")).unwrap();
    let outcome = portal.outcome(job);
    assert!(
        matches!(outcome, Outcome::Failed { retry: true, .. }),
        "{outcome:?}"
    );
    assert!(
        !agent.log().contains("the lease was lost"),
        "{}",
        agent.log()
    );
}

fn warm_from_nowhere(linode: LinodeId) -> Task {
    Task::WarmCopy {
        migration: MigrationId(2),
        guest: samples::guest(linode),
        source: xenbeta::wire::Peer {
            address: "192.0.2.1:9".into(),
            fingerprint: "0".repeat(64),
            token: "t".into(),
        },
        max_passes: 1,
    }
}

#[test]
fn a_planned_reboot_shuts_guests_down_and_is_to_all_else_a_loss_of_power() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    let who = agent.credential();
    let deaf = LinodeId(6);
    agent.fault("ignore-term", deaf, true);
    let adopt = Task::Adopt {
        epoch: 1,
        guest: samples::guest(deaf),
        boot: None,
    };
    let start = Task::Boot {
        epoch: 1,
        guest: samples::guest(deaf),
        boot: samples::boot(DiskId(60)),
    };
    for task in [adopt, start] {
        succeeded(portal.outcome(portal.give(&who, deaf, task)));
    }
    assert!(agent.guest(LINODE).is_some() && agent.guest(deaf).is_some());
    let out = agent.tool(&["stop-guests"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        !out.status.success() && said.contains("stop it first"),
        "{said}"
    );
    agent.terminate();
    let out = agent.tool(&["stop-guests", "--limit", "2"]);
    assert!(out.status.success(), "{out:?}");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(said, "Linode 5: shut down\nLinode 6: ended by force\n");
    assert!(agent.guest(LINODE).is_none() && agent.guest(deaf).is_none());
    let ledger = Ledger::look(&agent.state().join("ledger")).unwrap();
    assert!(ledger.entry(LINODE).unwrap().desired_running);
    // The host is up again. Nobody ordered it: they are absent, and still to run.
    let before = portal
        .wait_for(Duration::from_secs(30), |state| Some(state.reports.len()))
        .unwrap();
    agent.start();
    portal.wait_for(Duration::from_secs(30), |state| {
        let report = state.reports.get(before..)?.last()?;
        let reports = report.linodes.iter();
        let off = reports.filter(|it| !it.running && it.granted == 1 && it.sealed == 0);
        (off.count() == 2 && !report.boot.is_empty()).then_some(())
    });
    succeeded(portal.outcome(portal.give(&who, LINODE, boot())));
    assert!(agent.guest(LINODE).is_some() && agent.guest(deaf).is_none());
    agent.terminate();
    let out = agent.tool(&["stop-guests"]);
    assert!(out.status.success() && agent.guest(LINODE).is_none());
    assert!(agent.tool(&["stop-guests"]).stdout.is_empty());
    machine.judge();
}

/// After a reboot with the portal away: only what this host owns, only by root, and on record.
#[test]
fn root_may_start_what_the_host_owns_without_the_portal() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    let linode = LINODE.to_string();
    let start = [
        "override-start",
        "--linode",
        &linode,
        "--reason",
        "the portal is away",
    ];
    let refused = agent.tool(&start);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("must be stopped"),
        "{refused:?}"
    );
    agent.terminate();
    agent
        .guest(LINODE)
        .unwrap()
        .signal(rustix::process::Signal::KILL)
        .unwrap();
    eventually("the guest is gone", || agent.guest(LINODE).is_none());
    assert!(
        !agent
            .tool(&[
                "override-start",
                "--linode",
                "99",
                "--reason",
                "unknown here"
            ])
            .status
            .success()
    );
    let out = agent.tool(&start);
    if !rustix::process::geteuid().is_root() {
        assert!(String::from_utf8_lossy(&out.stderr).contains("only root"));
        return;
    }
    assert!(out.status.success(), "{out:?}");
    assert!(agent.guest(LINODE).is_some());
    let record = std::fs::read_to_string(agent.state().join("override.log")).unwrap();
    assert!(record.contains("the portal is away"), "{record}");
    agent.start();
    let seal = Task::StopSeal {
        migration: MigrationId(1),
        epoch: 1,
        stop_limit_s: 5,
    };
    succeeded(portal.outcome(portal.give(&agent.credential(), LINODE, seal)));
    agent.terminate();
    let out = agent.tool(&start);
    assert!(!out.status.success(), "what is sealed stays down");
    assert!(agent.guest(LINODE).is_none());
    machine.judge();
}

#[test]
fn a_stale_lease_stops_the_step_and_is_not_answered_for() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    portal.mood(|mood| mood.stale = true);
    let who = agent.credential();
    // A source that nobody listens at: the copy tries again and again, until it is told that the lease is gone.
    let warm = warm_from_nowhere(LinodeId(6));
    let reserve = Task::Reserve {
        migration: MigrationId(2),
        guest: samples::guest(LinodeId(6)),
        base_epoch: None,
    };
    succeeded(portal.outcome(portal.give(&who, LinodeId(6), reserve)));
    let job = portal.give(&who, LinodeId(6), warm);
    let path = agent.state().join(format!("ledger/job-{job}.json"));
    let renewed = portal.wait_for(Duration::from_secs(20), |state| {
        state
            .renewals
            .iter()
            .any(|(of, _)| *of == job)
            .then_some(())
    });
    assert!(renewed.is_some());
    eventually("the job is dropped", || !path.exists());
    let state = portal.state.0.lock().unwrap();
    assert!(state.finishes.iter().all(|(of, _)| *of != job));
    assert_eq!(state.most_open_polls, 1, "one poll at a time");
}

#[test]
fn the_same_order_twice_is_one_job_and_a_torn_record_is_nobodys_guess() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = with_guest(&machine, &portal);
    agent.kill();
    let record = agent.state().join(format!("ledger/linode-{LINODE}.json"));
    let whole = std::fs::read(&record).unwrap();
    std::fs::write(&record, &whole[..whole.len() - 10]).unwrap();
    agent.start();
    let who = agent.credential();
    for task in [boot(), shutdown(), adopt(), Task::Purge { epoch: 9 }] {
        let outcome = portal.outcome(portal.give(&who, LINODE, task));
        let Outcome::Failed {
            retry: false,
            detail,
            ..
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(detail.contains("cannot be trusted"), "{detail}");
    }
    let said = portal.wait_for(Duration::from_secs(30), |state| {
        let inventory = state.inventories.get(&who)?;
        inventory
            .unknown
            .iter()
            .any(|text| text.contains("ledger record"))
            .then_some(())
    });
    assert!(said.is_some(), "the inventory reports it");
    assert!(agent.guest(LINODE).is_some());
}

#[test]
fn enrolment_keeps_the_credential_private_and_check_says_what_fails() {
    use std::os::unix::fs::PermissionsExt;
    let (machine, portal) = (Machine::new(), Portal::start());
    let mut agent = Agent::configured(&machine, "uml-1", &portal.url());
    let out = agent.tool(&["check"]);
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("FAIL  identity"));
    let bad = agent.tool(&["enrol", "--token", "bad"]);
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("not valid any more"));
    let elsewhere = [
        "enrol",
        "--portal",
        "https://elsewhere.example",
        "--token",
        "good-uml-1",
    ];
    assert!(!agent.tool(&elsewhere).status.success());
    let url = portal.url();
    let good = agent.tool(&["enrol", "--portal", &url, "--token", "good-uml-1"]);
    assert!(good.status.success(), "{good:?}");
    assert!(
        !agent
            .tool(&["enrol", "--token", "good-uml-1"])
            .status
            .success(),
        "twice"
    );
    let credential = agent.state().join("credential");
    let mode = std::fs::metadata(&credential).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = agent.tool(&["check"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    agent.start();
    eventually("it runs", || agent.log().contains("the agent runs"));
    let text = String::from_utf8_lossy(&agent.tool(&["check"]).stdout).into_owned();
    assert!(text.contains("by the running agent"), "{text}");
    let second = agent.tool(&["run"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("another agent"));
    portal.mood(|mood| mood.revoked = true);
    let out = agent.tool(&["check"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        !out.status.success() && text.contains("FAIL  portal"),
        "{text}"
    );
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &agent.log();
    assert!(
        !said.contains("credential-uml-1"),
        "a credential is never shown"
    );
}

fn mark(incarnation: &str, revision: i64) -> Option<PortalMark> {
    Some(PortalMark {
        incarnation: incarnation.into(),
        revision,
    })
}

#[test]
fn a_portal_that_went_back_gets_no_change_of_ownership() {
    let (machine, portal) = (Machine::new(), Portal::start());
    portal.state.0.lock().unwrap().mark = mark("a", 7);
    let mut agent = with_guest(&machine, &portal);
    let who = agent.credential();
    let seal = Task::StopSeal {
        migration: MigrationId(1),
        epoch: 1,
        stop_limit_s: 5,
    };
    portal.state.0.lock().unwrap().mark = mark("b", 6);
    let job = portal.give(&who, LINODE, seal);
    let seen = portal.wait_for(Duration::from_secs(20), |state| {
        let (protocol, ledger, seen) = state.shown.get(&who)?;
        (*protocol == PROTOCOL && ledger.is_some() && *seen == mark("a", 7)).then_some(())
    });
    assert!(seen.is_some());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(machine.judge().stops, 0, "it was not stopped");
    let polls = |portal: &Portal| portal.state.0.lock().unwrap().polls;
    let before = polls(&portal);
    std::thread::sleep(Duration::from_secs(2));
    assert!(polls(&portal) - before < 10, "it does not spin");
    // What changes no ownership is done all the same, also by a restarted agent.
    agent.kill();
    agent.start();
    let told = portal.state.0.lock().unwrap().finishes.len();
    assert!(
        !agent
            .state()
            .join(format!("ledger/job-{job}.json"))
            .exists()
    );
    // It is a new life of the portal that knows more: followed.
    portal.state.0.lock().unwrap().mark = mark("b", 8);
    let report = succeeded(portal.outcome(job));
    assert!(matches!(report, Report::Sealed { epoch: 1, .. }));
    assert!(portal.state.0.lock().unwrap().finishes.len() > told);
    assert!(agent.state().join("ledger/portal.json").exists());
}

#[test]
fn an_outcome_that_is_refused_is_given_in_plain_words() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    portal.mood(|mood| mood.refuse_finishes = 1);
    let job = portal.give(&agent.credential(), LINODE, shutdown());
    let plain = portal.wait_for(Duration::from_secs(20), |state| {
        let mut told = state.finishes.iter().filter(|(of, _)| *of == job);
        told.nth(1).map(|(_, finish)| finish.outcome.clone())
    });
    let Some(Outcome::Failed { retry, detail, .. }) = plain else {
        panic!("{plain:?}");
    };
    assert!(retry && detail.contains("what is that?"), "{detail}");
}

#[test]
fn a_lease_is_renewed_while_the_outcome_waits() {
    let (machine, portal) = (Machine::new(), Portal::start());
    let agent = with_guest(&machine, &portal);
    portal.mood(|mood| mood.lose_finishes = 1000);
    let job = portal.give(&agent.credential(), LINODE, shutdown());
    let renewed = portal.wait_for(Duration::from_secs(30), |state| {
        let waits = state.finishes.iter().any(|(of, _)| *of == job);
        let renewed = state.renewals.iter().any(|(of, _)| *of == job);
        (waits && renewed).then_some(())
    });
    assert!(renewed.is_some());
    portal.mood(|mood| mood.lose_finishes = 0);
    let path = agent.state().join(format!("ledger/job-{job}.json"));
    eventually("it is answered", || !path.exists());
}
