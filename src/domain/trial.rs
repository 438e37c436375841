//! *Try it there*: what a trial of a move is, when one may begin, and what its guest's console says of it. A trial owns
//! nothing and moves nothing: it is a throw-away clone of the copies that boots beside the Linode, cut off from every network.
//! A move may be *tried first*: then it is not stopped before a trial of it came up ([`first`]).

use super::linode::RunLevel;
use super::migration::hold::{self, InStep, SMALL_PASS_S};
use super::migration::{MigrationState, Step};
use super::time::Time;
use crate::string_enum;

/// So long a clone may run, in seconds.
pub const LIMIT_S: u32 = 300;
string_enum! {
    /// What became of the clone, in its host's words.
    pub enum TrialEnd {
        /// A login prompt, or the init's own word.
        CameUp = "came_up",
        /// It ended by itself, and had not come up.
        Stopped = "stopped",
        /// It ran for all of its time and said neither.
        Silent = "silent",
    }
}

string_enum! {
    /// How a trial stands.
    pub enum TrialState {
        /// Its host has not begun with it.
        Asked = "asked",
        Running = "running",
        CameUp = "came_up",
        Stopped = "stopped",
        Silent = "silent",
        /// No clone came to run: no room, not enough memory, a kernel that is not there.
        NotTried = "not_tried",
        /// It was ended before it was over: for the stop, by its member, or with its host's agent.
        BrokenOff = "broken_off",
    }
}

impl From<TrialEnd> for TrialState {
    fn from(end: TrialEnd) -> Self {
        match end {
            TrialEnd::CameUp => Self::CameUp,
            TrialEnd::Stopped => Self::Stopped,
            TrialEnd::Silent => Self::Silent,
        }
    }
}

/// Is a clone there, or about to be?
pub fn is_open(state: TrialState) -> bool {
    match state {
        TrialState::Asked | TrialState::Running => true,
        TrialState::CameUp
        | TrialState::Stopped
        | TrialState::Silent
        | TrialState::NotTried
        | TrialState::BrokenOff => false,
    }
}

/// Did the clone run, and not come up? Its member is told before anything is stopped, and staff see it.
pub fn has_failed(state: TrialState) -> bool {
    match state {
        TrialState::Stopped | TrialState::Silent => true,
        TrialState::Asked
        | TrialState::Running
        | TrialState::CameUp
        | TrialState::NotTried
        | TrialState::BrokenOff => false,
    }
}

/// What a trial's beginning depends on.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub state: MigrationState,
    pub step: Option<Step>,
    pub cancel_asked: bool,
    /// The trial before, if there was one.
    pub last: Option<TrialState>,
    /// The destination's agent knows trials.
    pub is_known_there: bool,
}

/// Why none begins now, in words for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    #[error("It can be tried there while it is in step with its copy, before it stops.")]
    NotInStep,
    #[error("What has changed is being copied just now. Try it there as soon as that is done.")]
    Copying,
    #[error("The move is being cancelled.")]
    Cancelled,
    #[error("It is being tried there already.")]
    Already,
    #[error("Another Linode is being tried on the new host just now. Try again in some minutes.")]
    HostBusy,
    #[error(
        "It cannot be tried there: the new host's agent is of an older release. Staff can upgrade it."
    )]
    OlderAgent,
}

/// May a trial begin?
pub fn may_begin(it: Standing) -> Result<(), NotNow> {
    if it.state != MigrationState::Holding {
        return Err(NotNow::NotInStep);
    }
    if it.cancel_asked {
        return Err(NotNow::Cancelled);
    }
    if it.last.is_some_and(is_open) {
        return Err(NotNow::Already);
    }
    if it.step != Some(Step::Hold) {
        return Err(NotNow::Copying);
    }
    if !it.is_known_there {
        return Err(NotNow::OlderAgent);
    }
    Ok(())
}

/// Small passes follow every few minutes, and wait for a trial; but not the last one, this near to the stop, in seconds.
const NEAR_THE_STOP_S: i64 = 120;

/// A pass is due, of which the last took so many seconds, and the stop so many away: does the trial give way to it? A long
/// one is not due before it is the last.
pub fn yields_to_pass(pass_s: i64, stop_in_s: i64) -> bool {
    pass_s > SMALL_PASS_S || stop_in_s <= NEAR_THE_STOP_S
}

/// How a move stands that is not to stop before it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// A trial begins as soon as one may.
    ToTry,
    AtWork,
    /// It came up, and its trial was over then: nothing more keeps it from its stop.
    CameUp(Time),
    /// It did not come up, or could not be tried: it waits for its member's word.
    Failed,
}

/// Trials that were broken off say nothing: so many follow each other by themselves.
const FIRST_TRIES: usize = 3;

