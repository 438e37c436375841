//! The planner's answers as text that people read.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::domain::host::HostState;
use crate::domain::platform::Platform;

impl Plan {
    /// The plan as text: where each goes (`+`, and `?` if its way back is closed), who stays (`=`) or cannot (`!`).
    fn diff(&self) -> String {
        let mut out = String::new();
        if let Some(blocked) = self.blocked {
            let _written = writeln!(out, "{}: {blocked}", self.source.room.name);
        }
        for (before, after) in self.before.iter().zip(&self.after) {
            let _written = writeln!(
                out,
                "{}, free: memory {} -> {} MiB, disk {} -> {} MiB",
                before.room.name,
                before.room.memory_free_mb(),
                after.room.memory_free_mb(),
                before.room.disk_free_mb(),
                after.room.disk_free_mb()
            );
            for line in &self.lines {
                let label = &line.candidate.label;
                let _written = match line.outcome {
                    Outcome::Goes(to) if to == before.room.host => writeln!(out, "  + {label}"),
                    Outcome::GoesIfClosed(to) if to == before.room.host => {
                        writeln!(out, "  ? {label}")
                    }
                    _ => Ok(()),
                };
            }
        }
        for line in &self.lines {
            let (label, why) = (&line.candidate.label, self.reason(line));
            let _written = match line.outcome {
                Outcome::Cannot(_) => writeln!(out, "! {label}: {why}"),
                Outcome::Stays => writeln!(out, "= {label}: {why}"),
                Outcome::Goes(_) | Outcome::GoesIfClosed(_) => Ok(()),
            };
        }
        out
    }
}

fn host(id: i64, name: &str, memory_mb: i64) -> Place {
    Place::sample(id, name, memory_mb)
}

fn linode(id: i64, label: &str, plan: i64, stands: Stands) -> Candidate {
    Candidate {
        linode: LinodeId(id),
        label: label.to_owned(),
        account: "Mia Ltd".to_owned(),
        plan: PlanId(plan),
        plan_label: format!("Linode {}", plan * 512),
        memory_mb: plan * 512,
        disk_mb: plan * 10_000,
        kernels: BTreeSet::from(["xen-2.6".to_owned()]),
        stands,
    }
}

const FREE: Stands = Stands::Free { offer: None };

fn residents() -> Vec<Candidate> {
    vec![
        linode(101, "web", 1, FREE),
        linode(102, "db", 2, FREE),
        linode(
            103,
            "shop",
            1,
            Stands::Free {
                offer: Some(MigrationId(4)),
            },
        ),
        linode(104, "huge", 4, FREE),
        linode(105, "fresh", 1, Stands::WayBackOpen(MigrationId(7))),
        linode(106, "busy", 1, Stands::Moving(MigrationId(8))),
        linode(
            107,
            "gone",
            1,
            Stands::Evacuating {
                migration: MigrationId(9),
                to: HostId(2),
                at: None,
            },
        ),
    ]
}

fn alike() -> Vec<Place> {
    let mut production = host(5, "prod", 8192);
    production.room.role = HostRole::Production;
    production.room.plan = Some(PlanId(1));
    let mut uml = host(6, "uml", 8192);
    uml.room.platform = Platform::Uml;
    vec![
        host(1, "xen1", 8192),
        host(3, "xen3", 1024),
        host(2, "xen2", 1536),
        production,
        uml,
    ]
}

#[test]
fn the_largest_go_first_and_those_with_a_way_back_last() {
    let plan = plan(host(1, "xen1", 8192), residents(), alike());
    insta::assert_snapshot!(plan.diff());
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let one = plan(host(1, "xen1", 8192), residents(), alike()).diff();
    let (mut all, mut places) = (residents(), alike());
    all.reverse();
    places.rotate_left(2);
    assert_eq!(plan(host(1, "xen1", 8192), all, places).diff(), one);
}

#[test]
fn a_production_host_is_emptied_to_its_plans_others() {
    let production = |id: i64, name: &str, plan: i64| {
        let mut place = host(id, name, 4096);
        place.room.role = HostRole::Production;
        place.room.plan = Some(PlanId(plan));
        place
    };
    let places = vec![
        production(2, "prod-512-b", 1),
        production(3, "prod-1024", 2),
        host(4, "beta", 4096),
    ];
    let plan = plan(
        production(1, "prod-512-a", 1),
        vec![linode(101, "web", 1, FREE)],
        places,
    );
    insta::assert_snapshot!(plan.diff());
}

#[test]
fn each_obstacle_is_named() {
    let mut diffs = String::new();
    let mut case = |name: &str, change: fn(&mut Place, &mut Place)| {
        let (mut source, mut other) = (host(1, "xen1", 8192), host(2, "xen2", 4096));
        change(&mut source, &mut other);
        let diff = plan(source, vec![linode(101, "web", 1, FREE)], vec![other]).diff();
        diffs.push_str(&format!("# {name}\n{diff}"));
    };
    case("it fits", |_, _| {});
    case("another role", |_, it| it.room.role = HostRole::Source);
    case("another platform", |_, it| it.room.platform = Platform::Uml);
    case("draining", |_, it| it.room.door.state = HostState::Draining);
    case("not enrolled", |_, it| it.room.door.enrolled = false);
    case("silent", |_, it| it.room.door.heard = false);
    case("no slots", |_, it| it.room.door.slots = 0);
    case("no such kernel", |_, it| it.kernels = Some(BTreeSet::new()));
    case("takes any kernel", |_, it| it.kernels = None);
    case("memory promised", |_, it| it.room.memory_promised_mb = 3585);
    case("disk promised", |_, it| it.room.disk_promised_mb = 90_001);
    case("a silent source", |it, _| it.room.door.heard = false);
    case("a source without an agent", |it, _| {
        it.room.door.enrolled = false
    });
    case("a disabled source", |it, _| {
        it.room.door.state = HostState::Disabled
    });
    case("a source without slots", |it, _| it.room.door.slots = 0);
    case("a draining source", |it, _| {
        it.room.door.state = HostState::Draining
    });
    insta::assert_snapshot!(diffs);
}

proptest! {
    /// No host is promised more than it has, and everyone is in the plan once.
    #[test]
    fn a_plan_never_overfills(sizes in proptest::collection::vec((1_i64..4, 0_i64..60_000, any::<bool>()), 0..60), rooms in proptest::collection::vec(0_i64..6000, 0..8)) {
        let residents: Vec<Candidate> = sizes.iter().enumerate().map(|(n, (plan, disk, open))| {
            let id = i64::try_from(n).unwrap() + 100;
            let stands = if *open { Stands::WayBackOpen(MigrationId(id)) } else { FREE };
            Candidate { disk_mb: *disk, ..linode(id, &format!("l{n}"), *plan, stands) }
        }).collect();
        let places: Vec<Place> = rooms.iter().enumerate().map(|(n, memory)| host(i64::try_from(n).unwrap() + 10, &format!("h{n}"), *memory)).collect();
        let count = residents.len();
        let plan = plan(host(1, "xen1", 8192), residents, places);
        prop_assert_eq!(plan.lines.len(), count);
        for place in &plan.after {
            prop_assert!(place.room.memory_free_mb() >= 0 && place.room.disk_free_mb() >= 0);
        }
        let promised: i64 = plan.after.iter().map(|place| place.room.memory_promised_mb).sum();
        let moved: i64 = plan.moves().chain(plan.closing()).map(|(it, _)| it.memory_mb).sum();
        prop_assert_eq!(promised, moved);
    }
}
