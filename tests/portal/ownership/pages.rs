//! What staff see and do when the world does more than the protocol foresaw, and what members read meanwhile, through the
//! front door.

use xenbeta::domain::host::HostState;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::wire::{LedgerMark, Outcome, Poll, Report};

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::host::by_hand::{poll, says};
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, UML1, UML2, WEB, XEN1};
use crate::support::hand::agent;

const SECOND_STAFF: &str = "sue@example.net";

/// A page with links of `text`, followed.
fn go(browser: &mut Browser, page: &Reply, text: &str) -> Reply {
    browser.get(&page.link(text))
}

both_databases! {
    fn a_held_linode_is_believed_with_one_click(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        app.work_until("warm_copy");
        app.cancel_migration(&app.member(), row.id).unwrap();
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/staff/held").shows(&["There are none."]);
        staff.get("/staff/held/101").shows(&["web is not held", "uml1"]);
        assert_eq!(staff.get("/staff/held/999999").status, 404);
        for _ in 0..2 {
            app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)])]);
        }
        staff.get("/staff/jobs").shows(&["1 Linode is held"]);
        staff.get("/staff/").shows(&["1 Linodes held"]);
        let list = staff.get("/staff/held");
        list.shows(&["web", "has sealed epoch 1"]);
        let early = go(&mut staff, &list, "web");
        early.shows(&["web is held", "The portal, of uml1", "not the owner"]);
        app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)])]);
        let one = go(&mut staff, &list, "web");
        one.shows(&["Every host has sealed it. uml1 has its newest disks, of epoch 1"]).hides(&["Not heard of since"]);
        let question = go(&mut staff, &one, "Believe the hosts…");
        question.shows(&["Believe the hosts about web?", "The portal has uml1 with epoch 1"]);
        let done = staff.submit(&question, "Believe the hosts about web", &[]);
        staff.follow(&done).shows(&["The hosts are believed", "web is not held", "put it right", "told so when it next asks"]);
        let again = staff.submit(&question, "Believe the hosts about web", &[]);
        staff.follow(&again).shows(&["web is not held"]).hides(&["The hosts are believed"]);
        assert_eq!(staff.get("/staff/held/101/believe").status, 303);
        staff.get("/staff/held").shows(&["There are none."]).hides(&["is held"]);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 2));
    }

    fn what_is_not_clear_is_said_with_the_hosts_names_and_a_lost_hosts_word_counts_no_more(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let both = [(UML1, vec![says(WEB, 1, 0, true)]), (XEN1, vec![says(WEB, 2, 0, true)])];
        for _ in 0..3 {
            app.all_poll(&both);
        }
        let site = Site::serve(&app.app);
        let (mut staff, mut second) = (site.signed_in(STAFF_EMAIL), site.signed_in(SECOND_STAFF));
        let one = staff.get("/staff/held/101");
        one.shows(&["uml1 and xen1 both hold themselves for its owner", &format!("Migration {}, from uml1 to xen1", row.id)]).hides(&["Believe the hosts…"]);
        let mut member = site.signed_in(MEMBER_EMAIL);
        member.get(&format!("/members/migrations/{}", row.id)).shows(&["Moved. It runs on its new host."]);
        taken_over(&mut staff, &mut second, UML1, "uml1");
        app.reconcile().unwrap();
        staff.get("/staff/held/101").shows(&["web is not held", "xen1"]);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 2));
    }

    fn a_dead_host_is_taken_over_by_two(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let (mut staff, mut second) = (site.signed_in(STAFF_EMAIL), site.signed_in(SECOND_STAFF));
        let host = staff.get("/staff/hosts/3");
        let form = go(&mut staff, &host, "Take xen1 over…");
        form.shows(&["web", "uml1 starts it, with the disks it has", "given up for good"]);
        let ask = "Ask a second member of staff to agree";
        let good = [("evidence", "Rack 4 has burnt; seen by Sam"), ("password", PASSWORD), ("name", "xen1")];
        for (field, bad, said) in [
            ("name", "xen2", "Type the name of the host that you mean: xen1"),
            ("password", "not mine", "This is not your present password"),
            ("evidence", " ", "Say what shows it"),
        ] {
            let fields: Vec<_> = good.iter().map(|(name, value)| (*name, if *name == field { bad } else { *value })).collect();
            let refused = staff.submit(&form, ask, &fields);
            assert_eq!(refused.status, 422, "{}", refused.text());
            refused.says(&["There is a problem", said]);
            assert!(!refused.body.contains(PASSWORD) && !refused.body.contains("not mine"));
            if field != "evidence" {
                refused.says(&["Rack 4 has burnt"]);
            }
        }
        let asked = staff.submit(&form, ask, &good);
        let own = staff.follow(&asked);
        own.shows(&["Another member of staff has to agree", "You asked for this", "Asked for by Sam", "Rack 4 has burnt"]).hides(&["Agree:"]);
        let twice = staff.submit(&form, ask, &good);
        assert_eq!(asked.location, twice.location, "asked twice is asked once");
        assert_eq!(app.in_db(|c| store::host::host(c, XEN1)).unwrap().state, HostState::Enabled);
        second.get("/staff/").shows(&["1 act waits for a second member of staff"]);
        second.get("/staff/hosts/3").shows(&["Sam asked on", "Evidence: Rack 4 has burnt"]);
        let list = second.get("/staff/recovery");
        let act = go(&mut second, &list, "Take xen1 over");
        let agree = "Agree: take xen1 over";
        let unnamed = second.submit(&act, agree, &[("password", PASSWORD), ("name", "")]);
        assert_eq!(unnamed.status, 422);
        let wrong = second.submit(&act, agree, &[("password", "guess"), ("name", "xen1")]);
        wrong.says(&["This is not your present password"]);
        let fields = [("password", PASSWORD), ("name", "xen1")];
        let done = second.submit(&act, agree, &fields);
        second.follow(&done).shows(&["Done: take xen1 over.", "Quarantined"]);
        let late = second.submit(&act, agree, &fields);
        assert_eq!(late.status, 409);
        late.says(&["This was decided already."]);
        staff.get(&asked.location).shows(&["Sue agreed on"]).hides(&["Withdraw"]);
        app.reconcile().unwrap();
        app.work_all(&[UML1]);
        assert_eq!(app.linode(WEB).host_id, UML1);
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        let mut member = site.signed_in(MEMBER_EMAIL);
        assert_eq!(member.get("/staff/joint/1").status, 404);
    }

    fn what_was_asked_for_is_withdrawn_and_guesses_are_bounded(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let form = staff.get("/staff/hosts/3/joint/takeover");
        let ask = "Ask a second member of staff to agree";
        let asked = staff.submit(&form, ask, &[("evidence", "dark"), ("password", PASSWORD), ("name", "xen1")]);
        let own = staff.follow(&asked);
        let question = go(&mut staff, &own, "Withdraw it…");
        question.shows(&["Withdraw: take xen1 over"]);
        let done = staff.submit(&question, "Withdraw it", &[("password", PASSWORD)]);
        staff.follow(&done).shows(&["It is withdrawn. Nothing was done.", "Take xen1 over…"]);
        assert_eq!(staff.get("/staff/hosts/3/joint/nonsense").status, 404);
        let bad = [("evidence", "dark"), ("password", "guess"), ("name", "xen1")];
        let refused = (0..20).map(|_| staff.submit(&form, ask, &bad)).find(|reply| reply.status == 429);
        refused.expect("guesses end").says(&["There were too many tries", "dark"]);
    }

    fn a_recovery_says_whom_it_waits_for(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        let site = Site::serve(&app.app);
        let (mut staff, mut second, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(SECOND_STAFF), site.signed_in(MEMBER_EMAIL));
        staff.get("/staff/recovery").shows(&["It is whole.", "It goes as it should."]);
        app.begin_recovery("A backup was put back.").unwrap();
        let page = staff.get("/staff/recovery");
        page.shows(&["A backup was put back.", "Waits for: 4", "uml1", "xen2", "Do not wait for xen2"]);
        staff.get("/staff/audit").shows(&["The portal recovers its memory since"]);
        staff.get("/staff/").shows(&["4 hosts that the recovery waits for"]);
        staff.get(&format!("/staff/migrations/{}", row.id)).shows(&["It waits for the portal's recovery"]);
        let theirs = member.get(&format!("/members/migrations/{}", row.id));
        theirs.shows(&["On hold: we are comparing our records with every host first."]).hides(&["The portal recovers"]);
        app.pass_s(6);
        for host in [UML1, UML2, XEN1] {
            app.polls(host, vec![]);
        }
        let page = staff.get("/staff/recovery");
        page.shows(&["Waits for: 1"]);
        let form = go(&mut staff, &page, "Do not wait for xen2");
        let asked = staff.submit(&form, "Ask a second member of staff to agree", &[("evidence", "no power"), ("password", PASSWORD)]);
        assert_eq!(asked.status, 303, "{}", asked.text());
        let page = second.get("/staff/recovery");
        let act = go(&mut second, &page, "Asked for: agree…");
        let done = second.submit(&act, "Agree: do not wait for xen2", &[("password", PASSWORD)]);
        assert_eq!(done.status, 303, "{}", done.text());
        app.reconcile().unwrap();
        staff.get("/staff/recovery").shows(&["It is whole."]).hides(&["recovers its memory"]);
    }

    fn a_ledger_that_is_not_trusted_is_shown_and_trusted_again_by_two(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let mark = |id: &str, serial| LedgerMark { id: id.repeat(32), serial, machine: "b".repeat(64), place: "c".repeat(64) };
        let shows = |mark: LedgerMark| Poll { ledger: Some(mark), ..poll(app.with_others(UML1, vec![])) };
        app.note_poll(&agent(UML1), &shows(mark("a", 5))).unwrap();
        app.note_poll(&agent(UML1), &shows(mark("d", 9))).unwrap();
        let site = Site::serve(&app.app);
        let (mut staff, mut second) = (site.signed_in(STAFF_EMAIL), site.signed_in(SECOND_STAFF));
        staff.get("/staff/mail").shows(&["1 host's ledger is not trusted"]);
        let list = staff.get("/staff/hosts?ledger=untrusted");
        list.shows(&["Hosts whose ledger is not trusted", "uml1"]).hides(&["uml2"]);
        let host = go(&mut staff, &list, "uml1");
        host.shows(&["Its ledger is not trusted, since", "another ledger", "aaaaaaaa, 5 records"]);
        let form = go(&mut staff, &host, "Trust the ledger of uml1 again…");
        let asked = staff.submit(&form, "Ask a second member of staff to agree", &[("evidence", "new disk, old folder"), ("password", PASSWORD)]);
        let act = second.get(&asked.location);
        let done = second.submit(&act, "Agree: trust the ledger of uml1 again", &[("password", PASSWORD)]);
        second.follow(&done).shows(&["Done"]).hides(&["is not trusted"]);
    }

    fn what_a_migration_waits_for_is_said_with_what_can_be_done(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        app.work_until("final_copy");
        app.polls(XEN1, vec![]);
        app.pass_s(100);
        app.sql("UPDATE migrations SET step_job_id = (SELECT max(id) FROM jobs WHERE kind = 'final_copy')");
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        staff.get("/staff/").shows(&["1 migrations need staff"]);
        let list = staff.get("/staff/migrations?state=stuck");
        list.shows(&["Only: their present step has failed for good, or its host is silent"]);
        let page = go(&mut staff, &list, &format!("Migration {}", row.id));
        page.shows(&["It waits for xen1, which is silent. Since", "Take xen1 over…"]);
        let question = go(&mut staff, &page, "Roll back…");
        question.shows(&["its disks are sealed on uml1", "xen1 never owned it"]);
        let reply = staff.submit(&question, &format!("Roll back migration {} of web", row.id), &[]);
        assert_eq!(reply.status, 303);
        app.work_all(&[UML1]);
        assert_eq!(app.linode(WEB).host_id, UML1);
        staff.get("/staff/").shows(&["0 migrations need staff"]);
        member.get(&format!("/members/migrations/{}", row.id)).shows(&["failed"]);
    }

    fn the_old_copy_stays_until_the_new_host_has_shown_its_disks(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        let order = app.work_until("final_copy");
        let Report::Copied { epoch, digests, sent_bytes, seconds, .. } = app.success(&order) else { panic!() };
        let report = Report::Copied { epoch, digests, sent_bytes, seconds, uncached: Some(false) };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let (theirs, ours) = (format!("/members/migrations/{}", row.id), format!("/staff/migrations/{}", row.id));
        member.get(&theirs).shows(&["read them back through the file system's cache"]).hides(&["The old copy stays"]);
        staff.get(&ours).shows(&["It waits for its member to confirm"]);
        app.confirm_migration(&app.member(), row.id).unwrap();
        member.get(&theirs).shows(&["The old copy stays until the new host has shown"]);
        staff.get(&ours).shows(&["It waits for xen1 to show that it has the Linode's disks"]);
        app.work_all(&[UML1, XEN1]);
        app.pass_s(61);
        app.work_all(&[UML1, XEN1]);
        member.get(&theirs).hides(&["The old copy stays"]);
        staff.get(&ours).hides(&["It waits for"]);
    }
}

/// Two members of staff take the host over.
fn taken_over(staff: &mut Browser, second: &mut Browser, host: HostId, name: &str) {
    let form = staff.get(&format!("/staff/hosts/{host}/joint/takeover"));
    let given = [
        ("evidence", "seen dark"),
        ("password", PASSWORD),
        ("name", name),
    ];
    let asked = staff.submit(&form, "Ask a second member of staff to agree", &given);
    let act = second.get(&asked.location);
    let done = second.submit(
        &act,
        &format!("Agree: take {name} over"),
        &[("password", PASSWORD), ("name", name)],
    );
    assert_eq!(done.status, 303, "{}", done.text());
}
