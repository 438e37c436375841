//! Every statement that the pages, the loops and the agents' calls make is answered by an index, on both databases: what
//! they really say is noted while they are used, and then explained.

use diesel::prelude::*;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;

use crate::browser::Site;
use crate::store::queries::{fifty_more, listen, said};
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};
use crate::support::{On, TestApp};

const MEMBERS: [&str; 18] = [
    "/members/",
    "/members/xenbeta",
    "/members/accounts",
    "/members/linodes/101",
    "/members/linodes/101/jobs",
    "/members/linodes/101/migrate",
    "/members/fairness?linode=101&range=beta",
    "/members/bugs",
    "/members/bugs?who=mine",
    "/members/bugs?who=hits",
    "/members/bugs?q=disk+slow&state=open&component=disk&before=9000",
    "/members/bugs/new?title=disk+slow",
    "/members/bugs/new?linode=101&title=disk",
    "/members/bugs/5001",
    "/members/bugs/5001?after=5",
    "/members/faq?q=disk",
    "/members/migrations/1",
    "/receipt-keys.json",
];

const STAFF: [&str; 86] = [
    "/staff/",
    "/staff/bugs",
    "/staff/bugs?state=all&q=disk&before=9000",
    "/staff/bugs?state=new&severity=high&component=disk",
    "/staff/bugs.csv?state=all",
    "/staff/bugs/5001",
    "/staff/bugs/5001/hide?part=opening",
    "/staff/faq",
    "/staff/faq?after=5001",
    "/staff/faq/5001",
    "/staff/questions/5001",
    "/staff/registrations",
    "/staff/registrations?state=all",
    "/staff/registrations?state=approved&plan=1&q=web&unconfigured=yes",
    "/staff/registrations.csv?state=all",
    "/staff/hosts",
    "/staff/hosts?silent=yes",
    "/staff/hosts?platform=xen&role=beta",
    "/staff/hosts/1",
    "/staff/hosts/1/fairness",
    "/staff/migrations",
    "/staff/migrations?state=failed",
    "/staff/migrations?state=failed&host=1&before=9000",
    "/staff/migrations?host=1",
    "/staff/migrations?linode=101",
    "/staff/migrations/1",
    "/staff/linodes",
    "/staff/linodes?q=web&host=1",
    "/staff/linodes?q=we",
    "/staff/migrations?q=mia@&state=failed",
    "/staff/jobs?q=web&before=9000",
    "/staff/jobs?state=failed&kind=purge&host=1&age=24",
    "/staff/jobs/pauses",
    "/staff/jobs/retry?kind=purge&host=1",
    "/staff/waves",
    "/staff/waves?state=running&before=9000",
    "/staff/waves.csv",
    "/staff/waves/new",
    "/staff/waves/pause",
    "/staff/waves/5001",
    "/staff/waves/5001?show=waiting&after=5",
    "/staff/waves/5001/items.csv",
    "/staff/waves/5001/start",
    "/staff/waves/5001/stop",
    "/staff/batches",
    "/staff/batches?before=9000",
    "/staff/migrations?kernel=2.4&host=1&age=24",
    "/staff/migrations?state=queued&order=oldest&before=3",
    "/staff/registrations?q=eb",
    "/staff/linodes/101",
    "/staff/held",
    "/staff/held?after=5001",
    "/staff/held/5001",
    "/staff/recovery",
    "/staff/migrations?state=stuck",
    "/staff/hosts?ledger=untrusted",
    "/staff/hosts/1/joint/takeover",
    "/staff/hosts/1/joint/waive",
    "/staff/jobs",
    "/staff/jobs?state=failed",
    "/staff/jobs?host=1&before=9000",
    "/staff/jobs?state=failed&host=1",
    "/staff/plan",
    "/staff/plan?q=web&plan=1&at_once=5",
    "/staff/graduation",
    "/staff/graduation.csv",
    "/staff/readiness",
    "/staff/readiness/limits",
    "/staff/programme",
    "/staff/programme/end",
    "/staff/programme/times",
    "/staff/members",
    "/staff/members?show=members&q=mia",
    "/staff/members?state=disabled",
    "/staff/members?show=staff&role=operator",
    "/staff/members?role=viewer&q=sam",
    "/staff/members/1",
    "/staff/mail",
    "/staff/mail?state=failed&q=mia@",
    "/staff/mail?q=mia@example.com",
    "/staff/audit",
    "/staff/audit?actor=mia@example.com",
    "/staff/audit?action=register",
    "/staff/audit?object=linode%20101",
    "/staff/audit?from=2026-01-01&to=2026-12-31",
    "/staff/fairness?range=beta",
];

