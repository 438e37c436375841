//! What every page carries (the layout's data) and how a handler answers.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use super::context::{Context, Flash, Viewer};
use super::fault::{Fault, Response};
use super::public::assets::{Assets, assets};
use super::ui::{Field, Problems, Zone, units};
use crate::store::attention::Attention;

/// The place in the tabs that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Beside the tabs: sign-in, errors.
    None,
    Linodes,
    Profile,
    XenBeta,
    Fairness,
    Bugs,
    Faq,
    StaffHome,
    Registrations,
    Hosts,
    Migrations,
    Jobs,
    Held,
    Recovery,
    StaffFairness,
    StaffBugs,
    StaffFaq,
    Programme,
    Graduation,
    Readiness,
    People,
    Mail,
    Audit,
}

/// How close a tab is to the page: the page itself, an ancestor of it, or elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tab {
    pub label: &'static str,
    pub url: &'static str,
    pub current: bool,
    exact: bool,
}

impl Tab {
    #[must_use]
    pub fn aria(&self) -> &'static str {
        if self.exact { "page" } else { "true" }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crumb {
    pub label: String,
    pub url: String,
}

/// Where the page's live values come from, and the shape the page was rendered in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSource {
    pub url: String,
    pub shape: String,
}

/// The layout's data. Every page struct has one as `page`.
#[derive(Debug, Clone)]
pub struct Page {
    pub title: String,
    pub area: Area,
    /// Is the page itself the tab's page, or below it?
    pub below: bool,
    pub viewer: Option<Viewer>,
    pub csrf: String,
    pub crumbs: Vec<Crumb>,
    pub flash: Option<Flash>,
    pub problems: Problems,
    pub live: Option<LiveSource>,
    pub offer_sign_in: bool,
    /// What staff are to look at before anything else.
    pub alarms: Vec<Crumb>,
}

