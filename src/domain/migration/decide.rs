//! The transitions: what follows from an event, in every state and step.

use super::{Effect, Event, Letter, Refused, State, Step, Transition};

type Decision = Result<Transition, Refused>;

#[allow(
    clippy::unnecessary_wraps,
    reason = "the arms of decide read as decisions"
)]
fn to(state: State, step: Option<Step>, effects: impl IntoIterator<Item = Effect>) -> Decision {
    Ok(Transition {
        state,
        step,
        effects: effects.into_iter().collect(),
    })
}

fn run(step: Step, before: impl IntoIterator<Item = Effect>) -> Decision {
    let effects: Vec<Effect> = before.into_iter().chain([Effect::RunStep(step)]).collect();
    to(step.state(), Some(step), effects)
}

/// It did not succeed.
fn fail(before: impl IntoIterator<Item = Effect>) -> Decision {
    let letter = Effect::Mail(Letter::Failed);
    let after = [Effect::CloseTransfer, letter, Effect::TellParent(false)];
    to(State::Failed, None, before.into_iter().chain(after))
}

fn finish(before: impl IntoIterator<Item = Effect>) -> Decision {
    let letter = Effect::Mail(Letter::Finished);
    let after = [Effect::CloseTransfer, letter, Effect::TellParent(true)];
    to(State::Finished, None, before.into_iter().chain(after))
}

/// It never moved, and what was copied goes.
fn cancelled() -> Decision {
    let effects = [Effect::CleanUp, Effect::TellParent(false)];
    to(State::Cancelled, None, effects)
}

/// What follows from `event` in (`state`, `step`).
pub fn decide(state: State, step: Option<Step>, event: Event) -> Decision {
    match state {
        State::Offered => offered(event),
        State::Queued => queued(event),
        State::Preparing | State::Copying | State::Holding | State::Switching => match step {
            Some(step) if step.state() == state => at_work(state, step, event),
            // No row says this; if one did, nothing would be safe to do on it.
            Some(_) | None => Err(Refused::NotNow),
        },
        State::Finished => finished(event),
        State::Returning => returning(event),
        State::Failed => failed(event),
        State::Confirmed | State::Returned | State::Expired | State::Cancelled => {
            ended(state, event)
        }
    }
}

