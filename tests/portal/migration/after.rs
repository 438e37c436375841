//! What the pages of a move say while a host is silent, after it, and after its way back.

use crate::both_databases;
use crate::browser::{Reply, Site};
use crate::races::begin::all_heard;
use crate::support::fleet::{MEMBER_EMAIL, UML1, WEB, XEN1};

/// For how many seconds the page has no word, while these are fewer than 120.
fn silent_s(page: &Reply) -> i64 {
    let text = page.text();
    let said = text
        .split("No word from the host for ")
        .nth(1)
        .expect("it says so");
    said.split(' ').next().unwrap().parse().unwrap()
}

const BOTH: [xenbeta::domain::ids::HostId; 2] = [UML1, XEN1];

both_databases! {
    fn a_silent_host_is_counted_on_until_it_answers(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        all_heard(&app);
        let row = app.clicked(WEB);
        app.take(UML1);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let mut page = || member.get(&format!("/members/migrations/{}", row.id));
        page().hides(&["No word from the host"]);
        app.pass_watched_s(5);
        page().hides(&["No word from the host"]);
        app.pass_watched_s(3);
        assert!((8..13).contains(&silent_s(&page())));
        app.pass_watched_s(17);
        assert!((25..30).contains(&silent_s(&page())));
        // Its lease is over, and the step waits to be taken again: the silence is the same one.
        app.pass_watched_s(10);
        app.reconcile().unwrap();
        let waits = page();
        waits.shows(&["waiting for the host to go on"]).hides(&["to begin"]);
        assert!((35..40).contains(&silent_s(&waits)));
        app.pass_watched_s(600);
        app.reconcile().unwrap();
        page().shows(&["No word from the host for 10 minutes"]);
        // It answers.
        all_heard(&app);
        page().hides(&["No word from the host"]);
        app.take(UML1);
        page().shows(&["Checking the present host."]).hides(&["No word from the host", "waiting for the host"]);
    }

    fn a_silent_host_is_said_where_it_was_to_begin(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        all_heard(&app);
        let row = app.clicked(WEB);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let mut page = || member.get(&format!("/members/migrations/{}", row.id));
        app.pass_s(60);
        page().shows(&["waiting for the host to begin"]).hides(&["No word from the host"]);
        app.pass_s(60);
        page().shows(&["No word from the host for 2 minutes"]);
    }

    fn after_a_move_checks_lead_and_nobody_is_urged_to_confirm(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.work_all(&BOTH);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let mut page = || member.get(&format!("/members/migrations/{}", row.id));
        let fresh = page();
        fresh.shows(&["Please check", "There is no hurry"]);
        fresh.shows_at("main > div.note.good > p", &["Moved. It runs on its new host."]);
        assert!(fresh.fact("Downtime").ends_with(", from the order to stop until it was seen running"), "{}", fresh.fact("Downtime"));
        assert_eq!(fresh.texts("main a.button"), ["Move web back", "All is well: confirm"]);
        assert_eq!(fresh.texts("main a.button.second"), ["Move web back", "All is well: confirm"]);
        app.pass_s(3601);
        let later = page();
        later.shows(&["Please check"]).hides(&["There is no hurry"]);
        assert_eq!(later.texts("main a.button"), ["All is well: confirm", "Move web back"]);
        assert_eq!(later.texts("main a.button.second"), ["Move web back"]);
    }

    fn a_way_back_has_its_own_words_and_asks_why(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.work_all(&BOTH);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let done = member.get(&format!("/members/migrations/{}", row.id));
        let question = member.get(&done.link("Move web back"));
        question.shows(&["please tell us"]);
        let reply = member.submit(&question, "Move web back", &[]);
        app.reconcile().unwrap();
        let at_work = member.follow(&reply);
        at_work.shows(&["Way back"]);
        member.get("/members/").shows(&["Watch the way back of web"]);
        app.work_all(&BOTH);
        let back = member.get(&at_work.path);
        back.shows(&["Moved back. It runs on its old host again.", "Please check", "Why did it go back?", "The next try"]);
        back.hides(&["real load is the best test"]);
        assert!(back.body.contains("<title>Back on its old host"), "{}", back.body);
        for path in ["/members/", "/members/xenbeta", "/members/linodes/101"] {
            let list = member.get(path);
            list.shows_at("main .tag", &["Back on its old host"]).hides(&["Check and confirm"]);
            assert!(!list.texts("main .tag").contains(&"Finished".to_owned()), "{path}");
            assert_eq!(list.link("See the way back of web"), back.path);
        }
        // What is told from there is of where the trouble was.
        for page in [back.clone(), member.get(&done.path)] {
            let report = page.texts("main a").into_iter().find(|text| text.starts_with("Report")).unwrap();
            let first = member.get(&page.link(&report));
            let form = member.submit(&first, "Look for similar bugs", &[("title", "It was slow there")]);
            form.shows(&["Host: xen1 (it is on uml1 now)", "Kernel: 2.6 on Xen"]).hides(&["2.6 under UML"]);
        }
        // From the Linode's own page it is of where it is.
        let now = member.get("/members/bugs/new?linode=101&title=slow");
        now.shows(&["Host: uml1", "Kernel: 2.6 under UML"]).hides(&["xen1"]);
        member.get(&back.link("See how the registration of web stands")).shows(&["Xen Public Beta Registration"]);
        // Confirmed, its words are its own, too.
        let question = member.get(&back.link("All is well: confirm"));
        member.submit(&question, "Confirm the move and delete the old copy of web", &[]);
        member.get(&back.path).shows(&["Moved back and confirmed.", "The next try"]).hides(&["Moved and confirmed"]);
        member.get("/members/xenbeta").shows(&["It is back on its old host. We can offer it another place"]);
        member.get(&done.path).shows(&["Moved back to the old host.", "The next try"]);
    }
}