impl Page {
    #[must_use]
    pub fn new(context: &Context, area: Area, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            area,
            below: false,
            viewer: context.viewer(),
            csrf: context.form_token(),
            crumbs: Vec::new(),
            flash: context.take_flash(),
            problems: Problems::default(),
            live: None,
            offer_sign_in: true,
            alarms: alarms(
                &context.attention(),
                context.viewer().map_or(Zone::UTC, |it| it.zone),
            ),
        }
    }

    /// A page for who is not signed in, without any form: it gives the browser no cookie.
    #[must_use]
    pub fn without_forms(context: &Context, area: Area, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            area,
            below: false,
            viewer: None,
            csrf: String::new(),
            crumbs: Vec::new(),
            flash: context.take_flash(),
            problems: Problems::default(),
            live: None,
            offer_sign_in: true,
            alarms: Vec::new(),
        }
    }

    /// Adds a step on the way to this page, which then stands below its tab's page.
    #[must_use]
    pub fn crumb(mut self, label: impl Into<String>, url: impl Into<String>) -> Self {
        self.below = true;
        self.crumbs.push(Crumb {
            label: label.into(),
            url: url.into(),
        });
        self
    }

    #[must_use]
    pub fn problems(mut self, problems: Problems) -> Self {
        self.problems = problems;
        self
    }

    #[must_use]
    pub fn live(mut self, url: impl Into<String>, shape: impl Into<String>) -> Self {
        self.live = Some(LiveSource {
            url: url.into(),
            shape: shape.into(),
        });
        self
    }

    #[must_use]
    pub fn zone(&self) -> Zone {
        self.viewer.as_ref().map_or(Zone::UTC, |viewer| viewer.zone)
    }

    pub(crate) fn zone_name(&self) -> &'static str {
        self.zone().name()
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    #[allow(clippy::unused_self, reason = "called from templates")]
    pub(crate) fn assets(&self) -> &'static Assets {
        assets()
    }

    fn tab(&self, label: &'static str, url: &'static str, areas: &[Area]) -> Tab {
        let current = areas.contains(&self.area);
        Tab {
            label,
            url,
            current,
            exact: current && !self.below && areas.first() == Some(&self.area),
        }
    }

    pub(crate) fn tabs(&self) -> Vec<Tab> {
        let Some(viewer) = &self.viewer else {
            return Vec::new();
        };
        let mut tabs = Vec::new();
        if viewer.member {
            tabs.push(self.tab("Linodes", "/members/", &[Area::Linodes]));
        }
        tabs.push(self.tab(
            "My Accounts",
            "/members/accounts",
            &[Area::Profile, Area::XenBeta, Area::Fairness],
        ));
        if viewer.member {
            tabs.push(self.tab("Bugs", "/members/bugs", &[Area::Bugs]));
        }
        tabs.push(self.tab("FAQ", "/members/faq", &[Area::Faq]));
        if viewer.staff {
            let all = [
                Area::StaffHome,
                Area::Registrations,
                Area::Hosts,
                Area::Migrations,
                Area::Jobs,
                Area::Held,
                Area::Recovery,
                Area::StaffFairness,
                Area::StaffBugs,
                Area::StaffFaq,
                Area::Programme,
                Area::Graduation,
                Area::Readiness,
                Area::People,
                Area::Mail,
                Area::Audit,
            ];
            tabs.push(self.tab("Staff", "/staff/", &all));
        }
        // Where subtabs are shown, they say which page this is.
        let has_subtabs = !self.subtabs().is_empty();
        for tab in &mut tabs {
            tab.exact = tab.exact && !has_subtabs;
        }
        tabs
    }

    pub(crate) fn subtabs(&self) -> Vec<Tab> {
        match self.area {
            Area::None | Area::Linodes | Area::Bugs | Area::Faq => Vec::new(),
            Area::Profile | Area::XenBeta | Area::Fairness => {
                let mut tabs = vec![self.tab("Profile", "/members/accounts", &[Area::Profile])];
                if self.viewer.as_ref().is_some_and(|viewer| viewer.member) {
                    tabs.push(self.tab("Xen public beta", "/members/xenbeta", &[Area::XenBeta]));
                    tabs.push(self.tab("Fairness", "/members/fairness", &[Area::Fairness]));
                }
                tabs
            }
            Area::StaffHome
            | Area::Registrations
            | Area::Hosts
            | Area::Migrations
            | Area::Jobs
            | Area::Held
            | Area::Recovery
            | Area::StaffFairness
            | Area::StaffBugs
            | Area::StaffFaq
            | Area::Programme
            | Area::Graduation
            | Area::Readiness
            | Area::People
            | Area::Mail
            | Area::Audit => {
                vec![
                    self.tab("Dashboard", "/staff/", &[Area::StaffHome]),
                    self.tab(
                        "Registrations",
                        "/staff/registrations",
                        &[Area::Registrations],
                    ),
                    self.tab("Migrations", "/staff/migrations", &[Area::Migrations]),
                    self.tab("Hosts", "/staff/hosts", &[Area::Hosts]),
                    self.tab("Jobs", "/staff/jobs", &[Area::Jobs]),
                    self.tab("Held", "/staff/held", &[Area::Held]),
                    self.tab("Recovery", "/staff/recovery", &[Area::Recovery]),
                    self.tab("Graduation", "/staff/graduation", &[Area::Graduation]),
                    self.tab("Readiness", "/staff/readiness", &[Area::Readiness]),
                    self.tab("Fairness", "/staff/fairness", &[Area::StaffFairness]),
                    self.tab("Bugs", "/staff/bugs", &[Area::StaffBugs]),
                    self.tab("FAQ", "/staff/faq", &[Area::StaffFaq]),
                    self.tab("Programme", "/staff/programme", &[Area::Programme]),
                    self.tab("Members", "/staff/members", &[Area::People]),
                    self.tab("Mail", "/staff/mail", &[Area::Mail]),
                    self.tab("Audit", "/staff/audit", &[Area::Audit]),
                ]
            }
        }
    }

    pub(crate) fn tab_label(&self) -> &'static str {
        match self.area {
            Area::None | Area::Linodes => "Linodes",
            Area::Profile | Area::XenBeta | Area::Fairness => "My Accounts",
            Area::Bugs => "Bugs",
            Area::Faq => "FAQ",
            Area::StaffHome
            | Area::Registrations
            | Area::Hosts
            | Area::Migrations
            | Area::Jobs
            | Area::Held
            | Area::Recovery
            | Area::StaffFairness
            | Area::StaffBugs
            | Area::StaffFaq
            | Area::Programme
            | Area::Graduation
            | Area::Readiness
            | Area::People
            | Area::Mail
            | Area::Audit => "Staff",
        }
    }
}

