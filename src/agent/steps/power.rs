//! Adopt, boot, reboot, shut down: what the owner host does with a Linode that lives here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::look::{generation, is_running};
use super::work::{Result, StepError, Work};
use crate::agent::disk::{DiskError, DiskFault};
use crate::agent::driver::{Guest, Stopped};
use crate::agent::ledger::rules::{self, Accept};
use crate::agent::ledger::{Entry, file};
use crate::domain::text::CONSOLE_LINES;
use crate::wire::{BootSpec, DiskSpec, GuestSpec, Report};

/// How much of a provisioned sample disk is content; the rest is a hole.
const SAMPLE_BYTES: u64 = 8 * 1024 * 1024;

pub(super) fn adopt(
    work: &Work<'_>,
    epoch: i64,
    guest: &GuestSpec,
    boot: Option<&BootSpec>,
) -> Result<Report> {
    let linode = work.locked.linode();
    let mut entry = work.host.ledger.entry(linode)?;
    let accept = rules::adopt(entry.marks, epoch)?;
    let generation = entry.generation.unwrap_or(epoch);
    if work.host.provision_missing && accept == Accept::New {
        provision(work, generation, guest)?;
    }
    work.host.disks.check(linode, generation, &guest.disks)?;
    let running = is_running(work)?;
    entry.marks = entry.marks.grant(epoch);
    entry.generation = Some(generation);
    entry.guest = Some(guest.clone());
    entry.boot = boot.cloned().or(entry.boot);
    entry.desired_running = entry.desired_running || running;
    work.host.ledger.put(&entry)?;
    Ok(Report::Adopted { running })
}

pub(super) fn boot(
    work: &Work<'_>,
    epoch: i64,
    guest: &GuestSpec,
    boot: &BootSpec,
) -> Result<Report> {
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    run(work, &mut entry, (guest, boot), None)
}

pub(super) fn reboot(
    work: &Work<'_>,
    epoch: i64,
    guest: &GuestSpec,
    boot: &BootSpec,
    limit_s: u32,
) -> Result<Report> {
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    could_start(work, &entry, guest, boot)?;
    let stopped_after_s = timed_stop(work, limit_s)?.1;
    run(work, &mut entry, (guest, boot), stopped_after_s)
}

/// From here on it is its member's run, and not one that its move may take back.
fn run(
    work: &Work<'_>,
    entry: &mut Entry,
    (guest, boot): (&GuestSpec, &BootSpec),
    stopped_after_s: Option<f64>,
) -> Result<Report> {
    let taken = Instant::now();
    let epoch = entry.marks.granted;
    entry.stayed_up = Some(epoch);
    let was_absent = !is_running(work)?;
    start_guest(work, entry, guest, boot)?;
    let started_after_s = was_absent.then(|| taken.elapsed().as_secs_f64());
    announce(work, guest);
    Ok(Report::Started {
        epoch,
        running: true,
        helpers_skipped: helpers_skipped(work, boot),
        started_after_s,
        stopped_after_s,
    })
}

pub(super) fn shutdown(work: &Work<'_>, epoch: i64, limit_s: u32) -> Result<Report> {
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    entry.desired_running = false;
    work.host.ledger.put(&entry)?;
    let (stopped, stopped_after_s) = timed_stop(work, limit_s)?;
    work.host.driver.withdraw(entry.linode)?;
    Ok(Report::Stopped {
        forced: stopped == Stopped::ByForce,
        stopped_after_s,
    })
}

/// The end of the console, of a running guest or of its last run.
pub(super) fn console(work: &Work<'_>, epoch: i64, lines: u32) -> Result<Report> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    let lines = usize::try_from(lines).unwrap_or(CONSOLE_LINES);
    let text = work
        .host
        .driver
        .console_tail(entry.linode, lines.min(CONSOLE_LINES));
    Ok(Report::Console { text })
}

/// As [`stop`], with the seconds that a guest which ran took for it.
fn timed_stop(work: &Work<'_>, limit_s: u32) -> Result<(Stopped, Option<f64>)> {
    let ran = is_running(work)?;
    let taken = Instant::now();
    let stopped = stop(work, limit_s)?;
    Ok((stopped, ran.then(|| taken.elapsed().as_secs_f64())))
}

/// Stops the guest and confirms, by asking the host again, that it is absent.
pub(super) fn stop(work: &Work<'_>, limit_s: u32) -> Result<Stopped> {
    let limit = Duration::from_secs(u64::from(limit_s));
    let stopped = work.host.driver.stop(work.locked.linode(), limit)?;
    if is_running(work)? {
        return Err(StepError::Impossible {
            public: "The Linode could not be stopped".into(),
            detail: "the driver said it was stopped, and it is still there".into(),
        });
    }
    Ok(stopped)
}

