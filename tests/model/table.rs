//! The runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::guards::{Guard, Guards};
use super::universe::Universe;
use super::world::Budget;

const CALM: Budget = Budget {
    moves: 1,
    boots: 0,
    restores: 0,
    crashes: 0,
    reboots: 0,
    deaths: 0,
    failures: 0,
    flips: 0,
    ledgers: 0,
    twins: 0,
    trials: 0,
};

/// A world that is searched: what may go wrong in it.
struct Kind {
    name: &'static str,
    left: Budget,
    delays: bool,
    old_agents: bool,
    passes: bool,
    /// Only ways of at most so many acts: all of them would take hours.
    deep: Option<usize>,
    /// A guard that is not there: another does its work, and is looked at alone.
    lacks: Option<Guard>,
}

const fn kind(name: &'static str, left: Budget) -> Kind {
    Kind {
        name,
        left,
        delays: false,
        old_agents: false,
        passes: false,
        deep: None,
        lacks: None,
    }
}

const fn of_old_agents(name: &'static str, left: Budget) -> Kind {
    Kind {
        old_agents: true,
        ..kind(name, left)
    }
}

const fn with_passes(name: &'static str, left: Budget) -> Kind {
    Kind {
        passes: true,
        ..kind(name, left)
    }
}

const FAILURES: Budget = Budget {
    failures: 1,
    flips: 1,
    boots: 1,
    reboots: 1,
    ..CALM
};
const DEATH: Budget = Budget { deaths: 1, ..CALM };
const LEDGER: Budget = Budget { ledgers: 1, ..CALM };
const MOVES: Budget = Budget { moves: 2, ..CALM };
const RESTORE: Budget = Budget {
    restores: 1,
    ..CALM
};

const WORLDS: &[Kind] = &[
    kind("calm", CALM),
    kind("failures", FAILURES),
    kind("death", DEATH),
    kind(
        "trials",
        Budget {
            trials: 1,
            crashes: 1,
            failures: 1,
            ..CALM
        },
    ),
    kind("ledger", LEDGER),
    kind("twins", Budget { twins: 1, ..CALM }),
    kind("moves", MOVES),
    kind("moves, boot", Budget { boots: 1, ..MOVES }),
    kind(
        "moves, failure",
        Budget {
            failures: 1,
            ..MOVES
        },
    ),
    Kind {
        delays: true,
        ..kind("delays", CALM)
    },
    with_passes("passes, failures", FAILURES),
    with_passes("passes, moves", MOVES),
    with_passes("passes, death", DEATH),
    kind("restore", RESTORE),
    kind(
        "restore, crash",
        Budget {
            crashes: 1,
            ..RESTORE
        },
    ),
    kind(
        "restore, ledger",
        Budget {
            ledgers: 1,
            ..RESTORE
        },
    ),
    Kind {
        lacks: Some(Guard::AskedAgain),
        ..kind(
            "restore, crash, unasked",
            Budget {
                crashes: 1,
                ..RESTORE
            },
        )
    },
    of_old_agents("old agents, death", DEATH),
    of_old_agents("old agents, moves", MOVES),
    of_old_agents("old agents, ledger", LEDGER),
    kind(
        "restore, failure",
        Budget {
            failures: 1,
            ..RESTORE
        },
    ),
    kind(
        "restore, death",
        Budget {
            deaths: 1,
            ..RESTORE
        },
    ),
];

/// A search that has not found its end by then says so.
const MOST: usize = 150_000_000;

struct Counterexample {
    property: &'static str,
    acts: Vec<String>,
}

struct Search {
    states: usize,
    unique: usize,
    depth: usize,
    seconds: f64,
    found: Option<Counterexample>,
}

fn search(guards: Guards, kind: &Kind) -> Search {
    let began = Instant::now();
    let guards = kind.lacks.map_or(guards, |lacks| guards.and_without(lacks));
    let universe = Universe {
        guards: if kind.old_agents {
            guards.of_old_agents()
        } else {
            guards
        },
        left: kind.left,
        delays: kind.delays,
        old_agents: kind.old_agents,
        passes: kind.passes,
    };
    let checker = universe
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(MOST);
    let checker = match kind.deep {
        Some(acts) => checker.target_max_depth(acts + 1),
        None => checker,
    };
    let checker = checker.spawn_bfs().join();
    let found = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| Counterexample {
            property,
            acts: path
                .into_actions()
                .iter()
                .map(|act| format!("{act:?}"))
                .collect(),
        })
        .min_by_key(|found| found.acts.len());
    Search {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f64(),
        found,
    }
}