/// By its trials, the newest first, each with its end. Those that ended up to `since` do not count: they were of another try, or
/// another is wanted.
pub fn first(since: Time, trials: impl IntoIterator<Item = (TrialState, Option<Time>)>) -> First {
    let mut broken_off = 0;
    for (state, ended) in trials {
        match ended {
            Some(at) if at <= since => break,
            Some(at) if state == TrialState::CameUp => return First::CameUp(at),
            Some(_) if state == TrialState::BrokenOff => broken_off += 1,
            Some(_) => return First::Failed,
            None => return First::AtWork,
        }
    }
    if broken_off < FIRST_TRIES {
        First::ToTry
    } else {
        First::Failed
    }
}

/// What a trial takes besides its guest's time, in seconds: its order, and its end.
const AROUND_S: i64 = 120;

/// How much longer before its stop a move begins that is tried first. `copy_s`: what copying it takes, as its copies are once
/// more where they cannot be cloned.
pub fn takes_s(copy_s: i64, is_cloned: bool) -> i64 {
    let copy_s = if is_cloned { 0 } else { copy_s };
    i64::from(LIMIT_S)
        .saturating_add(AROUND_S)
        .saturating_add(copy_s)
}

/// One that was asked for then is over by this moment, or it is ended: whatever its host is at, nothing waits for it for ever.
pub fn over_by(asked: Time, copy_s: i64) -> Time {
    asked.plus_s(takes_s(copy_s.max(0).saturating_mul(2), false).saturating_mul(2))
}

/// It came up when it was tried first, and that took its time: one that is to stop as soon as it can copies what has changed
/// meanwhile before that, so that it is not off for longer.
pub fn copies_first(of: InStep, came_up: Time, chosen: Option<Time>, now: Time) -> bool {
    let is_kept = chosen.is_none_or(|at| now > at.plus_s(hold::ON_TIME_S));
    is_kept && came_up > of.since && (of.in_pass || hold::is_worth_a_pass(of, now))
}

/// What init says when all that it was to start is started.
const INITS_WORD: [&str; 6] = [
    "reached target multi-user",
    "reached target graphical",
    "reached target login prompts",
    "please press enter to activate this console",
    "startup finished in",
    "welcome to alpine linux",
];
/// What one says that stays in its single-user mode, as its profile asks for.
const SINGLE: [&str; 4] = [
    "root password for maintenance",
    "press enter for maintenance",
    "entering rescue mode",
    "enter runlevel: s",
];

/// Does the console show that it came up? Of a guest without its init (`/bin/bash`), that there is a prompt.
pub fn came_up(console: &str, run_level: RunLevel) -> bool {
    let prompt = |line: &str| {
        let end = line.trim_end();
        end.ends_with('#') || end.ends_with('$')
    };
    let mut lines = console.lines().map(str::to_lowercase);
    lines.any(|line| {
        let said = |words: &[&str]| words.iter().any(|word| line.contains(word));
        // The kernel may go on talking behind the prompt.
        let login =
            line.trim_end().ends_with("login:") || line.split_whitespace().nth(1) == Some("login:");
        match run_level {
            RunLevel::Default => login || said(&INITS_WORD),
            RunLevel::Single => login || said(&SINGLE) || prompt(&line),
            RunLevel::BinBash => login || prompt(&line),
        }
    })
}

