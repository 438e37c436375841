//! How emptying a host stands, for its page: all of it from rows.

use std::collections::BTreeMap;

use crate::app::evacuation::Emptying;
use crate::domain::evacuation::Outcome;
use crate::domain::host::HostState;
use crate::domain::ids::HostId;
use crate::store::evacuation::Hanging;
use crate::store::host::page::HostDetail;
use crate::web::staff::Counted;
use crate::web::ui::list::query;
use crate::web::ui::{When, Zone, units};

#[derive(Debug)]
pub struct EmptyingView {
    pub since: When,
    /// How many moved, are moving, …, each with its list.
    pub counts: Vec<Counted>,
    /// Who is left and is not being moved off, by reason.
    pub left: Vec<(usize, String)>,
    /// Some of them can go.
    pub can_go: usize,
}

impl EmptyingView {
    pub fn new(host: HostId, of: &Emptying, zone: Zone) -> Self {
        let micros = of.since.utc().timestamp_micros();
        let row = |state: &str, count: i64, label: String| Counted {
            url: format!(
                "/staff/migrations{}",
                query(&[
                    ("state", state.to_owned()),
                    ("kind", "evacuation".to_owned()),
                    ("from", host.to_string()),
                    ("since", micros.to_string()),
                ])
            ),
            label,
            count,
            is_bad: state == "failed" && count > 0,
        };
        let it = &of.progress;
        let waiting = if it.timed > 0 {
            format!("waiting, {} of them for their time", it.timed)
        } else {
            "waiting".to_owned()
        };
        let mut counts = vec![
            row("moved", it.moved, "moved".to_owned()),
            row("running", it.moving, "moving".to_owned()),
            row("queued", it.waiting, waiting),
            row("failed", it.failed, "failed".to_owned()),
        ];
        if it.cancelled > 0 {
            counts.push(row("cancelled", it.cancelled, "cancelled".to_owned()));
        }
        if it.went_back > 0 {
            counts.push(row("back", it.went_back, "taken back".to_owned()));
        }
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        let mut can_go = 0;
        for line in &of.plan.lines {
            use crate::domain::evacuation::Stands;
            match (line.outcome, line.candidate.stands) {
                (Outcome::Goes(_), _) => can_go += 1,
                (_, Stands::Evacuating { .. }) => {}
                _ => *left.entry(of.plan.reason(line)).or_default() += 1,
            }
        }
        Self {
            since: zone.show(of.since),
            counts,
            left: left.into_iter().map(|(why, count)| (count, why)).collect(),
            can_go: if of.plan.blocked.is_none() { can_go } else { 0 },
        }
    }
}

/// Of a host that takes no new Linodes and has none: whether it can be given back.
pub fn empty_words(detail: &HostDetail, hanging: Hanging, zone: Zone) -> Option<String> {
    if detail.host.state != HostState::Draining || detail.occupants_in_all > 0 {
        return None;
    }
    if hanging.coming > 0 {
        return Some(format!(
            "No Linode is on it, but migrations to it are under way or offered: {}. It is not empty yet.",
            hanging.coming
        ));
    }
    let mut words = "It is empty: it can be given back.".to_owned();
    if let (1.., Some(until)) = (hanging.ways_back, hanging.until) {
        words.push_str(&format!(
            " It keeps the old disks of {} that moved away and are not confirmed, until {} at the latest: give it back before, and there is no way back for them.",
            units::counted(hanging.ways_back, "Linode", "Linodes"),
            zone.both(until).text
        ));
    }
    Some(words)
}
