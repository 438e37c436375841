//! The program's commands from outside: import, backup, audit.

use std::path::Path;
use std::process::{Command, Output};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use xenbeta::app::audit::Verification;
use xenbeta::app::context::PORTAL;
use xenbeta::domain::ids::AuditId;
use xenbeta::store;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::support::fleet::WEB;
use crate::support::{SECRET, TestApp};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fleet.example.json");

fn xenbeta(app: &TestApp, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xenbeta"))
        .args(args)
        .env("DATABASE_URL", &app.url)
        .env("XENBETA_SECRET", SECRET)
        .output()
        .unwrap()
}

fn error(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    String::from_utf8(out.stderr.clone()).unwrap()
}

/// A database that a backup has been brought back into.
fn restored(backup: &Path, app: &TestApp) -> String {
    if !app.url.starts_with("postgres://") {
        return backup.to_str().unwrap().to_owned();
    }
    let url = format!("{}_restored", app.url);
    let name = url.rsplit('/').next().unwrap();
    PgConnection::establish(&app.url)
        .unwrap()
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
    let out = Command::new("pg_restore")
        .args(["--exit-on-error", "--dbname", &url])
        .arg(backup)
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    url
}

fn execute(app: &TestApp, sql: &str) {
    app.db
        .write(|conn| Ok::<_, StoreError>(conn.batch_execute(sql)?))
        .unwrap();
}

