//! Staff empty a host: the plan, the one act, what its members see and may do, and what is in the way.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use xenbeta::app::batch::NewOrder;
use xenbeta::app::error::AppError;
use xenbeta::app::evacuation::{Order, Wanted};
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::batch::BatchKind;
use xenbeta::domain::host::HostState;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::migration::{MigrationKind, MigrationState};
use xenbeta::domain::time::Time;
use xenbeta::domain::trial::TrialEnd;
use xenbeta::domain::values::{Patience, StopLimit};
use xenbeta::store;
use xenbeta::store::batch::NewItem;
use xenbeta::store::error::StoreError;
use xenbeta::store::migration::Migration;
use xenbeta::store::schema::outbox;
use xenbeta::wire::{Outcome, Report, Task};

use crate::both_databases;
use crate::browser::Site;
use crate::pages::gzip;
use crate::support::TestApp;
use crate::support::fleet::{
    DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, UML2, WEB, XEN1, XEN2,
};
use crate::support::hand::{agent, kind, now_click, refused};

const WHY: &str = "A disk of the host begins to fail.";

fn put(app: &TestApp, sql: &str) {
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(sql)?));
}

impl TestApp {
    /// All hosts are heard of just now.
    fn all_heard(&self) {
        let now = self.now().utc().format("%Y-%m-%dT%H:%M:%S%.6fZ");
        put(self, &format!("UPDATE hosts SET last_seen_at = '{now}'"));
    }

    fn host(&self, id: HostId) -> store::host::Host {
        self.in_db(|conn| store::host::host(conn, id)).unwrap()
    }

    /// Of all mails of this kind: who got it, its text and its calendar file, oldest first.
    fn told(&self, kind: &str) -> Vec<(String, String, Option<String>)> {
        self.in_db(|conn| {
            Ok::<_, StoreError>(
                outbox::table
                    .filter(outbox::kind.eq(kind))
                    .order(outbox::id)
                    .select((outbox::recipient, outbox::text_body, outbox::calendar))
                    .load(conn)?,
            )
        })
    }
}

fn order(at: Option<Time>, moves: &[(LinodeId, HostId)]) -> Order {
    let wanted = |(linode, to): &(LinodeId, HostId)| Wanted {
        linode: *linode,
        to: *to,
        close: false,
    };
    Order {
        why: WHY.to_owned(),
        at,
        moves: moves.iter().map(wanted).collect(),
    }
}

const OFF_UML1: [(LinodeId, HostId); 4] = [(WEB, UML2), (DB, UML2), (OLD, UML2), (THEIRS, UML2)];

fn emptied(app: &TestApp, at: Option<Time>) -> Migration {
    let many = app
        .evacuate(&app.staff(), UML1, &order(at, &OFF_UML1))
        .unwrap();
    assert_eq!((many.done.len(), many.refused), (4, vec![]));
    app.newest_migration(WEB)
}

/// So many small Linodes on XEN1, from id 5001 on, and room for them everywhere.
fn many_on_xen1(count: i64) -> String {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = "UPDATE hosts SET memory_mb = 10000000, disk_mb = 100000000;".to_owned();
    for n in 1..=count {
        let id = 5000 + n;
        sql.push_str(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n:04}', 1, 3, 2, TRUE, 'running', {at}, 'fe:fd:00:03:00:{n:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 64, 'ext4', {at});"
        ));
    }
    sql
}

