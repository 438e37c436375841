//! `/members/linodes/{id}`: power, disk images, config profiles, addresses, the Host Job Queue, past moves, the console.
//! Rule of the room: the page here, what is done from it in [`super::power`] and [`super::rename`]; all jobs in
//! [`super::job_queue`].

use askama::Template;

use super::job_queue::JobRow;
use super::shared::url_of;
use crate::app::error::AppError;
use crate::domain::ids::LinodeId;
use crate::domain::job::{self, JobKind};
use crate::domain::linode::{IpKind, LinodeStatus};
use crate::domain::migration::MigrationKind;
use crate::store;
use crate::store::error::StoreError;
use crate::store::linode::address::Ip;
use crate::store::linode::disk::Disk;
use crate::store::linode::page::{LinodeDetail, PastMove};
use crate::store::linode::profile::ConfigProfile;
use crate::web::extract::{Asks, Member, Path};
use crate::web::fault::Response;
use crate::web::members::{migration_link, migration_tag};
use crate::web::page::{self, Area, Page};
use crate::web::ui::names::{helper_name, kind_name, platform_name, run_level_name};
use crate::web::ui::{Action, Choice, Field, Input, Link, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "members/linode/show.html")]
pub struct LinodePage {
    pub page: Page,
    pub id: i64,
    pub label: String,
    pub status: Tag,
    pub status_at: When,
    pub plan: String,
    /// The name of those with which it is never down together, if it has one.
    pub never_both: Option<String>,
    pub host: String,
    pub platform: &'static str,
    /// What is to be done about its move, if anything.
    pub migration: Option<(Tag, Link)>,
    /// Why staff move it off its host, if they do.
    pub move_off: Option<String>,
    pub power: Power,
    pub disks: Vec<DiskRow>,
    pub profiles: Vec<ProfileRow>,
    pub ips: Vec<IpRow>,
    pub jobs: Vec<JobRow>,
    pub history: Vec<HistoryRow>,
    pub console: Option<Console>,
}

/// The last lines that were read of it.
#[derive(Debug)]
pub struct Console {
    pub text: String,
    pub at: Option<When>,
}

/// The buttons that make sense now. Which profile it boots is chosen with the boot.
#[derive(Debug)]
pub struct Power {
    pub can_boot: bool,
    pub actions: Vec<Action>,
    /// Why there are none: a job or a move is at work.
    pub busy: Option<&'static str>,
    pub profile: Option<Field>,
}

#[derive(Debug)]
pub struct DiskRow {
    pub id: i64,
    pub label: String,
    pub filesystem: String,
    pub size: String,
}

#[derive(Debug)]
pub struct ProfileRow {
    pub id: i64,
    pub label: String,
    pub kernel: String,
    pub devices: Vec<String>,
    pub root: String,
    pub run_level: &'static str,
    pub memory: String,
    pub vcpus: i32,
    pub helpers: Vec<&'static str>,
    pub comments: String,
    pub is_boot: bool,
}

#[derive(Debug)]
pub struct IpRow {
    pub id: i64,
    pub bare: String,
    pub is_public: bool,
    pub address: String,
    pub kind: &'static str,
    pub gateway: String,
    pub rdns: String,
}

#[derive(Debug)]
pub struct HistoryRow {
    pub link: Link,
    pub state: Tag,
    pub from: String,
    pub to: String,
    pub at: When,
}

impl LinodePage {
    pub fn new(page: Page, detail: &LinodeDetail) -> Result<Self, StoreError> {
        let zone = page.zone();
        let label = &detail.linode.label;
        let newest = detail.moves.first();
        Ok(Self {
            id: detail.linode.id.0,
            label: label.clone(),
            status: Tag::linode(detail.linode.status),
            status_at: zone.show(detail.linode.status_at),
            plan: detail.plan.label.clone(),
            never_both: Some(detail.linode.never_both.clone()).filter(|name| !name.is_empty()),
            host: detail.host.name.clone(),
            platform: platform_name(detail.host.platform),
            migration: newest.and_then(|newest| {
                Some((
                    migration_tag(newest.into(), zone),
                    migration_link(newest.into(), label)?,
                ))
            }),
            move_off: newest
                .filter(|newest| newest.kind == MigrationKind::Evacuation)
                .map(|newest| newest.reason.clone()),
            power: power(detail),
            disks: detail.disks.iter().map(disk_row).collect(),
            profiles: detail
                .profiles
                .iter()
                .map(|profile| profile_row(profile, detail))
                .collect::<Result<_, _>>()?,
            ips: detail.ips.iter().map(ip_row).collect(),
            jobs: detail
                .jobs
                .iter()
                .map(|job| JobRow::new(job, zone))
                .collect(),
            history: detail
                .moves
                .iter()
                .map(|migration| history_row(migration, zone))
                .collect(),
            console: detail
                .linode
                .console
                .clone()
                .filter(|text| !text.trim().is_empty())
                .map(|text| Console {
                    text,
                    at: detail.linode.console_at.map(|at| zone.precise(at)),
                }),
            page,
        })
    }
}

