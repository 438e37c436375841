//! Finding users, accounts and Linodes, and what belongs to them, by any part of a name, from an index: `names` has them as
//! `domain::search` folds them, so that both databases find the same in any language, and `name_words` their words, for
//! parts of less than three characters. Whoever writes a name calls [`set`].

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::db::{Db, MultiBackend};
use super::error::Result;
use super::schema::{accounts, linodes, name_words, names, outbox, users};
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
/// Rows that are filled in at a time.
const BATCH: i64 = 500;

#[derive(Insertable)]
#[diesel(table_name = name_words)]
struct NewWord<'a> {
    of_what: &'a str,
    id: i64,
    word: &'a str,
}

/// By these texts it is found from now on.
pub fn set(conn: &mut Db, of: Named, id: i64, texts: &[&str]) -> Result<()> {
    set_words(conn, of, id, texts)?;
    let whole = search::whole_name(texts);
    let row = (
        names::of_what.eq(of.as_str()),
        names::id.eq(id),
        names::text.eq(whole),
    );
    diesel::delete(
        names::table
            .filter(names::of_what.eq(of.as_str()))
            .filter(names::id.eq(id)),
    )
    .execute(conn)?;
    diesel::insert_into(names::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

fn set_words(conn: &mut Db, of: Named, id: i64, texts: &[&str]) -> Result<()> {
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

pub fn set_user(conn: &mut Db, id: UserId, name: &str, email: &str) -> Result<()> {
    set(conn, Named::User, id.0, &[name, email])
}

pub fn set_account(conn: &mut Db, id: AccountId, name: &str) -> Result<()> {
    set(conn, Named::Account, id.0, &[name])
}

pub fn set_linode(conn: &mut Db, id: LinodeId, label: &str) -> Result<()> {
    set(conn, Named::Linode, id.0, &[label])
}

/// Sets whatever is not set: after an import, and for rows older than this index.
pub fn fill(conn: &mut Db) -> Result<usize> {
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
    some: impl Fn(&mut Db, i64) -> Result<(usize, Option<i64>)>,
) -> Result<usize> {
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
        "NOT EXISTS (SELECT 1 FROM names WHERE of_what = '{of}' AND names.id = {id})"
    )))
}

/// What names with a part of a text are the names of: `found` has them.
#[derive(Debug, Clone, Copy)]
enum Owners {
    Users,
    Linodes,
    Bugs,
    Recipients,
}

impl Owners {
    /// What is compared, and with which of those that `found` leads to.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Users => (
                "users.id",
                "SELECT found.id FROM found WHERE found.of_what = 'user' \
                 UNION ALL SELECT person.id FROM found JOIN users AS person ON person.account_id = found.id WHERE found.of_what = 'account'",
            ),
            Self::Linodes => (
                "linodes.id",
                "SELECT found.id FROM found WHERE found.of_what = 'linode' \
                 UNION ALL SELECT owned.id FROM found JOIN linodes AS owned ON owned.account_id = found.id WHERE found.of_what = 'account' \
                 UNION ALL SELECT owned.id FROM found JOIN users AS person ON person.id = found.id \
                 JOIN linodes AS owned ON owned.account_id = person.account_id WHERE found.of_what = 'user'",
            ),
            Self::Bugs => (
                "bugs.id",
                "SELECT opened.id FROM found JOIN bugs AS opened ON opened.account_id = found.id WHERE found.of_what = 'account' \
                 UNION ALL SELECT opened.id FROM found JOIN bugs AS opened ON opened.opened_by = found.id WHERE found.of_what = 'user' \
                 UNION ALL SELECT about.id FROM found JOIN linodes AS named_there ON named_there.id = found.id \
                 JOIN bug_facts AS fact ON fact.kind = 'linode' AND fact.value = named_there.label \
                 JOIN bugs AS about ON about.id = fact.bug_id AND about.account_id = named_there.account_id WHERE found.of_what = 'linode'",
            ),
            Self::Recipients => (
                "outbox.recipient",
                "SELECT person.email FROM found JOIN users AS person ON person.id = found.id WHERE found.of_what = 'user' \
                 UNION ALL SELECT person.email FROM found JOIN users AS person ON person.account_id = found.id WHERE found.of_what = 'account'",
            ),
        }
    }
}

/// Conditions, all of which hold for users with these parts in their name, their address or their account's name.
pub fn users_with<QS: 'static>(conn: &Db, text: &str) -> Vec<Condition<QS>> {
    all(conn, text, Owners::Users)
}

/// Conditions, all of which hold for Linodes with these parts in their label, their account's name, or the name or address
/// of somebody of that account.
pub fn linodes_with<QS: 'static>(conn: &Db, text: &str) -> Vec<Condition<QS>> {
    all(conn, text, Owners::Linodes)
}

/// Holds for bugs with all these parts in the names of who opened them, of their account, or of the Linode they are about.
pub fn bugs_with<QS: 'static>(conn: &Db, text: &str) -> Option<Condition<QS>> {
    joined(all(conn, text, Owners::Bugs))
}

/// Holds for mail to people with all these parts in their name, their address or their account's name, and to addresses
/// that begin with the text.
pub fn mail_to(conn: &Db, text: &str) -> Option<Condition<outbox::table>> {
    let from = text.trim().to_lowercase();
    let behind = format!("{from}{BEHIND}");
    let begins = outbox::recipient.ge(from).and(outbox::recipient.lt(behind));
    let people = joined(all(conn, text, Owners::Recipients))?;
    Some(Box::new(people.or(begins)))
}

fn joined<QS: 'static>(conditions: Vec<Condition<QS>>) -> Option<Condition<QS>> {
    let both = |one: Condition<QS>, other| Box::new(one.and(other)) as Condition<QS>;
    conditions.into_iter().reduce(both)
}

/// One condition for each part, which both databases answer from the index of parts, or, where it is short, from that of words.
fn all<QS: 'static>(conn: &Db, text: &str, asked: Owners) -> Vec<Condition<QS>> {
    let parts = search::name_asked(text);
    if parts.is_empty() && !text.trim().is_empty() {
        // Nothing but signs was asked for, which no name has among its words.
        return vec![Box::new(diesel::dsl::sql::<Bool>("1 = 0"))];
    }
    let is_long = |part: &str| part.chars().nth(search::PART - 1).is_some();
    let (what, which) = asked.sql();
    let end = format!(") {which})");
    let begin = |from: &str| {
        diesel::dsl::sql::<Bool>(&format!(
            "{what} IN (WITH found AS (SELECT named.of_what, named.id FROM {from} "
        ))
    };
    let condition = |part: String| -> Condition<QS> {
        if !is_long(&part) {
            let behind = format!("{part}{BEHIND}");
            let words = begin("name_words AS named WHERE named.word >=").bind::<Text, _>(part);
            let words = words.sql(" AND named.word < ").bind::<Text, _>(behind);
            return Box::new(words.sql(&end));
        }
        // A part is letters, digits and single spaces: nothing in it has a meaning of its own for either database.
        let (from, asked) = match conn {
            Db::Pg(_) => ("names AS named WHERE named.text LIKE", format!("%{part}%")),
            Db::Sqlite(_) => (
                "name_parts JOIN names AS named ON named.nr = name_parts.rowid WHERE name_parts MATCH",
                format!("\"{part}\""),
            ),
        };
        Box::new(begin(from).bind::<Text, _>(asked).sql(&end))
    };
    parts.into_iter().map(condition).collect()
}
