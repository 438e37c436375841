//! The migration as a state machine: what may happen in which state, what state follows, and what must be done about it.
//!
//! [`decide`] is pure and total over (state, step, event). The application carries the [`Effect`]s out in the same
//! transaction that stores the new state. Before the commit ([`Effect::Commit`]) the source owns the Linode; after it the
//! destination does, and there is no cancelling, only the way back. Nothing here ever moves ownership on a time-out.

mod decide;
pub mod forecast;
pub mod hold;
pub mod progress;

use super::job::JobKind;
use super::linode::LinodeStatus;
use super::time::Time;
use crate::string_enum;

pub use decide::decide;

string_enum! {
    pub enum MigrationKind { Beta = "beta", Graduation = "graduation", Return = "return", Evacuation = "evacuation" }
}
string_enum! {
    /// See `docs/ARCHITECTURE.md` for the picture; `domain::migration` has the transitions.
    pub enum MigrationState {
        Offered = "offered", Queued = "queued", Preparing = "preparing", Copying = "copying", Holding = "holding",
        Switching = "switching",
        Finished = "finished", Confirmed = "confirmed", Returning = "returning", Returned = "returned",
        Expired = "expired", Cancelled = "cancelled", Failed = "failed",
    }
}
use MigrationState as State;

/// May one of this kind begin? While staff pause new moves only what brings a Linode home does.
pub fn may_begin(kind: MigrationKind, is_paused: bool) -> bool {
    !is_paused || kind == MigrationKind::Return
}

string_enum! {
    /// What a running migration is doing now. Most steps are the job of the same name.
    pub enum Step {
        PreflightSource = "preflight_source",
        PreflightDestination = "preflight_destination",
        Reserve = "reserve",
        OpenTransfer = "open_transfer",
        WarmCopy = "warm_copy",
        /// In step: it waits for the moment at which the Linode is to stop.
        Hold = "hold",
        /// Another pass of the warm copy, so that it stays in step.
        TopUp = "top_up",
        StopSeal = "stop_seal",
        FinalCopy = "final_copy",
        Start = "start",
        /// The destination could not start it and must seal before the source may be granted it again.
        SealDestination = "seal_destination",
        /// The source is granted a new epoch and starts the Linode again.
        Restore = "restore",
    }
}

string_enum! {
    /// Which of its two hosts.
    pub enum Side { Source = "source", Destination = "destination" }
}

impl Effect {
    /// Does it change who may run the Linode, or delete disks? Nothing of the kind happens while the portal recovers its
    /// memory, or hosts contradict it.
    pub fn needs_memory(self) -> bool {
        match self {
            Self::Commit | Self::GrantSource | Self::PurgeSource | Self::BeginReturn => true,
            Self::RunStep(_)
            | Self::StopJobs
            | Self::EndPass
            | Self::Recall
            | Self::CleanUp
            | Self::CloseTransfer
            | Self::TellParent(_)
            | Self::Mail(_) => false,
        }
    }
}

impl Step {
    /// The job that carries the step out, and on which host; `None`: nobody has anything to do.
    pub fn job(self) -> Option<(JobKind, Side)> {
        Some(match self {
            Self::Hold => return None,
            Self::PreflightSource => (JobKind::PreflightSource, Side::Source),
            Self::PreflightDestination => (JobKind::PreflightDestination, Side::Destination),
            Self::Reserve => (JobKind::Reserve, Side::Destination),
            Self::OpenTransfer => (JobKind::OpenTransfer, Side::Source),
            Self::WarmCopy | Self::TopUp => (JobKind::WarmCopy, Side::Destination),
            Self::StopSeal => (JobKind::StopSeal, Side::Source),
            Self::FinalCopy => (JobKind::FinalCopy, Side::Destination),
            Self::Start => (JobKind::Start, Side::Destination),
            Self::SealDestination => (JobKind::StopSeal, Side::Destination),
            Self::Restore => (JobKind::Start, Side::Source),
        })
    }

    /// The step after this one, when it succeeds.
    fn next(self) -> Option<Self> {
        match self {
            Self::PreflightSource => Some(Self::PreflightDestination),
            Self::PreflightDestination => Some(Self::Reserve),
            Self::Reserve => Some(Self::OpenTransfer),
            Self::OpenTransfer => Some(Self::WarmCopy),
            Self::WarmCopy | Self::TopUp => Some(Self::Hold),
            Self::Hold => Some(Self::StopSeal),
            Self::StopSeal => Some(Self::FinalCopy),
            Self::FinalCopy => Some(Self::Start),
            Self::SealDestination => Some(Self::Restore),
            Self::Start | Self::Restore => None,
        }
    }