both_databases! {
    fn an_import_says_what_it_did_and_where_it_failed(app: TestApp) {
        let out = xenbeta(&app, &["import", SAMPLE]);
        assert!(out.status.success(), "{out:?}");
        assert!(String::from_utf8_lossy(&out.stdout).contains("Linodes               41 added       0 already there"), "{out:?}");
        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("cut.json");
        let text = std::fs::read_to_string(SAMPLE).unwrap();
        std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
        let why = error(&xenbeta(&app, &["import", cut.to_str().unwrap()]));
        assert!(why.contains("nothing was imported\nline ") && why.contains("it was cut off"), "{why}");
        let why = error(&xenbeta(&app, &["import", "/no/such/file"]));
        assert!(why.contains("/no/such/file: No such file"), "{why}");
    }

    fn a_backup_holds_everything_and_overwrites_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.register(&app.member(), &[WEB]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        let out = xenbeta(&app, &["backup", file.to_str().unwrap()]);
        assert!(out.status.success(), "{out:?}");
        let size = std::fs::metadata(&file).unwrap().len();
        assert!(String::from_utf8_lossy(&out.stdout).contains(&format!("{size} bytes")), "{out:?}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half made is left");

        let before = std::fs::read(&file).unwrap();
        let why = error(&xenbeta(&app, &["backup", file.to_str().unwrap()]));
        assert!(why.contains("overwrites nothing"), "{why}");
        assert!(before == std::fs::read(&file).unwrap());

        let copy = xenbeta::store::schema_migrations::open(&restored(&file, &app), 1).unwrap();
        let user = copy.read(|c| store::account::user_by_email(c, crate::support::fleet::MEMBER_EMAIL)).unwrap();
        assert!(user.is_some());
        assert_eq!(copy.read(|c| store::linode::address::ips_of(c, WEB)).unwrap().len(), 2);
        assert_eq!(copy.read(store::audit::head).unwrap(), app.in_db(store::audit::head));
        assert_ne!(app.in_db(store::audit::head), "");
    }

    fn a_backup_that_fails_leaves_nothing(app: TestApp) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no/such/folder");
        error(&xenbeta(&app, &["backup", file.to_str().unwrap()]));
        let file = folder.path().join("backup");
        let out = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["backup", file.to_str().unwrap()])
            .env("DATABASE_URL", "postgres://nobody:secret@127.0.0.1:1/none")
            .output()
            .unwrap();
        assert!(!error(&out).contains("secret"), "{out:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(app);
    }

    fn a_backup_is_put_back_and_the_portal_knows_that_it_went_back(app: TestApp) {
        let app = app.with_fleet();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        assert!(xenbeta(&app, &["backup", file.to_str().unwrap()]).status.success());
        let file = file.to_str().unwrap().to_owned();
        let before = app.mark().unwrap();
        app.register(&app.member(), &[WEB]).unwrap();
        let why = error(&xenbeta(&app, &["restore", &file]));
        assert!(why.contains("--yes"), "{why}");
        let junk = folder.path().join("junk");
        std::fs::write(&junk, vec![7; 10_000]).unwrap();
        error(&xenbeta(&app, &["restore", junk.to_str().unwrap(), "--yes"]));
        let (url, folder_of_database) = app.apart();
        let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_xenbeta")).args(args).env("DATABASE_URL", &url).output().unwrap();
        error(&run(&["restore", junk.to_str().unwrap(), "--yes"]));
        let registered = |url: &str| {
            let database = xenbeta::store::schema_migrations::open(url, 1).unwrap();
            database.read(|c| xenbeta::store::registration::newest_of(c, WEB)).unwrap()
        };
        assert!(registered(&url).is_some(), "junk replaced nothing");
        let out = run(&["restore", &file, "--yes"]);
        assert!(out.status.success(), "{out:?}");
        assert!(registered(&url).is_none(), "it is the database of before");
        let portal = xenbeta::store::schema_migrations::open(&url, 1).unwrap().read(xenbeta::store::ownership::memory::get).unwrap();
        assert!(portal.recovery_since.is_some() && portal.revision > before.revision && portal.incarnation != before.incarnation);
        if !url.starts_with("postgres") {
            assert!(registered(&format!("{url}.before-restore")).is_some(), "what was there is kept");
        }
        drop(folder_of_database);
    }

    fn a_database_that_is_used_is_not_replaced(app: TestApp) {
        let app = app.with_fleet();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        assert!(xenbeta(&app, &["backup", file.to_str().unwrap()]).status.success());
        let lock = std::fs::File::create(format!("{}.lock", app.url));
        let lock = lock.inspect(|lock| lock.try_lock().unwrap());
        let why = error(&xenbeta(&app, &["restore", file.to_str().unwrap(), "--yes"]));
        assert!(why.contains("stop"), "{why}");
        drop(lock);
    }

    fn a_touched_audit_trail_shows(app: TestApp) {
        let app = app.with_fleet();
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { entries: 0, .. }));
        for _ in 0..3 {
            app.new_enrolment_token(PORTAL, crate::support::fleet::UML1).unwrap();
        }
        let out = xenbeta(&app, &["audit", "verify"]);
        assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("3 entries"), "{out:?}");
        let entries = app.in_db(|c| store::audit::page(c, AuditId(0), 10));
        let second = entries[1].id;

        execute(&app, &format!("UPDATE audit_events SET actor = 'somebody else' WHERE id = {second}"));
        let why = error(&xenbeta(&app, &["audit", "verify"]));
        assert!(why.contains(&format!("broken at entry {second}:")) && why.contains("1 entries before it"), "{why}");
        execute(&app, &format!("UPDATE audit_events SET actor = 'portal' WHERE id = {second}"));
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { entries: 3, unsealed: 0, .. }));

        let last = entries[2].id;
        execute(&app, &format!("DELETE FROM audit_events WHERE id = {last}"));
        let why = error(&xenbeta(&app, &["audit", "verify"]));
        assert!(why.contains("cut off: its 2 entries"), "{why}");
        execute(&app, &format!("DELETE FROM audit_events WHERE id = {}", entries[0].id));
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Broken { entries_before: 0, entry } if entry.id == second));
    }

    /// Who has only the database has no key.
    fn a_trail_that_was_forged_or_cut_shows(app: TestApp) {
        use xenbeta::store::audit::{Entry, link};
        let app = app.with_fleet();
        let token = || app.new_enrolment_token(PORTAL, crate::support::fleet::UML1).unwrap();
        (0..3).for_each(|_| drop(token()));
        let out = String::from_utf8(xenbeta(&app, &["audit", "verify"]).stdout).unwrap();
        let anchor = out.split_once("Its head: ").unwrap().1.trim().to_owned();
        assert!(anchor.starts_with("k1:"), "{out}");
        (0..3).for_each(|_| drop(token()));
        let verify = |anchor: &str| xenbeta(&app, &["audit", "verify", "--anchor", anchor]);
        assert!(verify(&anchor).status.success());

        // The last ones are cut off, and the head set to what is the last now.
        let entries = app.in_db(|c| store::audit::page(c, AuditId(0), 10));
        let cut = |at: usize| {
            execute(&app, &format!("DELETE FROM audit_events WHERE id >= {}", entries[at].id));
            execute(&app, &format!("UPDATE audit_head SET hash = '{}'", entries[at - 1].hash));
        };
        cut(4);
        assert!(verify(&anchor).status.success(), "what the anchor covers is there");
        cut(2);
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { entries: 2, .. }));
        assert!(error(&verify(&anchor)).contains("cut off: its 2 entries"));

        // An entry is changed and the chain computed anew, as far as that goes without the key.
        let mut previous = String::new();
        for (row, actor) in entries.iter().take(2).zip(["somebody else", "portal"]) {
            let entry = Entry { at: row.at, actor, address: &row.address, action: &row.action, object: &row.object, before: &row.before, after: &row.after };
            previous = link(None, &previous, &entry);
            execute(&app, &format!("UPDATE audit_events SET actor = '{actor}', hash = '{previous}' WHERE id = {}", row.id));
        }
        execute(&app, &format!("UPDATE audit_head SET hash = '{previous}'"));
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { entries: 2, unsealed: 2, .. }), "said to be sealed by nobody");
        assert!(error(&verify(&anchor)).contains("cut off"));
        token();
        let without = Command::new(env!("CARGO_BIN_EXE_xenbeta")).args(["audit", "verify"]).env("DATABASE_URL", &app.url).output().unwrap();
        assert!(error(&without).contains("XENBETA_SECRET"));
    }
}
