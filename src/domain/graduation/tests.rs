//! The planner's answers as diffs that people read.

use std::fmt::Write;

use crate::domain::platform::Platform;
use chrono::DateTime;
use proptest::prelude::*;

use super::*;

impl Plan {
    /// Who goes, with where to.
    fn moves(&self) -> impl Iterator<Item = (&Candidate, HostId)> {
        self.lines.iter().filter_map(|line| match line.outcome {
            Outcome::Goes(to) => Some((&line.candidate, to)),
            Outcome::Cannot(_) | Outcome::Waits => None,
        })
    }

    /// The plan as text, host by host: `+` comes, `-` goes, `=` stays, `!` cannot.
    fn diff(&self) -> String {
        let mut out = String::new();
        for (before, after) in self.before.iter().zip(&self.after) {
            let host = before.room.host;
            let mut own = String::new();
            for line in &self.lines {
                let it = &line.candidate;
                let who = format!("{} ({}, {})", it.label, it.account, it.plan_label);
                let here = it.host == host;
                let _written = match line.outcome {
                    Outcome::Goes(to) if to == host => {
                        writeln!(own, "  + {who} from {}", self.name(it.host))
                    }
                    Outcome::Goes(to) if here => writeln!(own, "  - {who} to {}", self.name(to)),
                    Outcome::Cannot(why) if here => writeln!(own, "  ! {who}: {why}"),
                    Outcome::Waits if here => writeln!(own, "  = {who}: {}", self.words(it)),
                    Outcome::Goes(_) | Outcome::Cannot(_) | Outcome::Waits => Ok(()),
                };
            }
            if !own.is_empty() || before.room.role == HostRole::Production {
                let _written = writeln!(
                    out,
                    "{} ({}), free: memory {} -> {} MiB, disk {} -> {} MiB",
                    before.room.name,
                    before.room.role,
                    before.room.memory_free_mb(),
                    after.room.memory_free_mb(),
                    before.room.disk_free_mb(),
                    after.room.disk_free_mb()
                );
                out.push_str(&own);
            }
        }
        out
    }
}
use crate::domain::host::HostState;
use crate::domain::placement;

fn host(id: i64, name: &str, plan: Option<i64>, memory_mb: i64) -> Place {
    let mut place = Place::sample(id, name, memory_mb);
    if let Some(plan) = plan {
        place.room.role = HostRole::Production;
        place.room.plan = Some(PlanId(plan));
    }
    place
}

fn linode(id: i64, label: &str, plan: i64, host: i64) -> Candidate {
    Candidate {
        linode: LinodeId(id),
        label: label.to_owned(),
        account: "Mia Ltd".to_owned(),
        plan: PlanId(plan),
        plan_label: format!("Linode {}", plan * 512),
        host: HostId(host),
        memory_mb: plan * 512,
        disk_mb: plan * 10_000,
        kernels: BTreeSet::from(["xen-2.6".to_owned()]),
        stands: Stands::Ready {
            registration: RegistrationId(id),
            expired: None,
        },
    }
}

fn standing(of: Candidate, stands: Stands) -> Candidate {
    Candidate { stands, ..of }
}

/// Two beta hosts of mixed plans, and what is there to take them.
fn fleet() -> (Vec<Candidate>, Vec<Place>) {
    let at = Time::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let candidates = vec![
        linode(101, "web", 1, 1),
        linode(102, "db", 2, 1),
        linode(103, "mail", 1, 2),
        linode(104, "shop", 1, 2),
        linode(105, "huge", 4, 2),
        standing(
            linode(106, "fresh", 1, 1),
            Stands::WayBackOpen(MigrationId(7)),
        ),
        standing(
            linode(107, "asked", 2, 1),
            Stands::Offered {
                migration: MigrationId(8),
                to: HostId(12),
                until: at,
            },
        ),
        standing(linode(108, "busy", 1, 2), Stands::Moving(MigrationId(9))),
        standing(linode(109, "stray", 1, 2), Stands::NotRegistered),
    ];
    let places = vec![
        host(1, "xen1", None, 8192),
        host(2, "xen2", None, 8192),
        host(10, "prod-512-a", Some(1), 1024),
        host(11, "prod-512-b", Some(1), 4096),
        host(12, "prod-1024", Some(2), 4096),
    ];
    (candidates, places)
}

