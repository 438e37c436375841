//! A Linode's config profiles as they are, and as they will be on another platform.

use super::AppError;
use crate::domain::translate::{self, NoKernel, Profile, Target, Translated};
use crate::domain::words::Platform;
use crate::store::db::Db;
use crate::store::fleet::{self, ConfigProfile, Linode};

/// One config profile with its counterpart.
pub struct Pair {
    pub row: ConfigProfile,
    pub before: Profile,
    pub after: Translated,
}

/// All of them; the inner error is the first that cannot be translated.
pub fn translated(
    conn: &mut Db,
    linode: &Linode,
    to: Platform,
) -> Result<Result<Vec<Pair>, NoKernel>, AppError> {
    let plan = fleet::plan(conn, linode.plan_id)?;
    let kernels = fleet::kernels(conn)?;
    let target = Target {
        platform: to,
        kernels: &kernels,
        plan_ram_mb: plan.ram_mb,
        plan_vcpus: plan.vcpus,
    };
    let mut pairs = Vec::new();
    for row in fleet::profiles_of(conn, linode.id)? {
        let before = row.platform_part()?;
        match translate::translate(&before, target) {
            Ok(after) => pairs.push(Pair { row, before, after }),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(pairs))
}
