//! What the portal knows of a Linode that its member may want to add to a bug.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::linode::profile::translation::stored;
use crate::app::linode::shared::own_linode;
use crate::domain::bug::FactKind;
use crate::domain::ids::{AccountId, ConfigId, HostId, LinodeId, MigrationId};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::text::last_lines;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::migration::Migration;

/// Lines and bytes of the console that are offered: its end, where the trouble is.
const LINES: usize = 30;
const BYTES: usize = 4000;

/// Facts about a Linode or a migration of it, as they are now.
#[derive(Debug, Clone, Default)]
pub struct LinodeFacts(pub Vec<(FactKind, String)>);

impl LinodeFacts {
    /// Tells these facts from others, one by one, so that nothing is sent that its member has not seen:
    /// `linode=0123456789abcdef,plan=…`.
    pub fn mark(&self) -> String {
        let marks: Vec<String> = self
            .0
            .iter()
            .filter_map(|(kind, _)| self.mark_of(*kind).map(|mark| format!("{kind}={mark}")))
            .collect();
        marks.join(",")
    }

    /// Of one fact; `None` if it is not among these.
    pub fn mark_of(&self, kind: FactKind) -> Option<String> {
        let (_, value) = self.0.iter().find(|(of, _)| *of == kind)?;
        let hash = blake3::hash(value.as_bytes());
        Some(hash.to_hex().chars().take(16).collect())
    }
}

/// A fact's mark among those that a form showed.
pub fn mark_in(seen: &str, kind: FactKind) -> Option<String> {
    let name = kind.to_string();
    seen.split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(of, _)| *of == name)
        .map(|(_, mark)| mark.to_owned())
}

impl App {
    /// The facts to offer; none without a Linode. Somebody else's Linode or migration is not found.
    pub fn bug_facts(
        &self,
        actor: &Actor,
        linode: Option<LinodeId>,
        migration: Option<MigrationId>,
    ) -> Result<LinodeFacts> {
        let account = actor.require_account()?;
        self.db.read(|conn| facts(conn, account, linode, migration))
    }
}

pub(in crate::app) fn facts(
    conn: &mut Db,
    account: AccountId,
    linode: Option<LinodeId>,
    migration: Option<MigrationId>,
) -> Result<LinodeFacts> {
    let moved = match migration {
        Some(id) => Some(
            store::migration::migration(conn, id)?
                .filter(|row| row.account_id == account)
                .ok_or(AppError::NotFound)?,
        ),
        None => None,
    };
    let Some(id) = moved.as_ref().map(|row| row.linode_id).or(linode) else {
        return Ok(LinodeFacts::default());
    };
    let linode = own_linode(conn, account, id)?;
    let host = |conn: &mut Db, id| {
        store::host::host(conn, id).map(|host| host.map(|host| host.name).unwrap_or_default())
    };
    let left = moved
        .as_ref()
        .and_then(left)
        .filter(|(id, _)| *id != linode.host_id);
    let here = host(conn, linode.host_id)?;
    let place = match &left {
        Some((id, _)) => format!("{} (it is on {here} now)", host(conn, *id)?),
        None => here,
    };
    let mut facts = vec![
        (FactKind::Linode, linode.label.clone()),
        (
            FactKind::Plan,
            store::catalogue::plan(conn, linode.plan_id)?.label,
        ),
        (FactKind::Host, place),
    ];
    if let Some((kernel, label)) = booted(conn, &linode, left.and_then(|(_, profiles)| profiles))? {
        let kernels = store::catalogue::kernels(conn)?;
        let known = kernels.get(&kernel).map(|kernel| kernel.label.clone());
        facts.push((FactKind::Kernel, known.unwrap_or(kernel)));
        facts.push((FactKind::Profile, label));
    }
    if let Some(row) = moved {
        let (from, to) = (
            host(conn, row.source_host_id)?,
            host(conn, row.destination_host_id)?,
        );
        let mut words = format!("Migration {} from {from} to {to}: {}", row.id, row.state);
        if !row.failure.is_empty() {
            words.push_str(&format!(". {}", row.failure));
        }
        facts.push((FactKind::Migration, words));
    }
    let console = last_lines(linode.console.as_deref().unwrap_or_default(), LINES, BYTES);
    if !console.is_empty() {
        facts.push((FactKind::Console, console));
    }
    Ok(LinodeFacts(facts))
}

/// After a way back the trouble was where it came from: that host, and the config profiles as they were there.
fn left(row: &Migration) -> Option<(HostId, Option<&str>)> {
    match (row.kind, row.state) {
        (MigrationKind::Return, _) => Some((row.source_host_id, row.profiles_before.as_deref())),
        (_, MigrationState::Returned) => {
            Some((row.destination_host_id, row.profiles_after.as_deref()))
        }
        _ => None,
    }
}

/// Kernel and label of the config profile that it boots; of `kept`, where it is not there any more.
fn booted(conn: &mut Db, linode: &Linode, kept: Option<&str>) -> Result<Option<(String, String)>> {
    let chosen = |id: ConfigId| Some(id) == linode.boot_config_id;
    let kept = stored(kept)?;
    let then = kept.iter().find(|(id, _)| chosen(*id)).or(kept.first());
    if let Some((_, profile)) = then {
        return Ok(Some((profile.kernel.clone(), profile.label.clone())));
    }
    let profiles = store::linode::profile::profiles_of(conn, linode.id)?;
    let now = profiles
        .iter()
        .find(|it| chosen(it.id))
        .or(profiles.first());
    Ok(now.map(|it| (it.kernel_id.clone(), it.label.clone())))
}
