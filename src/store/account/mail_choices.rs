//! Which mails a user does not want.

use diesel::prelude::*;

use crate::domain::ids::UserId;
use crate::domain::mail::MailKind;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{muted_mails, users};

/// The kinds the user has switched off.
pub fn muted(conn: &mut Db, user: UserId) -> Result<Vec<String>> {
    Ok(muted_mails::table
        .filter(muted_mails::user_id.eq(user))
        .order(muted_mails::kind)
        .select(muted_mails::kind)
        .load(conn)?)
}

/// Has whoever has this address switched this kind off? `email` is lower-cased.
pub fn is_muted(conn: &mut Db, email: &str, kind: MailKind) -> Result<bool> {
    let found: Option<i64> = muted_mails::table
        .inner_join(users::table)
        .filter(users::email.eq(email))
        .filter(muted_mails::kind.eq(kind.to_string()))
        .select(muted_mails::user_id)
        .one(conn)?;
    Ok(found.is_some())
}

pub fn set_muted(conn: &mut Db, user: UserId, kinds: &[MailKind]) -> Result<()> {
    diesel::delete(muted_mails::table.filter(muted_mails::user_id.eq(user))).execute(conn)?;
    for kind in kinds {
        diesel::insert_into(muted_mails::table)
            .values((
                muted_mails::user_id.eq(user),
                muted_mails::kind.eq(kind.to_string()),
            ))
            .execute(conn)?;
    }
    Ok(())
}
