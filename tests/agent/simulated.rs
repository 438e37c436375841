//! The simulated driver by itself: its guests are real processes.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use xenbeta::agent::driver::simulated::records::Ring;
use xenbeta::agent::driver::simulated::{Simulated, SimulatedConfig};
use xenbeta::agent::driver::{Driver, Guest, GuestState, Stopped};
use xenbeta::domain::ids::{DiskId, LinodeId};

use crate::agents::{Machine, PROGRAM, ask, eventually};
use crate::samples::{self, One};
use crate::witness;

const LINODE: LinodeId = LinodeId(3);

fn driver(machine: &Machine, host: &str) -> Simulated {
    let text = format!(
        "host = {host:?}\nwitness = {:?}\naddresses = {:?}\nguest_program = {PROGRAM:?}\nwrite_every_ms = 1\nstop_delay_ms = 20\n",
        machine.witness(),
        machine.addresses()
    );
    let config: SimulatedConfig = toml::from_str(&text).unwrap();
    Simulated::new(config, &machine.dir.path().join(host).join("state/driver")).unwrap()
}

fn disks(machine: &Machine) -> Vec<(DiskId, PathBuf)> {
    let path = machine.dir.path().join("disk.img");
    if !path.exists() {
        fs::write(&path, vec![0; 1 << 20]).unwrap();
    }
    vec![(DiskId(30), path)]
}

fn start(driver: &Simulated, disks: &[(DiskId, PathBuf)]) -> bool {
    let (spec, boot) = (samples::guest(LINODE), samples::boot(DiskId(30)));
    let guest = Guest {
        linode: LINODE,
        spec: &spec,
        boot: &boot,
        disks,
    };
    driver.start(&guest).is_ok()
}

#[test]
fn a_guest_is_found_again_by_another_run_of_the_agent_and_stops_cleanly() {
    let machine = Machine::new();
    let first = driver(&machine, "a");
    assert_eq!(first.state(LINODE).unwrap(), GuestState::Absent);
    assert!(start(&first, &disks(&machine)));
    assert!(!start(&first, &disks(&machine)), "it runs already");
    let found = first.state(LINODE).unwrap();
    drop(first);
    let second = driver(&machine, "a");
    assert_eq!(second.state(LINODE).unwrap(), found);
    assert_eq!(second.guests().unwrap(), [LINODE]);
    assert!(second.sample(LINODE).is_some());
    assert!(second.console_tail(LINODE, 5).contains("login:"));
    let limit = Duration::from_secs(5);
    assert_eq!(second.stop(LINODE, limit).unwrap(), Stopped::Cleanly);
    assert_eq!(second.state(LINODE).unwrap(), GuestState::Absent);
    assert_eq!(second.stop(LINODE, limit).unwrap(), Stopped::WasAbsent);
    let verdict = machine.judge();
    assert_eq!((verdict.starts, verdict.stops), (1, 1));
}

#[test]
fn a_guest_that_ignores_the_request_is_stopped_by_force_after_the_limit() {
    let machine = Machine::new();
    let driver = driver(&machine, "a");
    let faults = machine.dir.path().join("a/state/driver/faults");
    fs::create_dir_all(&faults).unwrap();
    fs::write(faults.join("ignore-term-3"), "").unwrap();
    assert!(start(&driver, &disks(&machine)));
    let (begun, limit) = (Instant::now(), Duration::from_millis(300));
    assert_eq!(driver.stop(LINODE, limit).unwrap(), Stopped::ByForce);
    assert!(begun.elapsed() >= limit);
    assert_eq!(machine.judge().stops, 1);
}

#[test]
fn a_guest_that_cannot_boot_dies_with_a_panic_on_its_console() {
    let machine = Machine::new();
    let driver = driver(&machine, "a");
    let faults = machine.dir.path().join("a/state/driver/faults");
    fs::create_dir_all(&faults).unwrap();
    fs::write(faults.join("fail-boot-3"), "").unwrap();
    assert!(start(&driver, &disks(&machine)));
    eventually("the guest is dead", || {
        driver.state(LINODE).unwrap() == GuestState::Absent
    });
    assert!(driver.console_tail(LINODE, 3).contains("Kernel panic"));
    assert_eq!(machine.judge().starts, 0);
}

/// Killed at any moment, a guest loses nothing it had synced, and goes on with the next number.
#[test]
fn nothing_synced_is_lost_however_the_guest_ends() {
    let machine = Machine::new();
    let driver = driver(&machine, "a");
    let disks = disks(&machine);
    for round in 0..8 {
        assert!(start(&driver, &disks));
        thread::sleep(Duration::from_millis(13 * round));
        driver.stop(LINODE, Duration::ZERO).unwrap();
    }
    let file = fs::File::open(&disks[0].1).unwrap();
    let found = Ring::of(1 << 20).unwrap().read(&file, LINODE).unwrap();
    assert!(found.newest > 8 && found.missing.is_empty(), "{found:?}");
    assert_eq!(machine.judge().starts, 8);
}

/// The witness must be able to see the disaster, or its silence means nothing.
#[test]
fn the_witness_sees_two_runners_and_lost_writes() {
    let machine = Machine::new();
    let (one, two) = (driver(&machine, "a"), driver(&machine, "b"));
    let original = disks(&machine);
    assert!(start(&one, &original));
    thread::sleep(Duration::from_millis(50));
    let copy = machine.dir.path().join("copy.img");
    fs::copy(&original[0].1, &copy).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(start(&two, &[(DiskId(30), copy)]));
    one.stop(LINODE, Duration::from_secs(5)).unwrap();
    two.stop(LINODE, Duration::from_secs(5)).unwrap();
    let violations = witness::judge(&machine.witness()).unwrap().violations;
    assert!(
        violations.iter().any(|said| said.contains("Overlap")),
        "{violations:?}"
    );
    assert!(
        violations.iter().any(|said| said.contains("was synced")),
        "{violations:?}"
    );
}

