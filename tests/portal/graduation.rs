//! The second one-click migration: from a beta host to a production host of the Linode's plan.

use diesel::connection::SimpleConnection;
use xenbeta::app::error::AppError;
use xenbeta::app::host::AddHost;
use xenbeta::domain::host::HostRole;
use xenbeta::domain::ids::{HostId, LinodeId, PlanId};
use xenbeta::domain::migration::{self, Last};
use xenbeta::domain::migration::{MigrationKind, MigrationState};
use xenbeta::domain::placement::{self, Standing};
use xenbeta::domain::platform::Platform;
use xenbeta::domain::string_enum::StringEnum;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::wire::Task;

use crate::both_databases;
use crate::browser::Site;
use crate::pages::gzip;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{now_click, refused};

const PRODUCTION: HostId = HostId(5);
const OTHER_PLAN: HostId = HostId(6);

impl TestApp {
    /// A production host of WEB's plan, and one of another plan with more room.
    fn with_production(self) -> Self {
        let host = |id: HostId, plan: i64, memory: i64| {
            format!(
                "INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at) VALUES
                 ({id}, 'prod{id}', 'xen', 'production', {plan}, 'enabled', {memory}, 400000, 4, FALSE, '127.0.0.1:700{id}', '{}', 'c{id}', '2026-01-01T00:00:00.000000Z');",
                id.to_string().repeat(64)
            )
        };
        let sql = host(PRODUCTION, 1, 1024) + &host(OTHER_PLAN, 2, 8192);
        self.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        self
    }
}

both_databases! {
    fn a_production_host_is_a_xen_host(app: TestApp) {
        let app = app.with_fleet();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.confirm_migration(&app.member(), beta.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        let app = app.with_production();
        // One that was put in before this was looked at.
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute("UPDATE hosts SET platform = 'uml' WHERE id = 5")?));
        let registration = beta.registration_id.unwrap();
        let said = refused(app.offer(&app.staff(), registration, Some(PRODUCTION)));
        assert!(said.contains("the host is no Xen host"), "{said}");
        let said = refused(app.offer(&app.staff(), registration, None));
        assert!(said.contains("No enabled production host"), "{said}");
        let many = app.offer_graduations(&app.staff(), &[(WEB, PRODUCTION)]).unwrap();
        assert!(many.done.is_empty() && many.refused[0].1.contains("it is no Xen host"), "{many:?}");
        let new = AddHost {
            name: "uml9".to_owned(),
            platform: Platform::Uml,
            role: HostRole::Production,
            plan: Some(PlanId(1)),
            memory_mb: 1024,
            disk_mb: 1024,
            slots: 2,
            cap_mb_s: None,
        };
        let Err(AppError::Invalid { field, message }) = app.add_host(app.staff().who(), &new) else {
            panic!("a production host under UML");
        };
        assert_eq!((field, message.as_str()), ("platform", "A production host must be a Xen host"));
    }

    fn a_second_click_moves_it_from_the_beta_to_production(app: TestApp) {
        let app = app.with_fleet();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let registration = beta.registration_id.unwrap();
        let said = refused(app.offer(&app.staff(), registration, None));
        assert!(said.contains("not confirmed"), "{said}");
        app.confirm_migration(&app.member(), beta.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        let said = refused(app.offer(&app.staff(), registration, None));
        assert!(said.contains("No enabled production host of its plan"), "{said}");

        let app = app.with_production();
        let said = refused(app.offer(&app.staff(), registration, Some(XEN2)));
        assert!(said.contains("another role"), "{said}");
        let said = refused(app.offer(&app.staff(), registration, Some(OTHER_PLAN)));
        assert!(said.contains("another plan"), "{said}");
        let said = refused(app.withdraw(&app.member(), registration));
        assert!(said.contains("in the beta already"), "{said}");
        let offer = app.offer(&app.staff(), registration, None).unwrap();
        assert_eq!((offer.kind, offer.destination_host_id), (MigrationKind::Graduation, PRODUCTION));
        let before = app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB));

        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!(row.id, offer.id);
        app.reconcile().unwrap();
        app.work_all(&[XEN1, PRODUCTION]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (PRODUCTION, 3));
        let after = app.in_db(|conn| store::linode::profile::profiles_of(conn, WEB));
        assert_eq!(after[0].kernel_id, before[0].kernel_id);
        assert_eq!(after[0].helpers, before[0].helpers, "nothing changes from Xen to Xen");

        let kept = |host| {
            let room = app.room(host);
            (room.memory_promised_mb, room.disk_promised_mb)
        };
        assert_eq!(kept(XEN1), (512, 80), "its place in the beta is kept for the way back");
        let back = app.way_back(&app.member(), row.id).unwrap();
        assert_eq!(kept(XEN1), (512, 80), "and counted once while it comes back");
        assert_eq!((back.destination_host_id, back.base_epoch), (XEN1, Some(2)));
        app.reconcile().unwrap();
        app.work_all(&[XEN1, PRODUCTION]);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        app.confirm_migration(&app.member(), back.id).unwrap();
        assert_eq!(app.proved_purge(XEN1, PRODUCTION).task, Task::Purge { epoch: 3 });
        app.offer(&app.staff(), registration, None).expect("and can be offered again");
    }
}

