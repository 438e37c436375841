//! What an order makes a host do, a file per group. Rules of the room: `ledger::rules` decides, before anything is
//! touched; what was decided is on disk before it is acted upon; every step may be repeated and may be cut short at any
//! point; the driver and the disk store only obey.

mod check;
mod cleanup;
mod copy;
mod look;
mod ownership;
mod power;
mod preflight;
mod prove;
mod trial;
pub mod work;

pub use self::trial::{destroy_left, sweep};
use self::work::{Result, StepError, Work};
use super::control::{Halt, JobControl};
use super::disk::DiskFault;
use super::driver::DriverError;
use super::host::Host;
use super::ledger::error::LedgerError;
use crate::domain::ids::LinodeId;
use crate::wire::{Marked, Order, Outcome, Report, Task};

/// Carries an order out. `None`: the lease was lost, and nothing is to be said.
pub fn run(host: &Host, control: &JobControl, order: &Order) -> Option<Outcome> {
    let locked = host.locks.lock(order.linode);
    // The wait may have been long.
    if let Err(halt) = control.check() {
        return outcome_of_halt(halt);
    }
    let work = Work {
        host,
        control,
        locked: &locked,
    };
    // What a trial left is gone before anything else is done about its Linode.
    let done = trial::clear(host, order.linode).and_then(|()| dispatch(&work, order));
    match done {
        Ok(report) => Some(Outcome::Succeeded { report }),
        Err(StepError::Halted(halt)) => outcome_of_halt(halt),
        Err(error) => Some(failure(&work, order, &error)),
    }
}

/// Starts a Linode as it was booted last, under the epoch it is owned by. For `override_start` only.
pub fn override_start(host: &Host, control: &JobControl, linode: LinodeId) -> Result<()> {
    let locked = host.locks.lock(linode);
    let work = Work {
        host,
        control,
        locked: &locked,
    };
    let entry = host.ledger.entry(linode)?;
    let (Some(guest), Some(boot)) = (entry.guest.clone(), entry.boot.clone()) else {
        return Err(StepError::Impossible {
            public: "The Linode was never booted here".into(),
            detail: format!("Linode {linode}: the ledger has no boot to repeat"),
        });
    };
    power::boot(&work, entry.marks.granted, &guest, &boot).map(|_| ())
}

fn outcome_of_halt(halt: Halt) -> Option<Outcome> {
    match halt {
        Halt::Cancelled => Some(Outcome::Cancelled),
        Halt::Lost => None,
    }
}

fn dispatch(work: &Work<'_>, order: &Order) -> Result<Report> {
    match &order.task {
        Task::Adopt { epoch, guest, boot } => power::adopt(work, *epoch, guest, boot.as_ref()),
        Task::Boot { epoch, guest, boot } => power::boot(work, *epoch, guest, boot),
        Task::Reboot {
            epoch,
            guest,
            boot,
            stop_limit_s,
        } => power::reboot(work, *epoch, guest, boot, *stop_limit_s),
        Task::Shutdown {
            epoch,
            stop_limit_s,
        } => power::shutdown(work, *epoch, *stop_limit_s),
        Task::Console { epoch, lines } => power::console(work, *epoch, *lines),
        Task::Check {
            epoch,
            guest,
            checks,
        } => check::check(work, *epoch, guest, checks),
        Task::PreflightSource {
            epoch,
            guest,
            checks,
        } => preflight::source(work, *epoch, guest, checks),
        Task::PreflightDestination {
            migration,
            guest,
            boots,
        } => preflight::destination(work, *migration, guest, boots),
        Task::Reserve {
            migration,
            guest,
            base_epoch,
        } => preflight::reserve(work, *migration, guest, *base_epoch),
        Task::OpenTransfer {
            migration,
            epoch,
            guest,
            peer_fingerprint,
            token,
        } => copy::open(work, *migration, *epoch, guest, peer_fingerprint, token),
        Task::WarmCopy {
            migration,
            guest,
            source,
            max_passes,
        } => copy::warm(work, *migration, guest, source, *max_passes),
        Task::StopSeal {
            migration,
            epoch,
            stop_limit_s,
        } => ownership::stop_seal(work, *migration, *epoch, *stop_limit_s),
        Task::FinalCopy {
            migration,
            epoch,
            guest,
            source,
        } => copy::last(work, *migration, *epoch, guest, source),
        Task::Start {
            epoch,
            guest,
            boot,
            migration,
            watch_s,
        } => ownership::start(
            work,
            &ownership::StartOrder {
                epoch: *epoch,
                guest,
                boot: boot.as_ref(),
                migration: *migration,
                watch_s: *watch_s,
            },
        ),
        Task::CloseTransfer { migration } => cleanup::close(work, *migration),
        Task::Release { migration, epoch } => cleanup::release(work, *migration, *epoch),
        Task::Purge { epoch } => cleanup::purge(work, *epoch),
        Task::Prove { epoch, guest } => prove::prove(work, *epoch, guest),
        Task::Trial {
            migration,
            guest,
            boot,
            limit_s,
        } => trial::run(work, *migration, (guest, boot), *limit_s),
    }
}

/// Puts an error into an answer: what a customer may read, what staff need, and whether to try again.
fn failure(work: &Work<'_>, order: &Order, error: &StepError) -> Outcome {
    let (retry, public) = match error {
        StepError::Refused(_) => (
            false,
            "The order no longer fits the Linode's state on this host".into(),
        ),
        StepError::Owner { .. } => (false, "The Linode already lives on this host".into()),
        StepError::Ledger(LedgerError::Damaged { .. }) => (
            false,
            "The host cannot be sure of this Linode's state; staff are needed".into(),
        ),
        StepError::Ledger(_) => (true, "The host could not write its records".into()),
        StepError::Driver(DriverError::Refused { public, .. })
        | StepError::Impossible { public, .. } => (false, public.clone()),
        StepError::Driver(DriverError::Host(_)) => {
            (true, "The host could not carry this out".into())
        }
        StepError::Disk(error) => (error.fault == DiskFault::Io, error.public.clone()),
        StepError::Transfer(error) => (error.retry(), error.public.clone()),
        StepError::Unsure { .. } => (
            true,
            "The host could not tell whether the Linode runs".into(),
        ),
        StepError::Halted(_) => (true, "The work was interrupted".into()),
    };
    let starts = matches!(
        order.task,
        Task::Boot { .. } | Task::Reboot { .. } | Task::Start { .. }
    );
    let console = starts.then(|| work.console());
    let detail = error.to_string();
    tracing::warn!(job = %order.job, linode = %order.linode, retry, detail, "a step failed");
    Outcome::Failed {
        retry,
        public,
        detail,
        console: console.filter(|console| !console.is_empty()),
        owns: owns(work, error),
    }
}

/// The marks under which this host owns the Linode, where that is why the order was not carried out.
fn owns(work: &Work<'_>, error: &StepError) -> Option<Marked> {
    let entry = work.host.ledger.entry(work.locked.linode()).ok()?;
    let marks = match error {
        StepError::Owner { marks } => *marks,
        StepError::Refused(refusal) => refusal.ahead(entry.marks)?,
        _ => return None,
    };
    Some(Marked {
        linode: entry.linode,
        granted: marks.granted,
        sealed: marks.sealed,
        generation: entry.generation,
    })
}
