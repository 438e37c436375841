//! Sixty-four at once for every transition that a conditional statement, a lock or a constraint guards: as many win as may,
//! the others get a plain answer, the trail says it once, and what holds always still holds.
//!
//! A transition is a row: what stands before (`arrange`), what each racer does, how many may win, what the audit trail then
//! has, and what else is looked at. `make races` runs a thousand rounds of each on both databases, the tests two.

mod account;
pub mod begin;
mod job;
pub mod judge;
mod migration;
mod offer;
mod ownership;
mod pairs;
mod registration;

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use xenbeta::app::App;
use xenbeta::app::error::AppError;

use crate::support::{On, TestApp};
use begin::World;

pub const RACERS: usize = 64;
/// A racer that has no answer by then waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);
const NO_CONNECTION: &str = "no database connection";

/// What one racer says: it won, or it did not; an error is an answer too, unless it is a fault.
type Said = Result<bool, AppError>;
pub type Arrange = fn(&TestApp) -> Race<'_>;

type Act<'a> = Box<dyn Fn(&App, usize) -> Said + Sync + 'a>;
/// What is wrong, if anything.
type Judge<'a> = Box<dyn Fn() -> Vec<Option<String>> + 'a>;

/// One round of a transition, ready to run.
pub struct Race<'a> {
    act: Act<'a>,
    wins: Option<(usize, usize)>,
    trail: Vec<(&'static str, usize)>,
    judge: Option<Judge<'a>>,
}

impl<'a> Race<'a> {
    pub fn of(act: impl Fn(&App, usize) -> Said + Sync + 'a) -> Self {
        Self {
            act: Box::new(act),
            wins: None,
            trail: Vec::new(),
            judge: None,
        }
    }

    /// So many racers win. Where asking for what is done already is no fault, nobody counts.
    pub fn won_by(mut self, wins: usize) -> Self {
        self.wins = Some((wins, wins));
        self
    }

    pub fn won_by_at_most(mut self, wins: usize) -> Self {
        self.wins = Some((0, wins));
        self
    }

    /// The trail has so many entries of this action.
    pub fn noted(mut self, action: &'static str, times: usize) -> Self {
        self.trail.push((action, times));
        self
    }

    /// What else must be so afterwards.
    pub fn then<const N: usize>(mut self, judge: impl Fn() -> [Option<String>; N] + 'a) -> Self {
        self.judge = Some(Box::new(move || judge().into_iter().collect()));
        self
    }
}

/// Says how `what` differs from what it should be, if it does.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Option<String> {
    (is != should).then(|| format!("{what}: {is:?}, not {should:?}"))
}

pub fn so(what: &str, holds: bool) -> Option<String> {
    (!holds).then(|| format!("not so: {what}"))
}

macro_rules! rows {
    ($($name:ident),+ $(,)?) => {
        pub const ROWS: &[(&str, $crate::races::Arrange)] = &[$((stringify!($name), $name)),+];
    };
}
use rows;

const ALL: [&[(&str, Arrange)]; 6] = [
    registration::ROWS,
    offer::ROWS,
    migration::ROWS,
    job::ROWS,
    ownership::ROWS,
    account::ROWS,
];

fn transitions() -> Vec<(&'static str, Arrange)> {
    let all = ALL.iter().flat_map(|rows| rows.iter().copied());
    let only = std::env::var("RACES_ONLY").unwrap_or_default();
    all.filter(|(name, _)| name.contains(&only)).collect()
}

#[derive(Debug, Default)]
struct Sum {
    transitions: usize,
    rounds: usize,
    /// Rounds that ended otherwise than they may.
    wrong: Vec<String>,
    /// Answers that are no answers.
    errors: Vec<String>,
    deadlocks: usize,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.transitions = self.transitions.max(other.transitions);
        self.rounds += other.rounds;
        self.wrong.extend(other.wrong);
        self.errors.extend(other.errors);
        self.deadlocks += other.deadlocks;
    }
}

/// Who finds all connections taken comes again, as browsers and agents do: on a busy machine 64 that take turns need longer
/// than a pool waits.
fn until_heard(act: impl Fn() -> Said) -> Said {
    let begun = Instant::now();
    loop {
        match act() {
            Err(AppError::Away(text))
                if text.contains(NO_CONNECTION) && begun.elapsed() < PATIENCE => {}
            said => return said,
        }
    }
}

