//! Where a Linode can go: hosts that take none are neither proposed nor clicked to, room is given out once, and there is a
//! way back where one is promised.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{now_click, refused};

/// What makes a host one that takes no Linodes, and what is said of it.
const CLOSED: [(&str, &str); 5] = [
    ("last_seen_at = '2026-01-01T00:00:00.000000Z'", "silent"),
    ("slots = 0", "no slots"),
    ("credential_hash = NULL", "no agent is enrolled"),
    ("ledger_fault = 'another one'", "no agent is enrolled"),
    ("state = 'draining'", "takes no new Linodes"),
];
const OPEN: &str = "last_seen_at = NULL, slots = 4, credential_hash = 'c3', ledger_fault = '', state = 'enabled', emptying_since = NULL";

fn make(app: &TestApp, host: HostId, so: &str) {
    app.sql(&format!("UPDATE hosts SET {so} WHERE id = {host}"));
}

fn failure() -> Outcome {
    Outcome::Failed {
        retry: false,
        public: "It broke.".to_owned(),
        detail: String::new(),
        console: None,
        owns: None,
    }
}

both_databases! {
    fn hosts_that_take_no_linodes_are_not_proposed_and_take_no_offer(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let review = format!("/staff/registrations/review?do=configure&state=approved&id={registration}");
        for (so, said) in CLOSED {
            make(&app, XEN1, so);
            let why = refused(app.offer(&app.staff(), registration, Some(XEN1)));
            assert!(why.contains(said), "{so}: {why}");
            // The other one has less free memory, and is proposed all the same.
            assert_eq!(staff.get(&review).row("Chosen registrations", "web")[3], "xen2", "{so}");
            let row = app.offer(&app.staff(), registration, None).unwrap();
            assert_eq!(row.destination_host_id, XEN2, "{so}");
            app.cancel_migration(&app.staff(), row.id).unwrap();
            make(&app, XEN1, OPEN);
        }
        assert_eq!(app.offer(&app.staff(), registration, None).unwrap().destination_host_id, XEN1);
    }

    fn an_offer_of_a_host_that_takes_none_any_more_cannot_be_clicked(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        let row = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        for (so, said) in CLOSED.into_iter().chain([("state = 'draining', emptying_since = '2026-01-01T00:00:00.000000Z'", "takes no new Linodes")]) {
            make(&app, XEN1, so);
            let why = refused(app.migrate(&app.member(), WEB, now_click()));
            assert!(why.contains("xen1") && why.contains(said), "{so}: {why}");
            let why = refused(app.offer(&app.staff(), registration, None));
            assert!(why.contains(said), "what stands there is of no use: {so}: {why}");
            make(&app, XEN1, OPEN);
        }
        make(&app, UML1, "slots = 0");
        assert!(refused(app.migrate(&app.member(), WEB, now_click())).contains("uml1"));
        make(&app, UML1, "slots = 4");
        assert_eq!(app.migration(row.id).state, MigrationState::Offered);
        assert_eq!(app.migrate(&app.member(), WEB, now_click()).unwrap().state, MigrationState::Queued);
    }

    fn a_queued_move_waits_for_a_host_that_can_take_it_and_says_so(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        let site = Site::serve(&app.app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        for (so, said) in CLOSED {
            make(&app, XEN1, so);
            app.reconcile().unwrap();
            assert_eq!(app.migration(row.id).state, MigrationState::Queued, "{so}");
            member.get(&format!("/members/migrations/{}", row.id))
                .shows(&["the host it is to go to cannot take part in a move now"])
                .hides(&["Next in the queue"]);
            staff.get(&format!("/staff/migrations/{}", row.id)).shows(&["xen1, which cannot take part", said]);
            make(&app, XEN1, OPEN);
        }
        make(&app, UML1, "slots = 0");
        app.reconcile().unwrap();
        member.get(&format!("/members/migrations/{}", row.id)).shows(&["its present host cannot take part"]);
        make(&app, UML1, "slots = 4");
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Preparing);
    }

    fn disks_that_a_host_still_has_are_not_given_out_again(app: TestApp) {
        let app = app.with_fleet();
        // Copied in part, and failed: kept for another try.
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.answer(XEN1, &order, failure()).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        let there = app.room(XEN1);
        assert_eq!((there.memory_promised_mb, there.disk_promised_mb), (0, 80));
        make(&app, XEN1, "disk_mb = 100");
        let old = app.approved(OLD);
        let why = refused(app.offer(&app.staff(), old, Some(XEN1)));
        assert!(why.contains("too little free disk space"), "{why}");
        app.retry_migration(&app.staff(), row.id).expect("what it copied serves it again");
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        // The old disks count until they are purged, which waits for a proof.
        let all = app.room(UML1).disk_promised_mb;
        app.confirm_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.room(UML1).disk_promised_mb, all);
        let order = app.proved_purge(XEN1, UML1);
        assert_eq!(app.room(UML1).disk_promised_mb, all);
        let report = app.success(&order);
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.room(UML1).disk_promised_mb, all - 80);
    }

    fn the_copy_that_a_way_back_leaves_counts_while_it_is_there(app: TestApp) {
        let app = app.with_fleet();
        let home = app.room(UML1).disk_promised_mb;
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let back = app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!((app.linode(WEB).host_id, app.migration(back.id).state), (UML1, MigrationState::Finished));
        let there = app.room(XEN1);
        assert_eq!((there.memory_promised_mb, there.disk_promised_mb), (0, 80), "its disks, and no place for it");
        assert_eq!(app.room(UML1).disk_promised_mb, home + 80, "those of before are there beside those that came");
    }

    fn no_more_is_offered_than_the_agent_found_free(app: TestApp) {
        let app = app.with_fleet();
        make(&app, XEN1, "disk_free_mb = 100");
        let (web, old) = (app.approved(WEB), app.approved(OLD));
        app.offer(&app.staff(), web, Some(XEN1)).unwrap();
        assert_eq!(app.room(XEN1).disk_free_mb(), 20, "what comes is not there yet");
        let why = refused(app.offer(&app.staff(), old, Some(XEN1)));
        assert!(why.contains("too little free disk space"), "{why}");
    }

    fn a_linode_that_changes_hands_meanwhile_counts_at_one_host_or_the_other(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let (writer, over) = (app.second(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let host = [XEN1, UML1][n % 2];
                    let sql = format!("UPDATE linodes SET host_id = {host} WHERE id = 101");
                    writer.db.write(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?)).unwrap();
                }
            });
            // On its way to it, or on it: the room is taken.
            let taken: Vec<i64> = (0..400).map(|_| app.room(XEN1).memory_promised_mb).collect();
            over.store(true, Ordering::Relaxed);
            assert_eq!(taken.iter().filter(|mb| **mb != 512).count(), 0, "of 400 looks");
        });
    }

    fn the_promised_way_back_needs_no_counterpart_of_the_new_kernel(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.sql("UPDATE kernels SET maps_to = NULL WHERE id = 'xen-2.6'");
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        member.get("/members/linodes/101/migrate").shows(&["It is open only while you leave default as the move makes it"]);
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        let profile = || app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB)).remove(0);
        assert_eq!(profile().kernel_id, "xen-2.6");
        // One that was touched would have to be translated.
        app.sql("UPDATE config_profiles SET vcpus = 3 WHERE id = 1");
        let ask = format!("/members/migrations/{}/way-back", row.id);
        let told = member.get(&ask);
        assert_eq!(told.status, 409);
        told.says(&["There is no way back as the config profiles are now", "has no counterpart on uml"]);
        assert!(refused(app.way_back(&app.member(), row.id)).contains("has no counterpart"));
        app.sql("UPDATE config_profiles SET vcpus = 4 WHERE id = 1");
        assert_eq!(member.get(&ask).status, 200);
        app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.linode(WEB).host_id, UML1);
        let back = profile();
        assert_eq!((back.kernel_id.as_str(), back.root_device.as_str(), back.vcpus), ("uml-2.6", "/dev/ubda", 1));
        assert!(back.helpers.contains("fstab"), "names inside the guest have to be put back: {}", back.helpers);
    }

    fn one_row_that_cannot_be_read_stops_nothing_else(app: TestApp) {
        let app = app.with_fleet();
        // Theirs has moved, and its window is over: but its row cannot be read.
        let registration = app.register(&app.other_member(), &[THEIRS]).map(|_| app.in_db(|conn| store::registration::newest_of(conn, THEIRS)).unwrap().id).unwrap();
        app.approve(&app.staff(), &[registration]).unwrap();
        let theirs = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        app.migrate(&app.other_member(), THEIRS, now_click()).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(theirs.id).state, MigrationState::Finished);
        let (db, old) = (app.approved(DB), app.approved(OLD));
        app.offer(&app.staff(), db, Some(XEN1)).unwrap();
        app.pass_watched_s(8 * 86_400);
        app.sql(&format!("UPDATE migrations SET started_at = 'infinity', remind_at = '2026-06-01T00:00:00.000000Z' WHERE id = {}", theirs.id));
        // Somebody's offer is over, somebody waits in the queue, and a reminder is due.
        let waits = app.migrate(&app.member(), DB, now_click()).unwrap();
        let offer = app.offer(&app.staff(), old, Some(XEN1)).unwrap();
        app.sql(&format!("UPDATE migrations SET remind_at = '2026-06-02T00:00:00.000000Z' WHERE id = {}", offer.id));
        app.reconcile().unwrap();
        assert_eq!(app.migration(waits.id).state, MigrationState::Preparing);
        let reminded = app.migration(offer.id).remind_at;
        assert!(reminded.is_none_or(|at| at > app.now()), "{reminded:?}");
        let unread = app.db.read(|conn| store::migration::migration(conn, theirs.id));
        assert!(unread.is_err());
        // A fault of whole parts, which is told when all the others are done.
        app.sql(&format!("UPDATE programme SET changed_at = 'infinity'; UPDATE migrations SET remind_at = '2026-06-02T00:00:00.000000Z' WHERE id = {}", offer.id));
        let why = app.reconcile().unwrap_err();
        assert!(matches!(why, AppError::Fault(_)), "{why}");
        let reminded = app.migration(offer.id).remind_at;
        assert!(reminded.is_none_or(|at| at > app.now()), "{reminded:?}");
    }
}
