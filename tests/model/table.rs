//! The runs.

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
};

/// The worlds that are searched: what may go wrong in each, and how long that takes at most.
const WORLDS: &[(&str, Budget, bool)] = &[
    ("calm", CALM, false),
    (
        "failures",
        Budget {
            failures: 1,
            flips: 1,
            boots: 1,
            reboots: 1,
            ..CALM
        },
        false,
    ),
    ("death", Budget { deaths: 1, ..CALM }, false),
    ("ledger", Budget { ledgers: 1, ..CALM }, false),
    ("moves", Budget { moves: 2, ..CALM }, false),
    ("delays", CALM, true),
    ("restore", Budget { restores: 1, ..CALM }, false),
    (
        "restore, crash",
        Budget {
            restores: 1,
            crashes: 1,
            ..CALM
        },
        false,
    ),
];

/// A search that has not found its end by then says so.
const MOST: usize = 6_000_000;

struct Found {
    property: &'static str,
    acts: Vec<String>,
}

struct Search {
    states: usize,
    unique: usize,
    depth: usize,
    seconds: f64,
    found: Option<Found>,
}

fn search(guards: Guards, (left, delays): (Budget, bool)) -> Search {
    let began = Instant::now();
    let universe = Universe {
        guards,
        left,
        delays,
    };
    let checker = universe
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(MOST)
        .spawn_bfs()
        .join();
    let found = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| Found {
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

#[test]
fn with_all_guards_nothing_goes_wrong() {
    for (name, left, delays) in WORLDS {
        let search = search(Guards::default(), (*left, *delays));
        search.print(name);
        assert!(search.found.is_none(), "{name}");
    }
}

#[test]
fn each_guard_taken_away_is_missed() {
    let mut missed = Vec::new();
    for guard in Guard::ALL {
        let found = WORLDS.iter().find_map(|(name, left, delays)| {
            let found = search(Guards::without(*guard), (*left, *delays)).found?;
            Some((name, found))
        });
        match found {
            Some((name, found)) => println!(
                "{:55} | {:30} | {:2} acts | {name}",
                guard.says(),
                found.property,
                found.acts.len()
            ),
            None => {
                println!("{:55} | NOTHING", guard.says());
                missed.push(*guard);
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
