//! Claims of jobs on PostgreSQL, by eight workers: our statement through the store, the whole use case (claim, order,
//! one transaction), and as the limit the same statement by pgbench. In turn, medians of five. Prints a table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a bench"
)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod support;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use support::hand::agent;
use support::{On, TestApp, pg};
use xenbeta::domain::ids::HostId;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::job::Claim;

const WORKERS: i64 = 8;
const ROUNDS: usize = 5;
/// Jobs enqueued for each round; no round may run out of them.
const JOBS: i64 = 40_000;
const ROUND: Duration = Duration::from_secs(3);

fn main() {
    let app = TestApp::new(On::Postgresql);
    prepare(&app);
    let (mut statement, mut whole, mut limit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        refill(&app);
        statement.push(by_workers(|host| by_statement(&app, host)));
        refill(&app);
        whole.push(by_workers(|host| {
            app.claim(&agent(host)).unwrap().is_some()
        }));
        refill(&app);
        limit.extend(by_pgbench(&app));
    }
    println!(
        "\nClaims per second, {WORKERS} workers, one PostgreSQL, fsync off for all; medians of {ROUNDS}\n"
    );
    println!("| what | claims/s | of the limit |\n| --- | ---: | ---: |");
    let bound = median(&mut limit);
    row("the statement, by pgbench (limit)", bound, bound);
    row(
        "the statement, through the store",
        median(&mut statement),
        bound,
    );
    row(
        "the use case: looked for, claimed, order made, committed",
        median(&mut whole),
        bound,
    );
}

fn row(what: &str, rate: Option<f64>, bound: Option<f64>) {
    let rate_text = rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"));
    let ratio = rate.zip(bound).map_or_else(
        || "–".to_owned(),
        |(rate, bound)| format!("{:.2}", rate / bound),
    );
    println!("| {what} | {rate_text} | {ratio} |");
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Eight hosts with enough Linodes that no two jobs at work are of one.
fn prepare(app: &TestApp) {
    let sql = format!(
        "INSERT INTO accounts (id, name, created_at) VALUES (1, 'a', now());
         INSERT INTO plans (id, label, ram_mb, disk_mb, vcpus, cpu_weight) VALUES (1, 'p', 1, 1, 1, 1);
         INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, credential_hash, created_at)
            SELECT n, 'h' || n, 'uml', 'source', 'enabled', 1, 1, 'c' || n, now() FROM generate_series(1, {WORKERS}) n;
         INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at)
            SELECT n, 1, 'l' || n, 1, 1 + n % {WORKERS}, 1, TRUE, 'running', now(), 'm' || n, now() FROM generate_series(1, {JOBS}) n;
         ANALYZE;"
    );
    app.db
        .write(|conn| conn.batch_execute(&sql).map_err(StoreError::from))
        .unwrap();
}

fn refill(app: &TestApp) {
    let sql = format!(
        "TRUNCATE jobs RESTART IDENTITY CASCADE;
         INSERT INTO jobs (host_id, linode_id, kind, state, epoch, run_after, entered_at)
            SELECT 1 + n % {WORKERS}, n, 'shutdown', 'pending', 1, now() - interval '1 minute', now() FROM generate_series(1, {JOBS}) n;"
    );
    app.db
        .write(|conn| conn.batch_execute(&sql).map_err(StoreError::from))
        .unwrap();
    app.db
        .read(|conn| {
            conn.batch_execute("VACUUM ANALYZE jobs")
                .map_err(StoreError::from)
        })
        .unwrap();
}

fn by_workers(claim: impl Fn(HostId) -> bool + Sync) -> f64 {
    let done = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for host in 1..=WORKERS {
            let (done, claim) = (&done, &claim);
            scope.spawn(move || {
                while begun.elapsed() < ROUND {
                    assert!(
                        claim(HostId(host)),
                        "ran out of jobs: the figure would be wrong"
                    );
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    rate
}

fn by_statement(app: &TestApp, host: HostId) -> bool {
    let now = app.now();
    let claim = Claim {
        host,
        now,
        until: now.plus_s(30),
        lease_hash: "0".repeat(64),
    };
    app.db
        .read(|conn| store::job::claim(conn, claim))
        .unwrap()
        .is_some()
}

/// The same statement, prepared, by as many clients. `None` where pgbench is not there.
fn by_pgbench(app: &TestApp) -> Option<f64> {
    let script = std::env::temp_dir().join(format!("xenbeta-claim-{}.sql", std::process::id()));
    let sql = "\\set host :client_id + 1\n\
        UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_until = now() + interval '30 seconds', \
        lease_hash = repeat('0', 64), started_at = COALESCE(started_at, now()) WHERE state = 'pending' AND id = \
        (SELECT j.id FROM jobs j WHERE j.state = 'pending' AND j.host_id = :host AND j.run_after <= now() AND NOT EXISTS \
        (SELECT 1 FROM jobs l WHERE l.state = 'leased' AND l.host_id = j.host_id AND l.linode_id = j.linode_id) \
        ORDER BY j.run_after, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED) RETURNING *;\n";
    std::fs::write(&script, sql).ok()?;
    let out = Command::new(pg::binaries().join("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "-c"])
        .arg(WORKERS.to_string())
        .args(["-j", "2", "-T"])
        .arg(ROUND.as_secs().to_string())
        .arg("-f")
        .arg(&script)
        .arg(&app.url)
        .output()
        .ok()?;
    let _removed = std::fs::remove_file(&script);
    let text = String::from_utf8_lossy(&out.stdout);
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))?
        .split(' ')
        .next()?
        .parse()
        .ok();
    if rate.is_none() {
        eprintln!("pgbench: {text} {}", String::from_utf8_lossy(&out.stderr));
    }
    rate
}
