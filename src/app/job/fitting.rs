//! Does what an agent reports answer what it was asked? A host can be at fault, or taken over: what it says of other work than its
//! own is not noted.

use crate::domain::job::JobKind as Kind;
use crate::store::job::Job;
use crate::wire::Report;

pub(super) fn fits(job: &Job, report: &Report) -> bool {
    let kind = match report {
        // Power jobs: agents of the first release said no more.
        Report::Done => matches!(
            job.kind,
            Kind::PreflightDestination
                | Kind::Reserve
                | Kind::OpenTransfer
                | Kind::CloseTransfer
                | Kind::Release
                | Kind::Purge
                | Kind::Boot
                | Kind::Reboot
                | Kind::Shutdown
        ),
        Report::Adopted { .. } => job.kind == Kind::Adopt,
        Report::Source { .. } => job.kind == Kind::PreflightSource,
        Report::Warm { .. } => job.kind == Kind::WarmCopy,
        Report::Sealed { .. } => job.kind == Kind::StopSeal,
        Report::Copied { .. } => job.kind == Kind::FinalCopy,
        Report::Started { .. } => matches!(job.kind, Kind::Start | Kind::Boot | Kind::Reboot),
        Report::StartFailedSealed { .. } => job.kind == Kind::Start,
        Report::Stopped { .. } => job.kind == Kind::Shutdown,
        Report::Console { .. } => job.kind == Kind::Console,
        Report::Proof { .. } => job.kind == Kind::Prove,
        Report::Checked { .. } => job.kind == Kind::Check,
        Report::Tried { .. } => job.kind == Kind::Trial,
    };
    kind && epoch(report).is_none_or(|epoch| epoch == job.epoch)
}

/// The epoch that it speaks of.
fn epoch(report: &Report) -> Option<i64> {
    match report {
        Report::Sealed { epoch, .. }
        | Report::Copied { epoch, .. }
        | Report::Started { epoch, .. }
        | Report::StartFailedSealed { epoch, .. }
        | Report::Proof { epoch, .. }
        | Report::Checked { epoch, .. } => Some(*epoch),
        Report::Done
        | Report::Adopted { .. }
        | Report::Source { .. }
        | Report::Warm { .. }
        | Report::Stopped { .. }
        | Report::Console { .. }
        | Report::Tried { .. } => None,
    }
}
