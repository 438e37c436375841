//! What happened to a migration, in words for its member.

use crate::domain::migration::{Event, MigrationKind, MigrationState, Step, Transition};

/// What the migration's log says of a transition, in words for its member.
pub(in crate::app) fn words(kind: MigrationKind, event: Event, to: &Transition) -> String {
    let on_way_back = (kind == MigrationKind::Return)
        .then(|| back(event, to))
        .flatten();
    on_way_back.unwrap_or_else(|| there(event, to)).to_owned()
}

/// What is otherwise on a way back: it goes to the host where the Linode was before.
fn back(event: Event, to: &Transition) -> Option<&'static str> {
    Some(match (event, to.step) {
        (
            Event::DestinationLost
            | Event::SourceLost
            | Event::HeldAtDestination
            | Event::FoundAtDestination
            | Event::FoundAtSource,
            _,
        ) => return None,
        (Event::Confirm, _) => {
            "Confirmed; the copy at the host it left is deleted once its old host has shown its disks."
        }
        (Event::RollBackUnfetched, _) => {
            "Staff took the switch-over back; the host it was leaving starts the Linode again."
        }
        (_, Some(Step::PreflightDestination)) => "Checking its old host.",
        (_, Some(Step::Reserve)) => "Reserving disk space on its old host.",
        (_, Some(Step::Start)) => "Starting the Linode on its old host.",
        (_, Some(Step::SealDestination)) => {
            "Its old host could not start it; making sure that it is off there."
        }
        (_, Some(Step::Restore)) => "Starting the Linode again where it was.",
        (_, None) if to.state == MigrationState::Finished => {
            "Finished: the Linode runs on its old host again."
        }
        (_, None) if to.state == MigrationState::Failed => {
            "The way back failed; the Linode is where it was."
        }
        _ => return None,
    })
}

fn there(event: Event, to: &Transition) -> &'static str {
    match (event, to.step) {
        (Event::Click, _) => "Asked for with one click.",
        (Event::Unschedule, _) => "The chosen time was given up; the offer stands.",
        (Event::Retry, _) => "Tried again; what was copied is kept.",
        (Event::Expire, _) => "The offer expired.",
        (Event::Cancel, _) if to.state == MigrationState::Cancelled => "Cancelled.",
        (Event::Cancel, _) => "Asked to cancel.",
        (Event::Stopped(_), _) => "Cancelled; the Linode stays where it is.",
        (Event::Confirm, _) => {
            "Confirmed; the copy at the old host is deleted once the new host has shown its disks."
        }
        (Event::WayBack, _) => "The way back was asked for.",
        (Event::WayBackSucceeded, _) => "The Linode is back at its old host.",
        (Event::WayBackFailed, _) => "The way back did not work; the Linode stays where it is.",
        (Event::RollBackUnfetched, _) => {
            "Staff took the switch-over back; the old host starts the Linode again."
        }
        (Event::DestinationLost, Some(_)) => {
            "The new host is lost; the old host starts the Linode again, with the data it had when it was stopped there."
        }
        (Event::DestinationLost | Event::SourceLost, None) => {
            "A host of this migration is lost; it cannot go on."
        }
        (Event::HeldAtDestination, _) => {
            "The new host says that the Linode came up there after all: it stays, with what it wrote."
        }
        (Event::FoundAtDestination, _) => {
            "The hosts say that the Linode is at the new host: the migration is done."
        }
        (Event::FoundAtSource, _) => "The hosts say that the Linode is at its old host.",
        (Event::FoundElsewhere, _) => "The hosts say that the Linode has moved on.",
        (_, Some(Step::PreflightSource)) => "Checking the present host.",
        (_, Some(Step::PreflightDestination)) => "Checking the new host.",
        (_, Some(Step::Reserve)) => "Reserving disk space on the new host.",
        (_, Some(Step::OpenTransfer)) => "Connecting the two hosts.",
        (_, Some(Step::WarmCopy)) => "Copying the disks while the Linode runs.",
        (_, Some(Step::Hold)) => "In step: the Linode runs, and waits for the moment to stop.",
        (_, Some(Step::TopUp)) => "Copying what has changed since.",
        (_, Some(Step::StopSeal)) => "Shutting the Linode down.",
        (_, Some(Step::FinalCopy)) => "Copying what changed since, and comparing every piece.",
        (_, Some(Step::Start)) => "Starting the Linode on the new host.",
        (_, Some(Step::SealDestination)) => {
            "The new host could not start it; making sure that it is off there."
        }
        (_, Some(Step::Restore)) => "Starting the Linode on its old host again.",
        (_, None) => match to.state {
            MigrationState::Finished => "Finished: the Linode runs on the new host.",
            MigrationState::Failed => "The migration failed; the Linode is on its old host.",
            _ => "Changed.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    #[test]
    fn no_step_of_a_way_back_speaks_of_a_new_host() {
        let mut ends: Vec<Option<Step>> = Step::ALL.iter().copied().map(Some).collect();
        ends.push(None);
        for (state, step) in MigrationState::ALL
            .iter()
            .flat_map(|state| ends.iter().map(move |step| (*state, *step)))
        {
            let to = Transition {
                state,
                step,
                effects: Vec::new(),
            };
            for event in [Event::Admit, Event::Confirm, Event::RollBackUnfetched] {
                let said = words(MigrationKind::Return, event, &to);
                assert!(!said.contains("new host"), "{said}");
            }
        }
    }
}
