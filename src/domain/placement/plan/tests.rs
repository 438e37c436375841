//! The planner's answers as diffs that people read, what holds of all of them, and how they stand beside others'.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod beside;

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::domain::host::HostState;

const XEN: &str = "xen-2.6";

fn host(id: i64, name: &str, memory_mb: i64) -> Place {
    let mut place = Place::sample(id, name, memory_mb);
    place.room.disk_mb = memory_mb * 20;
    place
}

fn linode(id: i64, account: i64, memory_mb: i64, from: i64) -> Candidate {
    Candidate {
        linode: LinodeId(id),
        registration: RegistrationId(id),
        label: format!("l{id}"),
        account: AccountId(account),
        account_name: format!("a{account}"),
        plan_label: format!("Linode {memory_mb}"),
        need: Need {
            from: HostId(from),
            plan: PlanId(memory_mb),
            memory_mb,
            disk_mb: memory_mb * 20,
            role: HostRole::Beta,
        },
        kernels: BTreeSet::from([XEN.to_owned()]),
        hurdle: None,
    }
}

fn hosts(places: Vec<Place>) -> Hosts {
    Hosts {
        places,
        ..Hosts::default()
    }
}

impl Plan {
    /// The plan as text, host by host: `+` comes; then who goes nowhere.
    fn diff(&self) -> String {
        let mut out = String::new();
        for (before, after) in self.before.iter().zip(&self.after) {
            let (now, then) = (&before.room, &after.room);
            let _written = writeln!(
                out,
                "{}, free: memory {} -> {} of {} MiB, disk {} -> {} MiB",
                now.name,
                now.memory_free_mb(),
                then.memory_free_mb(),
                now.memory_mb,
                now.disk_free_mb(),
                then.disk_free_mb()
            );
            for (it, _) in self.moves().filter(|(_, to)| *to == now.host) {
                let _written = writeln!(
                    out,
                    "  + {} ({}, {}) from {}",
                    it.label, it.account_name, it.plan_label, it.need.from
                );
            }
        }
        for line in &self.lines {
            if !matches!(line.outcome, Outcome::Goes(_)) {
                let it = &line.candidate;
                let _written = writeln!(out, "! {} ({}): {}", it.label, it.account_name, why(line));
            }
        }
        out
    }

    fn went(&self) -> BTreeMap<LinodeId, Option<HostId>> {
        let of = |line: &Line| match line.outcome {
            Outcome::Goes(to) => Some(to),
            Outcome::Cannot(_) | Outcome::Not(_) => None,
        };
        let pairs = self
            .lines
            .iter()
            .map(|line| (line.candidate.linode, of(line)));
        pairs.collect()
    }
}

/// Three beta hosts and a closed one; two accounts from two sources.
fn fleet() -> (Vec<Candidate>, Hosts) {
    let mut closed = host(13, "xen-d", 8192);
    closed.room.door.state = HostState::Draining;
    let mut used = host(12, "xen-c", 8192);
    used.room.memory_promised_mb = 4096;
    used.room.disk_promised_mb = 40_000;
    let mut hosts = hosts(vec![
        host(10, "xen-a", 4096),
        host(11, "xen-b", 4096),
        used,
        closed,
    ]);
    hosts
        .living
        .insert(AccountId(1), BTreeMap::from([(HostId(12), 1)]));
    let mut fleet: Vec<Candidate> = (1..=4).map(|n| linode(n, 1, 512, 1)).collect();
    fleet.extend((5..=7).map(|n| linode(n, 2, 1024, 2)));
    fleet.push(linode(8, 3, 8192, 2));
    let mut open = linode(9, 3, 512, 2);
    open.hurdle = Some(Hurdle::WayBackOpen);
    fleet.push(open);
    let mut odd = linode(10, 3, 512, 2);
    odd.kernels = BTreeSet::from(["xen-2.4".to_owned()]);
    fleet.push(odd);
    (fleet, hosts)
}

#[test]
fn accounts_are_spread_hosts_fill_evenly_and_room_for_one_is_kept() {
    let (fleet, hosts) = fleet();
    insta::assert_snapshot!(plan(fleet, hosts, Spare::Kept).diff());
}

#[test]
fn what_is_kept_for_one_that_fails_may_be_used() {
    let (fleet, hosts) = fleet();
    insta::assert_snapshot!(plan(fleet, hosts, Spare::Used).diff());
}

#[test]
fn each_obstacle_is_named() {
    let mut diffs = String::new();
    let mut case = |name: &str, change: fn(&mut Place)| {
        let mut place = host(10, "xen-a", 1024);
        change(&mut place);
        let diff = plan(vec![linode(1, 1, 512, 1)], hosts(vec![place]), Spare::Kept).diff();
        diffs.push_str(&format!("# {name}\n{diff}"));
    };
    case("it fits", |_| {});
    case("another role", |it| it.room.role = HostRole::Production);
    case("for another plan", |it| it.room.plan = Some(PlanId(1)));
    case("for its plan", |it| it.room.plan = Some(PlanId(512)));
    case("no Xen host", |it| it.room.platform = Platform::Uml);
    case("draining", |it| it.room.door.state = HostState::Draining);
    case("not enrolled", |it| it.room.door.enrolled = false);
    case("silent", |it| it.room.door.heard = false);
    case("no slots", |it| it.room.door.slots = 0);
    case("no such kernel", |it| it.kernels = Some(BTreeSet::new()));
    case("takes any kernel", |it| it.kernels = None);
    case("memory promised", |it| it.room.memory_promised_mb = 513);
    case("disk promised", |it| it.room.disk_promised_mb = 10_241);
    case("it is there already", |it| it.room.host = HostId(1));
    insta::assert_snapshot!(diffs);
}