fn offered(event: Event) -> Decision {
    match event {
        Event::Click => to(State::Queued, None, []),
        Event::Expire => to(State::Expired, None, [Effect::Mail(Letter::Expired)]),
        Event::Cancel => to(State::Cancelled, None, []),
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        // The second of two: the first gave the time up.
        Event::Unschedule => Err(Refused::Already),
        Event::FoundAtSource => to(State::Offered, None, []),
        Event::FoundAtDestination
        | Event::FoundElsewhere
        | Event::DestinationLost
        | Event::SourceLost => to(State::Cancelled, None, []),
        Event::Admit
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::RollBackUnfetched
        | Event::Retry
        | Event::Confirm
        | Event::WayBack
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}

fn queued(event: Event) -> Decision {
    match event {
        Event::Click | Event::Retry => Err(Refused::Already),
        Event::Unschedule => to(State::Offered, None, []),
        Event::Admit => run(Step::PreflightSource, [Effect::Mail(Letter::Started)]),
        // A retry may have copies at the destination; a first run has none, and then this finds nothing to do.
        Event::Cancel => cancelled(),
        Event::FoundAtSource => to(State::Queued, None, []),
        Event::FoundAtDestination | Event::FoundElsewhere => cancelled(),
        Event::DestinationLost | Event::SourceLost => lost(),
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        Event::Expire
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::RollBackUnfetched
        | Event::Confirm
        | Event::WayBack
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}

fn at_work(state: State, step: Step, event: Event) -> Decision {
    match event {
        Event::Click | Event::Admit | Event::Retry => Err(Refused::Already),
        Event::Cancel => match state {
            // The state stays: a cancel is done only when the agent says so.
            State::Preparing | State::Copying | State::Holding => {
                to(state, Some(step), [Effect::StopJobs])
            }
            _ => Err(Refused::TooLateToCancel),
        },
        Event::TopUp => match step {
            Step::Hold => run(Step::TopUp, []),
            Step::TopUp => Err(Refused::Already),
            _ => Err(Refused::NotNow),
        },
        Event::Stop => match step {
            Step::Hold => run(Step::StopSeal, []),
            // What the pass had not copied yet, the final copy does.
            Step::TopUp => run(Step::StopSeal, [Effect::EndPass]),
            _ if state == State::Switching => Err(Refused::Already),
            _ => Err(Refused::NotNow),
        },
        Event::Unstop => match step {
            Step::StopSeal => to(State::Holding, Some(Step::Hold), []),
            Step::Hold => Err(Refused::Already),
            _ => Err(Refused::NotNow),
        },
        Event::Succeeded(of) | Event::Failed(of) | Event::Stopped(of) if of != step => {
            Err(Refused::Late)
        }
        Event::Succeeded(_) => succeeded(step),
        Event::Failed(_) => step_failed(step),
        Event::Stopped(_) => match state {
            State::Preparing | State::Copying | State::Holding => cancelled(),
            _ => Err(Refused::Late),
        },
        Event::StartFailedSealed => match step {
            Step::Start => run(Step::Restore, [Effect::GrantSource]),
            _ => Err(Refused::Late),
        },
        Event::HeldAtDestination => match step {
            Step::SealDestination => succeeded(Step::Start),
            _ => Err(Refused::Late),
        },
        Event::RollBackUnfetched => match step {
            Step::StopSeal | Step::FinalCopy | Step::Start => {
                run(Step::Restore, [Effect::StopJobs, Effect::GrantSource])
            }
            _ => Err(Refused::NotNow),
        },
        Event::DestinationLost => destination_lost(step),
        Event::SourceLost => match step {
            // The Linode is at its destination already, or may be: that goes on by itself.
            Step::Start => Err(Refused::NotNow),
            _ => lost(),
        },
        Event::FoundAtDestination => found_there(),
        Event::FoundAtSource | Event::FoundElsewhere => lost(),
        Event::Expire
        | Event::Unschedule
        | Event::Confirm
        | Event::WayBack
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}

/// Nothing more can come of it: a host is gone, or the Linode is where this migration does not expect it.
fn lost() -> Decision {
    fail([Effect::StopJobs])
}

fn destination_lost(step: Step) -> Decision {
    match step {
        Step::PreflightSource
        | Step::PreflightDestination
        | Step::Reserve
        | Step::OpenTransfer
        | Step::WarmCopy
        | Step::Hold
        | Step::TopUp => lost(),
        Step::StopSeal | Step::FinalCopy | Step::Start | Step::SealDestination => {
            run(Step::Restore, [Effect::StopJobs, Effect::GrantSource])
        }
        // The source has it already.
        Step::Restore => Err(Refused::Already),
    }
}

/// The move is done, as its hosts say.
fn found_there() -> Decision {
    finish([Effect::StopJobs, Effect::Recall])
}

fn succeeded(step: Step) -> Decision {
    match (step, step.next()) {
        // Nothing succeeds by waiting: the order to stop is given by `Event::Stop`.
        (Step::Hold, _) => Err(Refused::Late),
        (_, Some(Step::Hold)) => to(State::Holding, Some(Step::Hold), []),
        (Step::FinalCopy, Some(next)) => run(next, [Effect::Commit]),
        (Step::SealDestination, Some(next)) => run(next, [Effect::GrantSource]),
        (_, Some(next)) => run(next, []),
        (Step::Restore, None) => fail([]),
        (_, None) => finish([]),
    }
}

fn step_failed(step: Step) -> Decision {
    match step {
        // Nothing was stopped: the Linode runs on where it is.
        Step::PreflightSource
        | Step::PreflightDestination
        | Step::Reserve
        | Step::OpenTransfer
        | Step::WarmCopy
        | Step::Hold
        | Step::TopUp => fail([]),
        // It may be stopped or sealed; a new epoch at the source makes it whole again either way.
        Step::StopSeal | Step::FinalCopy => run(Step::Restore, [Effect::GrantSource]),
        Step::Start => run(Step::SealDestination, []),
        // Ownership is clear and the host has used up its attempts: this waits for staff, who retry the job.
        Step::SealDestination | Step::Restore => to(step.state(), Some(step), []),
    }
}

fn finished(event: Event) -> Decision {
    match event {
        Event::Confirm => to(
            State::Confirmed,
            None,
            [Effect::PurgeSource, Effect::Mail(Letter::Confirmed)],
        ),
        Event::WayBack => to(State::Returning, None, [Effect::BeginReturn]),
        Event::DestinationLost => run(Step::Restore, [Effect::GrantSource]),
        Event::FoundAtDestination => Err(Refused::Already),
        Event::FoundAtSource => to(State::Returned, None, []),
        // It has moved on, and what this migration left is found by itself.
        Event::FoundElsewhere => to(State::Confirmed, None, []),
        Event::SourceLost => Err(Refused::NotNow),
        Event::Click | Event::Admit | Event::Retry => Err(Refused::Already),
        Event::Cancel => Err(Refused::TooLateToCancel),
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        Event::Expire
        | Event::Unschedule
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::RollBackUnfetched
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}

fn returning(event: Event) -> Decision {
    match event {
        Event::WayBackSucceeded => to(State::Returned, None, [Effect::Mail(Letter::Returned)]),
        Event::WayBackFailed => to(State::Finished, None, []),
        Event::WayBack | Event::Click | Event::Admit | Event::Retry => Err(Refused::Already),
        Event::Cancel => Err(Refused::TooLateToCancel),
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        // The way back itself hears of these, and tells.
        Event::Expire
        | Event::Unschedule
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::RollBackUnfetched
        | Event::DestinationLost
        | Event::SourceLost
        | Event::FoundAtDestination
        | Event::FoundAtSource
        | Event::FoundElsewhere
        | Event::Confirm => Err(Refused::NotNow),
    }
}

fn failed(event: Event) -> Decision {
    match event {
        Event::Retry | Event::Click => to(State::Queued, None, []),
        Event::Cancel => to(State::Cancelled, None, [Effect::CleanUp]),
        Event::FoundAtDestination => found_there(),
        Event::FoundAtSource => Err(Refused::Already),
        Event::FoundElsewhere | Event::DestinationLost | Event::SourceLost => {
            to(State::Cancelled, None, [Effect::CleanUp])
        }
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        Event::Admit
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::Unschedule
        | Event::Expire
        | Event::RollBackUnfetched
        | Event::Confirm
        | Event::WayBack
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}

fn ended(state: State, event: Event) -> Decision {
    match event {
        Event::Click if state == State::Expired => Err(Refused::OfferEnded),
        Event::Cancel if state == State::Cancelled => Err(Refused::Already),
        Event::Confirm if state == State::Confirmed => Err(Refused::Already),
        Event::WayBack if state == State::Returned => Err(Refused::Already),
        // Confirmed, and the old disks are there still (the application checks that).
        Event::DestinationLost if state == State::Confirmed => {
            run(Step::Restore, [Effect::GrantSource])
        }
        Event::Stopped(_)
        | Event::Succeeded(_)
        | Event::Failed(_)
        | Event::StartFailedSealed
        | Event::HeldAtDestination => Err(Refused::Late),
        Event::Click
        | Event::Unschedule
        | Event::Admit
        | Event::TopUp
        | Event::Stop
        | Event::Unstop
        | Event::Expire
        | Event::Cancel
        | Event::RollBackUnfetched
        | Event::DestinationLost
        | Event::SourceLost
        | Event::FoundAtDestination
        | Event::FoundAtSource
        | Event::FoundElsewhere
        | Event::Retry
        | Event::Confirm
        | Event::WayBack
        | Event::WayBackSucceeded
        | Event::WayBackFailed => Err(Refused::NotNow),
    }
}
