//! What Linodes used and how fairly: samples come in as agents send them, are rolled up and forgotten, and pages show them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use xenbeta::app::fairness::weights::ByHand;
use xenbeta::domain::fairness::judge::Verdict;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::store;
use xenbeta::store::schema::{host_fairness, usage_days, usage_rounds};
use xenbeta::wire::{Round, Samples, Share, Used};

use crate::both_databases;
use crate::browser::Site;
use crate::races::begin::one_each;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB, XEN1};
use crate::support::hand;

const AT: &str = "'2026-01-01T00:00:00.000000Z'";

/// What one guest got and waited for, of each second, in ms.
pub type Guest = (LinodeId, u64, u64);

pub fn used((linode, cpu, wait): Guest) -> Used {
    Used {
        linode,
        ms: 10_000,
        cpu_ms: 10 * cpu,
        wait_ms: Some(10 * wait),
        disk_read_bytes: 40_960,
        disk_write_bytes: 81_920,
        disk_read_ops: 5,
        disk_write_ops: 7,
        net_in_bytes: 1000,
        net_out_bytes: 2000,
        share: None,
    }
}

pub fn round(at: i64, guests: &[Guest]) -> Round {
    Round {
        at: DateTime::<Utc>::from_timestamp(at, 0).unwrap(),
        guests: guests.iter().copied().map(used).collect(),
    }
}

impl TestApp {
    /// The portal's time now, cut to ten seconds.
    pub fn ten(&self) -> i64 {
        self.now().utc().timestamp() / 10 * 10
    }

    pub fn send(&self, host: HostId, rounds: Vec<Round>) {
        self.note_samples(&hand::agent(host), &Samples { rounds })
            .unwrap();
    }

    /// The guests' load for so many minutes up to now, sample by sample, rolled up.
    pub fn under_load(&self, host: HostId, minutes: i64, guests: &[Guest]) {
        let now = self.ten();
        for minute in (1..=minutes).rev() {
            let from = now - 60 * minute;
            self.send(host, (0..6).map(|n| round(from + 10 * n, guests)).collect());
        }
        self.roll_all();
    }

    pub fn roll_all(&self) {
        while self.roll_usage().unwrap() > 0 {}
    }

    /// A Xen host of that many in the fleet.
    pub fn with_host(&self, id: HostId) {
        self.execute(&format!(
            "INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, created_at) \
             VALUES ({id}, 'h{id}', 'xen', 'beta', 'enabled', 1, 1, {AT})"
        ));
    }

    /// Running Linodes of the first plan, owned by that host.
    pub fn with_linodes_on(&self, host: HostId, ids: &[LinodeId]) {
        let rows: Vec<String> = ids
            .iter()
            .map(|id| {
                format!("({id}, 2, 'n{id}', 1, {host}, 1, TRUE, 'running', {AT}, 'm{id}', {AT})")
            })
            .collect();
        self.execute(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES {}",
            rows.join(",")
        ));
    }

    pub fn execute(&self, sql: &str) {
        use diesel::connection::SimpleConnection;
        self.db
            .write(|conn| Ok::<_, xenbeta::store::error::StoreError>(conn.batch_execute(sql)?))
            .unwrap();
    }

    pub fn count_rounds(&self, step: i64) -> i64 {
        self.in_db(|conn| {
            Ok(usage_rounds::table
                .filter(usage_rounds::step.eq(step))
                .count()
                .get_result(conn)?)
        })
    }
}

/// Three guests on one CPU: by plan their weights are 512, 1024, 512.
const BY_WEIGHT: [Guest; 3] = [(WEB, 250, 750), (DB, 500, 500), (OLD, 250, 750)];
const ALIKE: [Guest; 3] = [(WEB, 334, 666), (DB, 333, 667), (OLD, 333, 667)];

