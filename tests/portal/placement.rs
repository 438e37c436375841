//! The plan for those who wait for a place: shown, tried with other hosts and limits, and made into offers.

use std::time::{Duration, Instant};

use xenbeta::app::placement::PlanRequest;
use xenbeta::domain::ids::{BatchId, RegistrationId};
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::placement::plan::Spare;
use xenbeta::store;

use crate::both_databases;
use crate::browser::Site;
use crate::pages::gzip;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, WEB, XEN1, XEN2};
use crate::support::{On, TestApp};

const AS_IT_IS: PlanRequest = PlanRequest {
    plan: None,
    text: String::new(),
    without: Vec::new(),
    more: None,
    at_once: None,
    spare: Spare::Kept,
};

impl TestApp {
    /// All of the fleet registered and approved, by id.
    fn all_approved(&self) -> Vec<RegistrationId> {
        self.register(&self.member(), &[WEB, DB, OLD]).unwrap();
        self.register(&self.other_member(), &[THEIRS]).unwrap();
        let of = |linode| self.in_db(|conn| store::registration::newest_of(conn, linode));
        let all: Vec<RegistrationId> = [WEB, DB, OLD, THEIRS].map(|it| of(it).unwrap().id).to_vec();
        assert_eq!(self.approve(&self.staff(), &all).unwrap().done.len(), 4);
        all
    }

    fn offers_out(&self) -> usize {
        let counts = self.in_db(store::migration::counts);
        let offered = counts
            .iter()
            .filter(|(state, _)| *state == MigrationState::Offered);
        offered
            .map(|(_, count)| usize::try_from(*count).unwrap())
            .sum()
    }
}

both_databases! {
    fn the_plan_is_shown_tried_and_made_into_offers(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_approved();
        app.sql("UPDATE hosts SET memory_mb = 4096, disk_mb = 400000, disk_free_mb = NULL WHERE id IN (3, 4)");
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let plan = staff.get("/staff/plan");
        assert_eq!(plan.fact("Have a place"), "4 of 4, on 2 hosts");
        assert!(plan.fact("Room for one that fails").starts_with("kept"), "{}", plan.text());
        assert!(plan.fact("At a rate of").contains("assumed"));
        let (web, db) = (plan.row("Linodes that wait", "web"), plan.row("Linodes that wait", "db"));
        assert!(web[3].starts_with("+ goes uml1 → xen") && db[3].starts_with("+ goes uml1 → xen"), "{web:?}");
        assert_ne!(web[3], db[3], "of one account, so spread");
        // What if: nothing is written by looking.
        let without = staff.get("/staff/plan?without=xen2");
        assert!(without.row("Linodes that wait", "web")[3].ends_with("xen1"));
        let with = staff.get("/staff/plan?more=2&like=3");
        with.shows(&["new 1 like xen1", "no offers can be made of it"]).hides(&["Offer 4 places"]);
        staff.get("/staff/plan?without=xen7").says_beside("without", "There is no host “xen7”");
        staff.get("/staff/plan?more=2").says_beside("like", "Choose which host they are like");
        let none = staff.get("/staff/plan?at_once=0");
        assert!(none.fact("Last one moved, if all click now").starts_with("never"));
        staff.get("/staff/plan?spare=used").shows(&["Offer 4 places"]);
        staff.get("/staff/plan?q=web&plan=1").shows(&["Offer 1 place"]);
        assert_eq!(staff.get("/staff/plan?spare=x").status, 400);
        assert_eq!(app.offers_out(), 0);
        let csv = staff.get("/staff/plan.csv").csv();
        assert_eq!(csv.lines().count(), 5, "{csv}");
        let hosts = staff.get("/staff/plan/hosts.csv").csv();
        assert!(hosts.starts_with("host,state,comes,memory_mb,"), "{hosts}");
        // Made into offers, each to its place; a double click makes them once.
        let reply = staff.submit(&plan, "Offer 4 places", &[]);
        let batch = staff.follow(&reply);
        let id = reply.location.rsplit('/').next().unwrap().parse().map(BatchId).unwrap();
        app.work_on(id, Duration::from_secs(60)).unwrap();
        let done = staff.get(&batch.path);
        assert_eq!((done.fact("configured"), done.fact("refused")), ("4".to_owned(), "0".to_owned()));
        assert_eq!(staff.submit(&plan, "Offer 4 places", &[]).location, reply.location);
        assert_eq!(app.offers_out(), 4);
        for (linode, row) in [(WEB, &web), (DB, &db)] {
            let offer = &app.in_db(|conn| store::migration::of_linode(conn, linode))[0];
            let to = if row[3].ends_with("xen1") { XEN1 } else { XEN2 };
            assert_eq!(offer.destination_host_id, to);
        }
        staff.get("/staff/plan").shows(&["There are none."]);
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/plan").status, 404);
    }

    fn another_plan_than_was_seen_is_not_made_and_a_place_that_is_gone_is_refused(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let all = app.all_approved();
        app.sql("UPDATE hosts SET memory_mb = 4096, disk_mb = 400000, disk_free_mb = NULL WHERE id IN (3, 4)");
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let plan = staff.get("/staff/plan");
        app.sql("UPDATE hosts SET state = 'draining' WHERE id = 4");
        let refused = staff.submit(&plan, "Offer 4 places", &[]);
        assert_eq!(refused.status, 409);
        refused.says(&["The plan is another one now"]);
        assert_eq!(app.offers_out(), 0);
        // Begun, and then the host closes: who was to go there is refused, with why.
        let planned = app.placement_plan(&app.staff(), &AS_IT_IS).unwrap();
        assert!(planned.plan.moves().all(|(_, to)| to == XEN1));
        let batch = app.offer_plan(&app.staff(), &AS_IT_IS, (&planned.mark, "once-of-this-form")).unwrap();
        app.sql("UPDATE hosts SET state = 'draining' WHERE id = 3; UPDATE hosts SET state = 'enabled' WHERE id = 4");
        app.work_on(batch, Duration::from_secs(60)).unwrap();
        let of = app.in_db(|conn| store::batch::progress(conn, batch)).unwrap();
        assert_eq!(of.refused.len(), all.len());
        assert!(of.refused[0].2.contains("xen1 cannot take this Linode: the host takes no new Linodes"), "{:?}", of.refused[0]);
        assert!(app.offer_plan(&app.member(), &AS_IT_IS, (&planned.mark, "once-of-a-member")).is_err());
    }
}

