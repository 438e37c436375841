//! A wave of many simulated moves, two on a host at once, with faults: it ends, its gate closes, no more than a few begin after
//! that, staff let it go on, and no host is over its room at any moment, as told by who has run what where.
//! `WAVE_MOVES` (60 unless set), `WAVE_SEED` in the environment.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use xenbeta::app::wave::Deed;
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId, WaveId};
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::time::Time;
use xenbeta::domain::wave::numbers::Numbers;
use xenbeta::domain::wave::{Stage, WaveKind, WaveState};
use xenbeta::store::schema::{jobs, migrations};
use xenbeta::wire::{Order, Outcome, Report, Task};

use super::{at_once, wanted};
use crate::support::hand::{agent, now_click};
use crate::support::{On, TestApp};

#[path = "../../support/rng.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod rng;
use rng::Rng;

/// Pairs of hosts.
const PAIRS: i64 = 5;
const RAM_MB: i64 = 512;
/// What each host takes part in at once, and the wave on each.
const ON_HOST: usize = 2;
const AT_ONCE: i32 = 8;
/// One in so many moves fails: 5 %.
const FAULTS: u64 = 20;

fn env(name: &str, usual: i64) -> i64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

struct AtWork {
    host: HostId,
    order: Order,
    ends: Time,
}

/// Who has seen all guests, of itself: which Linode runs where, and which place is held for one.
#[derive(Default)]
struct Witness {
    runs: BTreeMap<LinodeId, HostId>,
    held: BTreeMap<LinodeId, HostId>,
    /// Seen more than once: a Linode that was started where another of it ran.
    wrong: Vec<String>,
    fullest: usize,
}

struct World {
    app: TestApp,
    rng: Rng,
    at_work: Vec<AtWork>,
    /// Moves that are to fail, decided when they begin.
    doomed: BTreeSet<MigrationId>,
    decided: BTreeSet<MigrationId>,
    /// Which of each so many fails.
    which: u64,
    witness: Witness,
    room: usize,
    wave: WaveId,
}

fn many(on: On, moves: i64, seed: u64) {
    let begun = std::time::Instant::now();
    let mut world = World::new(on, moves, seed);
    let (mut closed, mut most_after) = (0, 0);
    let mut ticks = 0;
    while world.app.wave(world.wave).state != WaveState::Ended {
        world.tick();
        ticks += 1;
        assert!(ticks < 40 * moves, "it does not come to an end");
        let wave = world.app.wave(world.wave);
        if wave.state != WaveState::Paused {
            continue;
        }
        closed += 1;
        let shut = world.last_end().expect("the end of one closed it");
        // All that is under way ends, and nothing more follows.
        for _ in 0..40 {
            world.tick();
        }
        assert!(world.at_work.is_empty());
        let after = world.begun_since(shut);
        assert!(
            after <= 2,
            "{after} began after the gate had closed: {}",
            wave.why
        );
        most_after = most_after.max(after);
        assert_eq!(world.app.wave(world.wave).state, WaveState::Paused);
        world.app.deed(world.wave, Deed::Resume);
    }
    let of = |stage| world.app.in_stage(world.wave, stage);
    let (done, failed) = (of(Stage::Done), of(Stage::Failed));
    println!(
        "{moves} moves on {:?}, seed {seed}: {done} moved, {failed} failed; the gate closed {closed} times, at most {most_after} began after it; at most {} Linodes on a host with room for {}; {} s",
        world.app.on(),
        world.witness.fullest,
        world.room,
        begun.elapsed().as_secs()
    );
    assert_eq!(done + failed, moves);
    assert!(closed > 0 && failed > 0, "faults were injected");
    assert!(world.witness.wrong.is_empty(), "{:?}", world.witness.wrong);
}

impl World {
    fn new(on: On, moves: i64, seed: u64) -> Self {
        let app = TestApp::at_noon(on).with_fleet();
        // What fails keeps no memory: its place goes to another one. So few are left over that many hosts are full in the end.
        let room = (moves / PAIRS + 1) as usize;
        app.sql(&fleet(moves, room));
        let numbers = Numbers {
            canary: 5,
            watch_min: 5,
            at_once: AT_ONCE,
            per_host: ON_HOST as i32,
            out_most: 20,
            ..at_once()
        };
        let wave = app.started(&wanted(WaveKind::Beta, numbers));
        let runs = (0..moves).map(|n| (LinodeId(10_000 + n), HostId(1000 + n % PAIRS)));
        let mut rng = Rng::new(seed);
        Self {
            which: rng.below(FAULTS),
            witness: Witness {
                runs: runs.collect(),
                ..Witness::default()
            },
            app,
            rng,
            at_work: Vec::new(),
            doomed: BTreeSet::new(),
            decided: BTreeSet::new(),
            room,
            wave,
        }
    }