fn disk_row(disk: &Disk) -> DiskRow {
    DiskRow {
        id: disk.id.0,
        label: disk.label.clone(),
        filesystem: disk.filesystem.clone(),
        size: units::mebibytes(disk.size_mb),
    }
}

fn ip_row(ip: &Ip) -> IpRow {
    IpRow {
        id: ip.id.0,
        bare: ip.address.clone(),
        is_public: ip.kind == IpKind::Public,
        address: format!("{}/{}", ip.address, ip.prefix),
        kind: match ip.kind {
            IpKind::Public => "Public",
            IpKind::Private => "Private",
        },
        gateway: ip.gateway.clone().unwrap_or_default(),
        rdns: ip.rdns.clone(),
    }
}

fn history_row(migration: &PastMove, zone: Zone) -> HistoryRow {
    let host = |name: &Option<String>| name.clone().unwrap_or_default();
    let at = migration.finished_at.or(migration.started_at);
    HistoryRow {
        link: Link::new(
            format!("/members/migrations/{}", migration.id),
            history_name(migration),
        ),
        state: migration_tag(migration.into(), zone),
        from: host(&migration.source),
        to: host(&migration.destination),
        at: zone.show(at.unwrap_or(migration.offered_at).utc()),
    }
}

/// A move that staff began says so, and a way back.
fn history_name(migration: &PastMove) -> String {
    match migration.kind {
        MigrationKind::Evacuation | MigrationKind::Return => {
            format!("Migration {}: {}", migration.id, kind_name(migration.kind))
        }
        MigrationKind::Beta | MigrationKind::Graduation => {
            format!("Migration {}", migration.id)
        }
    }
}

fn power(detail: &LinodeDetail) -> Power {
    let open = detail
        .jobs
        .iter()
        .filter(|job| !matches!(job.kind, JobKind::Console | JobKind::Check))
        .any(|job| job::is_open(job.state));
    let moving = detail.moves.iter().any(|migration| {
        use crate::domain::migration::MigrationState as S;
        matches!(
            migration.state,
            S::Preparing | S::Copying | S::Switching | S::Returning
        )
    });
    let busy = if moving {
        Some("It is being moved. Power is yours again when the move has ended.")
    } else if open {
        Some("A job is at work on it. The buttons come back when it has ended.")
    } else {
        None
    };
    let off = detail.linode.status == LinodeStatus::Offline;
    let profile = (off && detail.profiles.len() > 1).then(|| {
        let choices = detail
            .profiles
            .iter()
            .map(|profile| Choice::new(profile.id, profile.label.clone()))
            .collect();
        let chosen = detail
            .linode
            .boot_config_id
            .map(|id| id.to_string())
            .unwrap_or_default();
        Field::new("profile", "Config profile", Input::Select(choices)).value(chosen)
    });
    let (can_stop, label, url) = (
        busy.is_none() && !off,
        &detail.linode.label,
        url_of(&detail.linode),
    );
    Power {
        can_boot: busy.is_none() && off,
        actions: Action::those([
            (
                can_stop,
                Action::send(format!("{url}/reboot"), format!("Reboot {label}")).second(),
            ),
            (
                can_stop,
                Action::ask(format!("{url}/shutdown"), format!("Shut down {label}")).second(),
            ),
        ]),
        busy,
        profile,
    }
}

fn profile_row(profile: &ConfigProfile, detail: &LinodeDetail) -> Result<ProfileRow, StoreError> {
    let kernel = detail.kernels.get(&profile.kernel_id);
    let devices = profile.device_map()?.into_iter().map(|(device, disk)| {
        let label = detail
            .disks
            .iter()
            .find(|known| known.id == disk)
            .map_or("no disk", |known| known.label.as_str());
        format!("{device}: {label}")
    });
    Ok(ProfileRow {
        id: profile.id.0,
        label: profile.label.clone(),
        kernel: kernel.map_or_else(|| profile.kernel_id.clone(), |kernel| kernel.label.clone()),
        devices: devices.collect(),
        root: format!(
            "{}{}",
            profile.root_device,
            if profile.read_only_root {
                ", read-only at first"
            } else {
                ""
            }
        ),
        run_level: run_level_name(profile.run_level),
        memory: if profile.ram_limit_mb == 0 {
            "All of the plan".to_owned()
        } else {
            units::mebibytes(profile.ram_limit_mb)
        },
        vcpus: profile.vcpus,
        helpers: profile
            .helper_list()?
            .into_iter()
            .map(helper_name)
            .collect(),
        comments: profile.comments.clone(),
        is_boot: detail.linode.boot_config_id == Some(profile.id),
    })
}

/// `GET /members/linodes/{id}`
pub async fn show(asks: Asks<Member>, id: Path<i64>) -> Response {
    let (member, detail) = asks
        .read(move |conn, actor| {
            let account = actor.require_account()?;
            store::linode::page::linode(conn, account, LinodeId(id.0))?.ok_or(AppError::NotFound)
        })
        .await?;
    let page = member
        .page(Area::Linodes, detail.linode.label.clone())
        .crumb("Linodes", "/members/");
    page::html(&LinodePage::new(page, &detail)?)
}
