//! Linodes of which hosts and portal remember different things, with what each host says.

use std::collections::HashSet;

use diesel::prelude::*;

use crate::domain::ids::{HostId, LinodeId};
use crate::domain::migration::{MigrationState, Step};
use crate::domain::ownership::Word;
use crate::domain::time::Time;
use crate::store::db::{Both, Db, by_key, columns};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{hold_words, holds, linodes, migrations};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = holds)]
pub struct Hold {
    pub linode_id: LinodeId,
    pub since: Time,
    pub reason: String,
}

/// `false` if it was held before.
pub fn hold(conn: &mut Db, linode: LinodeId, now: Time, reason: &str) -> Result<bool> {
    let new = Both(
        diesel::insert_into(holds::table)
            .values((
                holds::linode_id.eq(linode),
                holds::since.eq(now),
                holds::reason.eq(reason),
            ))
            .on_conflict_do_nothing(),
    );
    Ok(new.execute(conn)? == 1)
}

/// Linodes of which this host has said, as the source of their move, that it sealed them; not handed over yet.
pub fn sealed_by(conn: &mut Db, host: HostId) -> Result<HashSet<LinodeId>> {
    let sealed: Vec<LinodeId> = migrations::table
        .filter(migrations::source_host_id.eq(host))
        .filter(migrations::state.eq(MigrationState::Switching))
        .filter(migrations::step.eq(Step::FinalCopy))
        .select(migrations::linode_id)
        .load(conn)?;
    Ok(sealed.into_iter().collect())
}

/// With all that was said of it.
pub fn release(conn: &mut Db, linode: LinodeId) -> Result<bool> {
    diesel::delete(hold_words::table.filter(hold_words::linode_id.eq(linode))).execute(conn)?;
    Ok(diesel::delete(holds::table.find(linode)).execute(conn)? == 1)
}

pub fn of(conn: &mut Db, linode: LinodeId) -> Result<Option<Hold>> {
    Ok(by_key!(conn, holds, linode, Hold))
}

/// As [`of`], and it stays held, with nobody else at it, until the transaction ends. After the Linode's migrations, before
/// its own row; of several, in the order of their ids.
pub fn locked(conn: &mut Db, linode: LinodeId) -> Result<Option<Hold>> {
    if let Db::Pg(pg) = conn {
        return Ok(holds::table
            .find(linode)
            .select(columns::<Hold>())
            .for_no_key_update()
            .get_result(pg)
            .optional()?);
    }
    of(conn, linode)
}

/// Oldest first, with the Linode's label, after `after`.
pub fn page(conn: &mut Db, after: Option<LinodeId>, limit: i64) -> Result<Vec<(Hold, String)>> {
    Ok(holds::table
        .inner_join(linodes::table)
        .filter(holds::linode_id.gt(after.unwrap_or(LinodeId(0))))
        .order(holds::linode_id)
        .select((Hold::as_select(), linodes::label))
        .limited(limit)
        .load(conn)?)
}

/// Every held Linode's id, at most so many.
pub fn ids(conn: &mut Db, limit: i64) -> Result<Vec<LinodeId>> {
    Ok(holds::table
        .order(holds::linode_id)
        .select(holds::linode_id)
        .limited(limit)
        .load(conn)?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = hold_words, treat_none_as_null = true)]
pub struct HoldWord {
    pub linode_id: LinodeId,
    pub host_id: HostId,
    pub granted: i64,
    pub sealed: i64,
    pub generation: Option<i64>,
    pub running: Option<bool>,
    pub at: Time,
}

impl HoldWord {
    pub fn new(linode: LinodeId, word: &Word, at: Time) -> Self {
        Self {
            linode_id: linode,
            host_id: word.host,
            granted: word.granted,
            sealed: word.sealed,
            generation: word.generation,
            running: word.running,
            at,
        }
    }

    pub fn word(&self) -> Word {
        Word {
            host: self.host_id,
            granted: self.granted,
            sealed: self.sealed,
            generation: self.generation,
            running: self.running,
        }
    }
}

pub fn put_word(conn: &mut Db, word: &HoldWord) -> Result<()> {
    Both(
        diesel::insert_into(hold_words::table)
            .values(word)
            .on_conflict((hold_words::linode_id, hold_words::host_id))
            .do_update()
            .set(word),
    )
    .execute(conn)?;
    Ok(())
}

/// What hosts say of these, by Linode and host.
pub fn words(conn: &mut Db, of: &[LinodeId]) -> Result<Vec<HoldWord>> {
    Ok(hold_words::table
        .filter(hold_words::linode_id.eq_any(of.to_vec()))
        .order((hold_words::linode_id, hold_words::host_id))
        .select(HoldWord::as_select())
        .load(conn)?)
}