/// Each in words, with where it is looked after.
fn alarms(of: &Attention, zone: Zone) -> Vec<Crumb> {
    let counted = |count: Option<i64>, url: &str, one: &str, many: &str| match count {
        None | Some(..=0) => None,
        Some(1) => Some(alarm(url, format!("1 {one}"))),
        Some(count) => Some(alarm(url, format!("{count} {many}"))),
    };
    let recovery = of.recovery_since.map(|since| {
        let since = zone.show(since.utc()).text;
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
#[must_use]
pub fn jump(seconds: i64) -> String {
    let span = units::span(seconds.saturating_abs());
    if seconds < 0 {
        format!("{span} backwards")
    } else {
        format!("{span} forwards")
    }
}

/// A question before something that cannot be taken back: what follows from it, and one button that names it.
#[derive(Debug, Template)]
#[template(path = "layout/confirm.html")]
pub struct ConfirmPage {
    pub page: Page,
    pub consequences: Vec<String>,
    /// What it is done to, one line each.
    pub rows: Vec<String>,
    pub action: String,
    pub hidden: Vec<(&'static str, String)>,
    pub fields: Vec<Field>,
    pub button: String,
    pub danger: bool,
    pub back_url: String,
    pub back_label: String,
}

/// 200 with the page.
///
/// # Errors
/// When the template fails, which only a full disk of words could make it do.
pub fn html(page: &impl Template) -> Response {
    html_status(StatusCode::OK, page)
}

/// A page with another status: a form shown again is 422, an error page its error.
///
/// # Errors
/// As [`html`].
pub fn html_status(status: StatusCode, page: &impl Template) -> Response {
    let body = page.render().map_err(Fault::internal)?;
    Ok(HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(body))
}

/// A form that was sent, shown again with what is wrong, or a list of what could not be done.
pub fn refused(page: &impl Template) -> Response {
    html_status(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// The answer to a POST that was done: go and look at `url`.
#[must_use]
pub fn see_other(url: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url))
        .finish()
}

/// An old or shorter address of `url`.
#[must_use]
pub fn moved(url: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, url))
        .finish()
}

/// … and say this there, once.
#[must_use]
pub fn see_other_saying(url: &str, flash: Flash) -> HttpResponse {
    let mut answer = see_other(url);
    answer.extensions_mut().insert(flash);
    answer
}

/// The answer to a POST that went well: `words` at `url`, once.
pub fn said(url: &str, words: impl Into<String>) -> Response {
    Ok(see_other_saying(url, Flash::good(words)))
}

/// Is this a path of this site, safe to redirect to? Only plain path and query characters: no scheme, `//`, backslash or
/// percent-encoding gets through.
#[must_use]
pub fn own_path(next: &str) -> Option<&str> {
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.?=&".contains(&byte));
    (plain
        && next.starts_with('/')
        && !next.contains("//")
        && !next.contains("..")
        && next.len() <= 300)
        .then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        for fine in ["/", "/members/", "/members/linodes/12/migrate?when=now&x=1"] {
            assert_eq!(own_path(fine), Some(fine));
        }
        for foul in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "members",
            "/%2fevil.test",
            "/%5cevil.test",
            "/a//b",
            "/a\r\nSet-Cookie: x",
            "/../x",
            "javascript:alert(1)",
            "/@evil.test:80",
        ] {
            assert_eq!(own_path(foul), None, "{foul}");
        }
    }
}
