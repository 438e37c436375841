//! Linodes that are never both down: of two whose moment has come the second waits until the first is well.

use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::migration::MigrationState as State;
use xenbeta::domain::values::GroupName;
use xenbeta::store::migration::Migration;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click};

impl TestApp {
    fn grouped(&self, linodes: &[LinodeId]) {
        for linode in linodes {
            let name = GroupName::parse(" Database ").unwrap();
            self.set_never_both(&self.member(), *linode, &name).unwrap();
        }
    }

    /// Carries out one order of this host, if it has one.
    fn try_work(&self, host: HostId) {
        if let Some(order) = self.claim(&agent(host)).unwrap() {
            let report = self.success(&order);
            self.answer(host, &order, Outcome::Succeeded { report })
                .unwrap();
        }
    }

    /// Both asked for, with slots for both.
    fn both_asked(&self) -> [Migration; 2] {
        let rows = [WEB, OLD].map(|linode| self.chosen(linode, now_click()));
        self.sql("UPDATE programme SET max_overall = 9; UPDATE hosts SET slots = 9");
        self.reconcile().unwrap();
        rows
    }

    /// Until both are done, an order at a time: how many were switched over at once, at most.
    fn most_at_once(&self, rows: &[Migration; 2]) -> usize {
        let mut most = 0;
        for _ in 0..200 {
            self.reconcile().unwrap();
            let states = rows.each_ref().map(|row| self.migration(row.id).state);
            let switched = states.iter().filter(|state| **state == State::Switching);
            most = most.max(switched.count());
            if states == [State::Finished; 2] {
                break;
            }
            for host in [UML1, XEN1] {
                self.try_work(host);
            }
        }
        most
    }
}

both_databases! {
    fn of_two_the_second_stops_when_the_first_is_well(app: TestApp) {
        let app = app.with_fleet();
        app.grouped(&[WEB, OLD]);
        let rows = app.both_asked();
        let most = app.most_at_once(&rows);
        assert_eq!(rows.map(|row| app.migration(row.id).state), [State::Finished; 2]);
        assert_eq!(most, 1, "never both at once");
    }

    fn without_a_group_both_stop_at_once(app: TestApp) {
        let app = app.with_fleet();
        let rows = app.both_asked();
        assert_eq!(app.most_at_once(&rows), 2);
    }

    fn while_the_other_is_off_it_is_late_and_its_member_hears_why(app: TestApp) {
        let app = app.with_fleet();
        app.grouped(&[WEB, OLD]);
        app.sql(&format!("UPDATE linodes SET status = 'offline' WHERE id = {OLD}"));
        let row = app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Holding);
        let label = app.linode(OLD).label;
        let later = xenbeta::app::migration::actions::Click { at: Some(app.now().plus_s(1200)), ..now_click() };
        app.migrate(&app.member(), WEB, later).unwrap();
        app.pass_s(1262);
        app.reconcile().unwrap();
        let mail = app.mails_of("late");
        assert!(mail[0].contains(&format!("{label}, which is never to be down together with it, is off")), "{mail:?}");
        // Passes go on meanwhile. It comes up: this one is stopped.
        app.sql(&format!("UPDATE linodes SET status = 'running' WHERE id = {OLD}"));
        assert_eq!(kind(&app.work(XEN1)), "warm_copy");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
    }

    fn one_that_is_off_itself_waits_for_nobody(app: TestApp) {
        let app = app.with_fleet();
        app.grouped(&[WEB, OLD]);
        let row = app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        app.sql(&format!("UPDATE linodes SET status = 'offline' WHERE id IN ({WEB}, {OLD})"));
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
    }

    fn the_name_is_given_on_a_page_and_others_accounts_do_not_count(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/linodes/{WEB}/never-both");
        let page = member.get(&url);
        let bad = member.submit(&page, "Save the name", &[("never_both", "a<b")]);
        assert_eq!(bad.status, 422);
        let saved = member.submit(&page, "Save the name", &[("never_both", "Database")]);
        assert!(member.follow(&saved).fact("Never both down").contains("With others named database"));
        app.sql("UPDATE linodes SET never_both = 'database', status = 'offline' WHERE account_id <> 1");
        let row = app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
        assert_eq!(member.submit(&page, "Save the name", &[("never_both", " ")]).status, 303);
        assert_eq!(app.linode(WEB).never_both, "");
    }
}
