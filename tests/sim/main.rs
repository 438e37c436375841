//! Portal, agents and mover from one seed, in one thread, on a simulated clock, network and disk (`make sim`).
//! `SEED=n` runs one seed and prints its trace; `SEEDS=n` runs so many, `FROM=n` from that one on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

mod acts;
mod agent;
mod driver;
mod mover;
mod net;
mod portal;
#[path = "../support/rng.rs"]
mod rng;
mod sim;
mod store;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the portal's tests")]
mod support;
mod world;

use std::rc::Rc;
use std::time::Instant;

use portal::Prepared;
use sim::Sim;

/// Events under faults, at most.
const EVENTS: u64 = 400;

#[derive(Debug, Default)]
struct Findings {
    seeds: u64,
    violations: Vec<(u64, String)>,
    lost: Vec<(u64, String)>,
    overlaps: Vec<(u64, String)>,
    stuck: Vec<(u64, String)>,
}

fn one(seed: u64, prepared: &Rc<Prepared>, found: &mut Findings) -> (String, Vec<String>) {
    let sim = Sim::begin(seed, Rc::clone(prepared));
    let app = sim.portal.borrow().clone().expect("it is up");
    sim.offer(&app, 0);
    drop(app);
    let events = 60 + sim.below(EVENTS);
    for _ in 0..events {
        sim.event();
    }
    sim.settle();
    let world = sim.world.take();
    found.seeds += 1;
    let stuck = sim.stuck.borrow().clone();
    let kinds = [
        ("violation", &world.violations),
        ("lost", &world.lost),
        ("overlap", &world.overlaps),
        ("stuck", &stuck),
    ];
    for (kind, list) in kinds {
        for told in list.iter().take(3) {
            eprintln!("{kind} SEED={seed}: {told}");
        }
    }
    let with = |list: Vec<String>| list.into_iter().map(move |it| (seed, it));
    found.violations.extend(with(world.violations));
    found.lost.extend(with(world.lost));
    found.overlaps.extend(with(world.overlaps));
    found.stuck.extend(with(sim.stuck.take()));
    let result = (sim.hash(), sim.trace.take());
    Sim::end();
    result
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(from: u64, seeds: u64) -> Findings {
    let prepared = Rc::new(Prepared::new());
    let mut found = Findings::default();
    for seed in from..from + seeds {
        let before = (
            found.violations.len(),
            found.lost.len(),
            found.overlaps.len(),
            found.stuck.len(),
        );
        let (hash, _) = one(seed, &prepared, &mut found);
        let after = (
            found.violations.len(),
            found.lost.len(),
            found.overlaps.len(),
            found.stuck.len(),
        );
        // What failed, and every hundredth seed, is replayed: the same must happen again.
        if before != after || seed % 100 == 0 {
            let (again, _) = one(seed, &prepared, &mut Findings::default());
            if again != hash {
                let told = format!("another trace: {hash} and {again}");
                found.violations.push((seed, told));
            }
        }
    }
    found
}

#[test]
fn seeds() {
    if let Some(seed) = env("SEED") {
        let prepared = Rc::new(Prepared::new());
        let mut found = Findings::default();
        let (hash, trace) = one(seed, &prepared, &mut found);
        for line in trace {
            println!("{line}");
        }
        println!("{hash}\n{found:#?}");
        return;
    }
    let (from, seeds) = (env("FROM").unwrap_or(0), env("SEEDS").unwrap_or(12));
    let begun = Instant::now();
    let half = seeds / 2;
    let other = std::thread::spawn(move || run(from + half, seeds - half));
    let mut all = run(from, half);
    let other = other.join().expect("the other half");
    all.seeds += other.seeds;
    all.violations.extend(other.violations);
    all.lost.extend(other.lost);
    all.overlaps.extend(other.overlaps);
    all.stuck.extend(other.stuck);
    println!(
        "sim: {} seeds, {} violations, {} lost writes, {} overlaps, {} stuck moves ({:.1} s)",
        all.seeds,
        all.violations.len(),
        all.lost.len(),
        all.overlaps.len(),
        all.stuck.len(),
        begun.elapsed().as_secs_f64()
    );
    let bad = all.violations.len() + all.lost.len() + all.overlaps.len() + all.stuck.len();
    assert_eq!(bad, 0, "run with SEED=… for a trace");
}
