//! Fault after fault while Linodes move there and back; after each, everything has to be well again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::Fault;
use crate::judge::{Acts, Findings};
use crate::random::Random;
use crate::support::On;
use crate::world::{MOVED, World};

#[derive(Debug, Default)]
struct Tally {
    faults: usize,
    moves: usize,
    acts: Acts,
    found: Findings,
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.moves += other.moves;
        self.acts.staff += other.acts.staff;
        self.acts.boots += other.acts.boots;
        self.found.extend(other.found);
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }

    fn line(&self) -> String {
        format!(
            "chaos: {} faults, {} violations, {} lost writes, {} overlaps, {} stuck moves",
            self.faults,
            self.found.violations.len(),
            self.found.lost_writes.len(),
            self.found.overlaps.len(),
            self.found.stuck.len()
        )
    }
}

/// How long everything may take to be well after a fault: leases are 60 s.
const SETTLE: Duration = Duration::from_secs(150);

/// Up to so many faults in one world, or until the time is over, or until something must never have been.
fn faults(on: On, seed: u64, count: usize, until: Option<Instant>) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let mut world = World::new(on);
    while tally.faults < count && until.is_none_or(|until| Instant::now() < until) {
        for linode in MOVED {
            if random.below(4) > 0 {
                tally.moves += usize::from(world.go_on(linode));
            }
        }
        thread::sleep(Duration::from_millis(random.below(2500)));
        let fault = Fault::draw(&mut random, world.pg.is_some(), world.hosts.len());
        world.note(format!("fault {}: {fault:?}", tally.faults + 1));
        tally.faults += 1;
        let name = format!("{fault:?}");
        let kind = name.split('(').next().unwrap_or_default().to_owned();
        *tally.kinds.entry(kind).or_default() += 1;
        if let Err(violation) = world.inflict(fault, &mut random) {
            tally.found.violations.push(violation);
        }
        let begun = Instant::now();
        let (acts, found) = world.settle(SETTLE);
        tally.acts.staff += acts.staff;
        tally.acts.boots += acts.boots;
        world.note(format!("  well after {:.1?}, {acts:?}", begun.elapsed()));
        tally.found.extend(found);
        if !tally.found.is_none() {
            world.keep();
            break;
        }
    }
    tally
}

/// As `faults`; says how to replay what failed.
fn told(on: On, seed: u64, count: usize, until: Option<Instant>) -> Tally {
    let done = catch_unwind(AssertUnwindSafe(|| faults(on, seed, count, until)));
    let database = format!("{on:?}").to_lowercase();
    let replay = format!("replay: scripts/chaos {count} {seed} {database}");
    match done {
        Ok(tally) => {
            println!(
                "{database}, seed {seed}: {} faults {:?}, {} moves, {:?}",
                tally.faults, tally.kinds, tally.moves, tally.acts
            );
            if !tally.found.is_none() {
                println!("{:#?}\n{replay}", tally.found);
            }
            tally
        }
        Err(error) => {
            println!("{replay}");
            std::panic::resume_unwind(error);
        }
    }
}

fn end(tally: &Tally) {
    println!("{}", tally.line());
    assert!(tally.found.is_none(), "{}", tally.line());
}

/// Part of every run: as many as fit into a quarter of a minute, and what they take to settle.
#[test]
fn some_faults() {
    // The same in every run: what others find is for `make chaos`.
    let seed = 4_267_883_524;
    let until = Instant::now() + Duration::from_secs(15);
    end(&told(On::Sqlite, seed, 25, Some(until)));
}

/// So many worlds at once: most of the time is spent waiting for leases to run out.
const WORLDS: usize = 4;
/// Faults in one world.
const IN_ONE: usize = 25;

/// `make chaos`: as many faults as one likes, both databases in turn, until the first that something is found after.
#[test]
#[ignore = "as long as one likes: make chaos"]
fn as_many_faults_as_asked_for() {
    let word = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let count: usize = word("CHAOS_FAULTS").map_or(1000, |it| it.parse().unwrap());
    let replayed: Option<u64> = word("CHAOS_SEED").map(|it| it.parse().unwrap());
    let seed = replayed.unwrap_or_else(Random::seed);
    let databases = match word("CHAOS_DATABASE").as_deref() {
        Some("sqlite") => vec![On::Sqlite],
        Some("postgresql") => vec![On::Postgresql],
        _ => vec![On::Sqlite, On::Postgresql],
    };
    // A seed is of one world; the next are of the seeds after it.
    let in_one = if replayed.is_some() { count } else { IN_ONE };
    let turns = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let one_after_another = || {
        loop {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            if turn * in_one >= count || !tally.lock().unwrap().found.is_none() {
                return;
            }
            let left = (count - turn * in_one).min(in_one);
            let on = databases[turn % databases.len()];
            let done = told(on, seed + u64::try_from(turn).unwrap(), left, None);
            tally.lock().unwrap().add(done);
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(one_after_another);
        }
    });
    end(&tally.into_inner().unwrap());
}
