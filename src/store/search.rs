//! Full-text search on both databases: FTS5 on SQLite, `tsvector` with a GIN index on PostgreSQL. Both get the words that
//! `domain::search` made, and questions are built here of such words alone, so nothing that people type is read as either
//! one's language. A word of three letters or more finds the words it begins.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::db::{Db, MultiBackend};
use super::error::Result;
use crate::domain::ids::{BugId, FaqId};
use crate::domain::search;

/// How the words of a question go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    All,
    Any,
}

/// A word this long finds those it begins; shorter ones would find nearly everything, and cost as much.
const FROM: usize = 3;

/// The question in the database's own language. Words have letters and digits only, which neither gives a meaning when
/// they stand in quotes.
fn question(conn: &Db, words: &[String], join: Join) -> String {
    let begins = |word: &str| word.chars().nth(FROM - 1).is_some();
    match conn {
        Db::Sqlite(_) => {
            let star = |word: &str| if begins(word) { "*" } else { "" };
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("\"{word}\"{}", star(word)))
                .collect();
            words.join(match join {
                Join::All => " AND ",
                Join::Any => " OR ",
            })
        }
        Db::Pg(_) => {
            let star = |word: &str| if begins(word) { ":*" } else { "" };
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("'{word}'{}", star(word)))
                .collect();
            words.join(match join {
                Join::All => " & ",
                Join::Any => " | ",
            })
        }
    }
}

/// A condition on the ids of bugs, or of FAQ entries.
pub type Condition<Table> = Box<dyn BoxableExpression<Table, MultiBackend, SqlType = Bool>>;

/// Bugs in whose public texts all of the words stand. `None`: nothing was asked.
pub fn bugs_with(conn: &Db, text: &str) -> Option<Condition<super::schema::bugs::table>> {
    let lite = "bugs.id IN (SELECT bug_id FROM bug_words WHERE bug_words MATCH ";
    let pg = "bugs.id IN (SELECT bug_id FROM bug_words WHERE words @@ to_tsquery('simple', ";
    all_words(conn, text, (lite, pg))
}

/// FAQ entries with all of the words. `None`: nothing was asked.
pub fn entries_with(conn: &Db, text: &str) -> Option<Condition<super::schema::faq_entries::table>> {
    let lite = "faq_entries.id IN (SELECT rowid FROM faq_words WHERE faq_words MATCH ";
    let pg =
        "faq_entries.id IN (SELECT entry_id FROM faq_words WHERE words @@ to_tsquery('simple', ";
    all_words(conn, text, (lite, pg))
}

fn all_words<Table: 'static>(
    conn: &Db,
    text: &str,
    (lite, pg): (&str, &str),
) -> Option<Condition<Table>> {
    let words = search::asked(text);
    let (before, after) = match conn {
        Db::Sqlite(_) => (lite, ")"),
        Db::Pg(_) => (pg, "))"),
    };
    let question = question(conn, &words, Join::All);
    let sql = diesel::dsl::sql::<Bool>(before);
    (!words.is_empty()).then(|| Box::new(sql.bind::<Text, _>(question).sql(after)) as _)
}

#[derive(QueryableByName)]
struct Hit {
    #[diesel(sql_type = BigInt)]
    bug_id: i64,
}

/// Rows looked at for the likeliest bugs: a bug may have several of them.
const LOOKED_AT: i64 = 60;

/// The bugs most like a text, the likeliest first: at most `most`. Any word counts; more of them, and rarer ones where the
/// database weighs them, count more.
pub fn bugs_like(conn: &mut Db, text: &str, most: usize) -> Result<Vec<BugId>> {
    let words = search::asked(text);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let asked = question(conn, &words, Join::Any);
    let found: Vec<Hit> = match conn {
        Db::Sqlite(lite) => diesel::sql_query(
            "SELECT bug_id FROM bug_words WHERE bug_words MATCH ? ORDER BY rank LIMIT ?",
        )
        .bind::<Text, _>(asked)
        .bind::<BigInt, _>(LOOKED_AT)
        .load(lite)?,
        Db::Pg(pg) => diesel::sql_query(
            "SELECT bug_id FROM bug_words, to_tsquery('simple', $1) AS asked WHERE words @@ asked \
             ORDER BY ts_rank(words, asked, 1) DESC, bug_id DESC LIMIT $2",
        )
        .bind::<Text, _>(asked)
        .bind::<BigInt, _>(LOOKED_AT)
        .load(pg)?,
    };
    let mut ids: Vec<BugId> = Vec::new();
    for id in found.into_iter().map(|row| BugId(row.bug_id)) {
        if ids.len() < most && !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Nothing is found in a bug any more.
pub fn forget_bug(conn: &mut Db, bug: BugId) -> Result<()> {
    let sql = |mark: &str| format!("DELETE FROM bug_words WHERE bug_id = {mark}");
    match conn {
        Db::Sqlite(lite) => diesel::sql_query(sql("?"))
            .bind::<BigInt, _>(bug.0)
            .execute(lite)?,
        Db::Pg(pg) => diesel::sql_query(sql("$1"))
            .bind::<BigInt, _>(bug.0)
            .execute(pg)?,
    };
    Ok(())
}

/// Adds a public text to what is searched for a bug.
pub fn add_bug_text(conn: &mut Db, bug: BugId, text: &str) -> Result<()> {
    let words = search::stored(text);
    match conn {
        Db::Sqlite(lite) => {
            diesel::sql_query("INSERT INTO bug_words (bug_id, words) VALUES (?, ?)")
                .bind::<BigInt, _>(bug.0)
                .bind::<Text, _>(words)
                .execute(lite)?
        }
        Db::Pg(pg) => diesel::sql_query(
            "INSERT INTO bug_words (bug_id, words) VALUES ($1, to_tsvector('simple', $2))",
        )
        .bind::<BigInt, _>(bug.0)
        .bind::<Text, _>(words)
        .execute(pg)?,
    };
    Ok(())
}

/// What is searched for an entry is this text now; `None`: the entry is not found any more.
pub fn set_entry_text(conn: &mut Db, entry: FaqId, text: Option<&str>) -> Result<()> {
    match conn {
        Db::Sqlite(lite) => {
            diesel::sql_query("DELETE FROM faq_words WHERE rowid = ?")
                .bind::<BigInt, _>(entry.0)
                .execute(lite)?;
        }
        Db::Pg(pg) => {
            diesel::sql_query("DELETE FROM faq_words WHERE entry_id = $1")
                .bind::<BigInt, _>(entry.0)
                .execute(pg)?;
        }
    }
    let Some(text) = text else { return Ok(()) };
    let words = search::stored(text);
    match conn {
        Db::Sqlite(lite) => diesel::sql_query("INSERT INTO faq_words (rowid, words) VALUES (?, ?)")
            .bind::<BigInt, _>(entry.0)
            .bind::<Text, _>(words)
            .execute(lite)?,
        Db::Pg(pg) => diesel::sql_query(
            "INSERT INTO faq_words (entry_id, words) VALUES ($1, to_tsvector('simple', $2))",
        )
        .bind::<BigInt, _>(entry.0)
        .bind::<Text, _>(words)
        .execute(pg)?,
    };
    Ok(())
}
