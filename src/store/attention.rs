//! What staff are to look at before anything else, in one statement for every page of theirs, and what holds one Linode back.
//! All of it is derived from rows.

use diesel::prelude::*;

use super::db::{Db, direct};
use super::error::Result;
use super::limit::Limit;
use super::schema::{holds, hosts, joint_acts, portal};
use crate::domain::host::HostState;
use crate::domain::ids::LinodeId;
use crate::domain::ownership::joint::JointState;
use crate::domain::time::Time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable)]
pub struct Attention {
    pub recovery_since: Option<Time>,
    /// By how many seconds the clock jumped.
    pub clock_jump_s: Option<i64>,
    /// Linodes that are held.
    pub held: Option<i64>,
    /// Hosts whose ledger is not trusted.
    pub untrusted: Option<i64>,
    /// Acts that wait for a second member of staff.
    pub asked: Option<i64>,
    /// Since when staff hold all moves back.
    pub moves_paused_at: Option<Time>,
}

pub fn get(conn: &mut Db) -> Result<Attention> {
    Ok(direct!(conn, |conn| portal::table
        .find(1_i64)
        .select((
            portal::recovery_since,
            portal::clock_jump_s,
            holds::table.select(diesel::dsl::count_star()).first_value(),
            hosts::table
                .filter(hosts::ledger_fault.ne(""))
                .filter(hosts::state.ne(HostState::Quarantined))
                .select(diesel::dsl::count_star())
                .first_value(),
            joint_acts::table
                .filter(joint_acts::state.eq(JointState::Asked))
                .select(diesel::dsl::count_star())
                .first_value(),
            portal::moves_paused_at,
        ))
        .get_result(conn))?)
}

/// Why nothing happens to a Linode, if that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable)]
pub struct Pause {
    pub recovery_since: Option<Time>,
    /// Seconds that portals have watched: the window of a way back is counted in them, too.
    pub watched_s: i64,
    pub held_since: Option<Time>,
    /// Since when staff hold all moves back.
    pub moves_paused_at: Option<Time>,
}

pub fn pause(conn: &mut Db, linode: LinodeId) -> Result<Pause> {
    Ok(portal::table
        .find(1_i64)
        .select((
            portal::recovery_since,
            portal::watched_s,
            holds::table
                .filter(holds::linode_id.eq(linode))
                .select(holds::since)
                .first_value(),
            portal::moves_paused_at,
        ))
        .get_result(conn)?)
}