/// Tables that stay small (or are one row), and may be read as a whole.
const SMALL: [&str; 17] = [
    "job_pauses",
    "alerts",
    "plans",
    "kernels",
    "programme",
    "programme_texts",
    "hosts",
    "bug_digests",
    "move_times",
    "quiet_hours",
    "fairness_settings",
    "muted_mails",
    "faq_entries",
    "agents",
    "readiness_limits",
    "receipt_keys",
    "__diesel_schema_migrations",
];

/// What reads all of a table that grows because it says something of all of it: counts for tabs, figures, a whole export.
/// The beginning of the statement, as it is written.
fn is_of_all(sql: &str) -> bool {
    let plain = sql.replace(['"', '`'], "");
    let lower = plain.to_lowercase();
    let counts = lower.contains("group by") && (lower.contains("count(") || lower.contains("sum("));
    // No rows were asked for.
    let none = plain.contains("(1=0)") || plain.contains("(0=1)");
    // Of the whole beta's fleet, which the graduation's plan and the figures are about.
    let fleet = plain.contains("hosts.platform =") && plain.contains("hosts.role");
    counts || none || fleet || plain.contains("count(*)") || plain.contains("COUNT(*)")
}

/// The plan of a statement with parameters that are not known.
fn plan(app: &TestApp, sql: &str, sort: &str) -> Result<Vec<String>, String> {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    app.db
        .read(|conn| {
            let steps: Vec<Step> = match conn {
                Db::Sqlite(lite) => {
                    diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(lite)?
                }
                Db::Pg(pg) => {
                    use diesel::connection::SimpleConnection;
                    let most = (1..60).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0);
                    let nulls = vec!["NULL"; most].join(", ");
                    let call = if most > 0 { format!("asked({nulls})") } else { "asked".to_owned() };
                    pg.batch_execute(&format!(
                        "SET enable_seqscan = off; SET enable_sort = {sort}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET plan_cache_mode = force_generic_plan;
                         CREATE OR REPLACE FUNCTION pg_temp.plan(q text) RETURNS SETOF text LANGUAGE plpgsql AS $f$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || q; END $f$;
                         PREPARE asked AS {sql}"
                    ))?;
                    let rows = diesel::sql_query("SELECT p AS detail FROM pg_temp.plan($1) AS p")
                        .bind::<diesel::sql_types::Text, _>(format!("EXECUTE {call}"))
                        .load(pg);
                    pg.batch_execute("DEALLOCATE asked; RESET ALL")?;
                    rows?
                }
            };
            Ok::<_, StoreError>(steps.into_iter().map(|step| step.detail).collect())
        })
        .map_err(|error| error.to_string())
}

