//! Usage of 10,000 Linodes on 300 hosts, as much of it as is kept: what pages, rolling up and forgetting take.
//! `cargo test --test portal -- --ignored --nocapture fairness_scale`; the figures are in docs/FAIRNESS.md.

use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::Text;
use xenbeta::domain::fairness::usage::Usage;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::fairness::usage::Packed;

use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB};
use crate::support::{On, TestApp};

const HOSTS: i64 = 300;
const LINODES: i64 = 10_000;

#[test]
#[ignore = "takes minutes; for its figures"]
fn sqlite() {
    pages_and_batches(TestApp::new(On::Sqlite));
}

#[test]
#[ignore = "takes minutes; for its figures"]
fn postgresql() {
    pages_and_batches(TestApp::new(On::Postgresql));
}

/// `of` rows for each of the hosts, ending now.
fn for_all_hosts(app: &TestApp, into: &str, values: &str, step: i64, of: i64) {
    let until = app.ten() / step * step;
    app.execute(&format!(
        "INSERT INTO {into} WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {of}) \
         SELECT hosts.id, {step}, {until} - n.i * {step}, {values} FROM n CROSS JOIN hosts WHERE hosts.id >= 1000"
    ));
}

fn fill(app: &TestApp) {
    for n in 0..HOSTS {
        app.with_host(HostId(1000 + n));
        let own = (0..LINODES).filter(|linode| linode % HOSTS == n);
        let own: Vec<LinodeId> = own.map(|linode| LinodeId(100_000 + linode)).collect();
        app.with_linodes_on(HostId(1000 + n), &own);
    }
    let figures = "host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_id, worst_ratio, worst_excess_ms, least_id, least_ratio)";
    let value = "60000, 30000, 33, 900 + n.i % 100, 101, 1100, n.i, 101, 800";
    for (step, of) in [(60, 1500), (600, 5040), (86_400, 400)] {
        for_all_hosts(app, figures, value, step, of);
    }
    let blob = if app.url.starts_with("postgres") {
        "'\\x01'::bytea"
    } else {
        "X'01'"
    };
    for (step, of) in [(10, 450), (60, 1500), (600, 432)] {
        let value = format!("TRUE, {blob}");
        for_all_hosts(
            app,
            "usage_rounds (host_id, step, slot, rolled, data)",
            &value,
            step,
            of,
        );
    }
    let today = app.ten() / 86_400;
    app.execute(&format!(
        "INSERT INTO usage_days (linode_id, day, data) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) \
         SELECT linodes.id, {today} - n.i, {blob} FROM n CROSS JOIN linodes"
    ));
    // The host that is looked at, in full.
    let busy = Usage {
        covered_ms: 9_999,
        judged_ms: 9_999,
        contended_ms: 5000,
        cpu_ms: 2500,
        wait_ms: 2500,
        got_ms: 2500,
        due_ms: 2600,
        reads: 700,
        writes: 700,
        read_bytes: 20_000_000,
        write_bytes: 20_000_000,
        net_in_bytes: 20_000_000,
        net_out_bytes: 20_000_000,
        weight: 512,
        io_priority: 4,
    };
    let of: Vec<(LinodeId, Usage)> = [101, 102, 103]
        .into_iter()
        .chain(100_000..100_040)
        .map(|id| (LinodeId(id), busy))
        .collect();
    for (step, many) in [(10, 450), (60, 1500), (600, 432)] {
        let until = app.ten() / step * step;
        let rows: Vec<Packed> = (1..=many)
            .map(|n| Packed {
                host: UML1,
                slot: until - n * step,
                data: store::fairness::pack::pack_round(step, &of),
            })
            .collect();
        app.db
            .write(|conn| store::fairness::usage::add_rounds(conn, step, &rows))
            .unwrap();
    }
    app.execute("UPDATE usage_rounds SET rolled = TRUE WHERE host_id = 1");
    if app.url.starts_with("postgres") {
        app.execute("ANALYZE");
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn plan(app: &TestApp, sql: &str) {
    let lines: Vec<Line> = app.in_db(|conn| {
        Ok(match conn {
            Db::Sqlite(conn) => diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(conn)?,
            Db::Pg(conn) => {
                use diesel::connection::SimpleConnection;
                conn.batch_execute("CREATE OR REPLACE FUNCTION pg_temp.plan(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || q; END $$")?;
                diesel::sql_query(format!("SELECT plan AS detail FROM pg_temp.plan($q${sql}$q$) AS plan")).load(conn)?
            }
        })
    });
    println!(
        "  {}",
        lines
            .iter()
            .map(|line| line.detail.trim())
            .collect::<Vec<_>>()
            .join("\n  ")
    );
}

fn pages_and_batches(app: TestApp) {
    let app = app.with_fleet().with_passwords();
    let begun = Instant::now();
    fill(&app);
    println!(
        "{}: filled in {:.0} s",
        app.url.split(':').next().unwrap(),
        begun.elapsed().as_secs_f64()
    );
    let site = Site::serve(&app.app);
    let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
    for range in ["hour", "day", "beta"] {
        for path in [
            "/staff/fairness",
            "/staff/fairness.csv",
            "/staff/hosts/1/fairness",
            "/staff/hosts/1000/fairness",
        ] {
            let path = format!("{path}?range={range}");
            staff.get(&path);
            let begun = Instant::now();
            assert_eq!(staff.get(&path).status, 200);
            println!("{path}: {:?}", begun.elapsed());
        }
        for path in ["/members/fairness", "/members/fairness.csv"] {
            let path = format!("{path}?linode={WEB}&range={range}");
            let begun = Instant::now();
            assert_eq!(member.get(&path).status, 200);
            println!("{path}: {:?}", begun.elapsed());
        }
    }
    let (now, day) = (app.ten(), app.ten() / 86_400);
    let sum = "SELECT host_id, SUM(jain) FROM host_fairness WHERE step = 600 AND slot >= {} AND slot < {} GROUP BY host_id";
    plan(
        &app,
        &sum.replacen("{}", &(now - 86_400).to_string(), 1)
            .replacen("{}", &now.to_string(), 1),
    );
    for sql in [
        format!(
            "DELETE FROM usage_rounds WHERE (host_id, step, slot) IN (SELECT host_id, step, slot FROM (SELECT host_id, step, slot, rolled FROM usage_rounds WHERE step = 10 AND slot < {} ORDER BY slot LIMIT 1000) AS oldest WHERE rolled OR slot < {})",
            now - 2000,
            now - 600_000
        ),
        format!(
            "DELETE FROM host_fairness WHERE (host_id, step, slot) IN (SELECT host_id, step, slot FROM host_fairness WHERE step = 60 AND slot < {} ORDER BY slot LIMIT 1000)",
            now - 80_000
        ),
        format!(
            "DELETE FROM usage_days WHERE (linode_id, day) IN (SELECT linode_id, day FROM usage_days WHERE day < {} ORDER BY day LIMIT 1000)",
            day - 50
        ),
    ] {
        println!("{sql}");
        plan(&app, &sql);
    }
    let time =
        |what: &str, f: &dyn Fn(&mut Db) -> Result<usize, xenbeta::store::error::StoreError>| {
            let begun = Instant::now();
            let rows = app.db.write(f).unwrap();
            println!("{what}: {rows} rows in {:?}", begun.elapsed());
            assert_eq!(rows, 1000);
        };
    for _ in 0..2 {
        time("rounds", &|conn| {
            store::fairness::usage::forget_rounds(conn, 10, (now - 2000, 0), 1000)
        });
        time("figures", &|conn| {
            store::fairness::forget(conn, 60, now - 80_000, 1000)
        });
        time("days", &|conn| {
            store::fairness::usage::forget_days(conn, day - 50, 1000)
        });
    }
}
