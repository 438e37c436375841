//! A thousand moves at times that their members chose, in simulated time: whole use cases over SQLite, with hosts that only
//! count. Says how many stopped within 60 s of their time, whether any did in quiet hours or was off for longer than its
//! limit, and how far what was foretold was from what was measured. `MOVES` and `SEED` in the environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a bench"
)]

#[path = "../tests/support/rng.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod rng;
#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use rng::Rng;
use support::hand::{agent, now_click};
use support::{On, TestApp};
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId};
use xenbeta::domain::migration::forecast::calibration;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::time::Time;
use xenbeta::domain::values::DownLimit;
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Order, Outcome, Renew, Report, Task};

/// Pairs of hosts, and when quiet hours are, in minutes of the day (the bench begins at noon).
const PAIRS: i64 = 25;
const QUIET: (i64, i64) = (13 * 60 + 30, 14 * 60);
/// Chosen times lie within so many seconds.
const SPREAD_S: u64 = 6 * 3600;
const MB: i64 = 1_000_000;

impl Rng {
    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least + 1) as u64) as i64
    }

    /// Around a thousand, by so many thousandths.
    fn about(&mut self, value: i64, thousandths: i64) -> i64 {
        value * self.between(1000 - thousandths, 1000 + thousandths) / 1000
    }
}

/// What a Linode and its hosts are like.
#[derive(Debug, Clone, Copy)]
struct Nature {
    stop_s: i64,
    start_s: i64,
    disk_bytes: i64,
    changes_b_s: i64,
    tells_changes: bool,
    read_b_s: i64,
    link_b_s: i64,
}

struct AtWork {
    began: Time,
    ends: Time,
    /// Of a pass: the seconds it would still take if its host had no other.
    left_s: f64,
    changes_b_s: i64,
    renew: Time,
    host: HostId,
    order: Order,
    report: Report,
    /// A pass that it was asked to end.
    cut_short: bool,
}

impl AtWork {
    fn is_pass(&self) -> bool {
        matches!(self.report, Report::Warm { .. })
    }

    /// What is said at the end of a pass: it took as long as its host's others let it.
    fn tell_time(&mut self, now: Time) {
        let took_s = now.seconds_since(self.began);
        if let Report::Warm {
            passes,
            seconds,
            rest_bytes,
            last_pass_s,
            ..
        } = &mut self.report
        {
            *seconds = took_s as f64;
            if *passes > 1 {
                *last_pass_s = Some((took_s / 5) as f64);
                *rest_bytes = (self.changes_b_s * (took_s / 5)) as u64;
            }
        }
    }

    /// Agents tell of a pass each second; as seldom as this only while nothing is copied in it.
    fn renews_every_s(&self) -> i64 {
        match self.report {
            Report::Warm { passes: 1, .. } => 4,
            _ => 12,
        }
    }
}

struct World {
    app: TestApp,
    rng: Rng,
    natures: BTreeMap<LinodeId, Nature>,
    at_work: Vec<AtWork>,
    /// Those whose agents measured a stop and a start of theirs before.
    measured: BTreeSet<LinodeId>,
    /// When its host took the order to stop it.
    stopped: BTreeMap<MigrationId, Time>,
}

fn env(name: &str, usual: i64) -> i64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

fn main() {
    let (moves, seed) = (env("MOVES", 1000), env("SEED", 1));
    let began = std::time::Instant::now();
    let mut world = World {
        app: TestApp::at_noon(On::Sqlite).with_fleet(),
        rng: Rng::new(seed as u64),
        natures: BTreeMap::new(),
        at_work: Vec::new(),
        measured: BTreeSet::new(),
        stopped: BTreeMap::new(),
    };
    world.fill(moves);
    let rows = world.choose(moves);
    let ended = world.run(&rows);
    println!(
        "\n{moves} moves of {PAIRS} pairs of hosts, seed {seed}: {} s of simulated time, {} s of this machine's\n",
        ended,
        began.elapsed().as_secs()
    );
    world.tell(&rows);
}