    /// The state a migration is in while it does this step.
    pub fn state(self) -> State {
        match self {
            Self::PreflightSource
            | Self::PreflightDestination
            | Self::Reserve
            | Self::OpenTransfer => State::Preparing,
            Self::WarmCopy => State::Copying,
            Self::Hold | Self::TopUp => State::Holding,
            Self::StopSeal
            | Self::FinalCopy
            | Self::Start
            | Self::SealDestination
            | Self::Restore => State::Switching,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The one click (to stop as soon as it is copied, or at a time: then the row's `not_before` holds it back).
    Click,
    /// The member gives up the time they chose, while the offer still stands (the application checks that).
    Unschedule,
    /// The scheduler found a slot for it.
    Admit,
    /// It holds, and there is time for another pass.
    TopUp,
    /// It holds, and the moment to stop has come (the application looks at the time, at quiet hours and at free stops). A pass
    /// that is at work then is cut short.
    Stop,
    /// The order to stop was not given out, and is taken back (the application sees to that).
    Unstop,
    /// The offer's time is over.
    Expire,
    /// The member or staff ask to cancel.
    Cancel,
    /// The agent says that it has stopped working on the step because of a cancel.
    Stopped(Step),
    Succeeded(Step),
    /// All attempts of the step are used up, or another attempt cannot help.
    Failed(Step),
    /// The destination booted it, it did not stay up, and it is sealed there.
    StartFailedSealed,
    /// Staff take the switch-over back while the destination was not told of it (the application checks that, by
    /// compare-and-set): in every step from the stop on until the grant was fetched.
    RollBackUnfetched,
    /// The destination is dead for good, and two staff have said so: the source is granted the Linode again, with the disks
    /// it sealed. After the end, too, as long as they are there (the application checks that).
    DestinationLost,
    /// The source is dead for good, and two staff have said so.
    SourceLost,
    /// The destination was to be sealed, because its start had failed for good, and says that the guest came up there all the
    /// same: it has written, and stays.
    HeldAtDestination,
    /// The hosts were believed instead of the portal (rule 15): the Linode is at this migration's destination.
    FoundAtDestination,
    /// It is at this migration's source.
    FoundAtSource,
    /// It is at neither.
    FoundElsewhere,
    /// Try a failed migration again, with what was copied.
    Retry,
    /// The member says that all is well, or the way-back window ended with the Linode healthy.
    Confirm,
    /// The member asks for the way back; a migration in the other direction begins.
    WayBack,
    WayBackSucceeded,
    /// It failed or was cancelled: the Linode is still at the destination.
    WayBackFailed,
}

/// What the application must do, in the same transaction, besides storing the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Enqueue the job of the new step.
    RunStep(Step),
    /// Cancel jobs of this migration that no agent has taken yet, and ask agents to stop the ones they have.
    StopJobs,
    /// Cancel the pass of the copy, or ask its agent to end it, without asking for a cancel of the migration.
    EndPass,
    /// Owner = destination, epoch + 1, addresses moved, profiles translated, `fetched = false`; refused if the two
    /// agents' digests differ.
    Commit,
    /// What [`Effect::Commit`] writes besides the owner, which the hosts have named already.
    Recall,
    /// Owner = source under a new epoch, `fetched = false`.
    GrantSource,
    /// Tell both agents to forget the transfer; the destination drops its copies.
    CleanUp,
    /// Tell the source to stop serving; the destination keeps its copies for another try.
    CloseTransfer,
    /// Delete the sealed disks at the source.
    PurgeSource,
    /// Start the way back.
    BeginReturn,
    /// Tell the parent of a return how it went.
    TellParent(bool),
    Mail(Letter),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    Scheduled,
    Started,
    Finished,
    Failed,
    Expired,
    Confirmed,
    Returned,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub state: State,
    pub step: Option<Step>,
    pub effects: Vec<Effect>,
}

/// Why an event changes nothing. Each is harmless: it is answered and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The same thing was already done (a second click, a repeated message).
    #[error("this was already done")]
    Already,
    /// An agent speaks of a step that is no longer the current one.
    #[error("the migration has moved on")]
    Late,
    #[error(
        "the Linode is being switched over: it can no longer be cancelled, but there is a way back when it is done"
    )]
    TooLateToCancel,
    #[error("this offer has ended; ask for a new one")]
    OfferEnded,
    #[error("this is not possible in the migration's present state")]
    NotNow,
}

