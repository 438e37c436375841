//! Fairness where it is thin: what nobody can judge is not called fair.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use xenbeta::app::fairness::rollup::MOST_FORGOTTEN;
use xenbeta::app::fairness::weights::ByHand;
use xenbeta::domain::fairness::usage::{Range, Usage};
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::platform::Platform;
use xenbeta::store;
use xenbeta::store::fairness::Interval;
use xenbeta::store::fairness::usage::Packed;
use xenbeta::store::schema::usage_rounds as rounds;
use xenbeta::wire::{Enrol, Round, Samples};

use crate::both_databases;
use crate::browser::Site;
use crate::fairness::usage::{cells, round};
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB};
use crate::support::hand;

/// The verdict of the only host with samples, on its list, its page and the newest row of that page's table.
fn verdicts(site: &Site) -> [String; 3] {
    let mut staff = site.signed_in(STAFF_EMAIL);
    let list = staff.get("/staff/fairness?range=hour");
    let host = staff.get("/staff/hosts/1/fairness?range=hour");
    let csv = staff.get("/staff/fairness.csv?range=hour");
    let row = cells(&list.body, "tbody tr").remove(0);
    assert!(csv.csv().contains(&format!(",{},", row[1])), "{}", csv.body);
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
    fn two_who_set_one_linodes_weight_do_not_lose_one_anothers(app: TestApp) {
        let app = app.with_fleet();
        let by_hand = |weight, was| ByHand { weight: Some(weight), reason: "a test", was };
        let set = |weight, was| app.set_linode_weight(&app.staff(), WEB, by_hand(weight, was));
        set(100, None).unwrap();
        set(100, None).expect("the same twice");
        let refused = set(300, None).unwrap_err();
        assert!(refused.to_string().contains("Someone else changed this weight"), "{refused}");
        assert_eq!(app.in_db(|conn| xenbeta::store::fairness::weights::own(conn, WEB)), Some(100));
        set(300, Some(100)).unwrap();
        assert_eq!(app.in_db(|conn| xenbeta::store::fairness::weights::own(conn, WEB)), Some(300));
    }

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

    fn what_was_waited_for_is_of_the_time_in_which_that_was_known(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let now = app.ten();
        // Ten minutes, in the last two of which the host could tell.
        for minute in (1..=10).rev() {
            let rounds = (0..6).map(|n| {
                let mut round = round(now - 60 * minute + 10 * n, &[(WEB, 500, 140), (OLD, 500, 140)]);
                if minute > 2 {
                    round.guests.iter_mut().for_each(|guest| guest.wait_ms = None);
                }
                round
            });
            app.send(UML1, rounds.collect());
        }
        app.roll_all();
        let site = Site::serve(&app.app);
        let page = site.signed_in(MEMBER_EMAIL).get(&format!("/members/fairness?linode={WEB}&range=day"));
        let table = cells(&page.body, "table.dense tbody tr");
        let waited: Vec<&str> = table.iter().map(|row| row[2].as_str()).filter(|it| !it.is_empty()).collect();
        assert_eq!((table.len(), waited), (1, vec!["14.0"]), "{table:?}");
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

impl TestApp {
    /// What a Linode used by the host's intervals of `step`.
    fn used_by(&self, linode: LinodeId, step: i64) -> Usage {
        let until = self.ten() + 86_400;
        let all =
            self.in_db(|conn| store::fairness::usage::rounds(conn, step, &[UML1], (0, until)));
        let mut sum = Usage::default();
        for row in all {
            let of = store::fairness::pack::unpack_round(step, &row.data).unwrap();
            for (_, usage) in of.into_iter().filter(|(id, _)| *id == linode) {
                sum += usage;
            }
        }
        sum
    }

    /// Another content for one of the host's rounds, to be rolled up again.
    fn spoil(&self, step: i64, slot: i64, data: &[u8]) {
        let changed = self.db.write(|conn| {
            let row = rounds::table
                .filter(rounds::host_id.eq(UML1))
                .filter(rounds::step.eq(step))
                .filter(rounds::slot.eq(slot));
            let spoilt = (rounds::data.eq(data.to_vec()), rounds::rolled.eq(false));
            Ok::<_, xenbeta::store::error::StoreError>(
                diesel::update(row).set(spoilt).execute(conn)?,
            )
        });
        assert_eq!(changed.unwrap(), 1);
    }

    fn intervals(&self, step: i64) -> Vec<Interval> {
        let until = self.ten() + 86_400;
        self.in_db(|conn| store::fairness::of_host(conn, UML1, step, (0, until)))
    }

    /// So many old rounds of ten seconds, rolled up long ago.
    fn with_old_rounds(&self, many: i64) {
        let until = self.ten() - 3 * 3600;
        let row = |n| Packed {
            host: UML1,
            slot: until - 10 * n,
            data: store::fairness::pack::pack_round(10, &[(WEB, Usage::default())]),
        };
        let all: Vec<Packed> = (0..many).map(row).collect();
        self.db
            .write(|conn| store::fairness::usage::add_rounds(conn, 10, &all))
            .unwrap();
        self.execute("UPDATE usage_rounds SET rolled = TRUE");
    }
}

/// Two that share what there is by their weights: both count, all the time.
const TWO: [(LinodeId, u64, u64); 2] = [(WEB, 333, 400), (DB, 667, 400)];

both_databases! {
    fn a_row_that_cannot_be_read_keeps_nobody_from_the_others(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.under_load(UML1, 40, &TWO);
        let before = app.used_by(WEB, 600).covered_ms;
        let (ten, minute) = (app.intervals(600)[0].slot, app.intervals(60)[1].slot);
        // Another layout; cut off in the middle; of a Linode there is none of, and of one there is.
        app.spoil(10, minute, &[9, 9, 9]);
        app.spoil(10, minute + 10, &[1, 101, 255]);
        app.spoil(10, minute + 20, &[1, 5, 0, 96, 0]);
        app.roll_all();
        assert_eq!(app.roll_usage().unwrap(), 0, "and it is done with");
        // Its minute is what is left of it: WEB's round of no figures, and the three whole ones.
        assert_eq!(app.used_by(WEB, 600).covered_ms, before - 20_000);
        app.spoil(600, ten, &[]);
        let site = Site::serve(&app.app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        for range in ["hour", "day", "beta"] {
            member.get(&format!("/members/fairness?linode=101&range={range}")).shows(&["CPU used"]);
            staff.get(&format!("/staff/hosts/1/fairness?range={range}")).shows(&["web"]);
        }
        app.pass_s(2 * 86_400);
        app.roll_all();
        assert_eq!((app.count_rounds(10), app.count_rounds(60)), (0, 0));
        let days = app.in_db(|conn| store::fairness::usage::days(conn, WEB, (0, 100_000)));
        let parts: usize = days.iter().map(|(_, data)| store::fairness::pack::unpack_day(data).unwrap().len()).sum();
        assert!((3..=4).contains(&parts), "all tens but the spoilt one: {parts}");
    }

    fn a_batch_forgets_no_more_than_so_many_rows(app: TestApp) {
        let app = app.with_fleet();
        let many = 2 * MOST_FORGOTTEN + 7;
        app.with_old_rounds(many);
        let mut left = vec![app.count_rounds(10)];
        while app.roll_usage().unwrap() > 0 {
            left.push(app.count_rounds(10));
        }
        assert_eq!(left, [many, many - MOST_FORGOTTEN, 7, 0]);
        // Days of Linodes, and hosts' figures, alike.
        let ids: Vec<LinodeId> = (0..MOST_FORGOTTEN + 5).map(|n| LinodeId(10_000 + n)).collect();
        app.with_linodes_on(UML1, &ids);
        let day = app.ten() / 86_400 - 500;
        let rows: Vec<_> = ids.iter().map(|id| (*id, day, store::fairness::pack::pack_day(&[]))).collect();
        app.db.write(|conn| store::fairness::usage::set_days(conn, &rows)).unwrap();
        assert_eq!(app.roll_usage().unwrap() as i64, MOST_FORGOTTEN);
        assert_eq!((app.roll_usage().unwrap(), app.roll_usage().unwrap()), (5, 0));
        app.execute(&format!(
            "INSERT INTO host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_ratio, worst_excess_ms, least_ratio) \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT 1, 60, i * 60, 0, 0, 0, 1000, 1000, 0, 1000 FROM n",
            MOST_FORGOTTEN + 3
        ));
        assert_eq!(app.roll_usage().unwrap() as i64, MOST_FORGOTTEN);
        assert_eq!((app.roll_usage().unwrap(), app.roll_usage().unwrap()), (3, 0));
    }

    fn forgetting_goes_on_while_rolling_up_fails(app: TestApp) {
        let app = app.with_fleet();
        app.with_old_rounds(5);
        // Of today, to be rolled up; and of eight days ago, which nobody ever rolled up.
        let now = app.ten();
        app.send(UML1, vec![round(now - 600, &TWO)]);
        let lost = Packed { host: UML1, slot: now - 8 * 86_400, data: vec![1] };
        app.db.write(|conn| store::fairness::usage::add_rounds(conn, 10, &[lost])).unwrap();
        app.execute("ALTER TABLE host_fairness RENAME TO away");
        for _ in 0..3 {
            assert!(app.roll_usage().is_err(), "it is said");
        }
        assert_eq!(app.count_rounds(10), 1, "only what may still be rolled up is kept");
        app.execute("ALTER TABLE away RENAME TO host_fairness");
        app.roll_all();
        assert_eq!((app.count_rounds(10), app.count_rounds(60)), (1, 1));
    }

    fn contention_is_counted_though_guests_come_and_go(app: TestApp) {
        let app = app.with_fleet();
        let start = app.ten() / 600 * 600 - 1200;
        // Two run for five minutes and stop; two others start. A restart's counters are no jump: its first round is missing.
        for n in 0..60 {
            let pair = if n < 30 { [(WEB, 500, 500), (DB, 500, 500)] } else { [(OLD, 500, 500), (THEIRS, 500, 500)] };
            app.send(UML1, vec![round(start + 10 * n, &pair)]);
        }
        app.roll_all();
        let ten = app.intervals(600).into_iter().find(|it| it.slot == start).unwrap();
        assert_eq!((ten.judged_ms, ten.contended_ms, ten.guests), (600_000, 600_000, 4));
    }

    fn a_weight_counts_from_when_it_is_changed_and_no_agent_changes_it(app: TestApp) {
        let app = app.with_fleet();
        for linode in [WEB, DB] {
            app.set_linode_weight(&app.staff(), linode, ByHand { weight: Some(100), reason: "a test", was: None }).unwrap();
        }
        let alike = [(WEB, 500, 500), (DB, 500, 500)];
        let share = Some(xenbeta::wire::Share { cpu_weight: 1, io_priority: 4 });
        let send = |at| {
            let mut round = round(at, &alike);
            // The host says that it gives WEB next to nothing.
            round.guests[0].share = share;
            app.send(UML1, vec![round]);
        };
        let now = app.ten() / 60 * 60;
        (1..=3).for_each(|n| send(now - 10 * n));
        app.set_linode_weight(&app.staff(), WEB, ByHand { weight: Some(300), reason: "a test", was: Some(100) }).unwrap();
        (4..=6).for_each(|n| send(now - 10 * n));
        app.pass_s(120);
        app.roll_all();
        let web = app.used_by(WEB, 60);
        assert_eq!(web.due_ms, 3 * 5000 + 3 * 7500);
        assert_eq!((web.got_ms, web.weight), (30_000, 1), "what is in force is shown");
    }

    fn pages_read_no_more_than_they_show(app: TestApp) {
        let app = app.with_fleet();
        app.under_load(UML1, 45, &TWO);
        let now = app.now().utc().timestamp();
        let account = app.linode(WEB).account_id;
        let series = |range, every| {
            let found = app.in_db(|conn| store::fairness::page::of_member(conn, account, (Some(WEB), ""), (range, every), now));
            let series = found.unwrap().series;
            let covered: u64 = series.iter().map(|it| it.usage.covered_ms).sum();
            assert_eq!(covered, 45 * 60_000, "{range:?} {every}: each second once");
            series.len()
        };
        assert_eq!(series(Range::Hour, true), 45 * 6);
        assert!(series(Range::Hour, false) <= 45 + 12);
        assert!(series(Range::Day, true) <= 45 + 12);
        assert!(series(Range::Day, false) <= 4 + 12 + 12);
        assert!(series(Range::Beta, false) <= 4 + 12 + 12);
    }

    fn nonsense_over_the_wire_is_refused_whole(app: TestApp) {
        let app = app.with_fleet();
        let token = app.new_enrolment_token(app.staff().who(), UML1).unwrap();
        let ask = Enrol {
            token,
            platform: Platform::Uml,
            agent_version: "0".to_owned(),
            fingerprint: "1".repeat(64),
            transfer_address: "127.0.0.1:7000".to_owned(),
            ledger: None,
        };
        let credential = app.enrol(&ask, "127.0.0.1").unwrap().credential;
        let site = Site::serve(&app.app);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("{}/agent/v1/samples", site.base);
        let send = |credential: &str, coding: &str, body: &[u8]| {
            let call = agent.post(&url).header("authorization", format!("Bearer {credential}")).header("content-encoding", coding);
            // A server that has heard enough may hang up first.
            call.send(body).map_or(0, |reply| reply.status().as_u16())
        };
        let plain = |body: &str| send(&credential, "identity", body.as_bytes());
        let at = DateTime::<Utc>::from_timestamp(app.ten(), 0).unwrap().to_rfc3339();
        let with = |used: &str| format!("{{\"rounds\":[{{\"at\":{at:?},\"guests\":[{{\"linode\":101,{used}}}]}}]}}");
        for used in [
            "\"ms\":10000,\"cpu_ms\":-1",
            "\"ms\":10000,\"cpu_ms\":NaN",
            "\"ms\":10000,\"cpu_ms\":1e400",
            "\"ms\":10000,\"cpu_ms\":1.5",
            "\"ms\":10000,\"cpu_ms\":18446744073709551616",
            "\"ms\":10000,\"cpu_ms\":\"7\"",
            "\"ms\":null,\"cpu_ms\":7",
            "\"cpu_ms\":7",
            "\"ms\":10000,\"cpu_ms\":7,\"share\":{\"cpu_weight\":1,\"io_priority\":-1}",
        ] {
            assert_eq!(plain(&with(used)), 400, "{used}");
        }
        for body in ["", "[]", "{\"rounds\":{}}", &"[".repeat(100_000), &with("\"ms\":1,\"cpu_ms\":1").replace(&at, "yesterday")] {
            assert_eq!(plain(body), 400);
        }
        let good = with("\"ms\":10000,\"cpu_ms\":18446744073709551615,\"wait_ms\":0");
        assert_eq!(send("nobody", "identity", good.as_bytes()), 401);
        let long = plain(&format!("{good}{}", " ".repeat(4 << 20)));
        assert!(matches!(long, 413 | 0), "more than a call may have: {long}");
        // A thousand times as much as is sent.
        let bomb = {
            use std::io::Write;
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(good.as_bytes()).unwrap();
            out.write_all(&vec![b' '; 32 << 20]).unwrap();
            out.finish().unwrap()
        };
        assert_eq!(send(&credential, "gzip", &bomb), 415);
        assert_eq!(app.count_rounds(10), 0);
        assert_eq!(plain(&good), 200);
        app.roll_all();
        assert_eq!(app.count_rounds(10), 1);
        let most = app.in_db(|conn| store::fairness::usage::rounds(conn, 10, &[UML1], (0, app.ten() + 60)));
        let of = store::fairness::pack::unpack_round(10, &most[0].data).unwrap();
        assert_eq!(of[0].1.cpu_ms, 40_200, "four CPUs for ten seconds");
    }

    fn a_clock_that_is_wrong_brings_nothing_and_breaks_nothing(app: TestApp) {
        let app = app.with_fleet();
        let now = app.ten();
        app.send(UML1, vec![round(now + 3600, &TWO), round(now - 7200, &TWO)]);
        assert_eq!(app.count_rounds(10), 0);
        let far = |at| Round { at, guests: Vec::new() };
        let ends = [chrono::DateTime::<chrono::Utc>::MAX_UTC, chrono::DateTime::<chrono::Utc>::MIN_UTC].map(far);
        app.note_samples(&hand::agent(UML1), &Samples { rounds: ends.into() }).unwrap();
        // Set back: the same ten seconds again count once.
        app.send(UML1, vec![round(now, &TWO), round(now - 10, &TWO), round(now, &TWO), round(now + 5, &TWO)]);
        assert_eq!(app.count_rounds(10), 2);
    }
}
