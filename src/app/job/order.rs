//! Makes the order for a claimed job from the rows as they are now: what the agent is told is never older than the claim,
//! and a job whose time has passed is found out before it is given away.

use crate::app::App;
use crate::app::error::AppError;
use crate::app::host::report::{claim, share_due};
use crate::app::linode::{power, profile};
use crate::app::migration::guard::still_permitted;
use crate::app::ownership::change;
use crate::app::secrets::purpose;
use crate::domain::job::JobKind;
use crate::domain::linode::{LinodeStatus, translate};
use crate::domain::ownership::KeepDisks;
use crate::domain::platform::Platform;
use crate::domain::time::Time;
use crate::store;
use crate::store::catalogue::Plan;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::store::job::Job;
use crate::store::linode::Linode;
use crate::store::linode::profile::ConfigProfile;
use crate::store::migration::Migration;
use crate::wire::{AddressSpec, BootSpec, DiskSpec, GuestSpec, Peer, SHOWS_LEDGER, Task};

/// How long a clean shutdown may take where nobody chose a limit, in seconds.
const STOP_LIMIT_S: u32 = 60;

/// How often an agent of an older release is looked at again, and a purge that waits for a proof, in seconds. A proof that
/// comes lets the purge go at once.
const AGENT_UPGRADE_S: i64 = 600;
const PROOF_AGAIN_S: i64 = 30;
/// A power job that waits for a switch-over is over with it, unless that is taken back.
const SWITCHED_AGAIN_S: i64 = 10;

/// What the Linode's page shows of the console.
const CONSOLE_LINES: u32 = 100;

/// Why a job is not given out after all.
pub enum NotDispatchable {
    /// It was overtaken by events: end it, nobody needs it.
    Stale(String),
    /// It cannot be carried out: its migration must hear of the failure.
    Impossible(String),
    /// Not yet: what it needs is asked for. It is given again after so many seconds.
    NotYet(String, i64),
}

type Fit<T> = Result<Result<T, NotDispatchable>, AppError>;

/// The task for a job, with the facts of this moment.
pub fn task(app: &App, conn: &mut Db, job: &Job) -> Fit<Task> {
    let Some(linode) = store::linode::linode(conn, job.linode_id)? else {
        return Ok(Err(NotDispatchable::Stale("the Linode is gone".to_owned())));
    };
    let guest = guest(conn, &linode)?;
    let Some(id) = job.migration_id else {
        return own_task(conn, job, &linode, guest);
    };
    let row = store::migration::migration(conn, id)?.ok_or(AppError::NotFound)?;
    migration_task(app, conn, job, &linode, guest, &row)
}

/// Jobs outside of a migration act on the owner's Linode, under its present epoch.
fn own_task(conn: &mut Db, job: &Job, linode: &Linode, guest: GuestSpec) -> Fit<Task> {
    if linode.host_id != job.host_id || linode.epoch != job.epoch {
        return Ok(Err(NotDispatchable::Stale(
            "the Linode has moved since this was asked for".to_owned(),
        )));
    }
    if power::POWER.contains(&job.kind) && power::is_switching(conn, linode.id)? {
        return Ok(Err(NotDispatchable::NotYet(
            "the Linode is being switched over".to_owned(),
            SWITCHED_AGAIN_S,
        )));
    }
    let epoch = job.epoch;
    let boot = boot(conn, linode)?;
    Ok(match (job.kind, boot) {
        (JobKind::Adopt, boot) => Ok(Task::Adopt { epoch, guest, boot }),
        (JobKind::Boot, Some(boot)) => Ok(Task::Boot { epoch, guest, boot }),
        (JobKind::Reboot, Some(boot)) => Ok(Task::Reboot {
            epoch,
            guest,
            boot,
            stop_limit_s: STOP_LIMIT_S,
        }),
        (JobKind::Shutdown, _) => Ok(Task::Shutdown {
            epoch,
            stop_limit_s: STOP_LIMIT_S,
        }),
        (JobKind::Console, _) => Ok(Task::Console {
            epoch,
            lines: CONSOLE_LINES,
        }),
        // Owned again after a boot that failed: it stays off until its member boots it. After hosts were believed it is
        // booted, if it ran.
        (JobKind::Start, boot) => fetched(conn, job)?.map(|()| Task::Start {
            epoch,
            guest,
            boot: boot.filter(|_| linode.status == LinodeStatus::Booting),
            migration: None,
            watch_s: 0,
        }),
        (kind, None) => Err(NotDispatchable::Impossible(format!(
            "{kind}: the Linode has no config profile to boot from"
        ))),
        (kind, Some(_)) => Err(NotDispatchable::Stale(format!(
            "{kind} belongs to a migration"
        ))),
    })
}

