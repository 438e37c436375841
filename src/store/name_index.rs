//! Finding users, accounts and Linodes by how the words of their names begin, from an index: `name_words` has the words as
//! `domain::search` folds them, so that both databases find the same in any language. Whoever writes a name calls [`set`].

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::db::{Db, MultiBackend};
use super::error::StoreError;
use super::schema::{accounts, linodes, name_words, users};
use crate::domain::ids::{AccountId, LinodeId, UserId};
use crate::domain::search;
use crate::domain::string_enum::StringEnum;
use crate::store::limit::Limit;
use crate::string_enum;

string_enum! {
    /// Whose name it is.
    pub enum Named { User = "user", Account = "account", Linode = "linode" }
}

/// Sorts behind every text that begins with what stands before it.
const BEHIND: char = '\u{10ffff}';
/// Rows without words that are filled in at a time.
const BATCH: i64 = 500;

#[derive(Insertable)]
#[diesel(table_name = name_words)]
struct NewWord<'a> {
    of_what: &'a str,
    id: i64,
    word: &'a str,
}

/// By these texts it is found from now on.
pub fn set(conn: &mut Db, of: Named, id: i64, texts: &[&str]) -> Result<(), StoreError> {
    diesel::delete(
        name_words::table
            .filter(name_words::of_what.eq(of.as_str()))
            .filter(name_words::id.eq(id)),
    )
    .execute(conn)?;
    let words = search::of_name(texts);
    let of_what = of.as_str();
    let rows: Vec<NewWord<'_>> = words
        .iter()
        .map(|word| NewWord { of_what, id, word })
        .collect();
    // Diesel has no one statement for many rows on both databases together.
    match conn {
        Db::Pg(pg) => diesel::insert_into(name_words::table)
            .values(&rows)
            .execute(pg)?,
        Db::Sqlite(lite) => diesel::insert_into(name_words::table)
            .values(&rows)
            .execute(lite)?,
    };
    Ok(())
}

pub fn set_user(conn: &mut Db, id: UserId, name: &str, email: &str) -> Result<(), StoreError> {
    set(conn, Named::User, id.0, &[name, email])
}

pub fn set_account(conn: &mut Db, id: AccountId, name: &str) -> Result<(), StoreError> {
    set(conn, Named::Account, id.0, &[name])
}

pub fn set_linode(conn: &mut Db, id: LinodeId, label: &str) -> Result<(), StoreError> {
    set(conn, Named::Linode, id.0, &[label])
}

/// Gives words to whatever has none: after an import, and for rows older than this index.
pub fn fill(conn: &mut Db) -> Result<usize, StoreError> {
    let users = fill_of(conn, |conn, after| {
        let some: Vec<(UserId, String, String)> = users::table
            .filter(users::id.gt(UserId(after)))
            .filter(has_none(Named::User, "users.id"))
            .order(users::id)
            .select((users::id, users::name, users::email))
            .at_most::<BATCH>()
            .load(conn)?;
        for (id, name, email) in &some {
            set_user(conn, *id, name, email)?;
        }
        Ok((some.len(), some.last().map(|(id, ..)| id.0)))
    })?;
    let accounts = fill_of(conn, |conn, after| {
        let some: Vec<(AccountId, String)> = accounts::table
            .filter(accounts::id.gt(AccountId(after)))
            .filter(has_none(Named::Account, "accounts.id"))
            .order(accounts::id)
            .select((accounts::id, accounts::name))
            .at_most::<BATCH>()
            .load(conn)?;
        for (id, name) in &some {
            set_account(conn, *id, name)?;
        }
        Ok((some.len(), some.last().map(|(id, _)| id.0)))
    })?;
    let linodes = fill_of(conn, |conn, after| {
        let some: Vec<(LinodeId, String)> = linodes::table
            .filter(linodes::id.gt(LinodeId(after)))
            .filter(has_none(Named::Linode, "linodes.id"))
            .order(linodes::id)
            .select((linodes::id, linodes::label))
            .at_most::<BATCH>()
            .load(conn)?;
        for (id, label) in &some {
            set_linode(conn, *id, label)?;
        }
        Ok((some.len(), some.last().map(|(id, _)| id.0)))
    })?;
    Ok(users + accounts + linodes)
}

/// `some` fills a batch behind an id, and says how many that were, and the last one's id.
fn fill_of(
    conn: &mut Db,
    some: impl Fn(&mut Db, i64) -> Result<(usize, Option<i64>), StoreError>,
) -> Result<usize, StoreError> {
    let (mut filled, mut after) = (0, 0);
    while let (more, Some(last)) = some(conn, after)? {
        filled += more;
        after = last;
    }
    Ok(filled)
}

type Condition<QS> = Box<dyn BoxableExpression<QS, MultiBackend, SqlType = Bool>>;

fn has_none<QS: 'static>(of: Named, id: &str) -> Condition<QS> {
    Box::new(diesel::dsl::sql::<Bool>(&format!(
        "NOT EXISTS (SELECT 1 FROM name_words WHERE of_what = '{of}' AND name_words.id = {id})"
    )))
}

/// Conditions, all of which hold for users with these words, or whose account has them.
pub fn users_with<QS: 'static>(text: &str) -> Vec<Condition<QS>> {
    both(text, Named::User, "users", "users.id")
}

/// Conditions, all of which hold for Linodes with these words, or whose account has them.
pub fn linodes_with<QS: 'static>(text: &str) -> Vec<Condition<QS>> {
    both(text, Named::Linode, "linodes", "linodes.id")
}

/// One condition a word, each of which both databases answer from the index of words and that of accounts.
fn both<QS: 'static>(text: &str, of: Named, table: &str, id: &str) -> Vec<Condition<QS>> {
    let account = Named::Account;
    let words = search::name_asked(text);
    if words.is_empty() && !text.trim().is_empty() {
        // Nothing but signs was asked for, which no name has among its words.
        return vec![Box::new(diesel::dsl::sql::<Bool>("1 = 0"))];
    }
    words
        .into_iter()
        .map(|word| {
            let behind = format!("{word}{BEHIND}");
            let condition = diesel::dsl::sql::<Bool>(&format!(
                "{id} IN (SELECT named.id FROM name_words AS named WHERE named.of_what = '{of}' AND named.word >= "
            ))
            .bind::<Text, _>(word.clone())
            .sql(" AND named.word < ")
            .bind::<Text, _>(behind.clone())
            .sql(&format!(
                " UNION SELECT owned.id FROM {table} AS owned JOIN name_words AS named ON named.id = owned.account_id \
                 WHERE named.of_what = '{account}' AND named.word >= "
            ))
            .bind::<Text, _>(word)
            .sql(" AND named.word < ")
            .bind::<Text, _>(behind)
            .sql(")");
            Box::new(condition) as Condition<QS>
        })
        .collect()
}

/// From a text to behind all that begin with it.
pub fn beginning(text: &str) -> (String, String) {
    let from = text.trim().to_lowercase();
    let behind = format!("{from}{BEHIND}");
    (from, behind)
}