    /// Some seconds: hosts end what they had in hand, members click what they were offered, and take what there is.
    fn tick(&mut self) {
        let is_idle = self.at_work.is_empty();
        self.app.pass_watched_s(if is_idle { 30 } else { 5 });
        let now = self.app.now();
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.at_work)
            .into_iter()
            .partition(|it| it.ends <= now);
        self.at_work = rest;
        for it in over {
            self.end(&it);
            self.look();
        }
        self.app.waves_work();
        for linode in self.offered() {
            self.app
                .migrate(&self.app.member(), linode, now_click())
                .unwrap();
        }
        self.app.reconcile().unwrap();
        self.look();
        for host in self.with_work() {
            while let Some(order) = self.app.claim(&agent(host)).unwrap() {
                let takes = 1 + self.rng.below(12) as i64;
                let ends = self.app.now().plus_s(takes);
                self.at_work.push(AtWork { host, order, ends });
            }
        }
    }

    fn end(&mut self, it: &AtWork) {
        if let Task::PreflightDestination { migration, .. } = &it.order.task {
            if self.decided.insert(*migration) && self.decided.len() as u64 % FAULTS == self.which {
                self.doomed.insert(*migration);
            }
            if self.doomed.contains(migration) {
                let no = Outcome::Failed {
                    retry: false,
                    public: "The new host cannot take it.".to_owned(),
                    detail: "injected".to_owned(),
                    console: None,
                    owns: None,
                };
                self.app.answer(it.host, &it.order, no).unwrap();
                return;
            }
        }
        let report = self.app.success(&it.order);
        let linode = self.linode(&it.order);
        self.app
            .answer(
                it.host,
                &it.order,
                Outcome::Succeeded {
                    report: report.clone(),
                },
            )
            .unwrap();
        self.witness
            .hear(it.host, linode, (&it.order.task, &report));
    }

    fn linode(&self, order: &Order) -> Option<LinodeId> {
        let id = order.job;
        self.app.in_db(|conn| {
            Ok(jobs::table
                .find(id)
                .select(jobs::linode_id)
                .get_result(conn)
                .optional()?)
        })
    }

    fn offered(&self) -> Vec<LinodeId> {
        self.app.in_db(|conn| {
            Ok(migrations::table
                .filter(migrations::state.eq(MigrationState::Offered))
                .select(migrations::linode_id)
                .load(conn)?)
        })
    }

    fn with_work(&self) -> Vec<HostId> {
        let now = self.app.now();
        self.app.in_db(|conn| {
            Ok(jobs::table
                .filter(jobs::state.eq(xenbeta::domain::job::JobState::Pending))
                .filter(jobs::run_after.le(now))
                .select(jobs::host_id)
                .distinct()
                .order(jobs::host_id)
                .load(conn)?)
        })
    }

    /// When the last of its moves came to an end, a good one or a bad one: that closed the gate.
    fn last_end(&self) -> Option<Time> {
        let (failed, done): (Option<Time>, Option<Time>) = self.app.in_db(|conn| {
            let failed = migrations::table
                .filter(migrations::state.eq(MigrationState::Failed))
                .select(diesel::dsl::max(migrations::closed_at))
                .get_result(conn)?;
            let done = migrations::table
                .select(diesel::dsl::max(migrations::finished_at))
                .get_result(conn)?;
            Ok((failed, done))
        });
        failed.max(done)
    }

    fn begun_since(&self, at: Time) -> i64 {
        self.app.in_db(|conn| {
            Ok(migrations::table
                .filter(migrations::started_at.gt(at))
                .count()
                .get_result(conn)?)
        })
    }

    /// Nothing is over its limits now: by the witness's own account, and by what is at work.
    fn look(&mut self) {
        let of_wave: Vec<(HostId, HostId)> = self.app.in_db(|conn| {
            Ok(migrations::table
                .filter(migrations::state.eq_any(xenbeta::domain::migration::IN_SLOTS))
                .select((migrations::source_host_id, migrations::destination_host_id))
                .load(conn)?)
        });
        assert!(
            of_wave.len() <= AT_ONCE as usize,
            "{} at once",
            of_wave.len()
        );
        let mut on: BTreeMap<HostId, usize> = BTreeMap::new();
        for host in of_wave.iter().flat_map(|(source, to)| [*source, *to]) {
            *on.entry(host).or_default() += 1;
        }
        assert!(on.values().all(|count| *count <= ON_HOST), "{on:?}");
        let fullest = self.witness.fullest_of(|host| host.0 >= 2000);
        assert!(
            fullest <= self.room,
            "{fullest} on a host with room for {}",
            self.room
        );
        self.witness.fullest = self.witness.fullest.max(fullest);
    }
}