fn migration_task(
    app: &App,
    conn: &mut Db,
    job: &Job,
    linode: &Linode,
    guest: GuestSpec,
    row: &Migration,
) -> Fit<Task> {
    let migration = row.id;
    if !JobKind::TIDYING.contains(&job.kind) {
        let of_kind = row.step.is_some_and(|step| step.job().0 == job.kind);
        let current = of_kind && row.step_job_id == Some(job.id);
        if !current {
            return Ok(Err(NotDispatchable::Stale(
                "the migration has moved on".to_owned(),
            )));
        }
        if matches!(
            job.kind,
            JobKind::PreflightSource | JobKind::Reserve | JobKind::WarmCopy
        ) && let Err(AppError::Conflict(why)) = still_permitted(conn, row)
        {
            return Ok(Err(NotDispatchable::Impossible(why)));
        }
    }
    let epoch = job.epoch;
    let stop_limit_s = u32::try_from(row.stop_limit_s).unwrap_or(STOP_LIMIT_S);
    Ok(match job.kind {
        JobKind::PreflightSource => Ok(Task::PreflightSource { epoch, guest }),
        JobKind::PreflightDestination => match boots_there(conn, linode, row)? {
            Ok(boots) => Ok(Task::PreflightDestination {
                migration,
                guest,
                boots,
            }),
            Err(why) => Err(NotDispatchable::Impossible(why)),
        },
        JobKind::Reserve => Ok(Task::Reserve {
            migration,
            guest,
            base_epoch: row.base_epoch,
        }),
        JobKind::OpenTransfer => match enrolled(conn, row.destination_host_id)? {
            Ok((_, peer_fingerprint)) => Ok(Task::OpenTransfer {
                migration,
                epoch,
                guest,
                peer_fingerprint,
                token: token(app, row),
            }),
            Err(why) => Err(NotDispatchable::Impossible(why)),
        },
        JobKind::WarmCopy => peer(app, conn, row)?.map(|source| {
            // A Linode that is off cannot change: one pass is all it needs.
            let max_passes = if linode.status == LinodeStatus::Offline {
                1
            } else {
                warm_passes(conn, app)
            };
            Task::WarmCopy {
                migration,
                guest,
                source,
                max_passes,
            }
        }),
        JobKind::StopSeal => Ok(Task::StopSeal {
            migration,
            epoch,
            stop_limit_s,
        }),
        JobKind::FinalCopy => peer(app, conn, row)?.map(|source| Task::FinalCopy {
            migration,
            epoch,
            guest,
            source,
        }),
        JobKind::Start => start(app, conn, job, linode, guest, row)?,
        JobKind::CloseTransfer => Ok(Task::CloseTransfer { migration }),
        JobKind::Release => Ok(Task::Release { migration, epoch }),
        JobKind::Purge => purge(conn, app.now(), job, linode)?,
        JobKind::Prove if !store::host::speaks(conn, job.host_id, SHOWS_LEDGER)? => Err(NotDispatchable::NotYet(
            "The agent of this host is of an older release, and cannot show its disks: upgrade it."
                .to_owned(),
            AGENT_UPGRADE_S,
        )),
        JobKind::Prove if (linode.host_id, linode.epoch) == (job.host_id, job.epoch) => {
            Ok(Task::Prove { epoch, guest })
        }
        JobKind::Prove => Err(NotDispatchable::Stale(
            "the Linode has moved since this was asked for".to_owned(),
        )),
        JobKind::Adopt | JobKind::Boot | JobKind::Reboot | JobKind::Shutdown | JobKind::Console => {
            Err(NotDispatchable::Stale("not a step of a migration".to_owned()))
        }
    })
}

/// Old disks go on the strength of a fresh proof by the Linode's owner that it has them itself; without one it is asked for.
fn purge(conn: &mut Db, now: Time, job: &Job, linode: &Linode) -> Fit<Task> {
    let epoch = job.epoch;
    let why = match crate::app::ownership::proof::may_purge(
        conn,
        now,
        linode,
        (job.host_id, epoch),
        None,
    )? {
        Ok(()) => return Ok(Ok(Task::Purge { epoch })),
        Err(KeepDisks::InUse) => {
            return Ok(Err(NotDispatchable::Stale(
                "the Linode lives on these disks".to_owned(),
            )));
        }
        Err(why) => why,
    };
    crate::app::ownership::proof::ask(conn, now, linode, job.migration_id)?;
    Ok(Err(NotDispatchable::NotYet(
        format!("The old disks stay as they are: {why}."),
        PROOF_AGAIN_S,
    )))
}

fn warm_passes(conn: &mut Db, app: &App) -> u32 {
    store::programme::get(conn, app.now())
        .ok()
        .and_then(|it| u32::try_from(it.max_warm_passes).ok())
        .unwrap_or(6)
}