impl Search {
    fn print(&self, name: &str) {
        println!(
            "{name:40} {:>10} states {:>9} unique, depth {:>3}, {:.1} s",
            self.states, self.unique, self.depth, self.seconds
        );
        if let Some(found) = &self.found {
            println!("  {}, by {} acts:", found.property, found.acts.len());
            for act in &found.acts {
                println!("    {act}");
            }
        }
    }
}

/// What `make model` searches besides.
const LONG: &[Kind] = &[
    kind("moves, death", Budget { deaths: 1, ..MOVES }),
    kind(
        "moves, crash",
        Budget {
            crashes: 1,
            ..MOVES
        },
    ),
    kind(
        "death, crash",
        Budget {
            crashes: 1,
            ..DEATH
        },
    ),
    Kind {
        delays: true,
        ..kind("restore, delays", RESTORE)
    },
    kind(
        "restore twice",
        Budget {
            restores: 2,
            ..CALM
        },
    ),
    Kind {
        deep: Some(28),
        ..kind(
            "moves, restore",
            Budget {
                restores: 1,
                ..MOVES
            },
        )
    },
];

/// Does it for each, two at once: a search keeps one core busy.
fn each<T: Sync, R: Send>(all: &[T], does: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(it) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(does(it));
        }
        done
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut done = work();
        done.extend(other.join().unwrap());
        done
    })
}

/// With all guards in place nothing goes wrong, and the search came to its end.
fn hold(kinds: &[&Kind]) -> (usize, usize) {
    let found = each(kinds, |kind| {
        let search = search(Guards::default(), kind);
        search.print(kind.name);
        assert!(
            search.states < MOST,
            "{}: not searched to its end",
            kind.name
        );
        (search.unique, usize::from(search.found.is_some()))
    });
    let sum = |(states, bad), (more, worse)| (states + more, bad + worse);
    found.into_iter().fold((0, 0), sum)
}

/// Each guard taken away is missed.
fn take_away(guards: &[Guard]) -> usize {
    println!("{:55} | {:34} | acts | world", "guard", "violated");
    let unmissed: Vec<Guard> = each(guards, |guard| {
        let kind = WORLDS.iter().find(|kind| kind.name == guard.world());
        let found = kind.and_then(|kind| search(Guards::without(*guard), kind).found);
        let Some(found) = found else {
            return Some(*guard);
        };
        println!(
            "{:55} | {:34} | {:4} | {}",
            guard.says(),
            found.property,
            found.acts.len(),
            guard.world()
        );
        None
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(unmissed.is_empty(), "no counterexample: {unmissed:?}");
    guards.len()
}

fn sum_up((states, bad): (usize, usize), guards: usize) {
    println!(
        "model: {states} states, {bad} violations, {guards} guards each with a counterexample"
    );
    assert_eq!(bad, 0);
}

#[test]
fn short_bounds() {
    let short = [
        "calm",
        "death",
        "trials",
        "twins",
        "delays",
        "moves",
        "passes, moves",
    ];
    let kinds: Vec<&Kind> = WORLDS
        .iter()
        .filter(|kind| short.contains(&kind.name))
        .collect();
    let guards: Vec<Guard> = Guard::ALL
        .iter()
        .copied()
        .filter(|guard| short.contains(&guard.world()))
        .collect();
    sum_up(hold(&kinds), take_away(&guards));
}

/// `WORLD=name` for one of the worlds, with its way to what is wrong.
#[test]
#[ignore = "make model"]
fn long_bounds() {
    let kinds = WORLDS.iter().chain(LONG);
    if let Ok(name) = std::env::var("WORLD") {
        let kinds: Vec<&Kind> = kinds.filter(|kind| kind.name == name).collect();
        assert_eq!(hold(&kinds).1, 0, "{name}");
        return;
    }
    let kinds: Vec<&Kind> = kinds.collect();
    let guards: Vec<Guard> = Guard::ALL
        .iter()
        .copied()
        .filter(|guard| !guard.world().is_empty())
        .collect();
    let guards = take_away(&guards);
    sum_up(hold(&kinds), guards);
}
