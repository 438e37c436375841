//! `/staff/programme`: whether the beta takes registrations, its dates, limits and links. Its texts are in [`super::texts`],
//! its end in [`super::end`].

use askama::Template;
use serde::Deserialize;

use crate::app::programme::{Settings, texts};
use crate::domain::programme::{ProgrammeState, TextSection};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::values::OutsideLink;
use crate::store;
use crate::store::programme::funnel::Funnel;
use crate::store::programme::{Programme, Text};
use crate::web::csv;
use crate::web::extract::{self, Form, Staff, parse_seen};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::room::Bar;
use crate::web::ui::{Choice, Field, Input, Link, Problems, When, Zone, local_time};

const PATH: &str = "/staff/programme";

#[derive(Debug, Template)]
#[template(path = "staff/programme/show.html")]
pub struct ProgrammePage {
    pub page: Page,
    /// What the form carries unseen.
    pub hidden: [(&'static str, String); 4],
    pub stages: Vec<StageRow>,
    /// What the whole width of their bars stands for.
    pub registered: i64,
    pub fields: Vec<Field>,
    pub texts: Vec<TextRow>,
    /// When it ended, if it has.
    pub ended: Option<When>,
}

/// Linodes that came at least so far.
#[derive(Debug)]
pub struct StageRow {
    pub name: &'static str,
    pub count: i64,
    /// Of those that came as far as the stage before.
    pub percent: String,
    pub bar: Bar,
}

fn stages(of: &Funnel) -> Vec<StageRow> {
    let counts = named(of);
    let most = of.registered;
    let before = std::iter::once(most).chain(counts.iter().map(|it| it.1));
    let row = |((name, count), before): ((&'static str, i64), i64)| StageRow {
        name,
        count,
        percent: (count * 100)
            .checked_div(before)
            .map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
        bar: Bar::new((0, count), count, most),
    };
    counts.into_iter().zip(before).map(row).collect()
}

fn named(of: &Funnel) -> [(&'static str, i64); 6] {
    [
        ("registered", of.registered),
        ("approved", of.approved),
        ("offered", of.offered),
        ("moved", of.moved),
        ("confirmed", of.confirmed),
        ("graduated", of.graduated),
    ]
}

/// `GET /staff/programme/funnel.csv`
pub async fn funnel_csv(staff: Staff) -> Response {
    let funnel = portal::read(&staff.portal, store::programme::funnel::funnel).await?;
    let rows = named(&funnel).map(|(name, count)| [name.to_owned(), count.to_string()]);
    csv::file("funnel.csv", &["stage", "linodes"], rows.into_iter())
}

/// A section of the announcement.
#[derive(Debug)]
pub struct TextRow {
    pub link: Link,
    /// When staff last wrote it; `None`: it has its default text.
    pub changed: Option<When>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgrammeForm {
    /// Microseconds of the last change that the form showed; empty if there was none.
    #[serde(default)]
    seen: String,
    /// The zone in which the form showed its dates, by name.
    #[serde(default)]
    zone: String,
    /// Microseconds of the dates that the form showed; empty for none.
    #[serde(default)]
    opened: String,
    #[serde(default)]
    ended: String,
    state: String,
    #[serde(default)]
    opens_at: String,
    #[serde(default)]
    expected_end_at: String,
    #[serde(default)]
    seats: String,
    offer_days: String,
    way_back_days: String,
    max_overall: String,
    max_per_link: String,
    max_warm_passes: String,
    watch_s: String,
    #[serde(default)]
    forum_url: String,
    #[serde(default)]
    irc_url: String,
}

impl ProgrammeForm {
    fn of(row: &Programme, seen: Option<Time>, zone: Zone) -> Self {
        let date = |at: Option<Time>| at.map(|at| zone.field(at)).unwrap_or_default();
        Self {
            seen: extract::seen(seen),
            zone: zone.name().to_owned(),
            opened: extract::seen(row.opens_at),
            ended: extract::seen(row.expected_end_at),
            state: row.state.to_string(),
            opens_at: date(row.opens_at),
            expected_end_at: date(row.expected_end_at),
            seats: row.seats.map(|seats| seats.to_string()).unwrap_or_default(),
            offer_days: row.offer_days.to_string(),
            way_back_days: row.way_back_days.to_string(),
            max_overall: row.max_overall.to_string(),
            max_per_link: row.max_per_link.to_string(),
            max_warm_passes: row.max_warm_passes.to_string(),
            watch_s: row.watch_s.to_string(),
            forum_url: row.forum_url.clone(),
            irc_url: row.irc_url.clone(),
        }
    }

    fn parse(&self, zone: Zone) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        // What is typed is meant in the zone that stood beside it, whatever its reader's is by now.
        let zone = local_time::zone_of(&self.zone, zone);
        let mut date = |field: &'static str, text: &str, shown: &str| {
            if text.trim().is_empty() {
                return None;
            }
            // What was not touched stays the very instant, also one that the clocks show twice.
            let untouched = parse_seen(shown).filter(|at| zone.field(*at) == text.trim());
            let at = untouched.or_else(|| zone.parse_field(text).map(Time::new));
            problems.take(field, at.ok_or("Enter a date and time, or nothing"))
        };
        let opens_at = date("opens_at", &self.opens_at, &self.opened);
        let expected_end_at = date("expected_end_at", &self.expected_end_at, &self.ended);
        let mut whole = |field: &'static str, text: &str| -> i32 {
            problems.whole(field, text).unwrap_or_default()
        };
        let offer_days = whole("offer_days", &self.offer_days);
        let way_back_days = whole("way_back_days", &self.way_back_days);
        let max_overall = whole("max_overall", &self.max_overall);
        let max_per_link = whole("max_per_link", &self.max_per_link);
        let max_warm_passes = whole("max_warm_passes", &self.max_warm_passes);
        let watch_s = whole("watch_s", &self.watch_s);
        let seats = match self.seats.trim() {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        let seats = seats.map_err(|_| "Enter a whole number, or nothing for no limit");
        let seats = problems.take("seats", seats);
        let state = problems.take("state", self.state.parse::<ProgrammeState>());
        let irc = problems.take("irc_url", OutsideLink::parse(self.irc_url.trim()));
        let forum = problems.take("forum_url", OutsideLink::parse(self.forum_url.trim()));
        let seen = parse_seen(&self.seen);
        match (seats, state, irc, forum) {
            (Some(seats), Some(state), Some(irc), Some(forum)) if problems.is_empty() => {
                Ok(Settings {
                    state,
                    irc,
                    forum,
                    seats,
                    offer_days,
                    way_back_days,
                    max_overall,
                    max_per_link,
                    max_warm_passes,
                    watch_s,
                    opens_at,
                    expected_end_at,
                    seen,
                })
            }
            _ => Err(problems),
        }
    }

    fn fields(&self, stored: ProgrammeState, problems: &Problems) -> Vec<Field> {
        let zone = Zone::named(&self.zone);
        let date = |name, label: &str, value: &str, hint: &str| {
            Field::new(name, label, Input::Line("datetime-local"))
                .value(value)
                .hint(format!("{hint} In {}.", zone.name()))
                .short()
        };
        let first = [
            Field::new("state", "The beta is", Input::Radios(states(stored))).value(&self.state),
            date(
                "opens_at",
                "Registration opens",
                &self.opens_at,
                "Empty: it is open as soon as the state above says so.",
            ),
            date(
                "expected_end_at",
                "Expected end",
                &self.expected_end_at,
                "What members are told; nothing happens by itself then. Empty: open-ended.",
            ),
        ];
        let links = [
            Field::text("forum_url", "Link to the forum").value(&self.forum_url),
            Field::text("irc_url", "Link to the IRC channel")
                .value(&self.irc_url)
                .hint("As ircs://irc.oftc.net:6697/linode-xenbeta: pages then name the channel and its network."),
        ];
        problems.on(first.into_iter().chain(self.limits()).chain(links))
    }

    fn limits(&self) -> [Field; 7] {
        let number = |name, label: &str, value: &str, hint: &str| {
            Field::number(name, label).value(value).hint(hint)
        };
        [
            number(
                "seats",
                "Places for Linodes",
                &self.seats,
                "Empty for no limit. Who is registered keeps the place.",
            ),
            number(
                "offer_days",
                "Days an offer stands",
                &self.offer_days,
                "1 to 365. For offers made from now on.",
            ),
            number(
                "way_back_days",
                "Days of the way back",
                &self.way_back_days,
                "1 to 365. So long the old host keeps a moved Linode's disks, unless its member confirms before.",
            ),
            number(
                "max_overall",
                "Migrations at once, in all",
                &self.max_overall,
                "0 to 1000; with 0 all that wait go on waiting. Each host has its own limit too.",
            ),
            number(
                "max_per_link",
                "Migrations at once between the same two hosts",
                &self.max_per_link,
                "0 to 100.",
            ),
            number(
                "max_warm_passes",
                "Passes while a Linode runs, at most",
                &self.max_warm_passes,
                "1 to 50.",
            ),
            number(
                "watch_s",
                "Seconds a started Linode is watched",
                &self.watch_s,
                "0 to 600; at least 40, so that one whose disk is not found is noticed. One that does not stay up for so long runs on at its old host.",
            ),
        ]
    }
}

fn states(stored: ProgrammeState) -> Vec<Choice> {
    let mut states = vec![
        Choice::new(ProgrammeState::Open, "Open: members can register Linodes"),
        Choice::new(
            ProgrammeState::Closed,
            "Closed to new registrations: what is registered goes on",
        ),
    ];
    if stored == ProgrammeState::Ended {
        let words =
            "Ended: opened or closed again, registrations that the end has closed stay closed";
        states.push(Choice::new(ProgrammeState::Ended, words));
    }
    states
}

async fn present(staff: &Staff, typed: Option<ProgrammeForm>, problems: Problems) -> Response {
    let (stored, texts, funnel) = portal::read(&staff.portal, |conn| {
        Ok((
            store::programme::stored(conn)?,
            store::programme::texts(conn)?,
            store::programme::funnel::funnel(conn)?,
        ))
    })
    .await?;
    let page = staff.page(Area::Programme, "Programme").problems(problems);
    let zone = page.zone();
    let seen = stored.as_ref().map(|row| row.changed_at);
    let row = stored.unwrap_or_else(|| Programme::new(staff.portal.now()));
    let form = typed.unwrap_or_else(|| ProgrammeForm::of(&row, seen, zone));
    let view = ProgrammePage {
        stages: stages(&funnel),
        registered: funnel.registered,
        fields: form.fields(row.state, &page.problems),
        hidden: [
            ("seen", form.seen),
            ("zone", form.zone),
            ("opened", form.opened),
            ("ended", form.ended),
        ],
        texts: TextSection::ALL
            .iter()
            .map(|of| text_row(*of, &texts, zone))
            .collect(),
        ended: row.ended_at.map(|at| zone.both(at)),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

fn text_row(of: TextSection, written: &[Text], zone: Zone) -> TextRow {
    let found = written.iter().find(|text| text.section == of);
    TextRow {
        link: Link::new(format!("{PATH}/texts/{of}"), texts::title(of)),
        changed: found.map(|text| zone.show(text.changed_at)),
    }
}

/// `GET /staff/programme`
pub async fn show(staff: Staff) -> Response {
    present(&staff, None, Problems::default()).await
}

/// `POST /staff/programme`
pub async fn save(staff: Staff, form: Form<ProgrammeForm>) -> Response {
    let settings = match form.0.parse(staff.zone()) {
        Ok(settings) => settings,
        Err(problems) => return present(&staff, Some(form.0), problems).await,
    };
    let saved = staff.submit(move |app, actor| app.set_programme(actor, &settings));
    match saved.await {
        Ok(Ok(())) => page::said(PATH, "The programme is saved."),
        Ok(Err(problems)) => present(&staff, Some(form.0), problems).await,
        Err(fault) => Err(fault.at(PATH, "Look at the settings again")),
    }
}