/// The grant. `fetched` is set in the same transaction, before the answer leaves.
fn start(
    app: &App,
    conn: &mut Db,
    job: &Job,
    linode: &Linode,
    guest: GuestSpec,
    row: &Migration,
) -> Fit<Task> {
    if let Err(unfit) = fetched(conn, job)? {
        return Ok(Err(unfit));
    }
    let at_destination = job.host_id == row.destination_host_id;
    let boot = if row.was_running {
        boot(conn, linode)?
    } else {
        None
    };
    let watch_s = u32::try_from(store::programme::get(conn, app.now())?.watch_s).unwrap_or(10);
    let migration = at_destination.then_some(row.id);
    Ok(Ok(Task::Start {
        epoch: job.epoch,
        guest,
        boot,
        migration,
        watch_s,
    }))
}

fn fetched(conn: &mut Db, job: &Job) -> Fit<()> {
    Ok(
        if change::fetch(conn, job.host_id, &[(job.linode_id, job.epoch)])? == 1 {
            Ok(())
        } else {
            Err(NotDispatchable::Stale(
                "another host owns the Linode now".to_owned(),
            ))
        },
    )
}

fn token(app: &App, row: &Migration) -> String {
    app.secret.derive(
        purpose::TRANSFER,
        &[&row.id.to_string(), &row.round.to_string()],
    )
}

fn peer(app: &App, conn: &mut Db, row: &Migration) -> Fit<Peer> {
    Ok(enrolled(conn, row.source_host_id)?
        .map(|(address, fingerprint)| Peer {
            address,
            fingerprint,
            token: token(app, row),
        })
        .map_err(NotDispatchable::Impossible))
}

/// Where a host's agent listens and how it is known, if one is enrolled.
fn enrolled(
    conn: &mut Db,
    id: crate::domain::ids::HostId,
) -> Result<Result<(String, String), String>, AppError> {
    let host: Host = store::host::host(conn, id)?.ok_or(AppError::NotFound)?;
    Ok(match (host.transfer_address, host.fingerprint) {
        (Some(address), Some(fingerprint)) => Ok((address, fingerprint)),
        _ => Err(format!("no agent is enrolled on {}", host.name)),
    })
}

/// The Linode's config profiles as they will be at the destination.
fn boots_there(
    conn: &mut Db,
    linode: &Linode,
    row: &Migration,
) -> Result<Result<Vec<BootSpec>, String>, AppError> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let platform: Platform = store::host::host(conn, row.destination_host_id)?
        .ok_or(AppError::NotFound)?
        .platform;
    Ok(
        match profile::translation::after_move(conn, linode, row, platform)? {
            Ok(pairs) => Ok(pairs
                .into_iter()
                .map(|pair| boot_spec(&pair.row, pair.after.profile, &plan))
                .collect()),
            Err(error) => Err(error.to_string()),
        },
    )
}

/// What stays with the Linode wherever it runs.
pub fn guest(conn: &mut Db, linode: &Linode) -> Result<GuestSpec, AppError> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let disks = store::linode::disk::disks_of(conn, linode.id)?
        .into_iter()
        .map(|disk| DiskSpec {
            id: disk.id,
            label: disk.label,
            size_bytes: u64::try_from(disk.size_mb).unwrap_or(0) * 1024 * 1024,
        })
        .collect();
    let addresses = store::linode::address::ips_of(conn, linode.id)?
        .into_iter()
        .map(|ip| AddressSpec {
            id: ip.id,
            address: ip.address,
            prefix: ip.prefix,
            gateway: ip.gateway,
            kind: ip.kind,
        })
        .collect();
    let own = store::fairness::weights::own(conn, linode.id)?;
    let share = share_due(store::fairness::weights::rule(conn)?, claim(&plan, own));
    Ok(GuestSpec {
        label: linode.label.clone(),
        ram_mb: plan.ram_mb,
        mac: linode.mac.clone(),
        addresses,
        disks,
        cpu_weight: share.cpu_weight,
        io_priority: share.io_priority,
    })
}

/// The config profile the Linode boots from: the chosen one, else its first.
fn boot(conn: &mut Db, linode: &Linode) -> Result<Option<BootSpec>, AppError> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let profiles = store::linode::profile::profiles_of(conn, linode.id)?;
    let chosen = profiles
        .iter()
        .find(|profile| Some(profile.id) == linode.boot_config_id)
        .or(profiles.first());
    chosen
        .map(|profile| Ok(boot_spec(profile, profile.platform_part()?, &plan)))
        .transpose()
}

fn boot_spec(profile: &ConfigProfile, part: translate::Profile, plan: &Plan) -> BootSpec {
    let ram_mb = match part.ram_limit_mb {
        limit if limit > 0 => limit.min(plan.ram_mb),
        _ => plan.ram_mb,
    };
    BootSpec {
        label: part.label,
        kernel: part.kernel,
        devices: part.devices,
        root_device: part.root_device,
        read_only_root: profile.read_only_root,
        run_level: profile.run_level,
        ram_mb,
        vcpus: part.vcpus.clamp(1, plan.vcpus.max(1)),
        helpers: part.helpers,
    }
}