both_databases! {
    fn rounds_are_stored_once_and_rolled_up(app: TestApp) {
        let app = app.with_fleet();
        let start = (app.ten() - 1800) / 600 * 600;
        let rounds: Vec<Round> = (0..60).map(|n| round(start + 10 * n, &BY_WEIGHT)).collect();
        for batch in rounds.chunks(20) {
            app.send(UML1, batch.to_vec());
            app.send(UML1, batch.to_vec());
        }
        assert_eq!(app.count_rounds(10), 60, "what is sent twice counts once");
        app.roll_all();
        assert_eq!((app.count_rounds(60), app.count_rounds(600)), (10, 1));
        let ten = app.in_db(|conn| store::fairness::usage::rounds(conn, 600, &[UML1], (start, start + 600)));
        let of = store::fairness::pack::unpack_round(600, &ten[0].data).unwrap();
        let (linode, web) = of[0];
        assert_eq!((linode, web.covered_ms, web.contended_ms), (WEB, 600_000, 600_000));
        assert_eq!((web.cpu_ms, web.wait_ms, web.got_ms, web.due_ms), (150_000, 450_000, 150_000, 150_000));
        assert_eq!((web.reads, web.read_bytes, web.weight), (300, 2_457_600, 512));
        // A late round: its minute and its ten minutes are made anew, and nothing is counted twice.
        let late: Vec<Guest> = vec![(WEB, 250, 750), (DB, 500, 500)];
        app.send(UML1, vec![round(start + 600, &late)]);
        app.roll_all();
        app.send(UML1, vec![round(start + 610, &late)]);
        app.roll_all();
        app.roll_all();
        let next = app.in_db(|conn| store::fairness::usage::rounds(conn, 600, &[UML1], (start + 600, start + 1200)));
        let of = store::fairness::pack::unpack_round(600, &next[0].data).unwrap();
        assert_eq!((of.len(), of[0].1.covered_ms), (2, 20_000));
        assert!(app.second().roll_usage().unwrap() == 0, "another portal finds nothing to do");
    }

    fn weights_honoured_are_fair_and_ignored_are_unfair(app: TestApp) {
        let app = app.with_fleet();
        app.under_load(UML1, 30, &BY_WEIGHT);
        let now = app.ten();
        let summary = |app: &TestApp| {
            app.in_db(|conn| store::fairness::summaries(conn, 60, (now - 3600, now + 7200))).remove(0)
        };
        let fair = summary(&app);
        let verdict = |it: &store::fairness::Summary| xenbeta::domain::fairness::judge::verdict(&it.figures());
        assert!(fair.contended_ms >= 28 * 60_000, "{fair:?}");
        assert_eq!(verdict(&fair), Verdict::Fair);
        app.pass_s(3600);
        app.under_load(UML1, 30, &ALIKE);
        let later = app.in_db(|conn| store::fairness::summaries(conn, 60, (now + 1700, now + 7200))).remove(0);
        assert!(later.jain() < 0.95 && later.least() < 0.7, "{later:?}");
        assert_ne!(verdict(&later), Verdict::Fair);
        let worst = app.in_db(|conn| store::fairness::worst(conn, &[UML1], 60, (now + 1700, now + 7200))).remove(0);
        assert!(worst.worst_id != DB && worst.worst_ratio > 1300, "{worst:?}");
    }

    fn hostile_samples_are_refused_or_cut(app: TestApp) {
        let app = app.with_fleet();
        let now = app.ten();
        let mut absurd = used((WEB, 1, 1));
        absurd.ms = u64::MAX;
        absurd.cpu_ms = u64::MAX;
        absurd.wait_ms = Some(u64::MAX);
        absurd.disk_read_bytes = u64::MAX;
        absurd.share = Some(Share { cpu_weight: i64::MIN, io_priority: 255 });
        let mut guests = vec![absurd.clone(), absurd];
        // Not this host's; none at all; thousands.
        guests.extend((0..5000).map(|n| used((LinodeId(n * 1_000_003), 500, 500))));
        let xen = Round { at: DateTime::<Utc>::from_timestamp(now, 0).unwrap(), guests: guests.clone() };
        app.send(XEN1, vec![xen.clone()]);
        assert_eq!(app.count_rounds(10), 0, "a host is heard of its own Linodes only");
        app.send(UML1, vec![xen, round(now - 4000, &BY_WEIGHT), round(now + 4000, &BY_WEIGHT)]);
        let rows = app.in_db(|conn| store::fairness::usage::rounds(conn, 10, &[UML1], (0, now * 2)));
        assert_eq!(rows.len(), 1, "neither the past nor the future");
        let of = store::fairness::pack::unpack_round(10, &rows[0].data).unwrap();
        assert_eq!(of.len(), 1);
        let web = of[0].1;
        assert_eq!((web.covered_ms, web.cpu_ms, web.weight), (60_000, 240_200, 1), "four CPUs for a minute");
        assert_eq!((web.wait_ms, web.read_bytes), (0, 6_000_000_000_000));
        let many = Samples { rounds: (0..31).map(|n| round(now - n * 10, &BY_WEIGHT)).collect() };
        assert!(app.note_samples(&hand::agent(UML1), &many).is_err());
        // THEIRS is on this host, and another account's.
        app.send(UML1, vec![round(now - 10, &[(THEIRS, 1, 1)])]);
        assert_eq!(app.count_rounds(10), 2);
    }

    fn days_are_packed_and_old_usage_is_forgotten(app: TestApp) {
        let app = app.with_fleet();
        app.under_load(UML1, 25, &BY_WEIGHT);
        app.pass_s(2 * 86_400);
        app.roll_all();
        let days: Vec<(LinodeId, i64, Vec<u8>)> = app.in_db(|conn| Ok(usage_days::table.order((usage_days::linode_id, usage_days::day)).load(conn)?));
        let parts: Vec<_> = days.iter().filter(|(linode, ..)| *linode == WEB).flat_map(|(_, _, data)| store::fairness::pack::unpack_day(data).unwrap()).collect();
        assert!((3..=4).contains(&parts.len()), "{parts:?}");
        let cpu: u64 = parts.iter().map(|part| part.usage.cpu_ms).sum();
        assert_eq!(cpu, 25 * 15_000);
        assert!(parts.iter().all(|part| part.host == UML1 && part.usage.weight == 512));
        assert_eq!((app.count_rounds(10), app.count_rounds(60)), (0, 0), "past their time");
        let of_day: i64 = app.in_db(|conn| Ok(host_fairness::table.filter(host_fairness::step.eq(86_400)).count().get_result(conn)?));
        assert!(of_day >= 1);
        app.pass_s(401 * 86_400);
        app.roll_all();
        assert_eq!(app.count_rounds(600), 0);
        let left: i64 = app.in_db(|conn| Ok(usage_days::table.count().get_result(conn)?));
        let fairness: i64 = app.in_db(|conn| Ok(host_fairness::table.count().get_result(conn)?));
        assert_eq!((left, fairness), (0, 0));
    }

    fn a_wrong_share_is_put_right_by_the_answer_to_samples(app: TestApp) {
        let app = app.with_fleet();
        let mut one = round(app.ten(), &[(WEB, 1, 0), (DB, 1, 0)]);
        one.guests[0].share = Some(Share { cpu_weight: 512, io_priority: 4 });
        one.guests[1].share = Some(Share { cpu_weight: 512, io_priority: 4 });
        let wrong = app.note_samples(&hand::agent(UML1), &Samples { rounds: vec![one.clone()] }).unwrap();
        assert_eq!(wrong, [(DB, Share { cpu_weight: 1024, io_priority: 3 })]);
        app.set_linode_weight(&app.staff(), WEB, ByHand { weight: Some(2048), reason: "a test", was: None }).unwrap();
        let wrong = app.note_samples(&hand::agent(UML1), &Samples { rounds: vec![one] }).unwrap();
        assert_eq!(wrong[0], (WEB, Share { cpu_weight: 2048, io_priority: 2 }));
    }
}

