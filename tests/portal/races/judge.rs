//! What is looked at after every race, whichever it was: the trail, and what must hold of the rows.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use xenbeta::app::audit::Verification;
use xenbeta::domain::ids::AuditId;
use xenbeta::store;
use xenbeta::store::audit::AuditEvent;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::audit_events;

use super::same;
use crate::support::TestApp;

/// The newest entry of the trail before the race.
pub struct Mark(AuditId);

pub fn mark(app: &TestApp) -> Mark {
    let newest: Option<AuditId> = app.in_db(|conn| {
        Ok::<_, StoreError>(
            audit_events::table
                .select(audit_events::id)
                .order(audit_events::id.desc())
                .first(conn)
                .optional()?,
        )
    });
    Mark(newest.unwrap_or(AuditId(0)))
}

pub fn since(app: &TestApp, mark: &Mark) -> Vec<AuditEvent> {
    app.in_db(|conn| store::audit::page(conn, mark.0, 10_000))
}

/// Entries whose states do not follow from each other: one of the two did not see the other.
pub fn unlinked(trail: &[AuditEvent]) -> Vec<String> {
    let mut last: HashMap<(&str, &str), &str> = HashMap::new();
    let mut wrong = Vec::new();
    let linked = [
        "migration",
        "registration",
        "owner",
        "host.state",
        "programme",
    ];
    for it in trail
        .iter()
        .filter(|it| linked.contains(&it.action.as_str()))
    {
        let before = last.insert((&it.action, &it.object), &it.after);
        if before.is_some_and(|before| before != it.before) {
            wrong.push(format!(
                "{} of {} from {} after {before:?}",
                it.action, it.object, it.before
            ));
        }
    }
    wrong
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

pub fn count(app: &TestApp, from: &str) -> i64 {
    let query = format!("SELECT count(*) AS n FROM {from}");
    let count: Count =
        app.in_db(|conn| Ok::<_, StoreError>(diesel::sql_query(query).get_result(conn)?));
    count.n
}

/// What must never be so.
const NEVER: [(&str, &str); 6] = [
    (
        // What tidies up is asked for by each end that a move comes to.
        "two jobs for the same thing",
        "(SELECT 1 AS one FROM jobs WHERE state IN ('pending', 'leased') AND kind NOT IN ('close_transfer', 'release') GROUP BY linode_id, host_id, kind, migration_id, epoch HAVING count(*) > 1) twice",
    ),
    (
        "power jobs against each other",
        "(SELECT 1 AS one FROM jobs WHERE state IN ('pending', 'leased') AND kind IN ('boot', 'reboot', 'shutdown') GROUP BY linode_id HAVING count(*) > 1) twice",
    ),
    (
        "two live moves of one Linode",
        "(SELECT 1 AS one FROM migrations WHERE state IN ('offered', 'queued', 'preparing', 'copying', 'holding', 'switching') GROUP BY linode_id HAVING count(*) > 1) twice",
    ),
    (
        "a move at work that nobody works at",
        "migrations m WHERE state IN ('preparing', 'copying', 'switching') AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = m.step_job_id AND j.state IN ('pending', 'leased', 'failed'))",
    ),
    (
        "an address where its Linode is not",
        "ips JOIN linodes ON linodes.id = ips.linode_id WHERE ips.host_id <> linodes.host_id",
    ),
    (
        "a lease without its hash",
        "jobs WHERE (state = 'leased') <> (lease_hash IS NOT NULL)",
    ),
];

pub fn standing(app: &TestApp) -> Vec<String> {
    NEVER
        .iter()
        .filter_map(|(what, from)| same(what, count(app, from), 0))
        .collect()
}

pub fn mails(app: &TestApp, kind: &str) -> i64 {
    count(app, &format!("outbox WHERE kind = '{kind}'"))
}

pub fn jobs_of(app: &TestApp, kind: &str) -> i64 {
    count(app, &format!("jobs WHERE kind = '{kind}'"))
}

pub fn broken_chain(app: &TestApp) -> Option<String> {
    match app.verify_audit(None) {
        Ok(Verification::Whole { .. }) => None,
        other => Some(format!("the trail is not whole: {other:?}")),
    }
}

/// As many as PostgreSQL found in this database.
pub fn deadlocks(app: &TestApp) -> usize {
    let counted: Option<Count> = app.in_db(|conn| match conn {
        Db::Pg(_) => {
            // A backend tells what it counted within a second.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            let query =
                "SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()";
            Ok::<_, StoreError>(Some(diesel::sql_query(query).get_result(conn)?))
        }
        Db::Sqlite(_) => Ok(None),
    });
    counted.map_or(0, |it| usize::try_from(it.n).unwrap())
}

/// What racers logged as errors: loops of the portal log a fault and go on.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::ERROR)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act)
    }

    pub fn faults(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        let is_fault = |line: &&str| line.contains("database:");
        text.lines().filter(is_fault).map(str::to_owned).collect()
    }
}