/// Hosts heard of just now, as the planner wants them.
fn heard(app: &TestApp) {
    let now = app.now().utc().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let sql = format!("UPDATE hosts SET last_seen_at = '{now}'");
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
}

/// So many Linodes of the beta on XEN1, approved and confirmed, from id 5001 on: of WEB's plan, small enough for all.
fn in_the_beta(app: &TestApp, count: i64) {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = format!(
        "UPDATE hosts SET memory_mb = 10000000, disk_mb = 100000000 WHERE id = {PRODUCTION};"
    );
    for n in 1..=count {
        let id = 5000 + n;
        sql.push_str(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n:04}', 1, 3, 2, TRUE, 'running', {at}, 'fe:fd:00:03:{:02x}:{:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 64, 'ext4', {at});
             INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, 1, 1, 'approved', {at});
             INSERT INTO migrations (id, kind, linode_id, account_id, registration_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at) VALUES ({id}, 'beta', {id}, 1, {id}, 1, 3, 'confirmed', 1, {at}, {at});",
            n / 256, n % 256
        ));
    }
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
}

both_databases! {
    fn staff_offer_the_plan_and_the_registration_ends_as_graduated(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let app = app.with_production();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        heard(&app);
        let stays = staff.get("/staff/graduation").row("Linodes of the beta", "web");
        assert!(stays[3].starts_with("= stays on xen1: its last move is not confirmed"), "{stays:?}");
        // Where staff configure by hand, a row whose way back is open is promised nothing either.
        let review = staff.get(&format!("/staff/registrations/review?do=configure&state=approved&id={}", beta.registration_id.unwrap()));
        review.shows(&["its way back is open"]);
        app.confirm_migration(&app.member(), beta.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        heard(&app);
        staff.get("/staff/").shows(&["ready to graduate"]);
        let plan = staff.get("/staff/graduation?show=goes");
        assert_eq!(plan.row("Linodes of the beta", "web")[3], "+ comes to prod5 from xen1");
        assert_eq!(plan.row("What the plan does to each host", "prod5")[5], "1.0 GiB → 512 MiB");
        staff.get("/staff/graduation?show=goes&plan=2").shows(&["There are none."]);
        let csv = staff.get("/staff/graduation.csv?show=goes").csv();
        assert_eq!(csv.lines().nth(1), Some("101,web,Mia Ltd,Linode 512,xen1,comes,prod5,"));
        let question = staff.get(&plan.link("Offer 1 place…"));
        assert_eq!(question.heading(), "Offer 1 place");
        question.shows(&["prod5: 1", "xen1 → prod5"]);
        let reply = staff.submit(&question, "Offer 1 place", &[]);
        let offered = staff.follow(&reply);
        assert_eq!(offered.said(), "1 place is offered; its member has mail.");
        offered.shows(&["a place on prod5 is offered until"]);
        assert_eq!(staff.submit(&question, "Offer 1 place", &[]).status, 303, "a double click offers once");
        let offers = app.in_db(|conn| xenbeta::store::migration::of_linode(conn, WEB));
        assert_eq!(offers.len(), 2);
        assert_eq!(offers[0].kind, MigrationKind::Graduation);
        let mail = app.mail_to(MEMBER_EMAIL, "graduation_ready");
        assert!(mail.contains("production host") && mail.contains("xen1"), "{mail}");

        // Nobody clicks: staff see it, and offer again.
        app.pass_watched_s(15 * 86_400);
        app.reconcile().unwrap();
        heard(&app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let expired = staff.get("/staff/graduation?show=expired");
        expired.shows(&["web", "its last offer ended on"]);
        let question = staff.get(&expired.link("Offer 1 again…"));
        assert_eq!(staff.submit(&question, "Offer 1 place", &[]).status, 303);

        // The second click, and its end.
        let mut member = site.signed_in(MEMBER_EMAIL);
        let mine = member.get("/members/");
        let offer = member.get(&mine.link("Migrate web"));
        offer.shows(&["This is its second move, out of the beta"]);
        let reply = member.submit(&offer, "Migrate web", &[]);
        app.reconcile().unwrap();
        app.work_all(&[XEN1, PRODUCTION]);
        let done = member.follow(&reply);
        assert_eq!(app.registration_of(WEB), "approved", "there is a way back yet");
        let question = member.get(&done.link("All is well: confirm"));
        let reply = member.submit(&question, "Confirm the move and delete the old copy of web", &[]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        assert_eq!(app.registration_of(WEB), "graduated");
        assert!(app.mail_to(MEMBER_EMAIL, "graduated").contains("has graduated"));
        member.get("/members/xenbeta").shows(&["Graduated", "It runs on a production host"]);
        assert_eq!(staff.get("/staff/registrations?state=graduated").column("Registrations", "Linode"), ["web"]);
        assert!(staff.get("/staff/registrations.csv?state=graduated").csv().contains(",graduated,"));
        staff.get("/staff/graduation").hides(&["web"]);
    }

    fn what_cannot_be_offered_any_more_is_answered_row_by_row(app: TestApp) {
        let app = app.with_fleet().with_passwords().with_production();
        in_the_beta(&app, 3);
        heard(&app);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let question = staff.get("/staff/graduation/offer");
        question.shows(&["Offer 3 places"]);
        // Meanwhile: one is taken by a colleague, one leaves, and the host is nearly full.
        let other = app.staff();
        app.offer_graduations(&other, &[(LinodeId(5001), PRODUCTION)]).unwrap();
        let withdrawn = "UPDATE registrations SET state = 'withdrawn' WHERE linode_id = 5002";
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(withdrawn)?));
        let reply = staff.submit(&question, "Offer 3 places", &[]);
        assert_eq!(reply.status, 422);
        reply.says(&["1 of 3 not offered", "node-0002", "It has no approved registration."]);
        let theirs = app.in_db(|conn| xenbeta::store::migration::of_linode(conn, LinodeId(5003)));
        assert!(theirs.iter().any(|row| row.state == MigrationState::Offered));

        // Forged pairs: another plan's host, a beta host, a host there is none of, nonsense.
        let offer = |linode: i64, host: i64| app.offer_graduations(&other, &[(LinodeId(linode), HostId(host))]);
        in_the_beta_again(&app, 5004);
        for (host, said) in [(OTHER_PLAN.0, "no production host for the plan"), (XEN2.0, "no production host for the plan")] {
            let many = offer(5004, host).unwrap();
            assert!(many.refused[0].1.contains(said), "{many:?}");
        }
        assert!(matches!(offer(5004, 99), Err(AppError::NotFound)));
        assert!(offer(WEB.0, PRODUCTION.0).unwrap().refused[0].1.contains("not in the beta"), "WEB is on UML");
        assert!(matches!(app.offer_graduations(&app.member(), &[(LinodeId(5004), PRODUCTION)]), Err(AppError::Forbidden)));
        let token = staff.get("/staff/graduation").token();
        for pairs in ["", "1", "1.x", "1.2-", "-", "x.y"] {
            let reply = staff.post("/staff/graduation/offer", &[("csrf".to_owned(), token.clone()), ("pairs".to_owned(), pairs.to_owned())]);
            assert_eq!(reply.status, 400, "{pairs:?}");
        }
        // The host takes no more: planner and act say so alike.
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute("UPDATE hosts SET state = 'draining' WHERE id = 5")?));
        staff.get("/staff/graduation?show=cannot").shows(&["node-5004", "take no new Linodes"]);
        assert!(offer(5004, PRODUCTION.0).unwrap().refused[0].1.contains("prod5 cannot take this Linode: it takes no new Linodes"));
    }

    fn two_staff_at_once_offer_each_place_once(app: TestApp) {
        let app = app.with_fleet().with_production();
        in_the_beta(&app, 120);
        heard(&app);
        let pairs: Vec<(LinodeId, HostId)> = (5001..=5120).map(|id| (LinodeId(id), PRODUCTION)).collect();
        let mut backwards = pairs.clone();
        backwards.reverse();
        let second = app.second();
        let staff = app.staff();
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| app.offer_graduations(&staff, &pairs).unwrap());
            let two = scope.spawn(|| second.offer_graduations(&staff, &backwards).unwrap());
            (one.join().unwrap(), two.join().unwrap())
        });
        for many in [one, two] {
            assert_eq!((many.done.len(), many.refused.len()), (120, 0), "{:?}", many.refused);
        }
        let row = app.in_db(xenbeta::store::migration::counts);
        assert!(row.contains(&(MigrationState::Offered, 120)), "{row:?}");
        let room = app.room(PRODUCTION);
        assert_eq!(room.memory_promised_mb, 120 * 512);
    }

    fn a_thousand_are_paged_and_offered_in_one_act(app: TestApp) {
        let app = app.with_fleet().with_passwords().with_production();
        in_the_beta(&app, 1050);
        heard(&app);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let mut page = staff.get("/staff/graduation");
        let mut seen = std::collections::BTreeSet::new();
        loop {
            for row in page.body.split("\">node-").skip(1) {
                assert!(seen.insert(row[..4].to_owned()), "twice");
            }
            if !page.body.contains("rel=\"next\"") {
                break;
            }
            page = staff.get(&page.link("Next page"));
        }
        assert_eq!(seen.len(), 1050);
        for path in ["/staff/graduation", "/staff/graduation?after=5200", "/staff/graduation/offer?show=goes", "/staff/audit", "/staff/registrations?state=all"] {
            let size = gzip(&staff.get(path).body);
            println!("{path}: {size} bytes of gzip");
            assert!(size <= 14 * 1024, "{path}: {size} bytes of gzip");
        }
        let question = staff.get("/staff/graduation/offer?show=goes");
        question.shows(&["Offer 1000 places", "Left for a next time: 50.", "And 900 more."]);
        let begun = std::time::Instant::now();
        let reply = staff.submit(&question, "Offer 1000 places", &[]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        println!("1000 offers begun in {:?}", begun.elapsed());
        let shown = staff.get(&reply.location);
        assert_eq!((shown.heading().as_str(), shown.fact("to be done").as_str()), ("Offer 1000 places", "1000"));
        // The hosts go on speaking meanwhile: nobody is offered a place on a silent one.
        while app.work_batches(std::time::Duration::from_secs(5)).unwrap() {
            heard(&app);
        }
        println!("1000 offers in {:?}", begun.elapsed());
        assert_eq!(staff.get(&reply.location).fact("offered a place"), "1000");
        assert_eq!((app.mails_of("batch").len(), app.mails_of("graduation_ready").len()), (1, 0), "one mail for all of an account");
        assert!(app.mails_of("batch")[0].contains("1000 of your Linodes can move to a production host"));
        staff.get("/staff/graduation/offer").shows(&["Offer 50 places"]);
        assert_eq!(staff.get("/staff/graduation?after=1").status, 409);
        assert_eq!(staff.get("/staff/graduation?show=nothing").status, 400);
    }
}