impl World {
    fn fill(&mut self, moves: i64) {
        let mut sql =
            String::from("DELETE FROM registrations; UPDATE programme SET max_overall = 400;\n");
        for pair in 0..PAIRS {
            let tells = pair % 5 < 2;
            for (id, name, like) in [(1000 + pair, "u", 1), (2000 + pair, "x", 3)] {
                sql += &format!(
                    "INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at, protocol, last_seen_at) \
                     SELECT {id}, '{name}{pair}', platform, role, plan_id, state, 900000, 90000000, 4, {tells}, transfer_address, '{id:064}', 'c{id}', created_at, 2, created_at FROM hosts WHERE id = {like};\n"
                );
            }
        }
        for weekday in 1..=7 {
            sql += &format!(
                "INSERT INTO quiet_hours (weekday, begins, ends) VALUES ({weekday}, {}, {});\n",
                QUIET.0, QUIET.1
            );
        }
        let hosts: Vec<(i64, i64)> = (0..PAIRS)
            .map(|_| {
                (
                    self.rng.between(150, 300) * MB,
                    self.rng.between(60, 110) * MB,
                )
            })
            .collect();
        for n in 0..moves {
            let (id, pair) = (10_000 + n, n % PAIRS);
            let gib = match self.rng.between(0, 9) {
                0 => self.rng.between(20, 40),
                1..=4 => self.rng.between(5, 20),
                _ => self.rng.between(1, 5),
            };
            let (read_b_s, link_b_s) = hosts[pair as usize];
            let nature = Nature {
                stop_s: if self.rng.between(0, 19) == 0 {
                    self.rng.between(25, 50)
                } else {
                    self.rng.between(3, 20)
                },
                start_s: self.rng.between(1, 4),
                disk_bytes: gib << 30,
                changes_b_s: if self.rng.between(0, 29) == 0 {
                    self.rng.between(8, 25) * MB
                } else {
                    self.rng.between(0, 2_000_000)
                },
                tells_changes: pair % 5 < 2,
                read_b_s,
                link_b_s,
            };
            self.natures.insert(LinodeId(id), nature);
            sql += &format!(
                "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'l{id}', 1, {}, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:01:{:02x}:{:02x}:01', '2026-01-01T00:00:00.000000Z');
                 INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', {}, 'ext4', '2026-01-01T00:00:00.000000Z');
                 INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', 'uml-2.6', '{{\"ubda\":{id}}}', '/dev/ubda', TRUE, 'default', '[]');
                 INSERT INTO ips (id, address, linode_id, host_id, prefix, gateway, kind) VALUES ({id}, '10.1.{}.{}', {id}, {}, 16, '10.1.0.1', 'public');\n",
                1000 + pair, n / 256, n % 256, gib << 10, n / 250, n % 250 + 2, 1000 + pair
            );
            // Half of them were rebooted before, since their agent measures.
            if self.rng.between(0, 1) == 0 {
                self.measured.insert(LinodeId(id));
                for _ in 0..self.rng.between(1, 4) {
                    let (stop, start) = (
                        self.rng.about(nature.stop_s * 1000, 120),
                        self.rng.about(nature.start_s * 1000, 120),
                    );
                    for (part, ms) in [("stop", stop), ("start", start)] {
                        sql += &format!(
                            "INSERT INTO timings (linode_id, plan_id, part, host_id, ms, at) VALUES ({id}, 1, '{part}', {}, {ms}, '2026-01-01T00:00:00.000000Z');\n",
                            1000 + pair
                        );
                    }
                }
            }
        }
        self.app.sql(&sql);
        // The hosts speak.
        self.hosts_speak();
    }

    fn hosts_speak(&self) {
        let now = self.app.now().utc().format("%Y-%m-%dT%H:%M:%S.000000Z");
        self.app
            .sql(&format!("UPDATE hosts SET last_seen_at = '{now}'"));
    }

    /// Registered, approved, offered, and a time chosen for each, by the use cases.
    fn choose(&mut self, moves: i64) -> Vec<MigrationId> {
        let (member, staff) = (self.app.member(), self.app.staff());
        let mut rows = Vec::new();
        for n in 0..moves {
            let linode = LinodeId(10_000 + n);
            if n % 50 == 0 {
                // The clock goes on while this machine is busy.
                self.hosts_speak();
            }
            let registration = self.app.approved(linode);
            self.app
                .offer(&staff, registration, Some(HostId(2000 + n % PAIRS)))
                .unwrap();
            let nature = self.natures[&linode];
            let lead = 1800 + 4 * nature.disk_bytes / nature.link_b_s;
            let limit = match self.rng.between(0, 3) {
                0 => Some(DownLimit(
                    DownLimit::SECONDS[self.rng.between(2, 5) as usize],
                )),
                _ => None,
            };
            let mut at = self
                .app
                .now()
                .plus_s(lead + self.rng.below(SPREAD_S) as i64);
            let row = loop {
                let click = Click {
                    at: Some(at),
                    down_limit: limit,
                    ..now_click()
                };
                match self.app.migrate(&member, linode, click) {
                    Ok(row) => break row,
                    // As the form says: the next one.
                    Err(AppError::Invalid { .. }) => at = at.plus_s(300),
                    Err(other) => panic!("{other}"),
                }
            };
            rows.push(row.id);
        }
        rows
    }

    /// Until all are over; says how many seconds that took.
    fn run(&mut self, rows: &[MigrationId]) -> i64 {
        let began = self.app.now();
        let mut round = began;
        loop {
            let now = self.app.now();
            self.finish(now);
            if round <= now {
                self.hosts_speak();
                self.app.reconcile().unwrap();
                round = now.plus_s(2);
            }
            self.claim();
            if self.at_work.is_empty() && self.is_over(rows) {
                return now.seconds_since(began);
            }
            assert!(
                now.seconds_since(began) < 12 * 3600,
                "it does not come to an end"
            );
            if self.at_work.iter().all(|it| it.ends > now) {
                self.copy_for_a_second();
                self.app.pass_s(1);
            }
        }
    }

    /// The passes of a host share its link and its disks.
    fn copy_for_a_second(&mut self) {
        let now = self.app.now();
        let mut passes: BTreeMap<HostId, f64> = BTreeMap::new();
        for it in self.at_work.iter().filter(|it| it.is_pass()) {
            *passes.entry(it.host).or_default() += 1.0;
        }
        for it in self.at_work.iter_mut().filter(|it| it.is_pass()) {
            it.left_s -= 1.0 / passes[&it.host];
            if it.left_s <= 0.0 {
                it.ends = it.ends.min(now.plus_s(1));
            }
        }
    }

    fn is_over(&self, rows: &[MigrationId]) -> bool {
        rows.iter().all(|id| {
            let state = self.app.migration(*id).state;
            matches!(
                state,
                MigrationState::Finished | MigrationState::Cancelled | MigrationState::Failed
            )
        })
    }

    fn finish(&mut self, now: Time) {
        let mut all = std::mem::take(&mut self.at_work);
        for it in &mut all {
            if it.ends > now && it.renew <= now {
                let renew = Renew {
                    attempt: it.order.attempt,
                    lease_token: it.order.lease_token.clone(),
                    progress: None,
                    console: None,
                };
                let renewed = self.app.renew(&agent(it.host), it.order.job, &renew);
                if renewed.unwrap().cancel && !it.cut_short {
                    it.cut_short = true;
                    it.ends = it.ends.min(now.plus_s(1));
                }
                it.renew = now.plus_s(it.renews_every_s());
            }
        }
        let (over, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.ends <= now);
        self.at_work = rest;
        for mut it in over {
            it.tell_time(now);
            if it.cut_short {
                let ended = self.app.answer(it.host, &it.order, Outcome::Cancelled);
                ended.unwrap();
                continue;
            }
            let report = match (&it.report, self.app.success(&it.order)) {
                // The source's digests are handed in with it.
                (
                    Report::Copied {
                        sent_bytes,
                        seconds,
                        ..
                    },
                    Report::Copied {
                        epoch,
                        digests,
                        uncached,
                        ..
                    },
                ) => Report::Copied {
                    epoch,
                    digests,
                    sent_bytes: *sent_bytes,
                    seconds: *seconds,
                    uncached,
                },
                (report, _) => report.clone(),
            };
            self.app
                .answer(it.host, &it.order, Outcome::Succeeded { report })
                .unwrap();
        }
    }

    fn claim(&mut self) {
        let now = self.app.now();
        let hosts: Vec<HostId> = self.app.in_db(|conn| {
            use diesel::prelude::*;
            use xenbeta::store::schema::jobs;
            Ok(jobs::table
                .filter(jobs::state.eq(xenbeta::domain::job::JobState::Pending))
                .filter(jobs::run_after.le(now))
                .select(jobs::host_id)
                .distinct()
                .load(conn)?)
        });
        for host in hosts {
            while let Some(order) = self.app.claim(&agent(host)).unwrap() {
                let (seconds, report) = self.carry_out(&order);
                let now = self.app.now();
                let is_pass = matches!(report, Report::Warm { .. });
                let it = AtWork {
                    began: now,
                    ends: now.plus_s(if is_pass { 24 * 3600 } else { seconds }),
                    left_s: seconds as f64,
                    changes_b_s: self.changes_of(&order),
                    renew: now,
                    host,
                    order,
                    report,
                    cut_short: false,
                };
                let renew = now.plus_s(it.renews_every_s());
                self.at_work.push(AtWork { renew, ..it });
            }
        }
    }

    fn changes_of(&self, order: &Order) -> i64 {
        match &order.task {
            Task::WarmCopy { migration, .. } => {
                self.natures[&self.app.migration(*migration).linode_id].changes_b_s
            }
            _ => 0,
        }
    }

    /// How many seconds an order takes, of a pass if its host has no other, and what is said at its end.
    fn carry_out(&mut self, order: &Order) -> (i64, Report) {
        let migration = |id: &MigrationId| self.app.migration(*id);
        let whole = |bytes: i64, rate: i64| bytes / rate.max(1) + 1;
        match &order.task {
            Task::WarmCopy { migration: id, .. } => {
                let row: Migration = migration(id);
                let nature = self.natures[&row.linode_id];
                let link = self.rng.about(nature.link_b_s, 100);
                let read = self.rng.about(nature.read_b_s, 100);
                let (seconds, sent) = if row.step == Some(Step::TopUp) {
                    let since = row
                        .in_step_at
                        .map_or(0, |at| self.app.now().seconds_since(at));
                    let changed = nature.changes_b_s * since;
                    let reads = if nature.tells_changes {
                        0
                    } else {
                        whole(nature.disk_bytes, read)
                    };
                    (reads + whole(changed, link), changed)
                } else {
                    let first = whole(nature.disk_bytes, link);
                    (first + first / 4, nature.disk_bytes)
                };
                let report = Report::Warm {
                    passes: if row.step == Some(Step::TopUp) { 1 } else { 2 },
                    sent_bytes: sent as u64,
                    seconds: seconds as f64,
                    rest_bytes: 0,
                    moving_passes: 0,
                    last_pass_s: Some(1.0),
                };
                (seconds, report)
            }
            Task::StopSeal {
                epoch,
                migration: id,
                ..
            } => {
                let row = migration(id);
                self.stopped.insert(row.id, self.app.now());
                let nature = self.natures[&row.linode_id];
                let seconds = (self.rng.about(nature.stop_s * 1000, 120) + 500) / 1000;
                let seconds = seconds.clamp(1, i64::from(row.stop_limit_s));
                (
                    seconds,
                    Report::Sealed {
                        epoch: *epoch,
                        forced: false,
                        was_running: true,
                        stopped_after_s: Some(seconds as f64),
                    },
                )
            }
            Task::FinalCopy {
                migration: id,
                epoch,
                ..
            } => {
                let row = migration(id);
                let nature = self.natures[&row.linode_id];
                let since = row
                    .in_step_at
                    .zip(row.stopped_at)
                    .map_or(0, |(pass, stop)| stop.seconds_since(pass))
                    + i64::from(row.pass_s);
                let changed = nature.changes_b_s * since;
                let read = self.rng.about(nature.read_b_s, 100);
                let link = self.rng.about(nature.link_b_s, 100);
                let reads = if nature.tells_changes {
                    0
                } else {
                    nature.disk_bytes / read
                };
                let seconds = 1 + reads + changed * 2 / link;
                (
                    seconds,
                    Report::Copied {
                        epoch: *epoch,
                        digests: Vec::new(),
                        sent_bytes: changed as u64,
                        seconds: seconds as f64,
                        uncached: None,
                    },
                )
            }
            Task::Start {
                epoch,
                migration: id,
                ..
            } => {
                let linode = id
                    .map(|id| migration(&id).linode_id)
                    .unwrap_or(LinodeId(10_000));
                let nature = self.natures[&linode];
                let seconds = (self.rng.about(nature.start_s * 1000, 120) + 500) / 1000;
                let report = Report::Started {
                    epoch: *epoch,
                    running: true,
                    helpers_skipped: false,
                    started_after_s: Some(seconds as f64),
                    stopped_after_s: None,
                };
                (seconds + 2, report)
            }
            Task::PreflightSource { guest, .. } => {
                let bytes: u64 = guest.disks.iter().map(|disk| disk.size_bytes).sum();
                let report = Report::Source {
                    running: true,
                    total_bytes: bytes,
                    allocated_bytes: bytes,
                    tells_changes: false,
                    checks: Vec::new(),
                };
                (1, report)
            }
            _ => (1, Report::Done),
        }
    }

    fn tell(&self, rows: &[MigrationId]) {
        let rows: Vec<Migration> = rows.iter().map(|id| self.app.migration(*id)).collect();
        let finished = || {
            rows.iter()
                .filter(|row| row.state == MigrationState::Finished)
        };
        let limits = self.app.in_db(store::programme::move_times::limits).0;
        // A limit keeps one from its stop on purpose.
        let mut off: Vec<i64> = finished()
            .filter(|row| row.down_limit_s.is_none())
            .map(|row| self.stopped[&row.id].millis_since(row.not_before.unwrap()))
            .collect();
        off.sort_unstable();
        let within = off.iter().filter(|ms| ms.abs() <= 60_000).count();
        let quiet = self
            .stopped
            .values()
            .filter(|at| limits.is_quiet(**at))
            .count();
        let down = |row: &Migration| Some(row.running_at?.millis_since(row.stopped_at?));
        let limited = finished().filter(|row| row.down_limit_s.is_some()).count();
        let over = finished()
            .filter(|row| {
                row.down_limit_s
                    .zip(down(row))
                    .is_some_and(|(limit, ms)| ms > i64::from(limit) * 1000)
            })
            .count();
        let pairs = |own: bool| -> Vec<(i64, i64)> {
            finished()
                .filter(|row| self.measured.contains(&row.linode_id) == own)
                .filter_map(|row| Some((row.foretold_ms?, down(row)?)))
                .collect()
        };
        let above_most = finished()
            .filter(|row| {
                row.foretold_most_ms
                    .zip(down(row))
                    .is_some_and(|(most, ms)| ms > most)
            })
            .count();
        let kept = rows
            .iter()
            .filter(|row| row.state == MigrationState::Cancelled)
            .count();
        let failed = rows
            .iter()
            .filter(|row| row.state == MigrationState::Failed)
            .count();
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        println!("| what | |\n| --- | ---: |");
        println!(
            "| moved; given up, as a limit or a time could not be kept; failed | {}; {kept}; {failed} |",
            finished().count()
        );
        println!(
            "| of those without a limit, stopped within 60 s of the chosen time | {within} of {} ({:.1} %) |",
            off.len(),
            percent(within, off.len())
        );
        let at =
            |percent: usize| off[(off.len() * percent).div_ceil(100).max(1) - 1] as f64 / 1000.0;
        println!(
            "| seconds off: p50, p99, most | {:.1}, {:.1}, {:.1} |",
            at(50),
            at(99),
            at(100)
        );
        println!("| stopped in quiet hours | {quiet} |");
        println!("| with a limit; of them off for longer than it | {limited}; {over} |");
        println!("| off for longer than was foretold at most | {above_most} |");
        for (whose, own) in [
            ("its own stops and its plan's starts", true),
            ("its plan's", false),
        ] {
            if let Some(told) = calibration(&pairs(own)) {
                println!(
                    "| foretold from {whose}, beside measured: p50, p90 of the difference; within a fifth or 2 s | {:.1} s, {:.1} s; {} % of {} |",
                    told.p50_ms as f64 / 1000.0,
                    told.p90_ms as f64 / 1000.0,
                    told.close_percent,
                    told.of
                );
            }
        }
        if std::env::var_os("VERBOSE").is_some() {
            for row in rows.iter() {
                let at = row.not_before.unwrap();
                let until = |time: Option<Time>| time.map(|it| it.seconds_since(at));
                println!(
                    "{} to {} {}: begin {:?}, began {:?}, in step at first {:?}, at last {:?}, stopped {:?}; copied in {:?}, {} passes, the last {} s; {:?}, limit {:?}, foretold {:?} to {:?}, was {:?}",
                    row.id,
                    row.destination_host_id,
                    row.state,
                    until(row.begin_at),
                    until(row.started_at),
                    row.started_at
                        .zip(row.copied_s)
                        .map(|(began, s)| began.plus_s(i64::from(s)).seconds_since(at)),
                    until(row.in_step_at),
                    until(self.stopped.get(&row.id).copied()),
                    row.copied_s,
                    row.warm_passes,
                    row.pass_s,
                    self.natures[&row.linode_id],
                    row.down_limit_s,
                    row.foretold_ms,
                    row.foretold_most_ms,
                    down(row)
                );
            }
        }
        assert_eq!((quiet, over, failed), (0, 0, 0));
    }
}