#[test]
fn hosts_fill_one_after_the_other() {
    let (candidates, places) = fleet();
    insta::assert_snapshot!(plan(candidates, places).diff());
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let (candidates, places) = fleet();
    let one = plan(candidates.clone(), places.clone()).diff();
    let (mut candidates, mut places) = (candidates, places);
    candidates.reverse();
    places.rotate_left(3);
    assert_eq!(plan(candidates, places).diff(), one);
}

#[test]
fn each_obstacle_is_named() {
    let mut diffs = String::new();
    let mut case = |name: &str, change: fn(&mut Place)| {
        let mut places = vec![
            host(1, "xen1", None, 8192),
            host(10, "prod-512-a", Some(1), 4096),
        ];
        change(&mut places[1]);
        let diff = plan(vec![linode(101, "web", 1, 1)], places).diff();
        diffs.push_str(&format!("# {name}\n{diff}"));
    };
    case("it fits", |_| {});
    case("another plan", |it| it.room.plan = Some(PlanId(2)));
    case("draining", |it| it.room.door.state = HostState::Draining);
    case("not enrolled", |it| it.room.door.enrolled = false);
    case("silent", |it| it.room.door.heard = false);
    case("no slots", |it| it.room.door.slots = 0);
    case("no such kernel", |it| it.kernels = Some(BTreeSet::new()));
    case("takes any kernel", |it| it.kernels = None);
    case("memory promised", |it| it.room.memory_promised_mb = 3585);
    case("disk promised", |it| it.room.disk_promised_mb = 90_001);
    insta::assert_snapshot!(diffs);
}

#[test]
fn large_ones_go_first() {
    let mut small = linode(101, "small", 1, 1);
    small.disk_mb = 10_000;
    let mut large = linode(102, "large", 1, 1);
    large.disk_mb = 95_000;
    let places = vec![
        host(1, "xen1", None, 8192),
        host(10, "prod-a", Some(1), 4096),
        host(11, "prod-b", Some(1), 4096),
    ];
    insta::assert_snapshot!(plan(vec![small, large], places).diff());
}

proptest! {
    /// No host is promised more than it has, nobody goes to a host of another plan, and everyone is in the plan once.
    #[test]
    fn a_plan_never_overfills(sizes in proptest::collection::vec((1_i64..4, 0_i64..60_000), 0..60), rooms in proptest::collection::vec((1_i64..4, 0_i64..6000), 0..8)) {
        let candidates: Vec<Candidate> = sizes.iter().enumerate().map(|(n, (plan, disk))| {
            let mut it = linode(i64::try_from(n).unwrap() + 100, "l", *plan, 1);
            it.disk_mb = *disk;
            it
        }).collect();
        let count = candidates.len();
        let mut places = vec![host(1, "xen1", None, 1)];
        places.extend(rooms.iter().enumerate().map(|(n, (plan, memory))| host(i64::try_from(n).unwrap() + 10, &format!("p{n}"), Some(*plan), *memory)));
        let plan = plan(candidates, places);
        prop_assert_eq!(plan.lines.len(), count);
        for place in &plan.after {
            prop_assert!(place.room.memory_promised_mb == 0 || place.room.memory_free_mb() >= 0);
            prop_assert!(place.room.disk_promised_mb == 0 || place.room.disk_free_mb() >= 0);
        }
        for (candidate, to) in plan.moves() {
            prop_assert_eq!(plan.place(to).unwrap().room.plan, Some(candidate.plan));
        }
    }
}

#[test]
fn the_way_back_may_go_to_a_host_of_uml() {
    let mut place = host(11, "prod", Some(1), 4096);
    place.room.platform = Platform::Uml;
    let web = linode(101, "web", 1, 1);
    let need = web.guest().need;
    assert_eq!(placement::fits(&place.room, &need), Ok(()));
    assert_eq!(
        placement::takes(&place.room, &need),
        Err(placement::NoRoom::NotXen)
    );
    let plan = plan(vec![web], vec![place]);
    assert_eq!(
        plan.lines[0].outcome,
        Outcome::Cannot(fitting::Obstacle::NotXen)
    );
}