/// May the member (or staff) still cancel?
pub fn can_cancel(state: State) -> bool {
    match state {
        State::Offered
        | State::Queued
        | State::Preparing
        | State::Copying
        | State::Holding
        | State::Failed => true,
        State::Switching
        | State::Finished
        | State::Confirmed
        | State::Returning
        | State::Returned
        | State::Expired
        | State::Cancelled => false,
    }
}

/// States in which the steps are at work.
pub const AT_WORK: [State; 4] = [
    State::Preparing,
    State::Copying,
    State::Holding,
    State::Switching,
];

/// Those of them that take a slot of their hosts and of the link between them.
pub const IN_SLOTS: [State; 3] = [State::Preparing, State::Copying, State::Switching];

/// Those in which a Linode is to stop and was not told to.
pub const BEFORE_THE_STOP: [State; 4] = [
    State::Queued,
    State::Preparing,
    State::Copying,
    State::Holding,
];

/// Does the migration hold its destination's memory and disk (and the Linode's one place for a live migration)?
pub fn is_live(state: State) -> bool {
    match state {
        State::Offered
        | State::Queued
        | State::Preparing
        | State::Copying
        | State::Holding
        | State::Switching => true,
        State::Finished
        | State::Confirmed
        | State::Returning
        | State::Returned
        | State::Expired
        | State::Cancelled
        | State::Failed => false,
    }
}

/// Must a registration stay while its Linode's migration is so? Being moved off its host by staff has nothing to do with the
/// beta.
pub fn holds_registration(kind: MigrationKind, state: State) -> bool {
    AT_WORK.contains(&state) && kind != MigrationKind::Evacuation
}

/// Is it done, and its source keeps the way back, or is it being taken?
pub fn has_way_back(state: State) -> bool {
    matches!(state, State::Finished | State::Returning)
}

/// Does a move go on that its member asked for?
pub fn is_under_way(state: State) -> bool {
    (is_live(state) && state != State::Offered) || state == State::Returning
}

/// Would another offer for the same registration be wrong?
pub fn takes_registration(state: State) -> bool {
    is_live(state) || has_way_back(state) || state == State::Confirmed
}

/// How long a Linode was away, in seconds: until it was started again or, where the agent does not say when that was, until
/// the move was finished. `None`: it was off, or is still away.
pub fn down_s(
    was_running: bool,
    stopped: Option<Time>,
    running: Option<Time>,
    finished: Option<Time>,
) -> Option<i64> {
    let stopped = stopped.filter(|_| was_running && finished.is_some())?;
    // What an earlier try left does not count.
    let running = running.filter(|at| *at >= stopped);
    Some(running.or(finished)?.seconds_since(stopped).max(0))
}

/// A migration of a Linode, and how the Linode is now.
#[derive(Debug, Clone, Copy)]
pub struct Last {
    pub kind: MigrationKind,
    pub state: State,
    /// When it was switched over.
    pub was_running: bool,
    pub status: LinodeStatus,
    pub at_destination: bool,
}

/// Is its way back in the way of a further move? While it is not confirmed its source keeps the way back, and a further move
/// would cut that off. `store::graduation::blocks_next` says the same to the database.
pub fn blocks_next(last: &Last) -> bool {
    last.kind != MigrationKind::Return && has_way_back(last.state) && !gives_way(last)
}

