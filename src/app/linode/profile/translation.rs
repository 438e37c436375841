//! A Linode's config profiles as they will be on another platform.

use crate::app::error::AppError;
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
        let after = translate::translate(&before, target).map_err(Untranslated::Not)?;
        pairs.push(Pair { row, before, after });
    }
    Ok(pairs)
}

/// As they will be after this migration. On the way back a profile that was not touched since gets what it had before the
/// first move, for which no kernel's counterpart's counterpart need be guessed; only the helpers stay, because names
/// inside the guest have to be put back.
pub fn after_move(
    conn: &mut Db,
    linode: &Linode,
    row: &Migration,
    to: Platform,
) -> Result<Vec<Pair>, Untranslated> {
    let mut pairs = translated(conn, linode, to)?;
    let parent = match (row.kind, row.parent_id) {
        (MigrationKind::Return, Some(parent)) => store::migration::migration(conn, parent)?,
        _ => None,
    };
    let Some(parent) = parent else {
        return Ok(pairs);
    };
    let before = stored(parent.profiles_before.as_deref())?;
    let after = stored(parent.profiles_after.as_deref())?;
    let of = |list: &[(ConfigId, Profile)], id| {
        let found = list.iter().find(|(of, _)| *of == id);
        found.map(|(_, profile)| profile.clone())
    };
    for pair in &mut pairs {
        let untouched = of(&after, pair.row.id).is_some_and(|then| then == pair.before);
        if let Some(had) = of(&before, pair.row.id).filter(|_| untouched) {
            pair.after.profile = Profile {
                helpers: pair.after.profile.helpers.clone(),
                ..had
            };
        }
    }
    Ok(pairs)
}

/// Profiles as a migration keeps them; none if it kept none yet.
pub fn stored(text: Option<&str>) -> Result<Vec<(ConfigId, Profile)>, AppError> {
    text.map_or(Ok(Vec::new()), |text| {
        serde_json::from_str(text)
            .map_err(|error| AppError::Fault(format!("stored profiles: {error}")))
    })
}

/// Does the destination need kernels of another family than the profiles have?
pub fn needs_acceptance(conn: &mut Db, row: &Migration) -> Result<bool, AppError> {
    let destination =
        store::host::host(conn, row.destination_host_id)?.ok_or(AppError::NotFound)?;
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let pairs = translated(conn, &linode, destination.platform)
        .map_err(|why| why.or(|error| AppError::conflict(format!("{error}."))))?;
    Ok(pairs.iter().any(|pair| pair.after.needs_acceptance))
}
