//! Fairness where it is thin: what nobody can judge is not called fair.

use xenbeta::domain::ids::LinodeId;
use xenbeta::wire::Round;

use crate::both_databases;
use crate::browser::Site;
use crate::fairness::{cells, round};
use crate::support::fleet::{DB, OLD, STAFF_EMAIL, UML1, WEB};

/// The verdict of the only host with samples, on its list, its page and the newest row of that page's table.
fn verdicts(site: &Site) -> [String; 3] {
    let mut staff = site.signed_in(STAFF_EMAIL);
    let list = staff.get("/staff/fairness?range=hour");
    let host = staff.get("/staff/hosts/1/fairness?range=hour");
    let csv = staff.get("/staff/fairness.csv?range=hour");
    let row = cells(&list.body, "tbody tr").remove(0);
    assert!(csv.body.contains(&format!(",{},", row[1])), "{}", csv.body);
    let text = host.text();
    let said = text.split("Last hour: ").nth(1).unwrap_or_default();
    let newest = cells(&host.body, "table:last-of-type tbody tr");
    let last = newest.iter().rev().find_map(|row| row.last().cloned());
    [
        row[1].clone(),
        said.split(" Contention")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
        last.unwrap_or_default(),
    ]
}

both_databases! {
    fn what_could_not_be_compared_is_not_fair(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        // One that waits for the host's own work; its neighbour wants a five-hundredth of it.
        app.under_load(UML1, 10, &[(WEB, 900, 600), (DB, 2, 0)]);
        assert_eq!(verdicts(&site), ["Nothing to compare"; 3].map(str::to_owned));
        // In the next hour they can be.
        app.pass_s(7200);
        app.under_load(UML1, 10, &[(WEB, 333, 300), (DB, 667, 300)]);
        assert_eq!(verdicts(&site), ["Fair"; 3].map(str::to_owned));
    }

    fn a_host_that_cannot_tell_gets_no_verdict(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let now = app.ten();
        for minute in (1..=10).rev() {
            let rounds: Vec<Round> = (0..6).map(|n| {
                let mut round = round(now - 60 * minute + 10 * n, &[(WEB, 500, 500), (OLD, 500, 500)]);
                // One of them is enough: who waits then cannot be known.
                round.guests[1].wait_ms = None;
                round
            }).collect();
            app.send(UML1, rounds);
        }
        app.roll_all();
        let site = Site::serve(&app.app);
        assert_eq!(verdicts(&site), ["Cannot be told"; 3].map(str::to_owned));
        site.signed_in(STAFF_EMAIL).get("/staff/hosts/1/fairness?range=hour").shows(&["this host cannot tell"]);
    }

    fn a_hundred_and_fifty_alike_are_compared(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let ids: Vec<LinodeId> = (0..150).map(|n| LinodeId(5000 + n)).collect();
        app.with_linodes_on(UML1, &ids);
        // 28 ms of each second are one's due: 0.7 % of four CPUs.
        let fair: Vec<_> = ids.iter().map(|id| (*id, 27, 100)).collect();
        app.under_load(UML1, 10, &fair);
        let site = Site::serve(&app.app);
        assert_eq!(verdicts(&site), ["Fair"; 3].map(str::to_owned));
        app.pass_s(7200);
        let mut starved = fair;
        starved[7] = (ids[7], 5, 100);
        app.under_load(UML1, 10, &starved);
        assert_eq!(verdicts(&site), ["Unfair"; 3].map(str::to_owned));
        site.signed_in(STAFF_EMAIL).get("/staff/hosts/1/fairness?range=hour").shows(&["n5007, 18."]);
    }
}
