//! Acts that take two staff: one asks, with evidence, another one decides.

use diesel::prelude::*;

use crate::domain::ids::{HostId, JointActId, UserId};
use crate::domain::ownership::joint::{JointKind, JointState};
use crate::domain::time::Time;
use crate::store::db::{Db, by_key};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{joint_acts, users};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = joint_acts)]
pub struct JointAct {
    pub id: JointActId,
    pub kind: JointKind,
    pub host_id: HostId,
    pub evidence: String,
    pub state: JointState,
    pub asked_by: UserId,
    pub asked_at: Time,
    pub decided_by: Option<UserId>,
    pub decided_at: Option<Time>,
}

/// A duplicate if the same is asked for already.
pub fn insert(
    conn: &mut Db,
    (kind, host): (JointKind, HostId),
    evidence: &str,
    (by, now): (UserId, Time),
) -> Result<JointActId> {
    Ok(diesel::insert_into(joint_acts::table)
        .values((
            joint_acts::kind.eq(kind),
            joint_acts::host_id.eq(host),
            joint_acts::evidence.eq(evidence),
            joint_acts::state.eq(JointState::Asked),
            joint_acts::asked_by.eq(by),
            joint_acts::asked_at.eq(now),
        ))
        .returning(joint_acts::id)
        .get_result(conn)?)
}

pub fn get(conn: &mut Db, id: JointActId) -> Result<Option<JointAct>> {
    Ok(by_key!(conn, joint_acts, id, JointAct))
}

/// What is asked for and not decided, with who asked.
pub fn asked(conn: &mut Db, host: Option<HostId>) -> Result<Vec<(JointAct, String)>> {
    let mut query = joint_acts::table
        .inner_join(users::table.on(users::id.eq(joint_acts::asked_by)))
        .filter(joint_acts::state.eq(JointState::Asked))
        .order(joint_acts::id)
        .select((JointAct::as_select(), users::name))
        .into_boxed();
    if let Some(host) = host {
        query = query.filter(joint_acts::host_id.eq(host));
    }
    Ok(query.at_most::<200>().load(conn)?)
}

/// `false` if it was decided before.
pub fn decide(
    conn: &mut Db,
    id: JointActId,
    state: JointState,
    (by, now): (UserId, Time),
) -> Result<bool> {
    Ok(diesel::update(
        joint_acts::table
            .find(id)
            .filter(joint_acts::state.eq(JointState::Asked)),
    )
    .set((
        joint_acts::state.eq(state),
        joint_acts::decided_by.eq(by),
        joint_acts::decided_at.eq(now),
    ))
    .execute(conn)?
        == 1)
}
