//! The audit trail: each entry's link covers the one before it, so that a changed or missing entry shows. Links are made with a key that
//! is not in the database: who can write there can make none, and each covers all that came before it, also the entries of commands
//! that had no key, and those of releases that had none.

use diesel::prelude::*;

use super::db::Db;
use super::error::Result;
use super::schema::{audit_events, audit_head};
use crate::domain::audit::Object;
use crate::domain::ids::AuditId;
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
pub struct AuditEvent {
    pub id: AuditId,
    pub at: Time,
    pub actor: String,
    pub address: String,
    pub action: String,
    pub object: String,
    pub before: String,
    pub after: String,
    pub hash: String,
}

/// One thing that someone did, or tried to do, in the words of [`crate::domain::audit`] or of an older version; `before` and `after` are short and human.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub at: Time,
    pub actor: &'a str,
    pub address: &'a str,
    pub action: &'a str,
    pub object: &'a str,
    pub before: &'a str,
    pub after: &'a str,
}

/// How links that were made with a key begin.
const KEYED: &str = "k1:";

pub fn is_keyed(link: &str) -> bool {
    link.starts_with(KEYED)
}

/// The link of the chain for `entry` after `previous`: BLAKE3, keyed if there is a key, over all its fields, each with its length in front, so that
/// no two different entries have the same input.
pub fn link(key: Option<&[u8; 32]>, previous: &str, entry: &Entry<'_>) -> String {
    let at = entry
        .at
        .utc()
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let mut hasher = key.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
    for part in [
        previous,
        &at,
        entry.actor,
        entry.address,
        entry.action,
        entry.object,
        entry.before,
        entry.after,
    ] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let kind = key.map_or("", |_| KEYED);
    format!("{kind}{}", hasher.finalize().to_hex())
}

/// Appends to the chain. Takes the lock on its head, which everybody waits for: the last thing in a transaction.
pub fn append(conn: &mut Db, key: Option<&[u8; 32]>, entry: &Entry<'_>) -> Result<()> {
    let head = audit_head::table.find(1_i64).select(audit_head::hash);
    let previous: String = match conn {
        Db::Pg(pg) => head.for_update().get_result(pg)?,
        Db::Sqlite(lite) => head.get_result(lite)?,
    };
    let hash = link(key, &previous, entry);
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::at.eq(entry.at),
            audit_events::actor.eq(entry.actor),
            audit_events::address.eq(entry.address),
            audit_events::action.eq(entry.action),
            audit_events::object.eq(entry.object),
            audit_events::before.eq(entry.before),
            audit_events::after.eq(entry.after),
            audit_events::hash.eq(&hash),
        ))
        .execute(conn)?;
    diesel::update(audit_head::table.find(1_i64))
        .set(audit_head::hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

/// Entries after `after`, in order.
pub fn page(conn: &mut Db, after: AuditId, limit: i64) -> Result<Vec<AuditEvent>> {
    Ok(audit_events::table
        .filter(audit_events::id.gt(after))
        .order(audit_events::id)
        .select(AuditEvent::as_select())
        .limited(limit)
        .load(conn)?)
}

/// The chain's last link, which is kept apart from the entries: a cut-off end shows too.
pub fn head(conn: &mut Db) -> Result<String> {
    Ok(audit_head::table
        .find(1_i64)
        .select(audit_head::hash)
        .get_result(conn)?)
}

/// The newest entry; none is made until this transaction ends.
pub fn newest(conn: &mut Db) -> Result<Option<AuditEvent>> {
    if let Db::Pg(pg) = conn {
        let head = audit_head::table.find(1_i64).select(audit_head::hash);
        head.for_update().get_result::<String>(pg)?;
    }
    Ok(audit_events::table
        .order(audit_events::id.desc())
        .select(AuditEvent::as_select())
        .one(conn)?)
}

/// Which entries a list or an export shows; texts are compared whole.
#[derive(Debug, Clone, Default)]
pub struct TrailFilter {
    pub actor: String,
    pub action: String,
    pub object: String,
    pub from: Option<Time>,
    /// Before this moment.
    pub to: Option<Time>,
}

/// Does it name a part of a Linode? A Linode's own name finds its parts, too.
fn is_part(object: &str) -> bool {
    object.starts_with("linode") && object.contains([',', ':'])
}

/// Newest first; `before`: the key of the last row seen.
pub fn list(
    conn: &mut Db,
    filter: &TrailFilter,
    before: Option<AuditId>,
    limit: i64,
) -> Result<Vec<AuditEvent>> {
    let mut query = audit_events::table
        .select(AuditEvent::as_select())
        .order(audit_events::id.desc())
        .into_boxed();
    if !filter.actor.is_empty() {
        query = query.filter(audit_events::actor.eq(filter.actor.clone()));
    }
    if !filter.action.is_empty() {
        query = query.filter(audit_events::action.eq(filter.action.clone()));
    }
    let object = filter.object.clone();
    if is_part(&object) {
        query = query.filter(audit_events::object.eq(object));
    } else if !object.is_empty() {
        query = query.filter(audit_events::subject.eq(object));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_events::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_events::at.lt(to));
    }
    if let Some(before) = before {
        query = query.filter(audit_events::id.lt(before));
    }
    Ok(query.limited(limit).load(conn)?)
}

/// An entry of the audit trail about one thing.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
pub struct AuditRow {
    pub at: Time,
    pub actor: String,
    pub address: String,
    pub action: String,
    pub before: String,
    pub after: String,
}

/// About one thing and its parts, newest first, at most 200.
pub fn audit_of(conn: &mut Db, object: Object<'_>) -> Result<Vec<AuditRow>> {
    Ok(audit_events::table
        .filter(audit_events::subject.eq(object.to_string()))
        .order(audit_events::id.desc())
        .select(AuditRow::as_select())
        .at_most::<200>()
        .load(conn)?)
}
