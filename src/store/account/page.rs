//! Users with their accounts, as staff's list and page show them.

use diesel::prelude::*;

use super::User;
use crate::domain::account::{StaffRole, UserRole};
use crate::domain::ids::{MigrationId, UserId};
use crate::domain::migration::MigrationState;
use crate::domain::registration::{self, RegistrationState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::linode::Linode;
use crate::store::name_index;
use crate::store::registration::Registration;
use crate::store::schema::{
    accounts, linodes, migrations, password_resets, registrations, sessions, users,
};

#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    pub role: Option<UserRole>,
    pub staff_role: Option<StaffRole>,
    pub disabled: Option<bool>,
    /// Parts of an e-mail address, a name or an account's name: see `store::name_index`.
    pub text: String,
}

pub struct UserRow {
    pub user: User,
    pub account: Option<String>,
}

/// By e-mail address; `after`: that of the last row seen.
pub fn users(
    conn: &mut Db,
    filter: &UserFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<UserRow>> {
    let mut query = users::table
        .left_join(accounts::table)
        .select((User::as_select(), accounts::name.nullable()))
        .order(users::email)
        .into_boxed();
    if let Some(role) = filter.role {
        query = query.filter(users::role.eq(role));
    }
    if let Some(role) = filter.staff_role {
        query = query.filter(users::staff_role.eq(role));
    }
    if let Some(disabled) = filter.disabled {
        query = query.filter(users::disabled.eq(disabled));
    }
    for condition in name_index::users_with(conn, &filter.text) {
        query = query.filter(condition);
    }
    if let Some(after) = after {
        query = query.filter(users::email.gt(after.to_owned()));
    }
    let rows: Vec<(User, Option<String>)> = query.limited(limit).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(user, account)| UserRow { user, account })
        .collect())
}

/// How many there are: all, members, staff, disabled.
pub fn user_counts(conn: &mut Db) -> Result<[i64; 4]> {
    let by: Vec<(UserRole, bool, i64)> = users::table
        .group_by((users::role, users::disabled))
        .select((users::role, users::disabled, diesel::dsl::count_star()))
        .load(conn)?;
    let count = |fits: fn(UserRole, bool) -> bool| {
        by.iter()
            .filter(|(role, disabled, _)| fits(*role, *disabled))
            .map(|(.., count)| *count)
            .sum()
    };
    Ok([
        count(|_, _| true),
        count(|role, _| role == UserRole::Member),
        count(|role, _| role == UserRole::Staff),
        count(|_, disabled| disabled),
    ])
}

/// A user with what belongs to them and to their account.
pub struct UserDetail {
    pub user: User,
    pub account: Option<String>,
    /// Others of the account: address and id, at most 50.
    pub others: Vec<(UserId, String)>,
    /// At most 100, by label, with their hosts' names.
    pub linodes: Vec<(Linode, String)>,
    pub linodes_in_all: i64,
    /// At most 100, newest first, with their Linodes' labels.
    pub registrations: Vec<(Registration, String)>,
    pub registrations_open: i64,
    pub migrations: i64,
    pub sessions: i64,
    pub last_seen: Option<Time>,
    /// API tokens that open something.
    pub tokens: i64,
    /// When the last reset link was made for them.
    pub last_reset: Option<Time>,
}

fn others(conn: &mut Db, user: &User) -> Result<Vec<(UserId, String)>> {
    Ok(users::table
        .filter(users::account_id.eq(user.account_id))
        .filter(users::account_id.is_not_null())
        .filter(users::id.ne(user.id))
        .order(users::email)
        .select((users::id, users::email))
        .at_most::<50>()
        .load(conn)?)
}

/// Thirteen statements, whatever there is.
/// `idle_since`: a session that was not seen since has ended.
pub fn user(conn: &mut Db, id: UserId, now: Time, idle_since: Time) -> Result<Option<UserDetail>> {
    let Some(user) = super::user(conn, id)? else {
        return Ok(None);
    };
    let account = user.account_id;
    let name = account
        .map(|id| super::account(conn, id))
        .transpose()?
        .flatten()
        .map(|account| account.name);
    let others = others(conn, &user)?;
    let theirs = linodes::table.filter(linodes::account_id.nullable().eq(account));
    let of_it = registrations::table.filter(registrations::account_id.nullable().eq(account));
    let live = sessions::table
        .filter(sessions::user_id.eq(id))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(idle_since));
    Ok(Some(UserDetail {
        account: name,
        others,
        linodes: theirs
            .inner_join(crate::store::schema::hosts::table)
            .order((linodes::label, linodes::id))
            .select((Linode::as_select(), crate::store::schema::hosts::name))
            .at_most::<100>()
            .load(conn)?,
        linodes_in_all: theirs.count().get_result(conn)?,
        registrations: of_it
            .inner_join(linodes::table)
            .order(registrations::id.desc())
            .select((Registration::as_select(), linodes::label))
            .at_most::<100>()
            .load(conn)?,
        registrations_open: of_it
            .filter(registrations::state.eq_any(RegistrationState::those(registration::is_live)))
            .count()
            .get_result(conn)?,
        migrations: migrations::table
            .filter(migrations::account_id.nullable().eq(account))
            .count()
            .get_result(conn)?,
        sessions: live.count().get_result(conn)?,
        last_seen: live
            .select(diesel::dsl::max(sessions::seen_at))
            .at_most::<1>()
            .get_result(conn)?,
        tokens: super::tokens::count_live(conn, id, now)?,
        last_reset: password_resets::table
            .filter(password_resets::user_id.eq(id))
            .select(diesel::dsl::max(password_resets::created_at))
            .at_most::<1>()
            .get_result(conn)?,
        user,
    }))
}

pub fn set_disabled(conn: &mut Db, id: UserId, disabled: bool) -> Result<bool> {
    Ok(
        diesel::update(users::table.find(id).filter(users::disabled.eq(!disabled)))
            .set(users::disabled.eq(disabled))
            .execute(conn)?
            == 1,
    )
}

/// Guarded: `false` if they have another role than `was` meanwhile.
pub fn set_staff_role(
    conn: &mut Db,
    id: UserId,
    (was, to): (StaffRole, StaffRole),
) -> Result<bool> {
    Ok(
        diesel::update(users::table.find(id).filter(users::staff_role.eq(was)))
            .set(users::staff_role.eq(to))
            .execute(conn)?
            == 1,
    )
}

/// Owners who can sign in.
pub fn count_able_owners(conn: &mut Db) -> Result<i64> {
    Ok(users::table
        .filter(users::staff_role.eq(StaffRole::Owner))
        .filter(users::disabled.eq(false))
        .count()
        .get_result(conn)?)
}

/// Moves that this user asked for and that have not begun, soonest first: at most `limit`.
pub fn queued_by(
    conn: &mut Db,
    id: UserId,
    limit: i64,
) -> Result<Vec<(MigrationId, String, Option<Time>)>> {
    Ok(migrations::table
        .inner_join(linodes::table)
        .filter(migrations::state.eq(MigrationState::Queued))
        .filter(migrations::queued_by.eq(id))
        .order((migrations::not_before, migrations::id))
        .select((migrations::id, linodes::label, migrations::not_before))
        .limited(limit)
        .load(conn)?)
}
