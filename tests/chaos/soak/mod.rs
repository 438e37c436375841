//! Two portals on one PostgreSQL, with clocks that are 30 seconds apart, under a mixed load of members, staff and agents,
//! while portals, agents and the database are restarted: every mail once, every sum right, no deadlock, no 500.
//! `make soak ARGS="--minutes 60"`; a short run is among the tests.
//!
//! While a portal or the database is down (from before it is ended until `/ready` says 200 again), a request to it may
//! have no answer, or 503. Nothing else above 499 is allowed, at any time.

mod client;
mod fleet;
mod judge;
mod mails;
mod member;
mod staff;
mod sums;
mod tally;
mod town;
mod trouble;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::Client;
use judge::Memory;
use town::{Machines, STAFF, Town};
use trouble::Trouble;

use crate::random::Random;
use crate::support::fleet::PASSWORD;

/// Members who do something at the same time.
const MEMBERS: u64 = 4;

/// How long, and how busy.
struct Plan {
    length: Duration,
    /// With three Linodes each; more are imported later.
    accounts: u64,
    /// Between two requests of one client: at least, and at most so much more.
    pause_ms: (u64, u64),
    /// Between two restarts.
    trouble_s: (u64, u64),
    /// The last part, in which no portal is restarted: memory shows what it comes to.
    calm: Duration,
}

/// However it ends, all others end with it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn soak(seed: u64, plan: &Plan) {
    let (town, mut machines) = town::found(seed, plan.accounts, plan.pause_ms);
    let mut memory = Memory::default();
    thread::scope(|scope| {
        let _over = Over(&town.over);
        for number in 0..MEMBERS {
            let town = &town;
            scope.spawn(move || members(town, number));
        }
        for (number, email) in STAFF.iter().enumerate() {
            let mut client = Client::new(&town, 1000 + number as u64, email, PASSWORD);
            scope.spawn(move || {
                while !client.town.is_over() {
                    client.live_as_staff();
                }
            });
        }
        go_on(&town, &mut machines, plan, &mut memory);
    });
    judge::drain(&town, plan.length >= Duration::from_secs(600));
    judge::judge(&town, &mut machines, &memory);
    println!(
        "\n{}\n{}\n{}",
        town.tally.table(),
        town.tally.counts(),
        memory.words()
    );
    let faults = town.tally.faults();
    machines.hosts.iter_mut().for_each(|host| {
        host.cut_power();
    });
    println!("soak: seed {seed}, {} faults", faults.len());
    if faults.is_empty() {
        let folder = town.folder.clone();
        drop((machines, town));
        std::fs::remove_dir_all(folder).ok();
        return;
    }
    let minutes = plan.length.as_secs_f64() / 60.0;
    println!(
        "again: scripts/soak --minutes {minutes} --seed {seed}; what they wrote is in {}",
        town.folder.display()
    );
    panic!("{faults:#?}");
}

/// One of those who act for members, each for every fourth.
fn members(town: &Town, number: u64) {
    let mut clients: BTreeMap<String, Client<'_>> = BTreeMap::new();
    let mut random = Random::new(town.seed.wrapping_add(100 + number));
    let mut own = Vec::new();
    while !town.is_over() {
        if own.is_empty() || random.below(10) == 0 {
            let every = usize::try_from(MEMBERS).unwrap();
            let first = usize::try_from(number).unwrap();
            own = town
                .members()
                .into_iter()
                .skip(first)
                .step_by(every)
                .collect();
        }
        if own.is_empty() {
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        let email: &String = &own[random.index(own.len())];
        let known = clients.len() as u64;
        let client = clients
            .entry(email.clone())
            .or_insert_with(|| Client::new(town, 10_000 * (number + 1) + known, email, PASSWORD));
        client.live_as_member();
    }
}

/// Restarts, and a line a minute, until the load is over.
fn go_on(town: &Town, machines: &mut Machines, plan: &Plan, memory: &mut Memory) {
    let begun = Instant::now();
    let mut random = Random::new(town.seed.wrapping_add(1));
    let pause = |random: &mut Random| {
        Duration::from_secs(plan.trouble_s.0 + random.below(plan.trouble_s.1))
    };
    let (mut next, mut turn, mut minute) = (begun + pause(&mut random), 0, 1);
    while begun.elapsed() < plan.length {
        thread::sleep(Duration::from_millis(100));
        if Instant::now() >= next {
            let trouble = Trouble::draw(turn, &mut random, machines.hosts.len());
            let is_calm = begun.elapsed() + plan.calm > plan.length;
            if !(is_calm && matches!(trouble, Trouble::Portal(..))) {
                trouble.befall(town, machines, &mut random);
                memory.began(trouble);
            }
            turn += 1;
            next = Instant::now() + pause(&mut random);
        }
        if begun.elapsed() >= Duration::from_secs(60 * minute) {
            memory.look(machines);
            judge::minute(town, machines, minute);
            minute += 1;
        }
    }
    memory.look(machines);
}

/// Part of every run: all there is, for a minute.
#[test]
fn a_minute_of_everything() {
    // The same in every run: what others find is for `make soak`.
    let plan = Plan {
        length: Duration::from_secs(60),
        accounts: 4,
        pause_ms: (60, 240),
        trouble_s: (4, 6),
        calm: Duration::ZERO,
    };
    soak(2_718_281, &plan);
}

/// `make soak`: as many minutes as one likes.
#[test]
#[ignore = "as long as one likes: make soak"]
fn as_many_minutes_as_asked_for() {
    let word = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let minutes: f64 = word("SOAK_MINUTES").map_or(60.0, |it| it.parse().unwrap());
    let seed = word("SOAK_SEED").map_or_else(Random::seed, |it| it.parse().unwrap());
    let length = Duration::from_secs_f64(minutes * 60.0);
    let plan = Plan {
        length,
        accounts: 10,
        pause_ms: (150, 500),
        trouble_s: (15, 30),
        calm: length / 4,
    };
    soak(seed, &plan);
}
