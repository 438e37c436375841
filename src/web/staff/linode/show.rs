//! `/staff/linodes/{id}`: whose it is, where it is, its moves, jobs and bugs, and what its console said last.

use askama::Template;

use crate::app::error::AppError;
use crate::domain::audit::Object;
use crate::domain::ids::LinodeId;
use crate::store;
use crate::store::job::list::QueuedJob;
use crate::store::linode::directory::Whole;
use crate::store::linode::page::PastMove;
use crate::store::linode::profile::ConfigProfile;
use crate::web::extract::{Asks, Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::ui::list::query;
use crate::web::ui::names::{job_name, kind_name, platform_name};
use crate::web::ui::{Link, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/linode/show.html")]
pub struct LinodePage {
    pub page: Page,
    pub status: Tag,
    pub status_at: When,
    pub host: Link,
    pub facts: Vec<(&'static str, String)>,
    pub members: Vec<Link>,
    pub registrations: Vec<RegistrationRow>,
    pub moves: Vec<MoveRow>,
    pub bugs: Vec<(Tag, Link)>,
    pub jobs: Vec<JobRow>,
    pub disks: Vec<(String, String, String)>,
    pub profiles: Vec<ProfileRow>,
    pub console: Option<(String, Option<When>)>,
    pub lists: Vec<Link>,
}

#[derive(Debug)]
pub struct RegistrationRow {
    pub state: Tag,
    pub requested: When,
    pub reason: String,
}

#[derive(Debug)]
pub struct MoveRow {
    pub link: Link,
    pub kind: &'static str,
    pub state: Tag,
    pub from: String,
    pub to: String,
    pub at: When,
}

#[derive(Debug)]
pub struct JobRow {
    pub link: Link,
    pub state: Tag,
    pub host: String,
    pub entered: When,
    pub finished: Option<When>,
    pub message: String,
}

#[derive(Debug)]
pub struct ProfileRow {
    pub label: String,
    pub kernel: String,
    pub root: String,
    pub boots: bool,
}

impl LinodePage {
    fn new(page: Page, of: &Whole) -> Self {
        let (detail, zone) = (&of.detail, page.zone());
        let linode = &detail.linode;
        let console = linode.console.clone();
        Self {
            status: Tag::linode(linode.status),
            status_at: zone.show(linode.status_at),
            host: Link::new(
                format!("/staff/hosts/{}", linode.host_id),
                detail.host.name.clone(),
            ),
            facts: facts(of),
            members: of
                .members
                .iter()
                .map(|(id, email)| Link::new(format!("/staff/members/{id}"), email.clone()))
                .collect(),
            registrations: of
                .registrations
                .iter()
                .map(|(state, at, reason)| RegistrationRow {
                    state: Tag::registration(*state),
                    requested: zone.show(*at),
                    reason: reason.clone(),
                })
                .collect(),
            moves: detail.moves.iter().map(|it| move_row(it, zone)).collect(),
            bugs: of
                .bugs
                .iter()
                .map(|(id, title, state)| {
                    let link = Link::new(format!("/staff/bugs/{id}"), format!("Bug {id}: {title}"));
                    (Tag::bug(*state), link)
                })
                .collect(),
            jobs: detail.jobs.iter().map(|it| job_row(it, zone)).collect(),
            disks: detail
                .disks
                .iter()
                .map(|disk| {
                    let size = units::mebibytes(disk.size_mb);
                    (disk.label.clone(), disk.filesystem.clone(), size)
                })
                .collect(),
            profiles: detail
                .profiles
                .iter()
                .map(|profile| profile_row(profile, of))
                .collect(),
            console: console
                .filter(|text| !text.trim().is_empty())
                .map(|text| (text, linode.console_at.map(|at| zone.precise(at)))),
            lists: lists(of),
            page,
        }
    }
}

fn facts(of: &Whole) -> Vec<(&'static str, String)> {
    let (detail, linode) = (&of.detail, &of.detail.linode);
    let addresses: Vec<&str> = detail.ips.iter().map(|ip| ip.address.as_str()).collect();
    let disks = detail.disks.iter().map(|disk| disk.size_mb).sum();
    let mut facts = vec![
        ("Account", of.account.clone()),
        ("Plan", detail.plan.label.clone()),
        ("Platform", platform_name(detail.host.platform).to_owned()),
        ("Epoch", linode.epoch.to_string()),
        ("Disk images", units::mebibytes(disks)),
        ("MAC address", linode.mac.clone()),
    ];
    if !addresses.is_empty() {
        facts.push(("Addresses", addresses.join(", ")));
    }
    if !linode.never_both.is_empty() {
        let words = format!("with others named {}", linode.never_both);
        facts.push(("Never both down", words));
    }
    if let Some(weight) = of.weight {
        facts.push(("Weight of its own", weight.to_string()));
    }
    facts
}

fn move_row(of: &PastMove, zone: Zone) -> MoveRow {
    let at = of.finished_at.or(of.started_at).unwrap_or(of.offered_at);
    MoveRow {
        link: Link::migration(of.id),
        kind: kind_name(of.kind),
        state: Tag::moved(of.kind, of.state),
        from: of.source.clone().unwrap_or_default(),
        to: of.destination.clone().unwrap_or_default(),
        at: zone.show(at),
    }
}

fn job_row(of: &QueuedJob, zone: Zone) -> JobRow {
    JobRow {
        link: Link::new(
            format!("/staff/jobs/{}", of.id),
            format!("{} (job {})", job_name(of.kind), of.id),
        ),
        state: Tag::job(of.state),
        host: of.host.clone(),
        entered: zone.precise(of.entered_at),
        finished: of.finished_at.map(|at| zone.precise(at)),
        message: of.message.clone(),
    }
}

fn profile_row(profile: &ConfigProfile, of: &Whole) -> ProfileRow {
    let kernel = of.detail.kernels.get(&profile.kernel_id);
    ProfileRow {
        label: profile.label.clone(),
        kernel: kernel.map_or_else(|| profile.kernel_id.clone(), |it| it.label.clone()),
        root: profile.root_device.clone(),
        boots: of.detail.linode.boot_config_id == Some(profile.id),
    }
}

/// Where else there is something of it.
fn lists(of: &Whole) -> Vec<Link> {
    let linode = &of.detail.linode;
    let (label, id) = (&linode.label, linode.id.to_string());
    let object = Object::Linode(linode.id).to_string();
    let list = |path: &str, pairs: &[(&str, &str)], words: String| {
        Link::new(format!("/staff/{path}{}", query(pairs)), words)
    };
    vec![
        list(
            "migrations",
            &[("linode", id.as_str())],
            format!("All moves of {label}"),
        ),
        list(
            "jobs",
            &[("linode", id.as_str())],
            format!("All jobs of {label}"),
        ),
        Link::new(
            format!("/staff/hosts/{}/fairness", linode.host_id),
            format!("Fairness on {}", of.detail.host.name),
        ),
        list(
            "registrations",
            &[("state", "all"), ("q", label.as_str())],
            format!("Registrations of {label}"),
        ),
        list(
            "audit",
            &[("object", object.as_str())],
            format!("What was done to {label}"),
        ),
    ]
}

/// `GET /staff/linodes/{id}`
pub async fn show(asks: Asks<Staff>, id: Path<i64>) -> Response {
    let id = LinodeId(id.0);
    let (staff, of) = asks
        .read(move |conn, _| store::linode::directory::whole(conn, id)?.ok_or(AppError::NotFound))
        .await?;
    let page = staff
        .page(Area::StaffLinodes, of.detail.linode.label.clone())
        .crumb("Linodes", super::PATH);
    page::html(&LinodePage::new(page, &of))
}
