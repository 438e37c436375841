//! `/members/linodes/{id}/migrate`: what moves, what changes, what stays, and the one click.

use std::collections::BTreeMap;

use askama::Template;

use super::platform_name;
use crate::domain::translate::{self, Kernel};
use crate::domain::words::Platform;
use crate::store::db::StoreError;
use crate::store::migrations::Migration;
use crate::store::pages_members::LinodeDetail;
use crate::web::page::Page;
use crate::web::ui::{Choice, Field, Input, When, units};

#[derive(Debug, Template)]
#[template(path = "members/migrate.html")]
pub struct MigratePage {
    pub page: Page,
    pub linode: i64,
    pub label: String,
    pub migration: i64,
    pub from: String,
    pub to: String,
    pub expires: When,
    pub disks: Vec<String>,
    pub disk_total: String,
    pub addresses: Vec<String>,
    pub changes: Vec<Change>,
    /// Profiles that cannot be translated; then there is no button.
    pub obstacles: Vec<String>,
    pub downtime: String,
    pub way_back_days: i32,
    pub when: Field,
    pub at: Field,
    pub stop_limit: Field,
    pub accept: Option<Field>,
}

/// What becomes of one config profile.
#[derive(Debug)]
pub struct Change {
    pub profile: String,
    pub kernel_before: String,
    pub kernel_after: String,
    pub family_changes: bool,
    pub devices: Vec<String>,
}

/// What the form holds: its first state, or as typed.
#[derive(Debug, Clone)]
pub struct Typed {
    pub when: String,
    pub at: String,
    pub stop_limit: String,
    pub accept: bool,
}

/// What the page is made from.
pub struct Facts<'a> {
    pub detail: &'a LinodeDetail,
    pub migration: &'a Migration,
    pub destination: (&'a str, Platform),
    pub tells_changes: bool,
    pub kernels: &'a BTreeMap<String, Kernel>,
    pub recent: &'a [Migration],
    pub way_back_days: i32,
}

impl MigratePage {
    /// # Errors
    /// When a stored profile cannot be read.
    pub fn new(page: Page, facts: &Facts<'_>, typed: &Typed) -> Result<Self, StoreError> {
        let detail = facts.detail;
        let zone = page.zone();
        let (changes, obstacles) = changes(facts)?;
        let total: i64 = detail.disks.iter().map(|disk| disk.size_mb).sum();
        let accept = changes.iter().any(|change| change.family_changes).then(|| {
            Field::new("accept_kernels", "I accept that config profiles on a 2.4 kernel get the 2.6 kernel shown above", Input::Check)
                .value(if typed.accept { "yes" } else { "" })
                .with(&page.problems)
        });
        let host = |name: &str, platform| format!("{name} ({})", platform_name(platform));
        Ok(Self {
            linode: detail.linode.id.0,
            label: detail.linode.label.clone(),
            migration: facts.migration.id.0,
            from: host(&detail.host.name, detail.host.platform),
            to: host(facts.destination.0, facts.destination.1),
            expires: zone.both(facts.migration.expires_at.utc()),
            disks: detail.disks.iter().map(|disk| format!("{} ({})", disk.label, units::mebibytes(disk.size_mb))).collect(),
            disk_total: units::mebibytes(total),
            addresses: detail.ips.iter().map(|ip| ip.address.clone()).collect(),
            downtime: downtime(facts, total),
            way_back_days: facts.way_back_days,
            when: Field::new("when", "When shall it move?", Input::Radios(vec![Choice::new("now", "Now"), Choice::new("at", "At a time")]))
                .value(&typed.when)
                .with(&page.problems),
            at: Field::new("at", "Time", Input::Line("datetime-local"))
                .value(&typed.at)
                .hint(format!("Only for “At a time”. In {}.", zone.name()))
                .short()
                .with(&page.problems),
            stop_limit: Field::new("stop_limit_s", "Seconds it gets to shut down cleanly", Input::Line("number"))
                .value(&typed.stop_limit)
                .hint("After this it is stopped by force: 5 to 600.")
                .short()
                .with(&page.problems),
            accept,
            changes,
            obstacles,
            page,
        })
    }
}

fn changes(facts: &Facts<'_>) -> Result<(Vec<Change>, Vec<String>), StoreError> {
    let mut changes = Vec::new();
    let mut obstacles = Vec::new();
    let kernel = |id: &str| facts.kernels.get(id).map_or_else(|| id.to_owned(), |kernel| kernel.label.clone());
    for profile in &facts.detail.profiles {
        let before = profile.platform_part()?;
        match translate::translate(&before, facts.kernels, facts.destination.1) {
            Ok(after) => changes.push(Change {
                profile: before.label.clone(),
                kernel_before: kernel(&before.kernel),
                kernel_after: kernel(&after.profile.kernel),
                family_changes: after.needs_acceptance,
                devices: before
                    .devices
                    .keys()
                    .zip(after.profile.devices.keys())
                    .filter(|(old, new)| old != new)
                    .map(|(old, new)| format!("/dev/{old} becomes /dev/{new}"))
                    .collect(),
            }),
            Err(obstacle) => obstacles.push(obstacle.to_string()),
        }
    }
    Ok((changes, obstacles))
}

/// From what recent moves measured; before there are any, from what the host can do.
fn downtime(facts: &Facts<'_>, total_mb: i64) -> String {
    let mut seconds: Vec<i64> = facts
        .recent
        .iter()
        .filter_map(|migration| Some(migration.finished_at?.seconds_since(migration.stopped_at?)))
        .filter(|seconds| *seconds >= 0)
        .collect();
    seconds.sort_unstable();
    let reading = if facts.tells_changes {
        "The host knows what changed, so the size of the disks does not matter."
    } else {
        "The host has to read the whole disks once while the Linode is stopped."
    };
    match (seconds.first(), seconds.last()) {
        (Some(least), Some(most)) if seconds.len() >= 3 => {
            format!("The last {} moves were down for {} to {}. {reading}", seconds.len(), units::span(*least), units::span(*most))
        }
        _ if facts.tells_changes => format!("About as long as a restart. {reading}"),
        // 200 MB/s read and compared is what plain disks do.
        _ => format!("About as long as a restart, and up to {} more. {reading}", units::span((total_mb / 200).max(1))),
    }
}