#[test]
fn a_pool_of_one_keeps_nothing_and_a_full_one_of_two_takes_nobody() {
    let place = |id: i64, promised: i64| {
        let mut place = host(id, &format!("xen{id}"), 2048);
        place.room.memory_promised_mb = promised;
        place
    };
    let one = || vec![linode(1, 1, 512, 1)];
    let goes = |places: Vec<Place>| plan(one(), hosts(places), Spare::Kept).lines[0].outcome;
    assert_eq!(goes(vec![place(10, 0)]), Outcome::Goes(HostId(10)));
    assert_eq!(keeps_one(&[place(10, 0)], HostRole::Beta), None);
    let two = vec![place(10, 1024), place(11, 1024)];
    assert_eq!(keeps_one(&two, HostRole::Beta), Some(true));
    assert_eq!(goes(two), Outcome::Cannot(Obstacle::Spare));
    let two = vec![place(10, 1024), place(11, 1025)];
    assert_eq!(keeps_one(&two, HostRole::Beta), Some(false));
    // Others use most of their disks: what counts is what Linodes have and could have.
    let mut two = vec![place(10, 0), place(11, 0)];
    for place in &mut two {
        place.room.disk_found_mb = Some(12_000);
    }
    assert_eq!(keeps_one(&two, HostRole::Beta), Some(true));
    assert!(matches!(goes(two), Outcome::Goes(_)));
}

/// Of anything: hosts of some sizes, Linodes of accounts.
fn any_fleet(most: usize) -> impl Strategy<Value = (Vec<Candidate>, Hosts)> {
    let linodes = proptest::collection::vec((1_i64..6, 0_u32..4, 1_i64..4, 0_i64..60_000), 0..most);
    let rooms = proptest::collection::vec((1_i64..9, 0_i64..5000, proptest::bool::ANY), 0..8);
    (linodes, rooms).prop_map(|(linodes, rooms)| {
        let fleet = linodes
            .iter()
            .zip(1..)
            .map(|((account, size, from, disk_mb), id)| {
                let mut it = linode(id, *account, 512 << size, *from);
                it.need.disk_mb = *disk_mb;
                it
            });
        let places = rooms.iter().zip(10..).map(|((size, promised, own), id)| {
            let mut place = host(id, &format!("h{id}"), size * 2048);
            place.room.memory_promised_mb = *promised;
            place.room.plan = own.then_some(PlanId(1024));
            place
        });
        (fleet.collect(), hosts(places.collect()))
    })
}

proptest! {
    /// Nobody is left out, no host is promised more than it has, and what is kept for one that fails is kept.
    #[test]
    fn a_plan_is_never_over_room((fleet, hosts) in any_fleet(60)) {
        let count = fleet.len();
        let kept = keeps_one(&hosts.places, HostRole::Beta);
        for spare in [Spare::Kept, Spare::Used] {
            let plan = plan(fleet.clone(), hosts.clone(), spare);
            prop_assert_eq!(plan.lines.len(), count);
            for (before, after) in plan.before.iter().zip(&plan.after) {
                let comes: Vec<&Candidate> = plan.moves().filter(|(_, to)| *to == after.room.host).map(|(it, _)| it).collect();
                let memory: i64 = comes.iter().map(|it| it.need.memory_mb).sum();
                prop_assert_eq!(after.room.memory_promised_mb, before.room.memory_promised_mb + memory);
                prop_assert!(comes.is_empty() || (after.room.memory_free_mb() >= 0 && after.room.disk_free_mb() >= 0));
                prop_assert!(comes.iter().all(|it| before.room.plan.is_none_or(|plan| plan == it.need.plan)));
            }
            if spare == Spare::Kept && kept == Some(true) {
                prop_assert_eq!(keeps_one(&plan.after, HostRole::Beta), kept);
            }
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter((fleet, hosts) in any_fleet(40), turn in 0_usize..8) {
        let one = plan(fleet.clone(), hosts.clone(), Spare::Kept).diff();
        let (mut fleet, mut hosts) = (fleet, hosts);
        fleet.reverse();
        let turn = turn.min(hosts.places.len());
        hosts.places.rotate_left(turn);
        prop_assert_eq!(plan(fleet, hosts, Spare::Kept).diff(), one);
    }

    /// Who has no place has none: no host would take it as things stand at the end.
    #[test]
    fn a_reason_is_true((fleet, hosts) in any_fleet(40)) {
        let plan = plan(fleet, hosts, Spare::Used);
        for line in &plan.lines {
            if let Outcome::Cannot(_) = line.outcome {
                let it = &line.candidate;
                let guest = Guest { need: it.need, platform: platform::TO, kernels: &it.kernels };
                prop_assert!(plan.after.iter().all(|place| fitting::takes(place, &guest).is_err()));
            }
        }
    }
}