/// Cells of the page's tables, row by row.
pub fn cells(body: &str, row: &str) -> Vec<Vec<String>> {
    use scraper::{Html, Selector};
    let page = Html::parse_document(body);
    let (rows, cells) = (
        Selector::parse(row).unwrap(),
        Selector::parse("th, td").unwrap(),
    );
    page.select(&rows)
        .map(|row| {
            row.select(&cells)
                .map(|cell| cell.text().collect::<String>().trim().to_owned())
                .collect()
        })
        .collect()
}

/// A host with weights 1:2:4 on it.
fn one_two_four(app: &TestApp) {
    for (linode, weight) in [(WEB, 256), (DB, 512), (OLD, 1024)] {
        app.set_linode_weight(
            &app.staff(),
            linode,
            ByHand {
                weight: Some(weight),
                reason: "a test",
                was: None,
            },
        )
        .unwrap();
    }
}
/// One CPU by 1:2:4, and dealt alike to all.
const ONE_TWO_FOUR: [Guest; 3] = [(WEB, 143, 857), (DB, 286, 714), (OLD, 571, 429)];

both_databases! {
    fn a_member_sees_share_got_and_due(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        one_two_four(&app);
        app.under_load(UML1, 50, &ONE_TWO_FOUR);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        for (range, rows) in [("hour", 50..=52), ("day", 2..=3), ("beta", 1..=7)] {
            for (linode, due) in [(WEB, 14.3), (DB, 28.6), (OLD, 57.1)] {
                let page = member.get(&format!("/members/fairness?linode={linode}&range={range}"));
                page.shows_at("figcaption", &["Share got and share due"]).shows_at("dl.facts dt", &["Got of what was due"]);
                page.shows_at("h1 + p", &["uml1 (UML)"]).hides(&["theirs"]);
                let table = cells(&page.body, "table.dense tbody tr");
                assert!(rows.contains(&table.len()), "{range}: {table:?}");
                for row in &table {
                    let [shown_due, got, of_due] = [3, 4, 5].map(|at| row[at].parse::<f64>().unwrap());
                    assert!((shown_due - due).abs() < due * 0.05 && (got - due).abs() < due * 0.05, "{row:?}");
                    assert!((of_due - 100.0).abs() < 5.0, "{row:?}");
                }
                // The CSV is the table.
                let csv = member.get(&page.link("CSV of this table"));
                let lines: Vec<Vec<String>> = csv.csv().lines().skip(1).map(|line| line.split(',').take(10).map(str::to_owned).collect()).collect();
                assert_eq!(lines.len(), table.len());
                for (line, row) in lines.iter().zip(&table) {
                    assert_eq!(line[1..], row[1..]);
                }
                let all = member.get(&page.link("CSV of every interval kept"));
                assert!(all.body.lines().count() > table.len());
                assert!(page.body.contains("<svg") && !page.body.contains("style="), "drawn without styles");
                let gz = gzip(&page.body);
                assert!(gz <= 6 * 1024, "{range}: {gz} bytes");
            }
        }
        assert_eq!(member.get("/members/fairness?linode=201").status, 404, "somebody else's");
        assert_eq!(member.get("/members/fairness.csv?linode=201").status, 404);
        assert_eq!(member.get("/members/fairness?linode=x").status, 404);
        assert_eq!(member.get("/members/fairness?range=year").status, 400);
        site.signed_in("otto@example.com").get("/members/fairness").shows_at("h1 + p", &["theirs"]).shows_at("main > p", &["There are no samples"]).hides(&["web"]);
    }

    fn staff_see_who_is_unfair(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        one_two_four(&app);
        app.in_db(|conn| Ok(diesel::update(xenbeta::store::schema::linodes::table.find(THEIRS)).set(xenbeta::store::schema::linodes::status.eq("running")).execute(conn)?));
        app.under_load(UML1, 30, &ALIKE);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for range in ["hour", "day", "beta"] {
            let page = staff.get(&format!("/staff/fairness?range={range}"));
            page.shows(&[]).hides(&["xen1"]);
            let row = &cells(&page.body, "tbody tr")[0];
            assert_eq!(row[..2], ["uml1", "Unfair"]);
            let jain: f64 = row[5].parse().unwrap();
            assert!((jain - 0.778).abs() < 0.01, "{row:?}");
            assert!(row[7].starts_with("web, 23"), "{row:?}");
            let csv = staff.get(&page.link("CSV of all hosts"));
            assert!(csv.csv().lines().nth(1).unwrap().contains(",Unfair,"), "{}", csv.body);
            let host = staff.get(&page.link("uml1"));
            assert_eq!((host.status, host.heading().as_str()), (200, "Fairness of uml1"));
            host.shows_at("h1 ~ p .tag", &["Unfair"]).shows_at("#linodes + div tbody th", &["web", "db", "old"]).shows_at("h2", &["Over time"]);
            let csv = staff.get(&format!("/staff/hosts/1/fairness.csv?range={range}"));
            assert!(csv.body.lines().count() > 1, "{}", csv.body);
        }
        staff.get("/staff/hosts/3/fairness").shows_at("main > p", &["has sent no samples"]);
        assert_eq!(staff.get("/staff/hosts/99/fairness").status, 404);
        assert_eq!(staff.get("/staff/fairness?range=x").status, 400);
    }

    fn before_and_after_a_move(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let for_hours = |host, guests: &[Guest]| for _ in 0..3 {
            app.pass_s(2700);
            app.under_load(host, 45, guests);
        };
        for_hours(UML1, &BY_WEIGHT);
        app.clicked(WEB);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let migration = format!("/members/migrations/{}", app.newest_migration(WEB).id);
        // After some minutes nothing is compared, and it is said why.
        app.pass_s(300);
        app.under_load(XEN1, 4, &[(WEB, 900, 10)]);
        let page = member.get("/members/fairness?linode=101");
        page.shows_at("h2#moved", &["Before and after the move"]).shows_at("#moved + p", &["uml1 (UML)", "xen1 (Xen)"]);
        page.shows(&["The comparison comes when two hours were watched", "So far it is 2 hours", " before, and 4 minutes after"]).hides(&["How it fares"]);
        member.get(&migration).hides(&["Before and after the move"]);
        for_hours(XEN1, &[(WEB, 900, 10)]);
        let page = member.get("/members/fairness?linode=101");
        // It leads with what it waited for, and with a word for it.
        page.shows_at("#moved ~ p .tag", &["Better"]).says(&["It waits less for CPU than before. Nobody there has taken CPU from it."]);
        let fares = page.rows("Before and after the move");
        assert_eq!(fares[0], ["Waited, of the time in which it wanted CPU, %", "75.0", "1.1"]);
        assert_eq!(fares[1], ["Got of what was due under contention, %", "100.0", "no contention"]);
        let used = page.rows("What it used before and after the move");
        let figure = |name: &str| used.iter().find(|row| row[0].starts_with(name)).unwrap()[1..].to_vec();
        assert_eq!(figure("CPU used"), ["25.0", "90.0"]);
        assert_eq!(figure("Disk, blocks"), ["3.0", "3.0"]);
        page.says_at("details > p.small", &["token limiter", "blocks of 4 KiB"]);
        let page = member.get(&migration);
        page.shows_at("h2#moved", &["Before and after the move"]);
        assert_eq!(page.row("What it used before and after the move", "CPU used, % of one CPU")[1..], ["25.0", "90.0"]);
    }

    fn a_range_over_a_move_is_told_host_by_host(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.under_load(UML1, 20, &BY_WEIGHT);
        app.clicked(WEB);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        // There is nothing of the new host yet: what there is, is the old one's.
        let page = member.get("/members/fairness?linode=101&range=hour");
        page.shows_at("h1 + p", &["web, now on xen1 (Xen), got of each of its hosts"]).shows_at("thead th", &["uml1 (UML)"]);
        assert_eq!(page.rows("Host by host")[0], ["Watched for", "20 minutes"]);
        app.pass_s(300);
        app.under_load(XEN1, 4, &[(WEB, 900, 10)]);
        for range in ["hour", "day", "beta"] {
            let page = member.get(&format!("/members/fairness?linode=101&range={range}"));
            page.shows_at("h1 + p", &["web, now on xen1 (Xen), got of each of its hosts"]);
            let rows = page.rows("Host by host");
            assert_eq!(rows[0], ["Watched for", "20 minutes", "4 minutes"], "{range}: {rows:?}");
            assert_eq!(page.row("Host by host", "CPU used, of one CPU")[1..], ["25.0 %", "90.0 %"]);
            assert_eq!(page.row("Host by host", "Got of what was due under contention")[1..], ["100.0 %", ""]);
            // Each row is of one host, and the charts say when it moved.
            let hosts: Vec<String> = cells(&page.body, "table.dense tbody tr").iter().map(|row| row[10].clone()).collect();
            assert_eq!((hosts.first().unwrap().as_str(), hosts.last().unwrap().as_str()), ("xen1 (Xen)", "uml1 (UML)"), "{range}");
            page.says_at("figcaption", &["upright, moved to xen1 (Xen), "]);
            assert_eq!(page.texts("figure svg path.m").len(), 2, "in both charts");
            let csv = member.get(&page.link("CSV of this table"));
            let last: Vec<String> = csv.csv().lines().map(|line| line.rsplit(',').next().unwrap().to_owned()).collect();
            assert_eq!(last[0], "host");
            assert_eq!(last[1..], hosts);
            assert!(gzip(&page.body) <= 6 * 1024, "{range}");
        }
        // One that stayed has one host, and no line.
        let page = member.get("/members/fairness?linode=102");
        page.shows_at("h1 + p", &["db, now on uml1 (UML), got of its host"]).hides(&["upright"]);
        assert!(page.rows("Host by host").is_empty());
        // The series goes on over the move.
        assert!(cells(&member.get("/members/fairness?linode=101&range=hour").body, "table.dense tbody tr").len() >= 23);
    }

    fn one_of_a_thousand_is_found_by_its_label(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let few = Site::serve(&app.app).signed_in(MEMBER_EMAIL).get("/members/fairness");
        assert_eq!(few.texts("nav[aria-label=Linode] a"), ["db", "old", "web"]);
        few.hides(&["Look for it"]);
        one_each(&app, 1001);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/fairness");
        page.shows_at("h1 + p", &["db"]);
        assert!(page.texts("nav[aria-label=Linode] a").is_empty());
        assert!(gzip(&page.body) <= 6 * 1024);
        let found = member.submit(&page, "Look for it", &[("q", "NODE-600")]);
        found.shows_at("h1 + p", &["node-6000"]);
        let some = member.submit(&page, "Look for it", &[("q", "node-599")]);
        assert_eq!(some.texts("main form + ul a").len(), 10);
        some.shows_at("h1 + p", &["db"]);
        member.get(&some.link("node-5991")).shows_at("h1 + p", &["node-5991"]);
        member.submit(&page, "Look for it", &[("q", "web")]).shows_at("h1 + p", &["web"]);
        member.submit(&page, "Look for it", &[("q", "theirs")]).shows(&["No Linode of this account has that"]).shows_at("h1 + p", &["db"]);
        member.get("/members/linodes/6000").shows(&["What node-6000 gets of its host"]);
    }

    fn staff_change_weights_after_a_look(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/fairness/weights");
        page.shows_at("h1 + p", &["each plan's own weight"]);
        page.shows_at("tbody th", &["Linode 512"]).shows_at("tbody td", &["1024"]);
        let look = staff.submit(&page, "Preview the rule", &[("kind", "linear"), ("base", "64"), ("unit_mb", "4")]);
        let then = look.shows(&[]).column("Weights of plans", "Weight then");
        assert!(["192", "320"].iter().all(|weight| then.iter().any(|it| it == weight)), "{then:?}");
        let reply = staff.submit(&look, "Save this rule", &[]);
        let saved = staff.follow(&reply);
        saved.shows_at("main > div.note > p", &["The rule is saved"]).shows_at("h1 + p, h1 ~ p", &["64 and one more for every 4 MiB of RAM"]);
        assert_eq!(staff.submit(&look, "Save this rule", &[]).status, 303, "twice is once");
        let old = staff.submit(&look, "Save this rule", &[("kind", "plan")]);
        assert_eq!(old.status, 409);
        for (field, value, said) in [("base", "-1", "from 0 to 65535"), ("unit_mb", "0", "from 1 to 65536"), ("base", "x", "whole number"), ("kind", "odd", "Choose one")] {
            let mut fields = vec![("kind", "linear"), ("base", "1"), ("unit_mb", "1")];
            fields.iter_mut().filter(|it| it.0 == field).for_each(|it| it.1 = value);
            let reply = staff.submit(&page, "Preview the rule", &fields);
            reply.says_beside(field, said);
            let reply = staff.submit(&look, "Save this rule", &fields);
            assert_eq!(reply.status, 422, "{field}={value}");
        }
        // One Linode: the neighbours' shares are shown first.
        let page = staff.get("/staff/fairness/weights");
        let look = staff.submit(&page, "Preview the weight", &[("linode", "101"), ("weight", "896"), ("reason", "a promise")]);
        look.shows_at("main > p", &["If all Linodes of uml1 want"]).shows_at("tbody td", &["21.4 %", "56.0 %"]);
        let reply = staff.submit(&look, "Save the weight of web", &[]);
        let page = staff.follow(&reply);
        page.shows_at("main > div.note > p", &["The weight is saved"]);
        assert_eq!(page.row("Linodes with a weight of their own", "web (101)")[2..5], ["896", "192", "a promise"]);
        for fields in [[("linode", "101"), ("weight", "0")], [("linode", "999"), ("weight", "5")], [("linode", ""), ("weight", "5")]] {
            let reply = staff.submit(&look, "Save the weight of web", &fields);
            assert_eq!(reply.status, 422, "{fields:?}: {}", reply.text());
        }
        let none = staff.submit(&look, "Save the weight of web", &[("weight", "5"), ("reason", " ")]);
        none.says_at("#reason-error", &["Say why"]);
        let look = staff.get(&page.link("Preview the rule's weight for web"));
        staff.submit(&look, "Save the weight of web", &[]);
        staff.get("/staff/fairness/weights").says_at("main button", &["Preview the weight"]);
        staff.get("/staff/fairness/weights").hides(&["web (101)"]);
        assert!(app.set_linode_weight(&app.member(), WEB, ByHand { weight: Some(1), reason: "no", was: None }).is_err());
        assert!(app.set_weight_rule(&app.member(), xenbeta::domain::fairness::shares::Rule::Plan, None).is_err());
        let trail: Vec<String> = app.in_db(|conn| {
            use xenbeta::store::schema::audit_events as t;
            Ok(t::table.order(t::id).select(t::action).load(conn)?)
        });
        assert_eq!(trail.iter().filter(|it| it.contains("weight")).count(), 3, "{trail:?}");
    }
}

