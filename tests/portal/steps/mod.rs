//! Every step of every kind of move, and what tidies up after it, with each trouble that may befall it: told twice, failed
//! before its effect, failed after it (the word is lost, and the agent answers again from its ledger), carried on by an
//! agent that was restarted, lost by it, owned already, cancelled, taken back. The hosts are played by hand (`hosts`), and know what runs
//! where. A new step, kind of job or kind of move without a row here does not compile.
//!
//! The agent's side of the same is in `tests/agent/orders.rs`.

mod hosts;
mod play;
mod table;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use xenbeta::domain::migration::MigrationKind;
use xenbeta::domain::string_enum::StringEnum;

use crate::races::begin::World;
use crate::races::judge;
use crate::support::On;
use play::{Play, Told};
use table::{TARGETS, TROUBLES, Target, Trouble};

/// Each target with each trouble: in one kind of move, another one on the other database; or in all.
fn run(on: On, all_kinds: bool) {
    let world = World::new(on);
    let kinds = MigrationKind::ALL;
    let first = usize::from(on == On::Postgresql);
    let mut undisturbed: HashMap<(MigrationKind, Target), Told> = HashMap::new();
    let (mut cases, mut wrong) = (0, Vec::new());
    for (t, target) in TARGETS.into_iter().enumerate() {
        for trouble in TROUBLES {
            for (k, kind) in kinds.iter().copied().enumerate() {
                let is_its_turn = (t + first) % kinds.len() == k;
                if !(all_kinds || is_its_turn) || !table::applies(kind, target, trouble) {
                    continue;
                }
                cases += 1;
                let what = format!("{kind}, {target:?}, {trouble:?}");
                let case = AssertUnwindSafe(|| {
                    let told = Play::begin(&world, kind).through(target, trouble);
                    if trouble.leaves_no_trace() {
                        // The same jobs and the same trail as if nothing had happened.
                        let should = undisturbed.entry((kind, target)).or_insert_with(|| {
                            Play::begin(&world, kind).through(target, Trouble::None)
                        });
                        assert_eq!(&told, should);
                    }
                });
                if std::panic::catch_unwind(case).is_err() {
                    println!("steps: {on:?}: {what} went wrong");
                    wrong.push(what);
                }
            }
        }
    }
    assert_eq!(judge::broken_chain(&world.app), None);
    println!("steps: {cases} cases on {on:?}, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{on:?}: {wrong:#?}");
}

#[test]
fn each_on_sqlite() {
    run(On::Sqlite, false);
}

#[test]
fn each_on_postgresql() {
    run(On::Postgresql, false);
}

/// Of every kind of move: `make races`.
#[test]
#[ignore = "long: make races"]
fn all_of_every_kind() {
    std::thread::scope(|scope| {
        for on in [On::Sqlite, On::Postgresql] {
            scope.spawn(move || run(on, true));
        }
    });
}