/// Does the open way back of an evacuation give way to a further move? It is staff's alone, to a host that they emptied: when
/// they move the Linode on, nobody else loses anything. As at the end of the window, the Linode must be well where it is.
pub fn gives_way(last: &Last) -> bool {
    (last.kind, last.state) == (MigrationKind::Evacuation, State::Finished)
        && last.at_destination
        && (last.status == LinodeStatus::Running || !last.was_running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    fn events() -> Vec<Event> {
        let mut events = vec![
            Event::Click,
            Event::Unschedule,
            Event::Admit,
            Event::TopUp,
            Event::Stop,
            Event::Unstop,
            Event::Expire,
            Event::Cancel,
            Event::StartFailedSealed,
            Event::RollBackUnfetched,
            Event::DestinationLost,
            Event::SourceLost,
            Event::HeldAtDestination,
            Event::FoundAtDestination,
            Event::FoundAtSource,
            Event::FoundElsewhere,
            Event::Retry,
            Event::Confirm,
            Event::WayBack,
            Event::WayBackSucceeded,
            Event::WayBackFailed,
        ];
        for step in Step::ALL {
            events.extend([
                Event::Stopped(*step),
                Event::Succeeded(*step),
                Event::Failed(*step),
            ]);
        }
        events
    }

    fn all() -> Vec<(State, Option<Step>)> {
        let mut all = Vec::new();
        for state in State::ALL {
            all.push((*state, None));
            all.extend(Step::ALL.iter().map(|step| (*state, Some(*step))));
        }
        all
    }

    #[test]
    fn every_transition_keeps_state_and_step_in_agreement() {
        for (state, step) in all()
            .into_iter()
            .filter(|(state, step)| step.is_none_or(|step| step.state() == *state))
        {
            for event in events() {
                let Ok(to) = decide(state, step, event) else {
                    continue;
                };
                match to.step {
                    Some(step) => assert_eq!(step.state(), to.state, "{state} {step} {event:?}"),
                    None => assert!(!AT_WORK.contains(&to.state)),
                }
            }
        }
    }

    #[test]
    fn ownership_changes_only_where_the_protocol_says() {
        for (state, step) in all() {
            for event in events() {
                let Ok(to) = decide(state, step, event) else {
                    continue;
                };
                if to.effects.contains(&Effect::Commit) {
                    assert_eq!(
                        (state, step, event),
                        (
                            State::Switching,
                            Some(Step::FinalCopy),
                            Event::Succeeded(Step::FinalCopy)
                        )
                    );
                }
                if to.effects.contains(&Effect::GrantSource) && event == Event::DestinationLost {
                    // Two staff have said that it runs nothing any more.
                    assert!(matches!(
                        state,
                        State::Switching | State::Finished | State::Confirmed
                    ));
                } else if to.effects.contains(&Effect::GrantSource) {
                    assert_eq!(state, State::Switching);
                    // From the destination only after it sealed, or while it cannot know.
                    let sealed = matches!(
                        event,
                        Event::Succeeded(Step::SealDestination) | Event::StartFailedSealed
                    );
                    let unfetched = event == Event::RollBackUnfetched;
                    let before_commit = matches!(step, Some(Step::StopSeal | Step::FinalCopy));
                    assert!(sealed || unfetched || before_commit, "{step:?} {event:?}");
                }
                if to.effects.contains(&Effect::PurgeSource) {
                    assert_eq!((state, event), (State::Finished, Event::Confirm));
                }
            }
        }
    }

    #[test]
    fn late_and_repeated_words_of_agents_change_nothing() {
        for (state, step) in all() {
            for of in Step::ALL {
                if Some(*of) == step && step.is_some_and(|step| step.state() == state) {
                    continue;
                }
                for event in [Event::Succeeded(*of), Event::Failed(*of)] {
                    if let Ok(to) = decide(state, step, event) {
                        panic!("{state} {step:?} took {event:?} to {to:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_migration_comes_to_an_end_when_its_steps_do() {
        let (mut state, mut step) = (State::Offered, None);
        for event in [Event::Click, Event::Admit] {
            let to = decide(state, step, event).unwrap();
            (state, step) = (to.state, to.step);
        }
        let mut steps = 0;
        while let Some(now) = step {
            let event = match now {
                Step::Hold => Event::Stop,
                now => Event::Succeeded(now),
            };
            let to = decide(state, step, event).unwrap();
            (state, step) = (to.state, to.step);
            steps += 1;
            assert!(steps < 20);
        }
        assert_eq!((state, steps), (State::Finished, 9));
    }

    #[test]
    fn a_pass_is_cut_short_by_the_stop_and_its_late_word_changes_nothing() {
        let to = decide(State::Holding, Some(Step::TopUp), Event::Stop).unwrap();
        assert_eq!(
            (to.state, to.step),
            (State::Switching, Some(Step::StopSeal))
        );
        // First the pass: the order to stop is a job of the same migration.
        assert_eq!(
            to.effects,
            [Effect::EndPass, Effect::RunStep(Step::StopSeal)]
        );
        for step in [Step::StopSeal, Step::Hold, Step::FinalCopy] {
            for word in [
                Event::Stopped(Step::TopUp),
                Event::Succeeded(Step::TopUp),
                Event::Failed(Step::TopUp),
            ] {
                assert_eq!(
                    decide(step.state(), Some(step), word),
                    Err(Refused::Late),
                    "{step} {word:?}"
                );
            }
        }
        assert_eq!(
            decide(State::Copying, Some(Step::WarmCopy), Event::Stop),
            Err(Refused::NotNow),
            "only what was in step once"
        );
    }

    #[test]
    fn no_cancel_once_it_is_stopped() {
        for step in Step::ALL
            .iter()
            .filter(|step| step.state() == State::Switching)
        {
            assert_eq!(
                decide(State::Switching, Some(*step), Event::Cancel),
                Err(Refused::TooLateToCancel)
            );
        }
    }
}