fn gzip(text: &str) -> usize {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap().len()
}

/// The figures of docs/FAIRNESS.md: `cargo test --test portal -- --ignored --nocapture measured`. 10,000 Linodes on 250 hosts,
/// every figure of every sample busy and noisy.
mod measured {
    use super::*;
    use crate::support::On;
    use std::time::Instant;

    const HOSTS: i64 = 250;
    const EACH: i64 = 40;

    fn noisy(seed: &mut u64, most: u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed % most
    }

    fn busy(host: i64, at: i64, seed: &mut u64) -> Samples {
        let guests = (0..EACH)
            .map(|n| Used {
                linode: LinodeId(100_000 + host * EACH + n),
                ms: 10_000,
                cpu_ms: 500 + noisy(seed, 3000),
                wait_ms: Some(noisy(seed, 4000)),
                disk_read_bytes: noisy(seed, 40_000_000),
                disk_write_bytes: noisy(seed, 40_000_000),
                disk_read_ops: noisy(seed, 2000),
                disk_write_ops: noisy(seed, 2000),
                net_in_bytes: noisy(seed, 20_000_000),
                net_out_bytes: noisy(seed, 20_000_000),
                share: Some(Share {
                    cpu_weight: 512,
                    io_priority: 4,
                }),
            })
            .collect();
        Samples {
            rounds: vec![Round {
                at: DateTime::<Utc>::from_timestamp(at, 0).unwrap(),
                guests,
            }],
        }
    }

