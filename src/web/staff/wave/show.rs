//! `/staff/waves/{id}`: how far it is, how its gates stand, why it paused, and each of its Linodes; let go, paused and stopped
//! from here.

use askama::Template;

use super::shared::{PATH, kind_words, sequence_words, stage, stage_words, state};
use crate::app::error::AppError;
use crate::app::wave::gate::Look;
use crate::domain::account::Right;
use crate::domain::ids::WaveId;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::wave::{self as rules, ItemState, Stage, WaveState};
use crate::store;
use crate::store::wave::Wave;
use crate::store::wave::list::{Detail, ItemRow, Moment};
use crate::web::extract::{Asks, Path, Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, filters};
use crate::web::portal::Portal;
use crate::web::staff::linode;
use crate::web::ui::chart::{Chart, Scale, Values, Words, top_of};
use crate::web::ui::list::StateTab;
use crate::web::ui::{Action, Link, Pager, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/wave/show.html")]
pub struct WavePage {
    pub page: Page,
    pub id: i64,
    pub state: Tag,
    pub is_running: bool,
    /// Why it is paused, and since when.
    pub paused: Option<(String, Option<When>)>,
    /// What it does now, in a sentence.
    pub now: String,
    pub over: i64,
    pub in_all: i64,
    pub stages: Vec<(&'static str, i64)>,
    pub facts: Vec<(&'static str, String)>,
    pub actions: Vec<Action>,
    pub chart: Option<Chart>,
    pub gates: Vec<GateRow>,
    pub since: Option<When>,
    pub tabs: Vec<StateTab>,
    pub csv_url: String,
    pub rows: Vec<Row>,
    pub pager: Pager,
    pub may_skip: bool,
}

/// A gate: what was seen, and at what it closes.
#[derive(Debug)]
pub struct GateRow {
    pub what: &'static str,
    pub seen: String,
    pub closes: String,
}

#[derive(Debug)]
pub struct Row {
    pub place: i32,
    pub id: i64,
    pub linode: Link,
    pub account: String,
    pub stage: Tag,
    pub why: String,
    pub given: Option<When>,
    pub migration: Option<Link>,
    pub is_waiting: bool,
}

filters! { PATH, ROWS, FROM_TABS; show, after }

struct Loaded {
    of: Detail,
    items: Vec<ItemRow>,
    moments: Vec<Moment>,
    all_paused: bool,
}

/// `GET /staff/waves/{id}`
pub async fn show(
    portal: Portal,
    asks: Asks<Staff>,
    id: Path<i64>,
    asked: Query<Params>,
) -> Response {
    let (id, asked) = (WaveId(id.0), asked.0);
    let wanted =
        Params::read(&asked.show).and_then(|state| Ok((state, Params::read::<i32>(&asked.after)?)));
    let (staff, loaded) = asks
        .read_by(wanted, move |conn, (state, after)| {
            Ok(Loaded {
                of: store::wave::list::detail(conn, id)?.ok_or(AppError::NotFound)?,
                items: store::wave::list::items(conn, (id, state), after, Params::limit())?,
                moments: store::wave::list::moments(conn, id)?,
                all_paused: store::wave::moves_paused(conn)?.is_some(),
            })
        })
        .await?;
    let look = staff
        .act(&portal, move |app, actor| app.wave_gates(actor, id))
        .await?;
    let page = staff
        .page(Area::Waves, loaded.of.wave.name.clone())
        .crumb("Waves", PATH);
    page::html(&WavePage::new(page, loaded, (&look, &asked, portal.now())))
}

impl WavePage {
    fn new(page: Page, loaded: Loaded, (look, asked, now): (&Look, &Params, Time)) -> Self {
        let Loaded {
            of,
            items,
            moments,
            all_paused,
        } = loaded;
        let (zone, wave) = (page.zone(), &of.wave);
        let url = format!("{PATH}/{}", wave.id);
        let (items, pager) = asked.page_at(&url, items, |row| row.place.to_string());
        let over = |stage: Stage| !stage.is_out() && stage != Stage::Waiting;
        Self {
            id: wave.id.0,
            state: state(wave.state),
            is_running: wave.state == WaveState::Running,
            paused: (wave.state == WaveState::Paused)
                .then(|| (wave.why.clone(), wave.paused_at.map(|at| zone.precise(at)))),
            now: doing(&of, look, all_paused),
            over: of.counts.of(over),
            in_all: of.counts.in_all(),
            stages: (Stage::ALL.into_iter())
                .map(|it| (stage_words(it), of.counts.of(|stage| stage == it)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            facts: facts(&of, zone),
            actions: actions(&page, wave),
            chart: chart(wave, &moments, (now, zone)),
            gates: gates(wave, look),
            since: wave.gate_from.map(|at| zone.precise(at)),
            tabs: tabs(&of, asked),
            csv_url: asked.address(&format!("{url}/items.csv"), ""),
            rows: items.iter().map(|row| view(row, zone)).collect(),
            pager,
            may_skip: page.may(Right::Moves) && rules::is_open(wave.state),
            page,
        }
    }
}

/// What it does now, or waits for.
fn doing(of: &Detail, look: &Look, all_paused: bool) -> String {
    let wave = &of.wave;
    let waiting = of.counts.of(|stage| stage == Stage::Waiting);
    let pace = wave.pace();
    match wave.state {
        WaveState::Draft => "Nothing has been given out. Look at who goes, and start it.".to_owned(),
        WaveState::Paused => {
            "Nothing is given out, and no move of it begins; what is under way ends. When it goes on, its gates count anew.".to_owned()
        }
        WaveState::Stopped | WaveState::Ended => String::new(),
        WaveState::Running if all_paused => {
            "All moves are paused: it gives nothing out until they go on.".to_owned()
        }
        WaveState::Running if waiting == 0 => "All was given out; it ends when that is over.".to_owned(),
        WaveState::Running if pace.is_canary(look.far) => format!(
            "The canary goes first: {} of {} have moved and were watched for {}.",
            look.far.well,
            pace.canary,
            units::span(i64::from(wave.watch_s))
        ),
        WaveState::Running if pace.more(look.far) == 0 => format!(
            "As much is out as may be at once ({}): the next ones follow when some of that is over.",
            pace.out_most
        ),
        WaveState::Running => "It gives out what finds a place; what finds none now is tried again every five minutes.".to_owned(),
    }
}

fn facts(of: &Detail, zone: Zone) -> Vec<(&'static str, String)> {
    let wave = &of.wave;
    let mut facts = vec![
        ("Gives out", kind_words(wave.kind).to_owned()),
        ("Order", sequence_words(wave.sequence).to_owned()),
        (
            "Canary",
            format!(
                "{} first, watched for {}",
                wave.canary,
                units::span(i64::from(wave.watch_s))
            ),
        ),
        (
            "Limits",
            format!(
                "{} moves at work, {} on a host; {} out at once",
                wave.at_once, wave.per_host, wave.out_most
            ),
        ),
    ];
    if let Some(host) = &of.source {
        facts.push(("Host", host.clone()));
        facts.push(("Why, for its members", wave.reason.clone()));
    }
    if let Some(window) = wave.window() {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let words = format!("{}\u{2013}{}", time(window.begins), time(window.ends));
        facts.push(("Times of day", words));
    }
    let made = zone.text(wave.made_at);
    facts.push(("Made", format!("{made} by {}", of.made_by)));
    if let (Some(at), Some(by)) = (wave.started_at, &of.run_by) {
        let words = format!("{}, in the name of {by}", zone.text(at));
        facts.push(("Started", words));
    }
    if let Some(at) = wave.ended_at {
        facts.push(("Over", zone.text(at)));
    }
    facts
}

fn actions(page: &Page, wave: &Wave) -> Vec<Action> {
    let may = page.may(Right::Moves);
    let url = |deed: &str| format!("{PATH}/{}/{deed}", wave.id);
    let in_state = |state| may && wave.state == state;
    Action::those([
        (
            in_state(WaveState::Draft),
            Action::ask(url("start"), "Start it…"),
        ),
        (
            in_state(WaveState::Paused),
            Action::send(url("resume"), "Let it go on"),
        ),
        (
            in_state(WaveState::Running),
            Action::send(url("pause"), "Pause it"),
        ),
        (
            may && rules::is_open(wave.state),
            Action::ask(url("stop"), "Stop it…").second(),
        ),
    ])
}

fn gates(wave: &Wave, look: &Look) -> Vec<GateRow> {
    let (seen, rules) = (&look.seen, wave.rules());
    let row = |what, seen, closes| GateRow { what, seen, closes };
    vec![
        row(
            "Failed or went back",
            format!("{} of {} that ended", seen.failed, seen.ended),
            if seen.is_canary {
                "any, of the canary".to_owned()
            } else {
                format!(
                    "{} %; one alone not before {} ended",
                    rules.failed_percent, rules.least
                )
            },
        ),
        row(
            "Off for longer than foretold at most",
            format!("{} of {} that were measured", seen.slow, seen.timed),
            format!("{} %", rules.slow_percent),
        ),
        row(
            "Open bugs that name moves of it",
            seen.bugs.to_string(),
            format!("more than {}", rules.bugs_most),
        ),
        row(
            "Hosts that became unfair",
            seen.unfair.to_string(),
            format!("more than {}", rules.unfair_most),
        ),
    ]
}

/// Points of a line.
const POINTS: i64 = 60;

/// How many had begun and how many had moved, over time.
fn chart(wave: &Wave, moments: &[Moment], (now, zone): (Time, Zone)) -> Option<Chart> {
    let second = |at: Time| at.utc().timestamp();
    let from = second(wave.started_at?);
    let until = second(wave.ended_at.unwrap_or(now)).max(from + 60);
    let line = |of: fn(&Moment) -> Option<Time>| -> Values {
        let times: Vec<i64> = moments.iter().filter_map(|it| of(it).map(second)).collect();
        (0..=POINTS)
            .map(|point| {
                let at = from + (until - from) * point / POINTS;
                let count = times.iter().filter(|it| **it <= at).count();
                (at, Some(count as f64))
            })
            .collect()
    };
    let (begun, done) = (line(|it| it.started_at), line(|it| it.finished_at));
    let last = begun.iter().chain(&done).filter_map(|(_, value)| *value);
    let scale = Scale {
        from,
        until,
        top: top_of(last.chain([2.0])),
        gap: until - from,
    };
    let words = Words {
        id: "wave",
        title: "Moves of the wave",
        desc: "How many moves had begun, and how many had ended with the Linode on its new host.",
    };
    let unit: fn(f64) -> String = |value| format!("{value:.0}");
    let lines = [("begun", begun), ("moved", done)];
    Some(Chart::new(words, scale, lines, (unit, zone)))
}

fn tabs(of: &Detail, asked: &Params) -> Vec<StateTab> {
    let tab = |word: &str, label: &'static str, count: i64| {
        let there = Params {
            show: word.to_owned(),
            after: String::new(),
        };
        let url = there.address(&format!("{PATH}/{}", of.wave.id), "");
        StateTab::new(url, label, count, asked.show == word)
    };
    let label = |state: ItemState| match state {
        ItemState::Waiting => "Waiting",
        ItemState::Given => "Given",
        ItemState::Skipped => "Skipped",
        ItemState::Refused => "Refused",
    };
    let count = |state: ItemState| {
        of.counts.of(|stage| match stage {
            Stage::Waiting => state == ItemState::Waiting,
            Stage::Skipped => state == ItemState::Skipped,
            Stage::Refused => state == ItemState::Refused,
            Stage::Offered
            | Stage::Queued
            | Stage::AtWork
            | Stage::Done
            | Stage::WentBack
            | Stage::Failed
            | Stage::CameToNothing => state == ItemState::Given,
        })
    };
    let states = ItemState::ALL.iter();
    std::iter::once(tab("", "All", of.counts.in_all()))
        .chain(states.map(|it| tab(it.as_str(), label(*it), count(*it))))
        .collect()
}

fn view(row: &ItemRow, zone: Zone) -> Row {
    Row {
        place: row.place,
        id: row.linode.0,
        linode: linode::link(row.linode, &row.label),
        account: row.account.clone(),
        stage: stage(row.stage()),
        why: row.why.clone(),
        given: row.given_at.map(|at| zone.show(at)),
        migration: row.migration.map(Link::migration),
        is_waiting: row.state == ItemState::Waiting,
    }
}