impl Witness {
    fn hear(&mut self, host: HostId, linode: Option<LinodeId>, said: (&Task, &Report)) {
        let Some(linode) = linode else { return };
        match said {
            (Task::Reserve { .. }, _) => {
                self.held.insert(linode, host);
            }
            (Task::Release { .. } | Task::CloseTransfer { .. }, _)
                if self.held.get(&linode) == Some(&host) =>
            {
                self.held.remove(&linode);
            }
            (_, Report::Sealed { .. }) => {
                self.runs.remove(&linode);
            }
            (_, Report::Started { running: true, .. }) => {
                self.held.remove(&linode);
                if let Some(other) = self.runs.insert(linode, host) {
                    self.wrong
                        .push(format!("Linode {linode} runs on {other} and on {host}"));
                }
            }
            _ => {}
        }
    }

    /// Linodes that run there or whose place is held there, on the fullest of these hosts.
    fn fullest_of(&self, fits: impl Fn(HostId) -> bool) -> usize {
        let mut on: BTreeMap<HostId, BTreeSet<LinodeId>> = BTreeMap::new();
        for (linode, host) in self.runs.iter().chain(&self.held) {
            if fits(*host) {
                on.entry(*host).or_default().insert(*linode);
            }
        }
        on.values().map(BTreeSet::len).max().unwrap_or(0)
    }
}

/// Pairs of hosts, Linodes on the first of each, registered and approved; room for so many on each of the others.
fn fleet(moves: i64, room: usize) -> String {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = String::from(
        "UPDATE programme SET max_overall = 400, max_per_link = 4; UPDATE hosts SET state = 'disabled';\n",
    );
    for pair in 0..PAIRS {
        for (id, name, like, memory) in [
            (1000 + pair, "u", 1, 900_000),
            (2000 + pair, "x", 3, room as i64 * RAM_MB),
        ] {
            sql += &format!(
                "INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at, protocol) \
                 SELECT {id}, '{name}{pair}', platform, role, plan_id, 'enabled', {memory}, 90000000, {ON_HOST}, FALSE, transfer_address, '{id:064}', 'c{id}', created_at, 2 FROM hosts WHERE id = {like};\n"
            );
        }
    }
    for n in 0..moves {
        let (id, host) = (10_000 + n, 1000 + n % PAIRS);
        sql += &format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'l{id}', 1, {host}, 1, TRUE, 'running', {at}, 'fe:fd:01:{:02x}:{:02x}:01', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 1024, 'ext4', {at});
             INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', 'uml-2.6', '{{\"ubda\":{id}}}', '/dev/ubda', TRUE, 'default', '[]');
             INSERT INTO ips (id, address, linode_id, host_id, prefix, gateway, kind) VALUES ({id}, '10.1.{}.{}', {id}, {host}, 16, '10.1.0.1', 'public');
             INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, 1, 1, 'approved', {at});\n",
            n / 256, n % 256, n / 250, n % 250 + 2
        );
    }
    sql
}

#[test]
fn a_wave_of_many_ends_with_faults_on_sqlite() {
    many(
        On::Sqlite,
        env("WAVE_MOVES", 60),
        env("WAVE_SEED", 1) as u64,
    );
}

#[test]
fn a_wave_of_many_ends_with_faults_on_postgresql() {
    many(
        On::Postgresql,
        env("WAVE_MOVES", 60),
        env("WAVE_SEED", 1) as u64,
    );
}
