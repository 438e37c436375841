//! A Linode's config profiles as they will be on another platform.

use crate::app::error::{AppError, Result};
use crate::domain::ids::ConfigId;
use crate::domain::linode::translate::{self, NotTranslatable, Profile, Target, Translated};
use crate::domain::migration::MigrationKind;
use crate::domain::platform::Platform;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::linode::profile::ConfigProfile;
use crate::store::migration::Migration;

/// One config profile with its counterpart.
pub struct Pair {
    pub row: ConfigProfile,
    pub before: Profile,
    pub after: Translated,
}

/// Why there are no counterparts.
pub enum Untranslated {
    /// The first that has none.
    Not(NotTranslatable),
    Fault(AppError),
}

impl<E: Into<AppError>> From<E> for Untranslated {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl Untranslated {
    /// What to answer where one has none.
    pub fn or(self, answer: impl FnOnce(NotTranslatable) -> AppError) -> AppError {
        match self {
            Self::Not(why) => answer(why),
            Self::Fault(error) => error,
        }
    }
}

/// All of them.
pub fn translated(conn: &mut Db, linode: &Linode, to: Platform) -> Result<Vec<Pair>, Untranslated> {
    each(conn, linode, to, |_, _| None)
}

/// All of them; `known`: those whose counterpart need not be looked for.
fn each(
    conn: &mut Db,
    linode: &Linode,
    to: Platform,
    known: impl Fn(&ConfigProfile, &Profile) -> Option<Profile>,
) -> Result<Vec<Pair>, Untranslated> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let kernels = store::catalogue::kernels(conn)?;
    let target = Target {
        platform: to,
        kernels: &kernels,
        plan_ram_mb: plan.ram_mb,
        plan_vcpus: plan.vcpus,
    };
    let mut pairs = Vec::new();
    for row in store::linode::profile::profiles_of(conn, linode.id)? {
        let before = row.platform_part()?;
        let after = match known(&row, &before) {
            Some(profile) => Translated {
                profile,
                needs_acceptance: false,
            },
            None => translate::translate(&before, target).map_err(Untranslated::Not)?,
        };
        pairs.push(Pair { row, before, after });
    }
    Ok(pairs)
}

/// As they will be after this migration.
pub fn after_move(
    conn: &mut Db,
    linode: &Linode,
    row: &Migration,
    to: Platform,
) -> Result<Vec<Pair>, Untranslated> {
    let parent = match (row.kind, row.parent_id) {
        (MigrationKind::Return, Some(parent)) => store::migration::migration(conn, parent)?,
        _ => None,
    };
    match parent {
        Some(parent) => after_way_back(conn, linode, &parent, to),
        None => translated(conn, linode, to),
    }
}

/// As they will be when the way back of this migration was taken. A profile that was not touched since gets what it had
/// before, for which no counterpart need be looked for, and none may exist; only the helpers stay, because names inside the
/// guest have to be put back.
pub fn after_way_back(
    conn: &mut Db,
    linode: &Linode,
    of: &Migration,
    to: Platform,
) -> Result<Vec<Pair>, Untranslated> {
    let before = stored(of.profiles_before.as_deref())?;
    let after = stored(of.profiles_after.as_deref())?;
    let here = store::host::host(conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    let find = |list: &[(ConfigId, Profile)], id| {
        let found = list.iter().find(|(of, _)| *of == id);
        found.map(|(_, profile)| profile.clone())
    };
    each(conn, linode, to, |row, now| {
        let untouched = find(&after, row.id).is_some_and(|then| then == *now);
        let had = find(&before, row.id).filter(|_| untouched)?;
        let helpers = if here.platform == to {
            now.helpers.clone()
        } else {
            translate::helpers(&now.helpers, to)
        };
        Some(Profile { helpers, ..had })
    })
}

/// Profiles as a migration keeps them; none if it kept none yet.
pub fn stored(text: Option<&str>) -> Result<Vec<(ConfigId, Profile)>> {
    text.map_or(Ok(Vec::new()), |text| {
        serde_json::from_str(text)
            .map_err(|error| AppError::Fault(format!("stored profiles: {error}")))
    })
}

/// Does the destination need kernels of another family than the profiles have?
pub fn needs_acceptance(conn: &mut Db, row: &Migration) -> Result<bool> {
    let destination =
        store::host::host(conn, row.destination_host_id)?.ok_or(AppError::NotFound)?;
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let pairs = translated(conn, &linode, destination.platform)
        .map_err(|why| why.or(|error| AppError::conflict(format!("{error}."))))?;
    Ok(pairs.iter().any(|pair| pair.after.needs_acceptance))
}
