//! What leads from page to page: the tabs, the steps on the way to a page, and what staff are to look at first.

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
            Self::Staff => viewer.staff,
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

areas! {
    Linodes: "Linodes", Members, "Linodes", "/members/";
    Profile: "My Accounts", All, "Profile", "/members/accounts";
    XenBeta: "My Accounts", Members, "Xen public beta", "/members/xenbeta";
    Fairness: "My Accounts", Members, "Fairness", "/members/fairness";
    Bugs: "Bugs", Members, "Bugs", "/members/bugs";
    Faq: "FAQ", All, "FAQ", "/members/faq";
    StaffHome: "Staff", Staff, "Dashboard", "/staff/";
    Registrations: "Staff", Staff, "Registrations", "/staff/registrations";
    Migrations: "Staff", Staff, "Migrations", "/staff/migrations";
    Hosts: "Staff", Staff, "Hosts", "/staff/hosts";
    Jobs: "Staff", Staff, "Jobs", "/staff/jobs";
    Held: "Staff", Staff, "Held", "/staff/held";
    Recovery: "Staff", Staff, "Recovery", "/staff/recovery";
    Graduation: "Staff", Staff, "Graduation", "/staff/graduation";
    Readiness: "Staff", Staff, "Readiness", "/staff/readiness";
    StaffFairness: "Staff", Staff, "Fairness", "/staff/fairness";
    StaffBugs: "Staff", Staff, "Bugs", "/staff/bugs";
    StaffFaq: "Staff", Staff, "FAQ", "/staff/faq";
    Programme: "Staff", Staff, "Programme", "/staff/programme";
    People: "Staff", Staff, "Members", "/staff/members";
    Mail: "Staff", Staff, "Mail", "/staff/mail";
    Audit: "Staff", Staff, "Audit", "/staff/audit";
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
    [
        recovery,
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
