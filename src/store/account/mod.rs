//! Accounts and users; what signs them in stands beside.

pub mod mail_choices;
pub mod page;
pub mod reset;
pub mod second_factor;
pub mod session;
pub mod tokens;

use std::collections::HashMap;

use diesel::prelude::*;

use super::db::{Db, by_key, columns};
use super::error::Result;
use super::name_index;
use super::schema::{accounts, users};
use crate::domain::account::{self, Right, StaffRole, UserRole};
use crate::domain::ids::{AccountId, UserId};
use crate::domain::mail::{self, MailKind};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub struct Account {
    pub name: String,
}

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: UserId,
    pub account_id: Option<AccountId>,
    pub email: String,
    pub name: String,
    pub role: UserRole,
    pub password_hash: Option<String>,
    pub timezone: String,
    pub disabled: bool,
    pub created_at: Time,
    /// Of the staff alone, and each of them has one.
    pub staff_role: Option<StaffRole>,
    /// Since when signing in takes a code besides the password.
    pub second_factor_at: Option<Time>,
}

impl User {
    /// May they do this as one of the staff?
    pub fn may(&self, right: Right) -> bool {
        self.staff_role
            .is_some_and(|role| account::may(role, right))
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    pub account_id: Option<AccountId>,
    pub email: &'a str,
    pub name: &'a str,
    pub role: UserRole,
    pub password_hash: Option<&'a str>,
    pub timezone: &'a str,
    pub disabled: bool,
    pub created_at: Time,
    pub staff_role: Option<StaffRole>,
}

/// Those of staff who can sign in and whose role has to do with such mail.
pub fn staff_who_get(conn: &mut Db, kind: MailKind) -> Result<Vec<User>> {
    let roles = StaffRole::those(|role| mail::is_for(kind, Some(role)));
    Ok(users::table
        .filter(users::staff_role.eq_any(roles))
        .filter(users::disabled.eq(false))
        .order(users::email)
        .select(User::as_select())
        .at_most::<500>()
        .load(conn)?)
}

pub fn account(conn: &mut Db, id: AccountId) -> Result<Option<Account>> {
    Ok(by_key!(conn, accounts, id, Account))
}

pub fn insert_user(conn: &mut Db, user: &NewUser<'_>) -> Result<User> {
    let user: User = diesel::insert_into(users::table)
        .values(user)
        .returning(columns::<User>())
        .get_result(conn)?;
    name_index::set_user(conn, user.id, &user.name, &user.email)?;
    Ok(user)
}

pub fn user(conn: &mut Db, id: UserId) -> Result<Option<User>> {
    Ok(by_key!(conn, users, id, User))
}

/// `email` is already lower-cased.
pub fn user_by_email(conn: &mut Db, email: &str) -> Result<Option<User>> {
    Ok(users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .one(conn)?)
}

pub fn users_of_account(conn: &mut Db, account: AccountId) -> Result<Vec<User>> {
    Ok(users::table
        .filter(users::account_id.eq(account))
        .filter(users::disabled.eq(false))
        .order(users::id)
        .select(User::as_select())
        .load(conn)?)
}

pub fn set_password(conn: &mut Db, id: UserId, hash: &str) -> Result<()> {
    diesel::update(users::table.find(id))
        .set(users::password_hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

pub fn set_profile(conn: &mut Db, id: UserId, name: &str, timezone: &str) -> Result<()> {
    let changed: Option<String> = diesel::update(users::table.find(id))
        .set((users::name.eq(name), users::timezone.eq(timezone)))
        .returning(users::email)
        .get_result(conn)
        .optional()?;
    match changed {
        Some(email) => name_index::set_user(conn, id, name, &email),
        None => Ok(()),
    }
}

/// One at a time per account (or user without one): whoever holds this decides alone whether a form was sent before, and
/// whether too many were. SQLite has one writer anyway.
pub fn lock_writer(conn: &mut Db, user: UserId, account: Option<AccountId>) -> Result<()> {
    if let Db::Pg(pg) = conn {
        match account {
            Some(account) => super::schema::accounts::table
                .find(account)
                .select(super::schema::accounts::id)
                .for_no_key_update()
                .get_result::<AccountId>(pg)
                .map(drop)?,
            None => users::table
                .find(user)
                .select(users::id)
                .for_no_key_update()
                .get_result::<UserId>(pg)
                .map(drop)?,
        }
    }
    Ok(())
}

/// Names of these users.
pub fn user_names(conn: &mut Db, of: Vec<UserId>) -> Result<HashMap<UserId, String>> {
    let rows: Vec<(UserId, String)> = users::table
        .filter(users::id.eq_any(of))
        .select((users::id, users::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}
