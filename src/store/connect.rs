//! Connections: which database, how it is opened, and which of them a pool keeps.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, R2D2Connection};

use super::error::{Result, StoreError};

#[derive(diesel::MultiConnection)]
pub enum Db {
    Pg(diesel::PgConnection),
    Sqlite(diesel::SqliteConnection),
}

/// Which database a URL names. The derived `establish` would try both in turn and hide the error that matters.
#[derive(Clone)]
pub enum Target {
    Postgresql(String),
    Sqlite(String),
}

impl Target {
    pub fn parse(url: &str) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgresql(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite://").unwrap_or(url);
        if path.is_empty() || path.contains("://") {
            return Err(StoreError::Connect(format!(
                "{:?} is neither a file nor a postgres:// URL",
                url.split('@').next_back().unwrap_or_default()
            )));
        }
        Ok(Self::Sqlite(path.to_owned()))
    }

    /// How long a connection is waited for. A pool tries again to connect at up to half of this: short, as after a failover
    /// the next try decides how soon the portal works again. SQLite's one writer is waited for longer.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Postgresql(_) => 4,
            Self::Sqlite(_) => 10,
        })
    }
}

/// What connections are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests and loops: only a server that takes writes will do, and no statement goes on for ever.
    Requests,
    /// Commands like `xenbeta schema` and `xenbeta backup`, whose statements take as long as they take.
    Commands,
}

/// A statement of a request that takes longer is ended by the server, as is a transaction that its portal left open (one
/// that stands still would block the others).
const REQUEST_LIMITS: &str =
    "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '20s'";

/// The URL with what lets a client find out in seconds that a server is gone, and, `read_write`, refuse one that takes no
/// writes. What the URL says itself stays.
pub(super) fn patient(url: &str, read_write: bool) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = before.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let said = |key: &str| {
        query
            .split('&')
            .find_map(|it| it.strip_prefix(key)?.strip_prefix('='))
    };
    let several = hosts.contains(',') || said("host").is_some_and(|it| it.contains(','));
    let mut all: Vec<String> = query
        .split('&')
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    for (key, value) in [
        ("connect_timeout", "3"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
        ("target_session_attrs", "read-write"),
    ] {
        let wanted = key != "target_session_attrs" || read_write || several;
        if wanted && said(key).is_none() {
            all.push(format!("{key}={value}"));
        }
    }
    format!("{before}?{}", all.join("&"))
}

pub(super) struct Manager(pub Target, pub Purpose);

/// Whether its server takes writes, a connection that reads is asked this often at most: a way to the server more at each
/// checkout is dear, and who writes asks anyway.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// A connection of the pool.
pub(super) struct Pooled {
    pub db: Db,
    purpose: Purpose,
    /// When its server said last that it takes writes.
    asked: Option<Instant>,
    /// It said that it does not.
    pub broken: bool,
}

impl Pooled {
    /// Asks its server whether it takes writes, if the last answer is older than this.
    pub(super) fn ask(&mut self, older: Duration) -> Result<()> {
        if let Db::Pg(pg) = &mut self.db
            && self.purpose == Purpose::Requests
            && self.asked.is_none_or(|asked| asked.elapsed() > older)
        {
            takes_writes(pg)?;
            self.asked = Some(Instant::now());
        }
        Ok(())
    }
}

diesel::define_sql_function! {
    fn current_setting(name: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Refuses a server that takes no writes: a standby, or what was the primary until just now. Said so that the statement is
/// kept prepared: every write asks it.
pub(super) fn takes_writes(pg: &mut diesel::PgConnection) -> Result<()> {
    let read_only: String =
        diesel::select(current_setting("transaction_read_only")).get_result(pg)?;
    if read_only == "on" {
        return Err(StoreError::Connect("the server is read-only".to_owned()));
    }
    Ok(())
}

/// Refuses a connection that the server has ended, without a way there: that is here to be read already. What it said last
/// is read first, and that it hung up only then.
fn is_there(pg: &mut diesel::PgConnection) -> QueryResult<()> {
    for _ in 0..2 {
        // Nobody listens here for anything: what is told is dropped.
        pg.notifications_iter().try_for_each(|it| it.map(drop))?;
    }
    Ok(())
}

fn unfit(error: StoreError) -> diesel::r2d2::Error {
    match error {
        StoreError::Query(error) => diesel::r2d2::Error::QueryError(error),
        other => diesel::r2d2::Error::ConnectionError(diesel::ConnectionError::BadConnection(
            other.to_string(),
        )),
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let failed = diesel::r2d2::Error::QueryError;
        let db = match &self.0 {
            Target::Postgresql(url) => {
                let for_requests = self.1 == Purpose::Requests;
                let mut pg = diesel::PgConnection::establish(&patient(url, for_requests))?;
                if for_requests {
                    pg.batch_execute(REQUEST_LIMITS).map_err(failed)?;
                }
                Db::Pg(pg)
            }
            Target::Sqlite(path) => {
                let mut conn = diesel::SqliteConnection::establish(path)?;
                conn.batch_execute(
                    "PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864;",
                )
                .map_err(failed)?;
                Db::Sqlite(conn)
            }
        };
        Ok(Pooled {
            db,
            purpose: self.1,
            asked: None,
            broken: false,
        })
    }

    fn is_valid(&self, conn: &mut Pooled) -> Result<(), Self::Error> {
        if let Db::Pg(pg) = &mut conn.db {
            is_there(pg).map_err(diesel::r2d2::Error::QueryError)?;
        }
        // A connection to a former primary leaves the pool, too.
        conn.ask(ASKED_EVERY).map_err(unfit)
    }

    fn has_broken(&self, conn: &mut Pooled) -> bool {
        std::thread::panicking() || conn.broken || conn.db.is_broken()
    }
}

#[cfg(test)]
mod tests {
    use super::patient;

    #[test]
    fn a_url_is_given_what_it_does_not_say() {
        let all = "connect_timeout=3&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000";
        assert_eq!(
            patient("postgres://u@h/d", false),
            format!("postgres://u@h/d?{all}")
        );
        assert_eq!(
            patient("postgres://u:p,w@h:1,i:2/d", false),
            format!("postgres://u:p,w@h:1,i:2/d?{all}&target_session_attrs=read-write")
        );
        assert_eq!(
            patient("postgres:///d?host=/run/pg&target_session_attrs=any", true),
            format!("postgres:///d?host=/run/pg&target_session_attrs=any&{all}")
        );
    }
}
