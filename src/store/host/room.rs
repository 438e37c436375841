//! How much room hosts have, with what is promised of it.

use std::collections::HashMap;

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::all;
use crate::domain::ids::HostId;
use crate::domain::migration::{self, MigrationKind, MigrationState};
use crate::domain::placement::Room;
use crate::domain::string_enum::StringEnum;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::schema::{disks, linodes, migrations, plans};

/// Moves whose source keeps the disks, and the place, for a way back. One that is under way counts as a live migration
/// of its own instead.
#[diesel::dsl::auto_type]
fn way_back_open() -> _ {
    let finished: MigrationState = MigrationState::Finished;
    let way_back: MigrationKind = MigrationKind::Return;
    migrations::state
        .eq(finished)
        .and(migrations::kind.ne(way_back))
        .and(linodes::host_id.ne(migrations::source_host_id))
}

/// A sum for each host.
macro_rules! sums {
    ($conn:expr, $from:expr, $host:expr, $what:expr) => {{
        let sums: Vec<(HostId, Option<i64>)> = $from
            .group_by($host)
            .select(($host, big_sum($what)))
            .load($conn)?;
        sums
    }};
}

/// Every host with what is promised on it: Linodes it owns, and those that a live migration brings (until the commit,
/// after which it owns them), and those that may still come back. Summed in the database: seven queries, however many
/// hosts and Linodes there are.
pub fn rooms(conn: &mut Db) -> Result<Vec<Room>, StoreError> {
    let live = MigrationState::those(migration::is_live);
    let on_the_way = migrations::state
        .eq_any(live)
        .and(linodes::host_id.ne(migrations::destination_host_id));
    let (ram, disk) = ("plans.ram_mb", "disks.size_mb");
    let with_plans = || migrations::table.inner_join(linodes::table.inner_join(plans::table));
    let with_disks = || migrations::table.inner_join(linodes::table.inner_join(disks::table));
    let memory_owned = linodes::table.inner_join(plans::table);
    let memory_owned = sums!(conn, memory_owned, linodes::host_id, ram);
    let disk_owned = disks::table.inner_join(linodes::table);
    let disk_owned = sums!(conn, disk_owned, linodes::host_id, disk);
    let memory_coming = with_plans().filter(on_the_way.clone());
    let memory_coming = sums!(conn, memory_coming, migrations::destination_host_id, ram);
    let disk_coming = with_disks().filter(on_the_way);
    let disk_coming = sums!(conn, disk_coming, migrations::destination_host_id, disk);
    let memory_kept = with_plans().filter(way_back_open());
    let memory_kept = sums!(conn, memory_kept, migrations::source_host_id, ram);
    let disk_kept = with_disks().filter(way_back_open());
    let disk_kept = sums!(conn, disk_kept, migrations::source_host_id, disk);
    let memory = add_up([memory_owned, memory_coming, memory_kept]);
    let disk = add_up([disk_owned, disk_coming, disk_kept]);
    Ok(all(conn)?
        .into_iter()
        .map(|host| Room {
            host: host.id,
            platform: host.platform,
            role: host.role,
            plan: host.plan_id,
            state: host.state,
            enrolled: host.fingerprint.is_some(),
            memory_mb: host.memory_mb,
            memory_promised_mb: memory.get(&host.id).copied().unwrap_or(0),
            disk_mb: host.disk_mb,
            disk_promised_mb: disk.get(&host.id).copied().unwrap_or(0),
            name: host.name,
        })
        .collect())
}

/// PostgreSQL's sum of BIGINT is NUMERIC; both databases are asked for BIGINT. `column` is one of ours, never input.
fn big_sum(column: &'static str) -> SqlLiteral<Nullable<BigInt>> {
    diesel::dsl::sql(&format!("CAST(SUM({column}) AS BIGINT)"))
}

fn add_up(parts: [Vec<(HostId, Option<i64>)>; 3]) -> HashMap<HostId, i64> {
    let mut sums = HashMap::new();
    for (host, sum) in parts.into_iter().flatten() {
        *sums.entry(host).or_default() += sum.unwrap_or(0);
    }
    sums
}
