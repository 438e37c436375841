//! What the plan does to each host: bars, figures, CSV.

use std::collections::HashMap;

use super::shared::Params;
use super::what_if::planned;
use crate::domain::host::HostRole;
use crate::domain::ids::HostId;
use crate::domain::placement::Room;
use crate::domain::placement::plan::Plan;
use crate::web::csv::{self, unformula};
use crate::web::extract::{Query, Staff};
use crate::web::fault::Response;
use crate::web::ui::room::{Bar, axis, change};
use crate::web::ui::{Link, units};

/// Hosts with a bar of their own; the others have one together.
const SHOWN: usize = 24;

#[derive(Debug)]
pub struct HostTable {
    pub memory_axis: [String; 3],
    pub disk_axis: [String; 3],
    pub rows: Vec<HostRow>,
}

#[derive(Debug)]
pub struct HostRow {
    pub name: String,
    /// `None`: there is no such host, or it is several.
    pub link: Option<Link>,
    pub comes: usize,
    pub memory: String,
    pub memory_bar: Bar,
    pub disk: String,
    pub disk_bar: Bar,
}

/// A host now and afterwards.
struct Change<'a> {
    before: &'a Room,
    after: &'a Room,
    comes: usize,
}

/// Those that the plan is about, with most to come first.
fn changes(plan: &Plan) -> Vec<Change<'_>> {
    let mut comes: HashMap<HostId, usize> = HashMap::new();
    for (_, to) in plan.moves() {
        *comes.entry(to).or_default() += 1;
    }
    let both = plan.before.iter().zip(&plan.after);
    let mut all: Vec<Change<'_>> = both
        .map(|(before, after)| Change {
            before: &before.room,
            after: &after.room,
            comes: comes.get(&before.room.host).copied().unwrap_or(0),
        })
        .filter(|it| it.comes > 0 || it.before.role == HostRole::Beta)
        .collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.comes));
    all
}

impl HostTable {
    pub fn new(plan: &Plan) -> Self {
        let all = changes(plan);
        let largest = |of: fn(&Room) -> i64| all.iter().map(|it| of(it.before)).max().unwrap_or(0);
        let most = [largest(|it| it.memory_mb), largest(|it| it.disk_mb)];
        let mut rows: Vec<HostRow> = all.iter().take(SHOWN).map(|it| it.row(most)).collect();
        let others = all.get(SHOWN..).unwrap_or_default();
        rows.extend((!others.is_empty()).then(|| together(others, most)));
        let [memory, disk] = most;
        Self {
            memory_axis: axis(memory),
            disk_axis: axis(disk),
            rows,
        }
    }
}

impl Change<'_> {
    fn row(&self, [memory, disk]: [i64; 2]) -> HostRow {
        let (now, then) = (self.before, self.after);
        let memory_promised = (now.memory_promised_mb, then.memory_promised_mb);
        HostRow {
            link: (now.host.0 > 0)
                .then(|| Link::new(format!("/staff/hosts/{}", now.host), now.name.clone())),
            name: now.name.clone(),
            comes: self.comes,
            memory: change(now.memory_free_mb(), then.memory_free_mb()),
            memory_bar: Bar::new(memory_promised, now.memory_mb, memory),
            disk: change(now.disk_free_mb(), then.disk_free_mb()),
            disk_bar: Bar::new((taken(now), taken(then)), now.disk_mb, disk),
        }
    }
}

/// What is not free of its disk, by whom ever.
fn taken(room: &Room) -> i64 {
    room.disk_mb - room.disk_free_mb()
}

/// Of several hosts, the mean.
fn together(of: &[Change<'_>], [memory, disk]: [i64; 2]) -> HostRow {
    let count = i64::try_from(of.len()).unwrap_or(i64::MAX).max(1);
    let mean = |value: &dyn Fn(&Change<'_>) -> i64| of.iter().map(value).sum::<i64>() / count;
    let now = |value: fn(&Room) -> i64| mean(&|it| value(it.before));
    let then = |value: fn(&Room) -> i64| mean(&|it| value(it.after));
    let both = |value: fn(&Room) -> i64| (now(value), then(value));
    let (memory_now, memory_then) = both(Room::memory_free_mb);
    let (disk_now, disk_then) = both(Room::disk_free_mb);
    HostRow {
        name: format!(
            "{}, each on average",
            units::counted(count, "other", "others")
        ),
        link: None,
        comes: of.iter().map(|it| it.comes).sum::<usize>() / of.len().max(1),
        memory: change(memory_now, memory_then),
        memory_bar: Bar::new(
            both(|it| it.memory_promised_mb),
            now(|it| it.memory_mb),
            memory,
        ),
        disk: change(disk_now, disk_then),
        disk_bar: Bar::new(both(taken), now(|it| it.disk_mb), disk),
    }
}

/// `GET /staff/plan/hosts.csv`: every host that the plan is about.
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let found = planned(&staff, &asked.0).await?;
    let names = [
        "host",
        "state",
        "comes",
        "memory_mb",
        "memory_promised_mb",
        "memory_promised_then_mb",
        "disk_mb",
        "disk_free_mb",
        "disk_free_then_mb",
    ];
    let all = changes(&found.planned.plan);
    let rows = all.iter().map(|it| {
        let (now, then) = (it.before, it.after);
        [
            unformula(&now.name),
            now.door.state.to_string(),
            it.comes.to_string(),
            now.memory_mb.to_string(),
            now.memory_promised_mb.to_string(),
            then.memory_promised_mb.to_string(),
            now.disk_mb.to_string(),
            now.disk_free_mb().to_string(),
            then.disk_free_mb().to_string(),
        ]
    });
    csv::file("plan-hosts.csv", &names, rows)
}
