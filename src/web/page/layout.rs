//! What every page carries: the layout's data.

use super::flash::Flash;
use super::nav::{self, Area, Crumb, Tab};
use crate::domain::account::{self, Right};
use crate::web::context::{Context, Viewer};
use crate::web::public::assets::{Assets, assets};
use crate::web::ui::{Problems, Zone};

/// Where the page's live values come from, and the shape the page was rendered in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSource {
    pub url: String,
    pub shape: String,
}

/// The layout's data. Every page struct has one as `page`.
#[must_use]
#[derive(Debug, Clone)]
pub struct Page {
    pub title: String,
    /// Of what the page is about, where it changes: in the window's title, which is read out first.
    pub state: String,
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
    pub fn new(context: &Context, area: Area, title: impl Into<String>) -> Self {
        let viewer = context.viewer();
        let zone = viewer.as_ref().map_or(Zone::UTC, |it| it.zone);
        Self {
            viewer,
            csrf: context.form_token(),
            alarms: nav::alarms(&context.attention(), zone),
            ..Self::without_forms(context, area, title)
        }
    }

    /// A page for who is not signed in, without any form: it gives the browser no cookie.
    pub fn without_forms(context: &Context, area: Area, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            state: String::new(),
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

    pub fn state(self, state: impl Into<String>) -> Self {
        Self {
            state: state.into(),
            ..self
        }
    }

    /// Adds a step on the way to this page, which then stands below its tab's page.
    pub fn crumb(mut self, label: impl Into<String>, url: impl Into<String>) -> Self {
        self.below = true;
        self.crumbs.push(Crumb {
            label: label.into(),
            url: url.into(),
        });
        self
    }

    pub fn problems(mut self, problems: Problems) -> Self {
        self.problems = problems;
        self
    }

    pub fn live(mut self, url: impl Into<String>, shape: impl Into<String>) -> Self {
        self.live = Some(LiveSource {
            url: url.into(),
            shape: shape.into(),
        });
        self
    }

    pub fn zone(&self) -> Zone {
        self.viewer.as_ref().map_or(Zone::UTC, |viewer| viewer.zone)
    }

    /// May its reader do this as one of the staff? What they may not is not offered.
    pub fn may(&self, right: Right) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.may(right))
    }

    /// What stands where something is not offered.
    pub(crate) fn why_not(&self, right: Right) -> String {
        let role = self.viewer.as_ref().and_then(|viewer| viewer.staff);
        role.map_or_else(String::new, |role| account::refusal(right, role))
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

    pub(crate) fn tabs(&self) -> Vec<Tab> {
        nav::tabs(self.area, self.below, self.viewer.as_ref())
    }

    pub(crate) fn subtabs(&self) -> Vec<Tab> {
        nav::subtabs(self.area, self.below, self.viewer.as_ref())
    }

    pub(crate) fn tab_label(&self) -> &'static str {
        nav::tab_label(self.area)
    }
}