both_databases! {
    fn a_host_is_emptied_from_its_page_and_given_back(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_heard();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let host = staff.get("/staff/hosts/1");
        let plan = staff.get(&host.link("Evacuate uml1…"));
        plan.shows_at("main h2", &["They go: 4"]).shows_at("main button", &["Evacuate 4 Linodes"]);
        assert_eq!(plan.row("Hosts that may take them", "uml2")[2], "8.0 GiB → 5.5 GiB");
        plan.hides(&["xen1"]);
        assert_eq!(app.host(UML1).state, HostState::Enabled, "a look changes nothing");
        for (fields, field, said) in [
            (vec![], "why", "Say why"),
            (vec![("why", WHY), ("when", "at"), ("at", "2020-01-01T10:00")], "at", "within 30 days"),
            (vec![("why", WHY), ("when", "at"), ("at", "nonsense")], "at", "Enter the date and time"),
            (vec![("why", WHY), ("when", "now"), ("at", "2036-01-01T10:00")], "at", "You typed a time"),
        ] {
            let reply = staff.submit(&plan, "Evacuate 4 Linodes", &fields);
            reply.says_beside(field, said);
            assert_eq!(fields.is_empty(), !reply.body.contains(WHY), "what was typed is kept");
        }
        let long = "x".repeat(501);
        let reply = staff.submit(&plan, "Evacuate 4 Linodes", &[("why", long.as_str())]);
        reply.says_beside("why", "Use 500 characters or fewer");
        let reply = staff.submit(&plan, "Evacuate 4 Linodes", &[("why", WHY)]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let host = staff.follow(&reply);
        host.shows_at("main > div.note > p", &["4 Linodes are on their way off this host"]);
        host.shows_at("h2#emptying", &["It is being emptied"]).shows_at("#emptying ~ ul li", &["4 waiting"]);
        let again = staff.submit(&plan, "Evacuate 4 Linodes", &[("why", WHY)]);
        assert_eq!(again.status, 303, "a form sent twice does its work once: {}", again.text());
        let rows = app.in_db(|conn| store::migration::of_linode(conn, WEB));
        assert_eq!((rows.len(), rows[0].kind, rows[0].state), (1, MigrationKind::Evacuation, MigrationState::Queued));
        assert_eq!((app.host(UML1).state, rows[0].registration_id), (HostState::Draining, None));
        staff.get("/staff/").shows_at("ul.cards li", &["hosts being emptied"]);
        let hosts = staff.get("/staff/hosts?emptying=yes");
        assert_eq!((hosts.heading().as_str(), hosts.column("Hosts", "Host")), ("Hosts being emptied", vec!["uml1".to_owned()]));
        hosts.shows(&[]).hides(&["xen1"]);
        let queued = staff.get("/staff/migrations?kind=evacuation&from=1&state=queued").row("Migrations", &format!("Migration {}", rows[0].id));
        assert_eq!([&queued[1], &queued[3], &queued[5]], ["web", "Move off a host", "uml2"]);
        assert!(!staff.get("/staff/migrations?kind=evacuation&from=2").text().contains("Migration 1"));
        let told = app.told("evacuation");
        assert_eq!(told.len(), 4, "one for each Linode");
        assert!(told[0].1.contains(WHY) && told[0].1.contains("nothing for you to do") && told[0].2.is_none(), "{}", told[0].1);

        // Its member reads why, and has neither cancel nor retry nor way back.
        member.get("/members/linodes/101").shows_at("main > div.note > p", &["Move off a host", WHY]);
        let url = format!("/members/migrations/{}", rows[0].id);
        let page = member.get(&url);
        page.shows_at("h1 + p", &["Move off a host"]).shows_at("main > div.note > p", &[WHY]).hides(&["Cancel the move"]);
        assert_eq!(member.get(&format!("{url}/cancel")).status, 409);
        assert!(refused(app.cancel_migration(&app.member(), rows[0].id)).contains("only staff can cancel"));
        app.reconcile().unwrap();
        app.work_all(&[UML1, UML2]);
        for (linode, _) in OFF_UML1 {
            assert_eq!(app.linode(linode).host_id, UML2);
            assert_eq!(app.newest_migration(linode).state, MigrationState::Finished);
        }
        let done = member.get(&url);
        done.shows_at("[data-k=phase]", &["Moved. It runs on its new host."]).shows_at("#check ~ p", &["no way back for you to take"]);
        done.shows_at("#check ~ div.row a", &["All is well: confirm"]).hides(&["Move web back"]);
        assert_eq!(member.get(&format!("{url}/way-back")).status, 409);
        assert!(refused(app.way_back(&app.member(), rows[0].id)).contains("no way back for you"));
        let finished = app.told("finished");
        assert!(finished[0].1.contains("uml1, is being emptied, so there"), "{}", finished[0].1);
        assert!(app.told("started")[0].1.contains("Watch it:"));
        let host = staff.get("/staff/hosts/1");
        host.shows_at("#emptying ~ ul li", &["4 moved"]);
        host.shows_at("main > div.note > p", &["It is empty: it can be given back.", "keeps the old disks of 4 Linodes"]).hides(&["Evacuate uml1"]);
        let moved = staff.get(&host.link("moved")).row("Migrations", &format!("Migration {}", rows[0].id));
        assert!(moved[1] == "web" && moved[6].starts_with("Finished"), "{moved:?}");
        assert_eq!(staff.submit(&plan, "Evacuate 4 Linodes", &[("why", WHY)]).status, 303, "sent a third time it is done, too");

        // Staff's way back, if the host takes it.
        app.all_heard();
        let back = staff.get(&format!("/staff/migrations/{}", rows[0].id)).link("Way back…");
        let question = staff.get(&back);
        let reply = staff.submit(&question, &format!("Take the way back of migration {} of web", rows[0].id), &[]);
        reply.says_at("main > p", &["uml1 takes no Linode back: it is draining"]);
        app.set_host_state(&app.staff(), UML1, (HostState::Draining, HostState::Enabled)).unwrap();
        assert_eq!(app.host(UML1).emptying_since, None);
        let reply = staff.submit(&question, &format!("Take the way back of migration {} of web", rows[0].id), &[]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        app.reconcile().unwrap();
        app.work_all(&[UML1, UML2]);
        assert_eq!(app.linode(WEB).host_id, UML1);
        assert_eq!(app.migration(rows[0].id).state, MigrationState::Returned);
        // Confirming frees the old disks earlier.
        let db = app.newest_migration(DB);
        app.confirm_migration(&app.member(), db.id).unwrap();
        assert!(matches!(app.proved_purge(UML2, UML1).task, Task::Purge { epoch: 1 }));
        assert!(app.verify_audit(None).is_ok());
    }

    fn it_waits_for_its_time_and_its_member_may_have_it_sooner(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_heard();
        let at = app.now().plus_days(3);
        let too_late = app.evacuate(&app.staff(), UML1, &order(Some(app.now().plus_days(31)), &OFF_UML1));
        assert!(matches!(too_late, Err(AppError::Invalid { field: "at", .. })));
        let web = emptied(&app, Some(at));
        let told = app.told("evacuation");
        let file = told[0].2.clone().unwrap();
        assert!(file.contains("METHOD:REQUEST") && file.contains("SEQUENCE:0"), "{file}");
        app.reconcile().unwrap();
        assert_eq!(app.migration(web.id).state, MigrationState::Queued, "not before its time");
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        staff.get("/staff/hosts/1").shows_at("#emptying ~ ul li", &["waiting, 4 of them for their time"]);
        let plan = staff.get("/staff/hosts/1/evacuate");
        plan.shows_at("tbody td", &["it is being moved off already to uml2"]).shows_at("main > p", &["Nobody can be moved off it now."]);

        let page = member.get(&format!("/members/migrations/{}", web.id));
        page.hides(&["Cancel the time"]);
        let form = member.get(&page.link("Move web sooner"));
        form.shows_at("h1 + p", &[WHY]).shows(&["Choose an earlier time here"]).hides(&["cancel the time", "your way back"]);
        let click = |at| Click { at, patience: Patience::default(), accept_kernels: false, stop_limit: StopLimit(60), down_limit: None, try_first: false };
        let later = app.migrate(&app.member(), WEB, click(Some(at.plus_days(1))));
        assert!(matches!(later, Err(AppError::Invalid { field: "at", ref message }) if message.contains("being emptied")), "{later:?}");
        assert!(refused(app.unschedule(&app.member(), web.id)).contains("not later"));
        let sooner = app.migrate(&app.member(), WEB, click(Some(at.plus_days(-1)))).unwrap();
        assert_eq!(sooner.not_before, Some(at.plus_days(-1)));
        assert!(app.told("scheduled")[0].2.as_ref().unwrap().contains("SEQUENCE:1"));
        app.migrate(&app.member(), WEB, click(None)).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(web.id).state, MigrationState::Preparing);

        // Staff call the other one off: it is told, and goes out of the calendar.
        let db = app.newest_migration(DB);
        app.cancel_migration(&app.staff(), db.id).unwrap();
        let told = app.told("evacuation");
        let (_, text, file) = told.last().unwrap();
        assert!(text.contains("will not be moved") && file.as_ref().unwrap().contains("METHOD:CANCEL"), "{text}");
        assert_eq!(app.told("unscheduled").len(), 1, "of the time that became now, only");
        // The end of the beta does not touch it; at its time it goes.
        let seen = app.in_db(xenbeta::store::programme::stored).map(|row| row.changed_at);
        app.end_programme(&app.staff(), seen).unwrap();
        app.reconcile().unwrap();
        let old = app.newest_migration(OLD);
        assert_eq!(old.state, MigrationState::Queued);
        app.pass_s(3 * 86_400 + 1);
        app.all_heard();
        app.reconcile().unwrap();
        assert_eq!(app.migration(old.id).state, MigrationState::Preparing);
    }

    /// Its member has it tried first; but its host must be emptied, so that holds it no longer than until staff's time.
    fn one_that_is_tried_first_stops_at_staffs_time_all_the_same(app: TestApp) {
        let app = app.with_fleet();
        app.all_heard();
        let at = app.now().plus_days(3);
        let web = emptied(&app, Some(at));
        let click = Click { try_first: true, accept_kernels: false, ..now_click() };
        app.migrate(&app.member(), WEB, click).unwrap();
        let order = loop {
            app.reconcile().unwrap();
            let next = [UML1, UML2].into_iter().find_map(|host| Some((host, app.claim(&agent(host)).unwrap()?)));
            let (host, order) = next.expect("it goes on");
            if kind(&order) == "trial" {
                break order;
            }
            let report = app.success(&order);
            app.answer(host, &order, Outcome::Succeeded { report }).unwrap();
        };
        let said = Report::Tried { end: TrialEnd::Stopped, console: "Kernel panic".to_owned(), seconds: 9.0 };
        app.answer(UML2, &order, Outcome::Succeeded { report: said }).unwrap();
        let told = app.told("tried_first");
        assert!(told[0].1.contains("all the same") && told[0].1.contains("Kernel panic"), "{}", told[0].1);
        app.pass_s(86_400);
        app.all_heard();
        app.reconcile().unwrap();
        assert_eq!(app.migration(web.id).state, MigrationState::Holding, "and is not given up");
        app.pass_s(2 * 86_400);
        app.all_heard();
        app.work_all(&[UML1, UML2]);
        assert_eq!(app.migration(web.id).state, MigrationState::Finished);
    }

    fn what_is_in_the_way_is_ended_left_or_asked_about(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_heard();
        // DB has moved to xen1 and is not confirmed; WEB is offered a place from UML1; OLD is queued by its member.
        let moved = app.clicked(DB);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(moved.id).state, MigrationState::Finished);
        let registration = app.approved(WEB);
        let offer = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let queued = { let id = app.approved(OLD); app.offer(&app.staff(), id, Some(XEN2)).unwrap(); app.migrate(&app.member(), OLD, now_click()).unwrap() };
        app.all_heard();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let plan = staff.get("/staff/hosts/1/evacuate");
        plan.shows_at("tbody td", &["uml2; its offer ends", "it is being moved"]);
        plan.shows_at("main h2", &["They go: 2", "They are on their way already: 1"]);
        plan.shows_at("main > p", &["moved away from here and are not confirmed: 1"]);
        let many = app.evacuate(&app.staff(), UML1, &order(None, &[(WEB, UML2), (OLD, UML2), (DB, UML2), (THEIRS, XEN1)])).unwrap();
        assert_eq!(many.done, vec![WEB]);
        let why: Vec<&str> = many.refused.iter().map(|(_, why)| why.as_str()).collect();
        assert!(why[0].contains("It is being moved") && why[1].contains("not on uml1 any more") && why[2].contains("another platform"), "{why:?}");
        assert_eq!(app.migration(offer.id).state, MigrationState::Cancelled);
        assert_eq!(app.migration(queued.id).state, MigrationState::Queued);
        assert!(app.told("evacuation")[0].1.contains("The offer to migrate it has ended with this"));
        // Its member cannot go back to a host that is being emptied.
        assert!(refused(app.way_back(&app.member(), moved.id)).contains("takes no Linodes back"));
        app.cancel_migration(&app.member(), queued.id).unwrap();
        app.work_all(&[UML1, UML2, XEN1, XEN2]);

        // On xen1, DB goes only if its way back is closed.
        app.all_heard();
        let mut staff = site.signed_in(STAFF_EMAIL);
        put(&app, "UPDATE hosts SET memory_mb = 4096 WHERE id = 4");
        let plan = staff.get("/staff/hosts/3/evacuate");
        plan.shows_at("main h2", &["they go only if you close their ways back: 1"]);
        plan.shows_at("main label", &["Close the way back of 1 Linode"]).shows_at("main button", &["Evacuate 1 Linode"]);
        let reply = staff.submit(&plan, "Evacuate 1 Linode", &[("why", WHY)]);
        reply.says_beside("close", "tick this, or wait");
        assert_eq!(app.host(XEN1).state, HostState::Enabled);
        let reply = staff.submit(&plan, "Evacuate 1 Linode", &[("why", WHY), ("close", "yes")]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        assert_eq!(app.migration(moved.id).state, MigrationState::Confirmed);
        assert!(app.told("evacuation").last().unwrap().1.contains("The way back of its last move is closed"));
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1, XEN2]);
        assert_eq!(app.linode(DB).host_id, XEN2);
        let registered = app.in_db(|conn| xenbeta::store::registration::newest_of(conn, DB)).unwrap();
        assert_eq!(registered.state.to_string(), "approved", "it is still in the beta");

        // A silent host is not emptied: nothing would come of its rows.
        app.pass_s(600);
        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/staff/hosts/4/evacuate").shows_at("main > div.note > p", &["xen2 cannot be emptied: it is silent"]).hides(&["Evacuate 1 Linode"]);
        let said = refused(app.evacuate(&app.staff(), XEN2, &order(None, &[(DB, XEN1)])));
        assert!(said.contains("silent"), "{said}");
        assert_eq!(app.host(XEN2).state, HostState::Enabled);
        assert!(matches!(app.evacuate(&app.staff(), HostId(99), &order(None, &[(DB, XEN1)])), Err(AppError::NotFound)));
        assert!(matches!(app.evacuate(&app.member(), XEN2, &order(None, &[(DB, XEN1)])), Err(AppError::Forbidden)));
        let token = staff.get("/staff/hosts/1/evacuate").token();
        for pairs in ["1", "1.x", "x.1-", "-"] {
            let fields = [("csrf", token.as_str()), ("why", WHY), ("when", "now"), ("pairs", pairs)];
            let fields: Vec<(String, String)> = fields.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(staff.post("/staff/hosts/1/evacuate", &fields).status, 400, "{pairs:?}");
            assert_eq!(staff.post("/staff/hosts/99/evacuate", &fields).status, 404);
        }
    }

    fn its_way_back_gives_way_to_the_next_move(app: TestApp) {
        let app = app.with_fleet();
        app.all_heard();
        let registration = app.approved(WEB);
        let web = emptied(&app, None);
        assert!(refused(app.offer(&app.staff(), registration, Some(XEN1))).contains("another migration"));
        app.reconcile().unwrap();
        // One of them fails; asking again makes another try from the start, and ends what failed.
        let order_of_web = loop {
            let order = app.take(UML1);
            if order.linode == WEB { break order; }
            let report = app.success(&order);
            app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        };
        app.answer(UML1, &order_of_web, Outcome::Failed { retry: false, public: "No.".to_owned(), detail: String::new(), console: None, owns: None }).unwrap();
        assert_eq!(app.migration(web.id).state, MigrationState::Failed);
        assert!(refused(app.retry_migration(&app.member(), web.id)).contains("they try it again"));
        app.all_heard();
        emptied(&app, None);
        assert_eq!(app.migration(web.id).state, MigrationState::Cancelled);
        let web = app.newest_migration(WEB);
        app.reconcile().unwrap();
        app.work_all(&[UML1, UML2]);
        assert_eq!(app.migration(web.id).state, MigrationState::Finished);
        let offer = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        assert_eq!((offer.kind, offer.source_host_id), (MigrationKind::Beta, UML2));
        assert_eq!(app.migration(web.id).state, MigrationState::Confirmed, "nobody goes back to where it was");
        assert_eq!(app.mails_of("confirmed").len(), 1);
        // And on: what it was emptied to is emptied, too.
        put(&app, "UPDATE hosts SET state = 'enabled', emptying_since = NULL WHERE id = 1");
        app.all_heard();
        let many = app.evacuate(&app.staff(), UML2, &order(None, &[(WEB, UML1), (DB, UML1)])).unwrap();
        assert_eq!(many.refused, vec![]);
        assert_eq!(app.migration(offer.id).state, MigrationState::Cancelled);
    }

    fn one_that_gives_way_to_many_offers_at_once_is_told_beside_them(app: TestApp) {
        let app = app.with_fleet();
        app.all_heard();
        let of = [WEB, DB].map(|linode| app.approved(linode));
        emptied(&app, None);
        app.reconcile().unwrap();
        app.work_all(&[UML1, UML2]);
        let order = NewOrder {
            kind: BatchKind::Configure,
            of: of.iter().map(|id| NewItem { to: Some(XEN1), ..NewItem::of(id.0) }).collect(),
            reason: String::new(),
            off: None,
            once: "configure-both-of-it".to_owned(),
        };
        let id = app.begin_batch(&app.staff(), &order).unwrap();
        app.work_on(id, Duration::from_secs(60)).unwrap();
        assert_eq!(app.newest_migration(WEB).kind, MigrationKind::Beta);
        assert_eq!((app.mails_of("batch").len(), app.mails_of("offer_ready").len()), (1, 0), "one mail for the offers");
        assert_eq!(app.mails_of("confirmed").len(), 2, "and one for each old copy that goes");
    }

    fn many_are_moved_off_in_the_background_with_one_mail_for_an_account(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        put(&app, &many_on_xen1(60));
        app.all_heard();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let plan = staff.get(&format!("/staff/hosts/{XEN1}/evacuate"));
        let typed = [("why", "A disk fails."), ("when", "now")];
        let reply = staff.submit(&plan, "Evacuate 60 Linodes", &typed);
        let page = staff.follow(&reply);
        assert_eq!((page.heading().as_str(), page.fact("to be done").as_str()), ("Evacuate 60 Linodes", "60"));
        assert_eq!(staff.submit(&plan, "Evacuate 60 Linodes", &typed).location, reply.location, "sent twice, it is one");
        app.work_batches(Duration::ZERO).unwrap();
        // Given back meanwhile: what is not moved yet stays.
        app.set_host_state(&app.staff(), XEN1, (HostState::Draining, HostState::Enabled)).unwrap();
        while app.work_batches(Duration::from_secs(5)).unwrap() {}
        let done = staff.get(&reply.location);
        assert_eq!((done.fact("on their way off the host"), done.fact("refused")), ("1".to_owned(), "59".to_owned()));
        done.shows(&["xen1 is not being emptied any more."]);
        let plan = staff.get(&format!("/staff/hosts/{XEN1}/evacuate"));
        let reply = staff.submit(&plan, "Evacuate 59 Linodes", &typed);
        while app.work_batches(Duration::from_secs(5)).unwrap() {}
        assert_eq!(staff.get(&reply.location).fact("on their way off the host"), "59");
        assert!(app.mails_of("evacuation").is_empty());
        let told = app.mails_of("batch");
        assert_eq!(told.len(), 2);
        for part in ["We move 59 of your Linodes to other hosts", "A disk fails.", "being emptied, as soon as there is a place"] {
            assert!(told.iter().any(|mail| mail.contains(part)), "{part}: {told:?}");
        }
    }

    fn two_staff_at_once_move_each_once(app: TestApp) {
        let app = app.with_fleet();
        put(&app, &many_on_xen1(120));
        app.all_heard();
        let moves: Vec<(LinodeId, HostId)> = (5001..=5120).map(|id| (LinodeId(id), XEN2)).collect();
        let backwards: Vec<(LinodeId, HostId)> = moves.iter().rev().copied().collect();
        let second = app.second();
        let staff = app.staff();
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| app.evacuate(&staff, XEN1, &order(None, &moves)).unwrap());
            let two = scope.spawn(|| second.evacuate(&staff, XEN1, &order(None, &backwards)).unwrap());
            (one.join().unwrap(), two.join().unwrap())
        });
        for many in [one, two] {
            assert_eq!((many.done.len(), many.refused.len()), (120, 0), "{:?}", many.refused);
        }
        let rows = app.in_db(store::migration::counts);
        assert_eq!(rows, vec![(MigrationState::Queued, 120)]);
        let room = app.room(XEN2);
        assert_eq!(room.memory_promised_mb, 120 * 512);
        let app = app.with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for path in ["/staff/hosts/3/evacuate", "/staff/hosts/3", "/staff/migrations?kind=evacuation"] {
            let size = gzip(&staff.get(path).body);
            println!("{path}: {size} bytes of gzip");
            assert!(size <= 14 * 1024, "{path}: {size} bytes of gzip");
        }
    }
}