/// Ten thousand that wait, three hundred hosts.
#[test]
fn a_plan_of_ten_thousand_keeps_its_budget() {
    let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = String::new();
    for n in 1..=300 {
        let id = 1000 + n;
        sql.push_str(&format!(
            "INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at) VALUES
             ({id}, 'xen-beta-{n:03}', 'xen', 'beta', 'enabled', 65536, 4000000, 4, FALSE, '127.0.0.1:7000', 'f{n}', 'x{n}', {at});"
        ));
    }
    for n in 1..=10_000 {
        let id = 50_000 + n;
        let account = n % 2 + 1;
        sql.push_str(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, {account}, 'node-{n:05}', 1, 1, 1, TRUE, 'running', {at}, 'fe:fd:01:{:02x}:{:02x}:{:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 10000, 'ext4', {at});
             INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', 'uml-2.6', '{{}}', '/dev/ubda', TRUE, 'default', '[]');
             INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, {account}, 1, 'approved', {at});",
            n / 65536, n / 256 % 256, n % 256
        ));
    }
    app.sql(&sql);
    let site = Site::serve(&app.app);
    let mut staff = site.signed_in(STAFF_EMAIL);
    let begun = Instant::now();
    let plan = staff.get("/staff/plan");
    let (took, size) = (begun.elapsed(), gzip(&plan.body));
    println!(
        "{size} bytes of gzip, {took:?}: {}",
        plan.fact("Have a place")
    );
    assert!(
        plan.fact("Have a place").starts_with("10000 of 10000"),
        "{}",
        plan.text()
    );
    assert!(size <= 14 * 1024, "{size} bytes of gzip");
    plan.shows(&[
        "others, each on average",
        "Offer 5000 places",
        "5000 are left for a next time",
    ]);
    staff.get(&plan.link("Next page")).shows(&["node-"]);
    assert!(took < Duration::from_secs(60), "{took:?}");
}
