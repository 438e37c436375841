//! The timeline of a move, as a picture and as a table: what followed what, with the time in which the Linode was off marked.

use xenbeta::domain::migration::MigrationState;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::{Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::kind;

fn parts(page: &Reply) -> Vec<(String, String)> {
    let rows = page.rows("Parts of the move");
    let two = |row: Vec<String>| (row[0].clone(), row[2].clone());
    rows.into_iter().map(two).collect()
}

impl TestApp {
    /// Each step takes so long.
    fn slowly(&self) {
        for _ in 0..20 {
            self.reconcile().unwrap();
            for host in [UML1, XEN1] {
                let Some(order) = self.claim(&crate::support::hand::agent(host)).unwrap() else {
                    continue;
                };
                let seconds = match kind(&order).as_str() {
                    "stop_seal" => 9,
                    "final_copy" => 11,
                    "warm_copy" => 20,
                    _ => 0,
                };
                self.pass_watched_s(seconds);
                let report = self.success(&order);
                self.answer(host, &order, Outcome::Succeeded { report })
                    .unwrap();
            }
        }
    }
}

both_databases! {
    fn a_move_has_a_timeline_with_its_downtime_marked(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.chosen(WEB, crate::support::hand::now_click());
        let (url, staffs) = (format!("/members/migrations/{}", row.id), format!("/staff/migrations/{}", row.id));
        let site = Site::serve(&app.app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        assert!(member.get(&url).texts("#timeline").is_empty(), "nothing was begun");
        app.pass_s(120);
        app.slowly();
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        for page in [member.get(&url), staff.get(&staffs)] {
            let parts = parts(&page);
            let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["Waited", "Copied while it ran", "In step, until its moment", "Off", "Way back open"]);
            let off = &parts[3].1;
            assert!(off.ends_with("seconds") && (20..25).contains(&off.split(' ').next().unwrap().parse().unwrap()), "{off}");
            assert_eq!(page.texts(".line text"), [format!("off for {off}")]);
            assert_eq!(page.texts(".line title"), ["Timeline of the move"]);
            assert!(page.texts(".line desc")[0].contains(&format!("Off: {off}.")));
            assert_eq!(page.attribute(".line svg", "aria-labelledby").unwrap(), "line-t line-d");
            // The parts fill the picture, from left to right.
            let number = |name: &str| -> f64 { page.attribute(".line rect.b", name).unwrap().trim_end_matches('%').parse().unwrap() };
            assert!((99.0..=101.0).contains(&(number("x") + number("width"))));
        }
        assert_eq!(parts(&member.get(&url))[4].1, "7 days");
        // Confirmed: the way back ended then.
        app.pass_s(3600);
        app.confirm_migration(&app.member(), row.id).unwrap();
        assert_eq!(parts(&member.get(&url))[4].1, "60 minutes");
    }

    fn a_move_that_failed_while_it_copied_was_never_off(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.pass_s(30);
        app.answer(XEN1, &order, Outcome::Failed { retry: false, public: "The disk is full.".to_owned(), detail: String::new(), console: None, owns: None }).unwrap();
        let site = Site::serve(&app.app);
        let page = site.signed_in(MEMBER_EMAIL).get(&format!("/members/migrations/{}", row.id));
        let parts = parts(&page);
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(page.texts(".line text").is_empty());
    }
}
