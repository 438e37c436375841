//! Bits that flip: on the line, on the way to the disk and back, at rest in copies, tables and records. Each is found, or
//! harms nothing: a copy is right or is not published, a record says what was written or is refused. `make faults` for as
//! many as one likes, and for what disks refuse (tests/chaos).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

mod flight;
mod line;
#[path = "../agent/mover.rs"]
#[allow(dead_code, reason = "shared with the agent's tests")]
mod mover;
#[path = "../agent/mover_store.rs"]
#[allow(dead_code, reason = "shared with the agent's tests")]
mod mover_store;
mod records;
mod rest;
#[path = "../support/rng.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod rng;
#[path = "../agent/samples.rs"]
#[allow(dead_code, reason = "shared with the agent's tests")]
mod samples;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rng::Rng;

/// One flipped bit, drawn by the dice. An error: it was not found.
type Flip = fn(&mut Rng) -> Result<(), String>;

const FLIPS: [(&str, Flip); 13] = [
    ("on the line from the source", flight::from_source),
    ("on the line to the source", flight::to_source),
    ("on the way to the disk", flight::written),
    ("on the way back from the disk", flight::read_back),
    ("in a copy between two steps", rest::between_steps),
    (
        "in a copy that was all but published",
        rest::before_publishing,
    ),
    (
        "in a copy whose source tells what changed",
        rest::where_the_store_tells,
    ),
    ("in the copy's table", rest::copys_table),
    ("in the source's table", rest::sources_table),
    ("in the copy's receipt", rest::receipt),
    ("in a Linode's record", records::linode),
    ("in a job's or transfer's record", records::job_or_transfer),
    (
        "in the ledger's identity or the portal's mark",
        records::marks,
    ),
];

/// `count` bits, of each kind in turn. The line that counts comes last. Most of the time is waiting for disks, so several
/// go side by side.
fn flip(count: u64, seed: u64) {
    let (next, missed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let round = next.fetch_add(1, Ordering::SeqCst);
            if round >= count {
                return;
            }
            let (name, flip) = FLIPS[round as usize % FLIPS.len()];
            let done = flip(&mut Rng::new(seed.wrapping_add(round << 32)));
            if let Err(why) = done {
                let text = format!("flip {round}, seed {seed}, {name}: {why}");
                missed.lock().unwrap().push(text);
            }
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
    let missed = missed.into_inner().unwrap();
    println!("flips: {} of {count} found", count - missed.len() as u64);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn every_kind_of_flip_is_found() {
    flip(4 * FLIPS.len() as u64, 9);
}

/// `make faults`: `XENBETA_FLIPS` of them.
#[test]
#[ignore = "as long as one likes: make faults"]
fn as_many_flips_as_asked_for() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    flip(
        number("XENBETA_FLIPS").unwrap_or(1000),
        number("XENBETA_SEED").unwrap_or(0),
    );
}
