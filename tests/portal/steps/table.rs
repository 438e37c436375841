//! The rows: what may befall what, and what follows.

use xenbeta::domain::job::JobKind;
use xenbeta::domain::migration::Step;
use xenbeta::domain::migration::{MigrationKind, MigrationState};

/// What a trouble befalls: a step of the move, or a job that tidies up after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    Of(Step),
    Tidy(JobKind),
}

pub const TARGETS: [Target; 14] = [
    Target::Of(Step::PreflightSource),
    Target::Of(Step::PreflightDestination),
    Target::Of(Step::Reserve),
    Target::Of(Step::OpenTransfer),
    Target::Of(Step::WarmCopy),
    Target::Of(Step::StopSeal),
    Target::Of(Step::FinalCopy),
    Target::Of(Step::Start),
    Target::Of(Step::SealDestination),
    Target::Of(Step::Restore),
    Target::Tidy(JobKind::CloseTransfer),
    Target::Tidy(JobKind::Release),
    Target::Tidy(JobKind::Prove),
    Target::Tidy(JobKind::Purge),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Its report comes twice, and once more when all is over.
    ToldTwice,
    /// It fails before its effect, and may work if it is tried again.
    FailsOnce,
    FailsForGood,
    /// It is done, its report is lost, and its lease runs out.
    ReportLost,
    /// Its agent is restarted, and goes on under the same lease.
    Restarted,
    /// Its agent is restarted, and knows nothing of it.
    Forgotten,
    /// The host is ahead: it has the Linode already, by its ledger.
    Owned,
    /// A cancel, and then its agent says this of it.
    CancelStopped,
    CancelDone,
    CancelFailed,
    CancelLost,
    TakenBack,
}

pub const TROUBLES: [Trouble; 12] = [
    Trouble::ToldTwice,
    Trouble::FailsOnce,
    Trouble::FailsForGood,
    Trouble::ReportLost,
    Trouble::Restarted,
    Trouble::Forgotten,
    Trouble::Owned,
    Trouble::CancelStopped,
    Trouble::CancelDone,
    Trouble::CancelFailed,
    Trouble::CancelLost,
    Trouble::TakenBack,
];

impl Trouble {
    pub fn is_cancel(self) -> bool {
        matches!(
            self,
            Self::CancelStopped | Self::CancelDone | Self::CancelFailed | Self::CancelLost
        )
    }

    /// Nobody can tell afterwards, by the jobs or by the trail.
    pub fn leaves_no_trace(self) -> bool {
        matches!(
            self,
            Self::ToldTwice
                | Self::FailsOnce
                | Self::ReportLost
                | Self::Restarted
                | Self::Forgotten
        )
    }
}

/// What follows when a step fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The move has failed; the Linode runs where it was, under its epoch.
    Ends,
    /// The source is granted a new epoch and starts it.
    GoesBack,
    /// The destination seals first.
    SealsFirst,
    /// It waits for staff, who try the job again.
    Waits,
}

/// A row for every step.
pub fn after(step: Step) -> After {
    match step {
        Step::PreflightSource
        | Step::PreflightDestination
        | Step::Reserve
        | Step::OpenTransfer
        | Step::WarmCopy
        | Step::Hold
        | Step::TopUp => After::Ends,
        Step::StopSeal | Step::FinalCopy => After::GoesBack,
        Step::Start => After::SealsFirst,
        Step::SealDestination | Step::Restore => After::Waits,
    }
}

/// The step that has to fail for good so that this one is come to.
pub fn comes_of(step: Step) -> Option<Step> {
    match step {
        Step::PreflightSource
        | Step::PreflightDestination
        | Step::Reserve
        | Step::OpenTransfer
        | Step::WarmCopy
        | Step::Hold
        | Step::TopUp
        | Step::StopSeal
        | Step::FinalCopy
        | Step::Start => None,
        Step::SealDestination => Some(Step::Start),
        Step::Restore => Some(Step::FinalCopy),
    }
}

/// How a job that tidies up is come to; `None`: a step's own job, or one outside of moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidying {
    Finished,
    Confirmed,
    Cancelled,
}

pub fn tidying(kind: JobKind) -> Option<Tidying> {
    match kind {
        JobKind::CloseTransfer => Some(Tidying::Finished),
        JobKind::Prove | JobKind::Purge => Some(Tidying::Confirmed),
        JobKind::Release => Some(Tidying::Cancelled),
        JobKind::Adopt
        | JobKind::Boot
        | JobKind::Reboot
        | JobKind::Shutdown
        | JobKind::Console
        | JobKind::Check
        | JobKind::PreflightSource
        | JobKind::PreflightDestination
        | JobKind::Reserve
        | JobKind::OpenTransfer
        | JobKind::WarmCopy
        | JobKind::StopSeal
        | JobKind::FinalCopy
        | JobKind::Start
        | JobKind::Trial => None,
    }
}

/// How a move of this kind is tried again when it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    ByARetry,
    /// By asking for the way back once more.
    ByAskingAnew,
}

pub fn again(kind: MigrationKind) -> Again {
    match kind {
        MigrationKind::Beta | MigrationKind::Graduation | MigrationKind::Evacuation => {
            Again::ByARetry
        }
        MigrationKind::Return => Again::ByAskingAnew,
    }
}

/// Does a cancel still end it in this step?
pub fn can_cancel(target: Target) -> bool {
    match target {
        Target::Of(step) => step.state() != MigrationState::Switching,
        Target::Tidy(_) => false,
    }
}

pub fn can_take_back(target: Target) -> bool {
    matches!(target, Target::Of(Step::StopSeal | Step::FinalCopy))
}

/// A host can be ahead only where the portal has not committed yet, and it is where the Linode goes.
fn can_be_ahead(target: Target) -> bool {
    matches!(
        target,
        Target::Of(Step::PreflightDestination | Step::Reserve | Step::WarmCopy | Step::FinalCopy)
    )
}

pub fn applies(kind: MigrationKind, target: Target, trouble: Trouble) -> bool {
    match trouble {
        Trouble::Owned => can_be_ahead(target),
        // Where it is refused, once is enough.
        Trouble::CancelDone | Trouble::CancelFailed | Trouble::CancelLost => can_cancel(target),
        // A cancelled or confirmed move answers with words that are its own tests' business.
        Trouble::CancelStopped | Trouble::TakenBack => matches!(target, Target::Of(_)),
        Trouble::FailsForGood => {
            // The way back of a move whose way back failed for good has no second one of these to tidy up.
            !(kind == MigrationKind::Return && matches!(target, Target::Tidy(JobKind::Release)))
        }
        Trouble::None
        | Trouble::ToldTwice
        | Trouble::FailsOnce
        | Trouble::ReportLost
        | Trouble::Restarted
        | Trouble::Forgotten => true,
    }
}