/// Its last words, for a line of the log.
pub fn last_line(console: &str) -> &str {
    let mut lines = console.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    fn holds() -> Standing {
        Standing {
            state: MigrationState::Holding,
            step: Some(Step::Hold),
            cancel_asked: false,
            last: None,
            is_known_there: true,
        }
    }

    #[test]
    fn it_is_tried_only_while_it_holds_and_one_at_a_time() {
        assert_eq!(may_begin(holds()), Ok(()));
        for state in MigrationState::ALL {
            let begins = may_begin(Standing {
                state: *state,
                ..holds()
            });
            assert_eq!(begins.is_ok(), *state == MigrationState::Holding, "{state}");
        }
        for last in TrialState::ALL {
            let begins = may_begin(Standing {
                last: Some(*last),
                ..holds()
            });
            assert_eq!(begins.is_ok(), !is_open(*last), "{last}");
        }
        let no = |it| may_begin(it).unwrap_err();
        let copying = Standing {
            step: Some(Step::TopUp),
            ..holds()
        };
        let cancelled = Standing {
            cancel_asked: true,
            ..holds()
        };
        let older = Standing {
            is_known_there: false,
            ..holds()
        };
        assert_eq!(no(copying), NotNow::Copying);
        assert_eq!(no(cancelled), NotNow::Cancelled);
        assert_eq!(no(older), NotNow::OlderAgent);
    }

    fn at(seconds: i64) -> Time {
        Time::new(chrono::DateTime::UNIX_EPOCH).plus_s(seconds)
    }

    #[test]
    fn a_move_that_is_tried_first_stops_after_a_clone_of_it_came_up() {
        use TrialState as T;
        let of = |trials: &[(TrialState, Option<i64>)]| {
            let trials = trials.iter().map(|(state, end)| (*state, end.map(at)));
            first(at(100), trials)
        };
        assert_eq!(of(&[]), First::ToTry);
        assert_eq!(
            of(&[(T::CameUp, Some(100))]),
            First::ToTry,
            "another is wanted"
        );
        for state in TrialState::ALL {
            let stands = match state {
                T::Asked | T::Running => of(&[(*state, None), (T::Stopped, Some(150))]),
                ended => of(&[(*ended, Some(150))]),
            };
            let should = match state {
                T::Asked | T::Running => First::AtWork,
                T::CameUp => First::CameUp(at(150)),
                T::Stopped | T::Silent | T::NotTried => First::Failed,
                T::BrokenOff => First::ToTry,
            };
            assert_eq!(stands, should, "{state}");
        }
        let broken = |at| (T::BrokenOff, Some(at));
        assert_eq!(of(&[broken(140), (T::Stopped, Some(130))]), First::Failed);
        assert_eq!(
            of(&[broken(140), (T::CameUp, Some(130))]),
            First::CameUp(at(130))
        );
        assert_eq!(of(&[broken(140), broken(130), broken(90)]), First::ToTry);
        assert_eq!(of(&[broken(140), broken(130), broken(120)]), First::Failed);
        assert_eq!(
            of(&[(T::Stopped, Some(140)), (T::CameUp, Some(130))]),
            First::Failed
        );
    }

    #[test]
    fn a_trial_takes_its_time_and_no_more() {
        assert_eq!(takes_s(3600, true), 420);
        assert_eq!(takes_s(3600, false), 4020);
        assert_eq!(over_by(at(0), 0), at(840));
        assert_eq!(over_by(at(0), 3600), at(840 + 4 * 3600));
        assert!(over_by(at(0), 3600) > at(takes_s(3600, false)));
    }

    #[test]
    fn what_changed_while_it_was_tried_is_copied_before_a_stop_that_has_no_time() {
        let of = |since, in_pass| InStep {
            since: at(since),
            pass_s: 10,
            changed_b_s: 0,
            in_pass,
        };
        assert!(copies_first(of(0, false), at(200), None, at(201)));
        assert!(copies_first(of(0, true), at(200), None, at(201)));
        assert!(
            !copies_first(of(205, false), at(200), None, at(300)),
            "done"
        );
        assert!(
            !copies_first(of(180, false), at(200), None, at(201)),
            "too little for a pass"
        );
        assert!(
            !copies_first(of(0, false), at(200), Some(at(150)), at(201)),
            "in time"
        );
        assert!(
            copies_first(of(0, false), at(220), Some(at(150)), at(221)),
            "late already"
        );
    }

    #[test]
    fn only_the_last_pass_ends_a_trial() {
        assert!(!yields_to_pass(3, 600) && yields_to_pass(3, 100));
        assert!(
            yields_to_pass(300, 700),
            "a long one is timed to end just before the stop"
        );
    }

    #[test]
    fn a_console_says_that_it_came_up_and_a_panic_does_not() {
        let up = [
            (
                "Debian GNU/Linux 3.1 web01 tty0\n\nweb01 login:",
                RunLevel::Default,
            ),
            ("web01 login: \n", RunLevel::Default),
            (
                "web01 login: [   12.345678] random: ready",
                RunLevel::Default,
            ),
            (
                "[  OK  ] Reached target Multi-User System.",
                RunLevel::Default,
            ),
            (
                "Please press Enter to activate this console.",
                RunLevel::Default,
            ),
            ("Give root password for maintenance", RunLevel::Single),
            ("bash-2.05b# ", RunLevel::BinBash),
        ];
        for (console, level) in up {
            assert!(came_up(console, level), "{console}");
        }
        let down = [
            ("", RunLevel::Default),
            (
                "VFS: Cannot open root device\nKernel panic - not syncing",
                RunLevel::Default,
            ),
            ("Give root password for maintenance", RunLevel::Default),
            (
                "login: cannot fork\nINIT: no more processes",
                RunLevel::Default,
            ),
            ("# fsck.ext3 1.37", RunLevel::BinBash),
        ];
        for (console, level) in down {
            assert!(!came_up(console, level), "{console}");
        }
    }

    #[test]
    fn its_last_words_are_those_of_its_last_line_that_says_something() {
        assert_eq!(last_line("a\n b \n\n"), "b");
        assert_eq!(last_line("\n"), "");
    }
}