/// The tables that a plan reads from end to end. Walking one in the order of the list is fine where a limit ends it.
fn scanned(sql: &str, steps: &[String]) -> Vec<String> {
    let sorts = steps
        .iter()
        .any(|step| step.contains("TEMP B-TREE FOR ORDER BY") || step.contains("Sort  ("));
    let ends = sql.contains("LIMIT") && !sorts;
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let step = step.trim().trim_start_matches("->").trim();
        // PostgreSQL: an index that is read without a condition is read whole.
        let conditions = steps[at + 1..]
            .iter()
            .take_while(|next| !next.contains("->"))
            .any(|next| next.contains("Index Cond"));
        let table = if let Some(rest) = step.strip_prefix("Seq Scan on ") {
            rest
        } else if step.starts_with("Index") && step.contains("Scan") && !conditions {
            step.split(" on ").nth(1).unwrap_or_default()
        } else if let Some(rest) = step.strip_prefix("SCAN ") {
            let inner = rest.starts_with('(')
                || rest.contains("VIRTUAL TABLE")
                || rest.contains("CONSTANT ROW")
                || rest.starts_with("ranked")
                // What a search found by its index, kept for this statement.
                || rest.starts_with("found");
            if inner { continue } else { rest }
        } else {
            continue;
        };
        if !ends {
            found.push(
                table
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    found
}

fn used(on: On) -> TestApp {
    let app = TestApp::new(on);
    listen(&app);
    // Connections that were opened before are not heard.
    let portal = app.second();
    let app = app.with_fleet().with_passwords();
    app.clicked(WEB);
    fifty_more(&app);
    let site = Site::serve(&portal);
    let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
    for (who, paths) in [
        (&mut member, MEMBERS.as_slice()),
        (&mut staff, STAFF.as_slice()),
    ] {
        for path in paths {
            let status = who.get(path).status;
            assert!(matches!(status, 200 | 303 | 409), "{path}: {status}");
        }
    }
    portal
        .work_waves(std::time::Duration::from_secs(5))
        .unwrap();
    portal.reconcile().unwrap();
    portal.tell_news().unwrap();
    portal.tidy().unwrap();
    portal.roll_usage().unwrap();
    app
}

fn every_statement_has_an_index(on: On) {
    let app = used(on);
    let mut wrong = Vec::new();
    let mut explained = 0;
    for sql in said(&app) {
        let kind = sql
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_uppercase();
        if !matches!(kind.as_str(), "SELECT" | "UPDATE" | "DELETE")
            || sql.contains("pg_advisory")
            || sql.contains("pg_notify")
            || is_of_all(&sql)
        {
            continue;
        }
        // In the order of an index, or by one and then sorted: PostgreSQL chooses by how many rows there are.
        let plans: Result<Vec<_>, String> = ["off", "on"]
            .iter()
            .map(|sort| plan(&app, &sql, sort))
            .collect();
        match plans {
            Ok(plans) => {
                explained += 1;
                let grows = |steps: &Vec<String>| -> Vec<String> {
                    scanned(&sql, steps)
                        .into_iter()
                        .filter(|table| !SMALL.contains(&table.as_str()))
                        .collect()
                };
                if plans.iter().all(|steps| !grows(steps).is_empty()) {
                    let steps = plans.last().unwrap();
                    wrong.push(format!(
                        "{:?}\n  {sql}\n  {}",
                        grows(steps),
                        steps.join("\n  ")
                    ));
                }
            }
            Err(error) => wrong.push(format!("not explained: {error}\n  {sql}")),
        }
    }
    println!("{explained} statements explained");
    assert!(explained > 120, "{explained}");
    assert!(
        wrong.is_empty(),
        "{} of {explained}:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn every_statement_has_an_index_on_sqlite() {
    every_statement_has_an_index(On::Sqlite);
}

#[test]
fn every_statement_has_an_index_on_postgresql() {
    every_statement_has_an_index(On::Postgresql);
}

/// Each list finds its page by an index of its order, and sorts nothing. SQLite says so of its own plans; PostgreSQL has the
/// same indexes, and chooses by its statistics.
#[test]
fn lists_are_read_by_their_indexes() {
    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let app = TestApp::new(crate::support::On::Sqlite);
    for (sql, index) in [
        (
            "SELECT email FROM users WHERE role = 'member' AND email > 'm' ORDER BY email LIMIT 101",
            "users_role",
        ),
        (
            "SELECT email FROM users WHERE disabled = 1 AND email > 'm' ORDER BY email LIMIT 101",
            "users_disabled",
        ),
        (
            "SELECT name FROM hosts WHERE name > 'h' ORDER BY name LIMIT 101",
            "sqlite_autoindex_hosts_1",
        ),
        (
            "SELECT subject FROM outbox WHERE state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 101",
            "outbox_state",
        ),
        (
            "SELECT hash FROM audit_events WHERE actor = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_actor",
        ),
        (
            "SELECT hash FROM audit_events WHERE action = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_action",
        ),
        (
            "SELECT hash FROM audit_events WHERE object = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_object",
        ),
        (
            "SELECT state FROM migrations WHERE kind = 'beta' AND state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 101",
            "migrations_kind",
        ),
        (
            "SELECT state FROM migrations WHERE started_at >= 'a' AND kind <> 'return' ORDER BY started_at LIMIT 9",
            "migrations_started",
        ),
    ] {
        let rows = app.in_db(|conn| {
            let query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
            match conn {
                Db::Sqlite(lite) => Ok::<Vec<Plan>, StoreError>(query.load(lite)?),
                Db::Pg(_) => Ok(Vec::new()),
            }
        });
        let plan: Vec<String> = rows.into_iter().map(|row| row.detail).collect();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{sql}: {plan}"
        );
    }
}