both_databases! {
    fn what_is_in_the_way_of_the_next_move_is_one_rule(app: TestApp) {
        let app = app.with_fleet();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let put = |sql: String| app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        let id = beta.id;
        for &kind in MigrationKind::ALL {
            for &state in MigrationState::ALL {
                for (was_running, status, to) in [(true, "running", XEN1), (true, "offline", XEN1), (false, "offline", XEN1), (true, "running", XEN2)] {
                    put(format!(
                        "UPDATE migrations SET kind = '{kind}', state = '{state}', was_running = {was_running}, reason = 'a disk fails', destination_host_id = {to} WHERE id = {id};
                         UPDATE linodes SET status = '{status}' WHERE id = {WEB}"
                    ));
                    let linode = app.linode(WEB);
                    let last = Last { kind, state, was_running, status: linode.status, at_destination: linode.host_id == to };
                    let free = !migration::is_live(state) && !migration::blocks_next(&last);
                    let ready = app.in_db(xenbeta::store::graduation::count_ready);
                    assert_eq!(ready, i64::from(free), "{last:?}");
                }
            }
        }
    }

    fn in_the_beta_is_one_rule(app: TestApp) {
        let app = app.with_fleet();
        app.approved(WEB);
        let put = |sql: String| app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        for &platform in Platform::ALL {
            for &role in HostRole::ALL {
                let plan = if role == HostRole::Production { "1" } else { "NULL" };
                put(format!("UPDATE hosts SET platform = '{platform}', role = '{role}', plan_id = {plan} WHERE id = {UML1}"));
                let standing = placement::standing(platform, role);
                let ready = app.in_db(xenbeta::store::graduation::count_ready);
                assert_eq!(ready, i64::from(standing == Standing::InBeta), "{platform} {role}");
                let closable = app.in_db(xenbeta::store::programme::end::count_closable);
                assert_eq!(closable, i64::from(standing == Standing::Outside), "{platform} {role}");
            }
        }
    }

    fn a_linode_on_a_uml_host_of_the_beta_is_in_the_beta(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.confirm_migration(&app.member(), beta.id).unwrap();
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&format!("UPDATE hosts SET platform = 'uml' WHERE id = {XEN1}"))?));
        let said = refused(app.withdraw(&app.member(), beta.registration_id.unwrap()));
        assert!(said.contains("in the beta already"), "{said}");
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        member.get("/members/").shows(&["In the beta"]);
        // What comes next is a production host, and there is none.
        let said = refused(app.offer(&app.staff(), beta.registration_id.unwrap(), None));
        assert!(said.contains("No enabled production host"), "{said}");
    }
}

fn in_the_beta_again(app: &TestApp, id: i64) {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let sql = format!(
        "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{id}', 1, 3, 2, TRUE, 'running', {at}, 'fe:fd:00:04:00:01', {at});
         INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, 1, 1, 'approved', {at});"
    );
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
}

impl TestApp {
    /// The text of the newest mail of this kind to them.
    fn mail_to(&self, recipient: &str, kind: &str) -> String {
        use diesel::prelude::*;
        use xenbeta::store::schema::outbox;
        self.in_db(|conn| {
            Ok::<_, StoreError>(
                outbox::table
                    .filter(outbox::recipient.eq(recipient))
                    .filter(outbox::kind.eq(kind))
                    .order(outbox::id.desc())
                    .select(outbox::text_body)
                    .first::<String>(conn)?,
            )
        })
    }

    fn registration_of(&self, linode: LinodeId) -> String {
        let newest = |conn: &mut _| xenbeta::store::registration::newest_of(conn, linode);
        self.in_db(newest).unwrap().state.to_string()
    }
}
