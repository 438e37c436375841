//! The database put back to a backup of each step of a move, after the move went on to its end: never two runners, and
//! the Linode is well again by itself or with one act of staff.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::migration::Step;
use xenbeta::store::migration::Migration;

use crate::support::On;
use crate::support::fleet::WEB;
use crate::world::World;

/// Where the backup is made; `None`: the move is finished, and the way back is made before the backup comes back.
const STEPS: [Option<Step>; 9] = [
    Some(Step::PreflightSource),
    Some(Step::PreflightDestination),
    Some(Step::Reserve),
    Some(Step::OpenTransfer),
    Some(Step::WarmCopy),
    Some(Step::StopSeal),
    Some(Step::FinalCopy),
    Some(Step::Start),
    None,
];

fn is_at(row: &Migration, step: Option<Step>) -> bool {
    match step {
        Some(_) => row.step == step,
        None => row.state == MigrationState::Finished,
    }
}

impl World {
    fn reaches(&self, state: MigrationState) {
        self.until(&format!("the move is {state}"), || {
            self.beta(WEB).is_some_and(|row| row.state == state)
        });
    }

    /// A backup while the move is at the step: nobody acts while it is made. Moves there and back until it succeeds.
    fn backup_at(&mut self, step: Option<Step>) -> PathBuf {
        for _ in 0..8 {
            assert!(self.go_on(WEB), "the move begins");
            let until = Instant::now() + Duration::from_secs(60);
            let at = loop {
                assert!(Instant::now() < until, "no step {step:?} in 60 s");
                let row = self.beta(WEB).unwrap();
                if is_at(&row, step) {
                    break true;
                }
                if row.state == MigrationState::Finished {
                    break false;
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            if at {
                self.stop_agents();
                let file = self.back_up();
                let still = is_at(&self.beta(WEB).unwrap(), step);
                self.continue_agents();
                if let Some(file) = file
                    && still
                {
                    return file;
                }
            }
            self.reaches(MigrationState::Finished);
            assert!(self.go_on(WEB));
            self.reaches(MigrationState::Returned);
        }
        panic!("no backup at {step:?} in 8 moves");
    }

    fn backup_put_back_at(&mut self, step: Option<Step>) {
        let name = step.map_or_else(|| "finished".to_owned(), |step| step.to_string());
        let file = self.backup_at(step);
        self.reaches(MigrationState::Finished);
        if step.is_none() {
            assert!(self.go_on(WEB));
            self.reaches(MigrationState::Returned);
        }
        self.put_back_raw(&file);
        let begun = Instant::now();
        // The portal has to find out first.
        std::thread::sleep(Duration::from_secs(1));
        let (acts, found) = self.settle(Duration::from_secs(90));
        self.note(format!(
            "backup at {name}: {acts:?} in {:?}, {found:?}",
            begun.elapsed()
        ));
        assert!(found.is_none(), "backup at {name}: {found:#?}");
        assert!(acts.staff <= 1, "backup at {name}: {acts:?}");
    }
}

/// In every run the two at which the portal would grant the Linode to its source; all of them, or another one, by
/// `CHAOS_STEP=all`, or its name.
fn each_step(on: On) {
    let only = std::env::var("CHAOS_STEP").unwrap_or_default();
    for step in STEPS {
        let name = step.map_or("finished".to_owned(), |it| it.to_string());
        let always = matches!(step, Some(Step::FinalCopy | Step::Start));
        if only == "all" || only == name || only.is_empty() && always {
            World::new(on).backup_put_back_at(step);
        }
    }
}

#[test]
fn a_backup_of_any_step_starts_nothing_twice_on_sqlite() {
    each_step(On::Sqlite);
}

#[test]
fn a_backup_of_any_step_starts_nothing_twice_on_postgresql() {
    each_step(On::Postgresql);
}