/// Runs a race once and says what came of it.
fn round(world: &World, name: &str, arrange: Arrange, sum: &mut Sum) {
    world.begin();
    let race = arrange(&world.app);
    let mark = judge::mark(&world.app);
    let (start, logged) = (Barrier::new(RACERS), judge::Log::default());
    let said: Vec<Said> = std::thread::scope(|scope| {
        let racer = |n: usize| {
            let (act, start, logged) = (&race.act, &start, logged.clone());
            move || {
                start.wait();
                logged.during(|| until_heard(|| act(world.portal_of(n), n)))
            }
        };
        let racers: Vec<_> = (0..RACERS).map(|n| scope.spawn(racer(n))).collect();
        racers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    sum.rounds += 1;
    let mut errors: Vec<String> = logged.faults();
    let mut wins = 0;
    for said in said {
        match said {
            Ok(won) => wins += usize::from(won),
            Err(AppError::Away(text) | AppError::Fault(text)) => errors.push(text),
            Err(_) => {}
        }
    }
    sum.deadlocks += errors.iter().filter(|it| it.contains("deadlock")).count();
    let wrong = wrong(world, &race, &mark, wins);
    let told = |it: String| format!("{name}: {it}");
    sum.errors.extend(errors.into_iter().map(told));
    sum.wrong.extend(wrong.into_iter().map(told));
}

fn wrong(world: &World, race: &Race<'_>, mark: &judge::Mark, wins: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some((least, most)) = race.wins
        && !(least..=most).contains(&wins)
    {
        wrong.push(format!("{wins} won, not {least} to {most}"));
    }
    let trail = judge::since(&world.app, mark);
    for (action, times) in &race.trail {
        let count = trail.iter().filter(|it| it.action == *action).count();
        wrong.extend(same(&format!("trail of {action}"), count, *times));
    }
    wrong.extend(judge::unlinked(&trail));
    wrong.extend(judge::standing(&world.app));
    if let Some(judge) = &race.judge {
        wrong.extend(judge().into_iter().flatten());
    }
    wrong
}

fn run(on: On, rounds: usize, told: &Arc<Mutex<()>>) -> Sum {
    let mut sum = Sum::default();
    let world = World::new(on);
    for (name, arrange) in transitions() {
        let (begun, before) = (Instant::now(), (sum.wrong.len(), sum.errors.len()));
        for _ in 0..rounds {
            round(&world, name, arrange, &mut sum);
        }
        sum.transitions += 1;
        let one = begun.elapsed() / u32::try_from(rounds).unwrap();
        let (wrong, errors) = (sum.wrong.len() - before.0, sum.errors.len() - before.1);
        let _turn = told.lock().unwrap();
        println!("{on:?} {name}: {rounds} rounds of {one:?}, {wrong} wrong, {errors} errors");
        for it in sum.wrong.iter().skip(before.0).take(3) {
            println!("    wrong: {it}");
        }
        for it in sum.errors.iter().skip(before.1).take(3) {
            println!("    error: {it}");
        }
    }
    sum.wrong.extend(judge::broken_chain(&world.app));
    // What the server counted, whoever got the error.
    let counted = judge::deadlocks(&world.app);
    sum.deadlocks = sum.deadlocks.max(counted);
    sum
}

fn told(sum: &Sum) -> String {
    format!(
        "races: {} transitions, {} racers, {} rounds, {} wrong winners, {} errors, {} deadlocks",
        sum.transitions,
        RACERS,
        sum.rounds,
        sum.wrong.len(),
        sum.errors.len(),
        sum.deadlocks
    )
}

fn nothing_wrong(sum: &Sum) {
    let text = told(sum);
    println!("{text}");
    let bad = sum.wrong.len() + sum.errors.len() + sum.deadlocks;
    assert_eq!(bad, 0, "{text}\n{:#?}\n{:#?}", sum.wrong, sum.errors);
}

#[test]
fn a_few_rounds_on_sqlite() {
    nothing_wrong(&run(On::Sqlite, 1, &Arc::default()));
}

#[test]
fn a_few_rounds_on_postgresql() {
    nothing_wrong(&run(On::Postgresql, 1, &Arc::default()));
}

/// `make races`; `RACES` says how many rounds, `RACES_ONLY` which transitions.
#[test]
#[ignore = "long: make races"]
fn as_many_rounds_as_asked_for() {
    let rounds = std::env::var("RACES").ok().and_then(|it| it.parse().ok());
    let (rounds, told) = (rounds.unwrap_or(1000), Arc::default());
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let both = [On::Sqlite, On::Postgresql].map(|on| {
            let told = Arc::clone(&told);
            scope.spawn(move || run(on, rounds, &told))
        });
        for one in both {
            sum.add(one.join().unwrap());
        }
    });
    nothing_wrong(&sum);
}
