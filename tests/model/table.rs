//! The runs.

use std::time::Instant;

use stateright::{Checker, Model};

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

fn search(name: &str, guards: Guards, left: Budget, delays: bool) -> (usize, Option<(String, usize)>) {
    let began = Instant::now();
    let universe = Universe {
        guards,
        left,
        delays,
    };
    let checker = universe
        .checker()
        .finish_when(stateright::HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_iter().min_by_key(|(_, path)| path.clone().into_actions().len());
    println!(
        "{name}: {} states, {} unique, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    let found = found.map(|(property, path)| {
        let acts = path.into_actions();
        println!("  {property}, by {} acts:", acts.len());
        for act in &acts {
            println!("    {act:?}");
        }
        (property.to_owned(), acts.len())
    });
    (checker.unique_state_count(), found)
}

#[test]
fn try_it() {
    let all = Guards::default();
    search("calm", all, CALM, false);
    search("failures", all, Budget { failures: 1, flips: 1, boots: 1, reboots: 1, ..CALM }, false);
    search("restore", all, Budget { restores: 1, ..CALM }, false);
    search("restore and crash", all, Budget { restores: 1, crashes: 1, ..CALM }, false);
    search("death", all, Budget { deaths: 1, ..CALM }, false);
    search("ledger", all, Budget { ledgers: 1, ..CALM }, false);
    search("moves", all, Budget { moves: 2, ..CALM }, false);
    search("delays", all, CALM, true);
    let _ = Guard::ALL;
}
