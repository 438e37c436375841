//! A copy of an SQLite database while others use it.

use diesel::prelude::*;
use diesel::sql_types::Text;
use percent_encoding::percent_decode_str;

use super::db::{Database, Db, Target};
use super::error::{Result, StoreError};

/// Writes all of the database as of one moment into `path`, which is missing or empty. Readers and writers go on.
pub fn copy_sqlite(database: &Database, path: &str) -> Result<()> {
    database.read(|conn| match conn {
        Db::Sqlite(lite) => {
            diesel::sql_query("VACUUM INTO ?")
                .bind::<Text, _>(path)
                .execute(lite)?;
            Ok(())
        }
        Db::Pg(_) => Err(StoreError::Data(
            "PostgreSQL is copied by pg_dump".to_owned(),
        )),
    })
}

/// Is the SQLite database whole?
pub fn check_sqlite(database: &Database) -> Result<()> {
    #[derive(QueryableByName)]
    struct Check {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    database.read(|conn| {
        let Db::Sqlite(lite) = conn else {
            return Ok(());
        };
        let found: Vec<Check> = diesel::sql_query("PRAGMA integrity_check(1)").load(lite)?;
        match found.first() {
            Some(check) if check.integrity_check == "ok" => Ok(()),
            Some(check) => Err(StoreError::Data(check.integrity_check.clone())),
            None => Err(StoreError::Data("it was not checked".to_owned())),
        }
    })
}

/// Everything that the SQLite database was told is in its own file: its write-ahead log can go.
pub fn settle_sqlite(database: &Database) -> Result<()> {
    #[derive(QueryableByName)]
    struct Checkpoint {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    database.read(|conn| {
        let Db::Sqlite(lite) = conn else {
            return Ok(());
        };
        let done: Checkpoint =
            diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(lite)?;
        if done.busy == 0 {
            Ok(())
        } else {
            Err(StoreError::Data("its log is in use".to_owned()))
        }
    })
}

/// How many others are connected to the PostgreSQL database.
pub fn other_sessions(conn: &mut Db) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        others: i64,
    }
    let Db::Pg(pg) = conn else {
        return Ok(0);
    };
    let found: Count = diesel::sql_query(
        "SELECT count(*) AS others FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    .get_result(pg)?;
    Ok(found.others)
}

/// A PostgreSQL URL without its password, and the password, which must not stand among a program's arguments.
pub fn without_password(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (mut user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut password = None;
    if let Some((name, secret)) = user.split_once(':') {
        user = name;
        password = Some(decoded(secret));
    }
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.strip_prefix("password=") {
            Some(secret) => password = Some(decoded(secret)),
            None => kept.push(parameter),
        }
    }
    let mut plain = format!("{scheme}://");
    if !user.is_empty() {
        plain.push_str(user);
        plain.push('@');
    }
    plain.push_str(host);
    plain.push('/');
    plain.push_str(path);
    if !kept.is_empty() {
        plain.push('?');
        plain.push_str(&kept.join("&"));
    }
    (plain, password)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Which of the two ways a database is backed up in.
pub fn postgresql_url(database: &Database) -> Option<&str> {
    match database.target() {
        Target::Postgresql(url) => Some(url),
        Target::Sqlite(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_urls() {
        for (url, plain, password) in [
            (
                "postgres://me:p%40s:s%2Fw@db.example:5432/portal",
                "postgres://me@db.example:5432/portal",
                Some("p@s:s/w"),
            ),
            (
                "postgresql://db/portal?sslmode=require&password=x%",
                "postgresql://db/portal?sslmode=require",
                Some("x%"),
            ),
            (
                "postgres:///portal?host=/run/postgresql",
                "postgres:///portal?host=/run/postgresql",
                None,
            ),
            ("postgres://me@db/portal", "postgres://me@db/portal", None),
        ] {
            assert_eq!(
                without_password(url),
                (plain.to_owned(), password.map(str::to_owned))
            );
        }
    }
}