#[test]
fn an_address_follows_the_announcement_and_is_taken_away_only_by_its_owner() {
    let machine = Machine::new();
    let (one, two) = (driver(&machine, "a"), driver(&machine, "b"));
    let spec = samples::guest(LINODE);
    let address = spec.addresses[0].address.clone();
    let answers = || ask(&machine.addresses(), &address);
    assert!(start(&one, &disks(&machine)));
    one.announce(LINODE, &spec).unwrap();
    assert!(answers().unwrap().contains("host a"));
    one.stop(LINODE, Duration::from_secs(5)).unwrap();
    assert!(start(&two, &disks(&machine)));
    two.announce(LINODE, &spec).unwrap();
    one.withdraw(LINODE).unwrap();
    assert!(answers().unwrap().contains("host b"));
    two.stop(LINODE, Duration::from_secs(5)).unwrap();
    two.withdraw(LINODE).unwrap();
    two.withdraw(LINODE).unwrap();
    assert_eq!(answers(), None);
}

#[test]
fn guests_under_a_made_up_load_get_by_weight_and_a_changed_weight_acts_at_once() {
    let machine = Machine::new();
    let text = format!(
        "host = \"l\"\nwitness = {:?}\nguest_program = {PROGRAM:?}\nstop_delay_ms = 1\n[load]\ncpus = 1.0\nwants = 0.0\n\
         guests = {{ \"1\" = 1.0, \"2\" = 1.0, \"3\" = 1.0 }}\n",
        machine.witness()
    );
    let config: SimulatedConfig = toml::from_str(&text).unwrap();
    let driver = Simulated::new(config, &machine.dir.path().join("l/state/driver")).unwrap();
    let all = [(1, 128), (2, 256), (3, 512)].map(|(id, weight)| (LinodeId(id), weight));
    for (linode, weight) in all {
        let disk = machine.dir.path().join(format!("{linode}.img"));
        fs::write(&disk, vec![0; 1 << 20]).unwrap();
        let mut spec = samples::guest(linode);
        spec.cpu_weight = weight;
        let (boot, disks) = (samples::boot(spec.disks[0].id), [(spec.disks[0].id, disk)]);
        let guest = Guest {
            linode,
            spec: &spec,
            boot: &boot,
            disks: &disks,
        };
        driver.start(&guest).unwrap();
    }
    let parts = || {
        let read = || all.map(|(linode, _)| driver.sample(linode).unwrap());
        let before = read();
        thread::sleep(Duration::from_millis(2500));
        let after = read();
        let used: Vec<f64> = (0..3)
            .map(|at| (after[at].cpu_ms - before[at].cpu_ms) as f64)
            .collect();
        assert!((0..3).all(|at| after[at].wait_ms > before[at].wait_ms));
        let sum: f64 = used.iter().sum();
        used.into_iter().map(|it| it / sum).collect::<Vec<f64>>()
    };
    let close = |parts: &[f64], of: [f64; 3]| {
        let sum: f64 = of.iter().sum();
        parts
            .iter()
            .zip(of)
            .all(|(part, of)| (part - of / sum).abs() < 0.05 * of / sum)
    };
    // The first look begins the counting.
    let _ = driver.sample(LinodeId(1));
    let by_weight = parts();
    assert!(close(&by_weight, [1.0, 2.0, 4.0]), "{by_weight:?}");
    let mut share = driver.share(LinodeId(1)).unwrap();
    share.cpu_weight = 512;
    driver.set_share(LinodeId(1), share).unwrap();
    thread::sleep(Duration::from_millis(1100));
    let changed = parts();
    for (linode, _) in all {
        driver.stop(linode, Duration::from_secs(5)).unwrap();
    }
    assert!(close(&changed, [2.0, 1.0, 2.0]), "{changed:?}");
}

/// One look at two hundred guests, by what they really use and under a made-up load.
#[test]
fn two_hundred_guests_are_sampled_at_once() {
    use xenbeta::agent::process::ProcessRef;
    // Not a Machine: what that finds running at its end it kills, and here that is this process.
    let home = tempfile::tempdir().unwrap();
    let load = "[load]\ncpus = 4.0\nwants = 0.5\n";
    for load in ["", load] {
        let text = format!(
            "host = \"s\"\nwitness = {:?}\n{load}",
            home.path().join("witness")
        );
        let config: SimulatedConfig = toml::from_str(&text).unwrap();
        let dir = home.path().join("s/state/driver");
        let driver = Simulated::new(config, &dir).unwrap();
        let all: Vec<LinodeId> = (1..=200).map(LinodeId).collect();
        let held: Vec<fs::File> = all
            .iter()
            .map(|linode| {
                let dir = dir.join(format!("linode-{linode}"));
                fs::create_dir_all(&dir).unwrap();
                let me = ProcessRef::of(std::process::id()).unwrap();
                fs::write(dir.join("process"), me.id()).unwrap();
                let lock = fs::File::create(dir.join("lock")).unwrap();
                lock.lock().unwrap();
                lock
            })
            .collect();
        let begun = Instant::now();
        let found = driver.samples(&all);
        eprintln!("a look at 200 simulated guests: {:?}", begun.elapsed());
        assert_eq!(found.len(), 200);
        let states = driver.states(&all);
        for (linode, counted) in &found {
            let Ok(GuestState::Running { id, .. }) = &states[linode] else {
                panic!("{linode} runs")
            };
            assert_eq!(id, &counted.run, "of the run that there is");
        }
        drop(held);
    }
}
