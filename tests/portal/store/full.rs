//! A database with no room left (SQLite says so at a limit of its pages as on a full disk): a request is done as a whole
//! or not at all, says so, and keeps what was typed.

use xenbeta::store::error::StoreError;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, WEB};
use crate::support::{On, TestApp};

const REPLY: &str = "Send the reply";

fn pragma(app: &TestApp, text: &str) {
    app.db
        .write(|conn| Ok::<_, StoreError>(conn.batch_execute(text)?))
        .unwrap();
}

#[test]
fn sqlite_waits_for_its_disk_and_keeps_references() {
    let app = TestApp::new(On::Sqlite);
    let said = |name: &str| count(&app, &format!("SELECT {name} FROM pragma_{name}()"));
    assert_eq!((said("synchronous"), said("foreign_keys")), (2, 1));
    let wal = "SELECT journal_mode = 'wal' FROM pragma_journal_mode()";
    assert_eq!(count(&app, wal), 1);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(app: &TestApp, sql: &str) -> i64 {
    let sql = format!("SELECT ({sql}) AS count");
    app.db
        .read(|conn| Ok::<Count, StoreError>(diesel::sql_query(&sql).get_result(conn)?))
        .unwrap()
        .count
}

#[test]
fn on_a_full_disk_a_request_is_done_as_a_whole_or_not_at_all() {
    let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
    let site = Site::serve(&app.app);
    let mut mia = site.signed_in(MEMBER_EMAIL);
    let bug = crate::bug::thread::opened(&app, "full");
    let thread = mia.get(&format!("/members/bugs/{bug}"));
    let rows = |app: &TestApp| {
        [
            "bug_posts",
            "bug_files",
            "outbox",
            "audit_events",
            "registrations",
        ]
        .map(|table| count(app, &format!("SELECT count(*) FROM {table}")))
    };
    let before = rows(&app);
    // Not a page more: the largest of all files does not fit, and in the end nothing does.
    let pages = count(&app, "SELECT page_count FROM pragma_page_count()");
    pragma(&app, &format!("PRAGMA max_page_count = {pages}"));
    let file = vec![b'a'; 500_000];
    let refused = mia.upload(
        &thread,
        REPLY,
        &[("body", "typed with care")],
        &[("a.txt", &file)],
    );
    assert_eq!(refused.status, 500);
    refused.says(&["may not have been done", "typed with care"]);
    assert_eq!(rows(&app), before, "nothing is half done");
    // What is small may fit, with its mail and its place in the trail.
    let registered = i64::from(app.register(&app.member(), &[WEB]).is_ok());
    let grown: Vec<i64> = rows(&app)
        .iter()
        .zip(before)
        .map(|(now, then)| now - then)
        .collect();
    assert_eq!(grown.last(), Some(&registered), "{grown:?}");
    assert!(
        registered == 1 || grown.iter().all(|it| *it == 0),
        "{grown:?}"
    );
    // With room again the same is done, once.
    pragma(&app, "PRAGMA max_page_count = 1000000");
    let done = mia.upload(
        &thread,
        REPLY,
        &[("body", "typed with care")],
        &[("a.txt", &file)],
    );
    mia.follow(&done).shows(&["typed with care", "a.txt"]);
}
