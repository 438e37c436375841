//! What leads from page to page: the tabs, the steps on the way to a page, and what staff are to look at first.

use crate::domain::account::Right;
use crate::store::attention::Attention;
use crate::web::context::Viewer;
use crate::web::ui::{Zone, units};

/// Who sees a tab.
#[derive(Debug, Clone, Copy)]
enum Whom {
    All,
    Members,
    Staff,
}

impl Whom {
    fn has(self, viewer: &Viewer) -> bool {
        match self {
            Self::All => true,
            Self::Members => viewer.member,
            Self::Staff => viewer.may(Right::Read),
        }
    }
}

/// An area with its tab, which it may share with others; then each of them has a tab of its own below.
struct Place {
    area: Area,
    tab: &'static str,
    whom: Whom,
    label: &'static str,
    url: &'static str,
}

macro_rules! areas {
    ($($area:ident: $tab:literal, $whom:ident, $label:literal, $url:literal;)*) => {
        /// The place in the tabs that a page belongs to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Area {
            /// Beside the tabs: sign-in, errors.
            None,
            $($area,)*
        }

        /// In the order in which they stand.
        const PLACES: &[Place] = &[$(Place {
            area: Area::$area,
            tab: $tab,
            whom: Whom::$whom,
            label: $label,
            url: $url,
        },)*];
    };
}

// Staff's are in five groups: a new page of theirs is one line in the group that its readers would look in.
areas! {
    StaffHome: "Today", Staff, "Dashboard", "/staff/";
    Readiness: "Today", Staff, "Readiness", "/staff/readiness";
    Registrations: "Members", Staff, "Registrations", "/staff/registrations";
    People: "Members", Staff, "Members", "/staff/members";
    StaffLinodes: "Members", Staff, "Linodes", "/staff/linodes";
    Migrations: "Moves", Staff, "Migrations", "/staff/migrations";
    Jobs: "Moves", Staff, "Jobs", "/staff/jobs";
    Graduation: "Moves", Staff, "Graduation", "/staff/graduation";
    Waves: "Moves", Staff, "Waves", "/staff/waves";
    Batches: "Moves", Staff, "Batches", "/staff/batches";
    Held: "Moves", Staff, "Held", "/staff/held";
    Hosts: "Hosts", Staff, "Hosts", "/staff/hosts";
    StaffFairness: "Hosts", Staff, "Fairness", "/staff/fairness";
    Recovery: "Hosts", Staff, "Recovery", "/staff/recovery";
    StaffBugs: "Talk & records", Staff, "Bugs", "/staff/bugs";
    StaffFaq: "Talk & records", Staff, "FAQ", "/staff/faq";
    Mail: "Talk & records", Staff, "Mail", "/staff/mail";
    Audit: "Talk & records", Staff, "Audit", "/staff/audit";
    Programme: "Talk & records", Staff, "Programme", "/staff/programme";
    Linodes: "Linodes", Members, "Linodes", "/members/";
    Profile: "My Accounts", All, "Profile", "/members/accounts";
    XenBeta: "My Accounts", Members, "Xen public beta", "/members/xenbeta";
    Fairness: "My Accounts", Members, "Fairness", "/members/fairness";
    Bugs: "Bugs", Members, "Bugs", "/members/bugs";
    Faq: "FAQ", All, "FAQ", "/members/faq";
}

/// How close a tab is to the page: the page itself, an ancestor of it, or elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tab {
    pub label: &'static str,
    pub url: &'static str,
    pub current: bool,
    exact: bool,
}

impl Tab {
    pub(in crate::web) fn aria(&self) -> &'static str {
        if self.exact { "page" } else { "true" }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crumb {
    pub label: String,
    pub url: String,
}

fn of_tab(tab: &str) -> impl Iterator<Item = &'static Place> {
    PLACES.iter().filter(move |place| place.tab == tab)
}

fn place(area: Area) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.area == area)
}

pub(super) fn tabs(area: Area, below: bool, viewer: Option<&Viewer>) -> Vec<Tab> {
    let Some(viewer) = viewer else {
        return Vec::new();
    };
    let mut tabs: Vec<Tab> = Vec::new();
    for it in PLACES.iter().filter(|it| it.whom.has(viewer)) {
        if tabs.last().is_some_and(|last| last.label == it.tab) {
            continue;
        }
        let current = place(area).is_some_and(|place| place.tab == it.tab);
        tabs.push(Tab {
            label: it.tab,
            url: it.url,
            current,
            // Where subtabs are shown, they say which page this is.
            exact: current && !below && of_tab(it.tab).count() == 1,
        });
    }
    tabs
}

pub(super) fn subtabs(area: Area, below: bool, viewer: Option<&Viewer>) -> Vec<Tab> {
    let tab = tab_label(area);
    let Some(viewer) = viewer.filter(|_| of_tab(tab).count() > 1) else {
        return Vec::new();
    };
    of_tab(tab)
        .filter(|it| it.whom.has(viewer))
        .map(|it| Tab {
            label: it.label,
            url: it.url,
            current: it.area == area,
            exact: it.area == area && !below,
        })
        .collect()
}

pub(super) fn tab_label(area: Area) -> &'static str {
    place(area).map_or("Linodes", |place| place.tab)
}

/// Each in words, with where it is looked after.
pub(super) fn alarms(of: &Attention, zone: Zone) -> Vec<Crumb> {
    let counted = |count: Option<i64>, url: &str, one: &str, many: &str| match count {
        None | Some(..=0) => None,
        Some(count) => Some(alarm(url, units::counted(count, one, many))),
    };
    let recovery = of.recovery_since.map(|since| {
        let since = zone.show(since).text;
        alarm(
            "/staff/recovery",
            format!("The portal recovers its memory since {since}: no Linode changes hands"),
        )
    });
    let clock = of.clock_jump_s.map(|by| {
        alarm(
            "/staff/recovery#clock",
            format!("The clock jumped by {}", jump(by)),
        )
    });
    let paused = of.moves_paused_at.map(|since| {
        let since = zone.show(since).text;
        alarm(
            "/staff/waves/pause",
            format!("Moves are paused since {since}: no new one begins"),
        )
    });
    [
        recovery,
        paused,
        counted(of.held, "/staff/held", "Linode is held", "Linodes are held"),
        counted(
            of.untrusted,
            "/staff/hosts?ledger=untrusted",
            "host's ledger is not trusted",
            "hosts' ledgers are not trusted",
        ),
        clock,
        counted(
            of.asked,
            "/staff/recovery#asked",
            "act waits for a second member of staff",
            "acts wait for a second member of staff",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn alarm(url: &str, label: impl Into<String>) -> Crumb {
    Crumb {
        label: label.into(),
        url: url.to_owned(),
    }
}

/// A jump of the clock, in words.
pub fn jump(seconds: i64) -> String {
    let span = units::span(seconds.saturating_abs());
    if seconds < 0 {
        format!("{span} backwards")
    } else {
        format!("{span} forwards")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_together_and_begin_at_their_first_page() {
        let mut groups: Vec<&str> = PLACES.iter().map(|place| place.tab).collect();
        groups.dedup();
        let staff = ["Today", "Members", "Moves", "Hosts", "Talk & records"];
        let members = ["Linodes", "My Accounts", "Bugs", "FAQ"];
        assert_eq!(groups, [&staff[..], &members[..]].concat());
        for place in PLACES {
            let is_staffs = place.url.starts_with("/staff/");
            assert_eq!(staff.contains(&place.tab), is_staffs, "{}", place.url);
        }
    }
}
