//! What it costs to find names among very many.

use std::time::Instant;

use crate::browser::Site;
use crate::support::fleet::STAFF_EMAIL;
use crate::support::{On, TestApp};
use xenbeta::store;

const LINODES: usize = 100_000;

fn many(on: On) {
    let app = TestApp::at_noon(on).with_fleet().with_passwords();
    let at = "'2026-01-01T00:00:00.000000Z'";
    app.sql(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LINODES})
         INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at)
         SELECT 10000 + i, 1, 'node-' || i || '-larkspur', 1, 1, 1, TRUE, 'running', {at}, 'm' || i, {at} FROM n"
    ));
    let begun = Instant::now();
    app.db.write(store::name_index::fill).unwrap();
    println!("{on:?}: filled in {:?}", begun.elapsed());
    if matches!(on, On::Postgresql) {
        app.sql("ANALYZE");
    }
    let site = Site::serve(&app.app);
    let mut staff = site.signed_in(STAFF_EMAIL);
    for (asked, found) in [
        ("ode-4711-lar", true),
        ("9999", true),
        ("ark", true),
        ("no", true),
        ("zzz", false),
    ] {
        for list in [
            "/staff/linodes",
            "/staff/migrations",
            "/staff/jobs",
            "/staff/registrations?state=all",
        ] {
            let joint = if list.contains('?') { '&' } else { '?' };
            let path = format!("{list}{joint}q={asked}");
            let mut took: Vec<_> = (0..20)
                .map(|_| {
                    let begun = Instant::now();
                    let page = staff.get(&path);
                    assert_eq!(page.status, 200);
                    if list == "/staff/linodes" {
                        assert_eq!(page.body.contains("larkspur"), found, "{path}");
                    }
                    begun.elapsed()
                })
                .collect();
            took.sort_unstable();
            println!("{on:?} {path}: median {:?}, p95 {:?}", took[10], took[18]);
        }
    }
}

#[test]
#[ignore = "minutes, for figures"]
fn names_are_found_among_a_hundred_thousand_linodes() {
    many(On::Sqlite);
    many(On::Postgresql);
}
