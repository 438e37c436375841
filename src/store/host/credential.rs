//! How a host's agent is known: enrolment tokens and credentials.

use diesel::prelude::*;

use super::Host;
use crate::domain::ids::HostId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{enrolment_tokens, hosts};

/// The host that `hash` is the credential of. The newer of two credentials, once used, replaces the older.
pub fn by_credential(conn: &mut Db, hash: &str) -> Result<Option<(Host, bool)>> {
    // One look at both: between two, the newer one may take the older one's place.
    let found: Option<(Host, Option<bool>)> = hosts::table
        .filter(
            hosts::credential_hash
                .eq(hash)
                .or(hosts::next_credential_hash.eq(hash)),
        )
        .select((Host::as_select(), hosts::next_credential_hash.eq(hash)))
        .one(conn)?;
    Ok(found.map(|(host, is_next)| (host, is_next == Some(true))))
}

pub fn promote_credential(conn: &mut Db, id: HostId) -> Result<()> {
    diesel::update(
        hosts::table
            .find(id)
            .filter(hosts::next_credential_hash.is_not_null()),
    )
    .set((
        hosts::credential_hash.eq(hosts::next_credential_hash),
        hosts::next_credential_hash.eq(None::<String>),
    ))
    .execute(conn)?;
    Ok(())
}

pub fn set_next_credential(conn: &mut Db, id: HostId, hash: &str) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set(hosts::next_credential_hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

pub struct Enrolment<'a> {
    pub credential_hash: &'a str,
    pub fingerprint: &'a str,
    pub transfer_address: &'a str,
    pub agent_version: &'a str,
    pub now: Time,
}

pub fn set_enrolled(conn: &mut Db, id: HostId, enrolment: &Enrolment<'_>) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::credential_hash.eq(enrolment.credential_hash),
            hosts::next_credential_hash.eq(None::<String>),
            hosts::fingerprint.eq(enrolment.fingerprint),
            hosts::transfer_address.eq(enrolment.transfer_address),
            hosts::agent_version.eq(enrolment.agent_version),
            hosts::last_seen_at.eq(enrolment.now),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn revoke_credential(conn: &mut Db, id: HostId) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::credential_hash.eq(None::<String>),
            hosts::next_credential_hash.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn insert_enrolment_token(conn: &mut Db, hash: &str, host: HostId, until: Time) -> Result<()> {
    // A new token makes the ones before it useless.
    diesel::delete(
        enrolment_tokens::table
            .filter(enrolment_tokens::host_id.eq(host))
            .filter(enrolment_tokens::used_at.is_null()),
    )
    .execute(conn)?;
    diesel::insert_into(enrolment_tokens::table)
        .values((
            enrolment_tokens::hash.eq(hash),
            enrolment_tokens::host_id.eq(host),
            enrolment_tokens::expires_at.eq(until),
        ))
        .execute(conn)?;
    Ok(())
}

/// Uses the token up; `None` if it was used, expired or never given.
pub fn use_enrolment_token(conn: &mut Db, hash: &str, now: Time) -> Result<Option<HostId>> {
    Ok(diesel::update(
        enrolment_tokens::table
            .filter(enrolment_tokens::hash.eq(hash))
            .filter(enrolment_tokens::used_at.is_null())
            .filter(enrolment_tokens::expires_at.gt(now)),
    )
    .set(enrolment_tokens::used_at.eq(now))
    .returning(enrolment_tokens::host_id)
    .get_result(conn)
    .optional()?)
}