    #[test]
    #[ignore = "takes minutes; for its figures"]
    fn sqlite() {
        rate_and_space(TestApp::new(On::Sqlite));
    }

    #[test]
    #[ignore = "takes minutes; for its figures"]
    fn postgresql() {
        rate_and_space(TestApp::new(On::Postgresql));
    }

    fn rate_and_space(app: TestApp) {
        let app = app.with_fleet();
        for host in 0..HOSTS {
            let each = (0..EACH).map(|n| LinodeId(100_000 + host * EACH + n));
            app.with_host(HostId(1000 + host));
            app.with_linodes_on(HostId(1000 + host), &each.collect::<Vec<_>>());
        }
        let mut seed = 88_172_645_463_325_252;
        // Eleven minutes of all hosts, one call after the other.
        let start = (app.ten() - 1500) / 600 * 600;
        let looks = 66;
        let (mut spent, mut longest) = (0.0_f64, 0.0_f64);
        for n in 0..looks {
            for host in 0..HOSTS {
                let samples = busy(host, start + 10 * n, &mut seed);
                let agent = hand::agent(HostId(1000 + host));
                let begun = Instant::now();
                app.note_samples(&agent, &samples).unwrap();
                let took = begun.elapsed().as_secs_f64();
                spent += took;
                longest = longest.max(took);
            }
        }
        let samples = looks * HOSTS * EACH;
        println!(
            "{}: {samples} samples in {spent:.1} s: {:.0} a second; the longest call {:.0} ms",
            if app.url.starts_with("postgres") {
                "PostgreSQL"
            } else {
                "SQLite"
            },
            samples as f64 / spent,
            longest * 1000.0
        );
        let begun = Instant::now();
        app.roll_all();
        println!(
            "rolled up in {:.1} s (of {} s of samples)",
            begun.elapsed().as_secs_f64(),
            looks * 10
        );
        // A day of one host, as it is kept for the year.
        let day = app.ten() / 86_400 - 3;
        let mut parts = Vec::new();
        for index in 0..144_u8 {
            let mut usage = xenbeta::domain::fairness::usage::Usage {
                covered_ms: 600_000,
                judged_ms: 600_000,
                contended_ms: noisy(&mut seed, 600_000),
                weight: 512,
                io_priority: 4,
                ..Default::default()
            };
            usage.cpu_ms = noisy(&mut seed, 600_000);
            usage.wait_ms = noisy(&mut seed, 600_000);
            usage.got_ms = noisy(&mut seed, 600_000);
            usage.due_ms = noisy(&mut seed, 600_000);
            usage.reads = noisy(&mut seed, 100_000);
            usage.writes = noisy(&mut seed, 100_000);
            usage.read_bytes = noisy(&mut seed, 2_000_000_000);
            usage.write_bytes = noisy(&mut seed, 2_000_000_000);
            usage.net_in_bytes = noisy(&mut seed, 1_000_000_000);
            usage.net_out_bytes = noisy(&mut seed, 1_000_000_000);
            parts.push(store::fairness::pack::DayPart {
                index,
                host: HostId(1000),
                usage,
            });
        }
        let packed = store::fairness::pack::pack_day(&parts);
        let before = size(&app);
        let rows: Vec<_> = (0..HOSTS * EACH)
            .map(|n| (LinodeId(100_000 + n), day, packed.clone()))
            .collect();
        app.db
            .write(|conn| store::fairness::usage::set_days(conn, &rows))
            .unwrap();
        let grown = size(&app) - before;
        let year = grown as f64 * 365.0 / 1e9;
        println!(
            "a Linode's day: {} bytes packed, {:.0} on disk; 10,000 Linodes for a year: {year:.1} GB",
            packed.len(),
            grown as f64 / rows.len() as f64
        );
        assert!(year < 24.0, "docs/FAIRNESS.md says less than 24 GB");
        let blob: i64 = app.in_db(|conn| {
            let all: Vec<Vec<u8>> = usage_rounds::table
                .filter(usage_rounds::step.eq(10))
                .limit(100)
                .select(usage_rounds::data)
                .load(conn)?;
            Ok(all.iter().map(Vec::len).sum::<usize>() as i64 / all.len() as i64)
        });
        println!("a round of {EACH} Linodes: {blob} bytes");
    }

    /// Bytes on disk.
    fn size(app: &TestApp) -> i64 {
        #[derive(diesel::QueryableByName)]
        struct Size {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            size: i64,
        }
        use xenbeta::store::db::Db;
        let sizes: Vec<Size> = app.in_db(|conn| {
            Ok(match conn {
                Db::Pg(conn) => diesel::sql_query("SELECT pg_database_size(current_database()) AS size").load(conn)?,
                Db::Sqlite(conn) => diesel::sql_query("SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size()").load(conn)?,
            })
        });
        sizes[0].size
    }
}