/// Boot helpers are wanted and cannot run here: said, as nobody would look for the reason at the guest's.
pub(super) fn helpers_skipped(work: &Work<'_>, boot: &BootSpec) -> bool {
    !boot.helpers.is_empty() && !work.host.driver.runs_helpers(boot)
}

/// What a start would refuse, asked while the guest still runs: a profile that cannot boot here must not end it.
fn could_start(work: &Work<'_>, entry: &Entry, guest: &GuestSpec, boot: &BootSpec) -> Result<()> {
    let generation = generation(entry)?;
    work.host
        .disks
        .check(entry.linode, generation, &guest.disks)?;
    rules::may_start(
        entry.marks,
        entry.marks.granted,
        Some(generation),
        true,
        true,
    )?;
    Ok(work.host.driver.preflight(entry.linode, guest, boot)?)
}

/// Writes down what is wanted, then starts the guest if it does not run yet. The one place that starts a guest.
pub(super) fn start_guest(
    work: &Work<'_>,
    entry: &mut Entry,
    guest: &GuestSpec,
    boot: &BootSpec,
) -> Result<()> {
    let linode = entry.linode;
    let generation = generation(entry)?;
    let whole = work.host.disks.check(linode, generation, &guest.disks);
    let locked = work.locked.linode() == linode;
    let epoch = entry.marks.granted;
    let allowed = rules::may_start(entry.marks, epoch, Some(generation), whole.is_ok(), locked);
    // The store says what is not whole better than the rule does.
    whole?;
    allowed?;
    if entry
        .stopping
        .take_if(|stopping| stopping.epoch == epoch)
        .is_some()
    {
        // It was to be sealed, and was not: its disks may say that they are.
        work.host.disks.unseal(linode, generation)?;
    }
    entry.guest = Some(guest.clone());
    entry.boot = Some(boot.clone());
    entry.desired_running = true;
    work.host.ledger.put(entry)?;
    let running = is_running(work).map_err(|error| StepError::Unsure {
        detail: error.to_string(),
    })?;
    if running {
        return Ok(());
    }
    let disks = work.paths(generation, guest);
    work.host.driver.start(&Guest {
        linode,
        spec: guest,
        boot,
        disks: &disks,
    })?;
    Ok(())
}

/// Tells the network; a guest that runs unannounced is better than one that does not run.
pub(super) fn announce(work: &Work<'_>, guest: &GuestSpec) {
    let linode = work.locked.linode();
    if let Err(error) = work.host.driver.announce(linode, guest) {
        tracing::warn!(%linode, %error, "the addresses could not be announced");
    }
}

/// Makes sample disks where there are none: some content, mostly a hole. What is there is left as it is.
fn provision(work: &Work<'_>, generation: i64, guest: &GuestSpec) -> Result<()> {
    for disk in &guest.disks {
        let path = work
            .host
            .disks
            .path(work.locked.linode(), generation, disk.id);
        if !path.exists() {
            make_sample(&path, disk)
                .map_err(|error| DiskError::io("making a sample disk", &error))?;
        }
    }
    Ok(())
}

fn make_sample(path: &Path, disk: &DiskSpec) -> io::Result<()> {
    let bad = || {
        io::Error::other(DiskError::new(
            DiskFault::Refused,
            "",
            path.display().to_string(),
        ))
    };
    let (dir, name) = (
        path.parent().ok_or_else(bad)?,
        path.file_name().ok_or_else(bad)?,
    );
    file::private_dir(dir)?;
    let half_made = dir.join(format!("{}.making", name.to_string_lossy()));
    let mut file = File::create(&half_made)?;
    let mut left = disk.size_bytes.min(SAMPLE_BYTES);
    let mut noise = blake3::Hasher::new()
        .update(&disk.id.0.to_le_bytes())
        .finalize_xof();
    let mut block = vec![0; 64 * 1024];
    while left > 0 {
        noise.fill(&mut block);
        let part = block
            .get(..usize::try_from(left).unwrap_or(usize::MAX).min(block.len()))
            .unwrap_or(&block);
        file.write_all(part)?;
        left -= part.len() as u64;
    }
    file.set_len(disk.size_bytes)?;
    file.sync_all()?;
    fs::rename(half_made, path)?;
    File::open(dir)?.sync_all()
}
