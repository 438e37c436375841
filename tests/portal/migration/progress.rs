//! Progress: by bytes still to send over all passes, never backwards, and never silent without saying so.

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::Step;
use xenbeta::wire::{Order, Outcome, Progress, Renew};

use crate::both_databases;
use crate::browser::{Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, WEB, XEN1};
use crate::support::hand::agent;

const GIB: u64 = 1 << 30;

fn pass(pass: u32, looked: u64, sent: u64, left: Option<u64>) -> Progress {
    Progress {
        pass,
        done_bytes: looked,
        total_bytes: 8 * GIB,
        sent_bytes: sent,
        bytes_per_s: 100 << 20,
        left_bytes: left,
        checked_bytes: None,
    }
}

impl TestApp {
    fn tells(&self, order: &Order, progress: Progress) {
        let renew = Renew {
            console: None,
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            progress: Some(progress),
        };
        self.renew(&agent(XEN1), order.job, &renew).unwrap();
    }

    /// It copies, and its page is open.
    fn copies(&self, linode: LinodeId) -> (Order, String) {
        let row = self.clicked(linode);
        let order = self.work_until("warm_copy");
        (order, format!("/members/migrations/{}", row.id))
    }
}

fn value(page: &Reply) -> u16 {
    page.attribute("[data-k=bar]", "value")
        .unwrap()
        .parse()
        .unwrap()
}

both_databases! {
    fn the_bar_never_goes_back_and_counts_what_is_still_to_send(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (order, url) = app.copies(WEB);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        app.pass_s(20);
        app.tells(&order, pass(1, 2 * GIB, GIB, Some(3 * GIB)));
        let page = member.get(&url);
        assert_eq!(value(&page), 227, "a quarter, of which the guest changes a tenth again");
        page.shows_at("[data-k=progress]", &["Pass 1: 3.0 GiB left to send, 1.0 GiB sent, 100 MiB/s.", "This pass ends in 30 seconds to 90 seconds."]);
        app.tells(&order, pass(1, 8 * GIB, 4 * GIB, Some(0)));
        assert_eq!(value(&member.get(&url)), 909);
        // The second pass reads all of it again, and sends little: the bar does not begin anew.
        app.tells(&order, pass(2, 0, 4 * GIB, Some(GIB)));
        assert_eq!(value(&member.get(&url)), 909, "more was changed than was thought");
        app.tells(&order, pass(2, 4 * GIB, 4 * GIB, Some(200 << 20)));
        let page = member.get(&url);
        assert_eq!(value(&page), 953);
        page.shows_at("[data-k=progress]", &["200 MiB left to send", "This pass ends in a few seconds."]);
        let again = Progress { checked_bytes: Some(3 * GIB), ..pass(2, 8 * GIB, 4 * GIB, Some(0)) };
        app.tells(&order, again);
        let page = member.get(&url);
        assert_eq!(value(&page), 990);
        page.shows_at("[data-k=progress]", &["now the copy is read once more, 3.0 GiB of 8.0 GiB"]);
        // The host loses it and begins anew, with what it has.
        app.answer(XEN1, &order, Outcome::Failed { retry: true, public: "The line was cut.".to_owned(), detail: String::new(), console: None, owns: None }).unwrap();
        assert_eq!(value(&member.get(&url)), 990);
        app.pass_s(3);
        let order = app.take(XEN1);
        app.tells(&order, pass(1, GIB, 0, None));
        assert_eq!(value(&member.get(&url)), 990);
    }

    fn the_switch_over_has_a_bar_of_its_own_that_stays_full_while_it_starts(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (order, url) = app.copies(WEB);
        app.tells(&order, pass(1, 2 * GIB, GIB, Some(3 * GIB)));
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        let order = app.work_until("final_copy");
        app.tells(&order, pass(1, 4 * GIB, 0, Some(0)));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        assert_eq!(value(&member.get(&url)), 454);
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        assert_eq!(value(&member.get(&url)), 1000);
    }

    fn a_host_that_renews_is_not_silent_and_one_that_does_not_is_named(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (order, url) = app.copies(WEB);
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        app.work_until("stop_seal");
        app.run_sql("UPDATE jobs SET started_at = '2026-01-01T00:00:00.000000Z' WHERE state = 'leased'");
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        // It shuts down for minutes, and has no progress to tell of.
        member.get(&url).hides(&["No word from the host"]);
        app.pass_s(7);
        member.get(&url).shows_at("[data-k=quiet]", &["No word from the host for"]);
    }

    fn a_pass_while_it_holds_is_told_and_its_silence_too(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (_, seen) = app.in_db(xenbeta::store::programme::move_times::limits);
        app.set_move_times(&app.staff(), &app.quiet_for(30), seen).unwrap();
        let (order, url) = app.copies(WEB);
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        app.pass_s(301);
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        let row = app.newest_migration(WEB);
        assert_eq!(row.step, Some(Step::TopUp));
        app.tells(&order, pass(1, 4 * GIB, 1 << 20, Some(1 << 20)));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(&url);
        page.shows_at("[data-k=progress]", &["1.0 MiB left to send"]).hides(&["No word from the host"]);
        assert!(page.texts("[data-k=bar]").is_empty(), "its bar is full");
        app.pass_s(9);
        member.get(&url).shows_at("[data-k=quiet]", &["No word from the host for"]);
    }
}
