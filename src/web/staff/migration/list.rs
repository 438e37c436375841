//! `/staff/migrations`: by state, page by page; one of them is in [`super::show`].

use askama::Template;

use super::shared::PATH;
use crate::app::host::liveness::SILENT_S;
use crate::domain::migration::{AT_WORK, MigrationKind, MigrationState as State};
use crate::domain::readiness;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::migration::list::{MigrationFilter, MigrationRow};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, age, clipped, filters};
use crate::web::portal::Portal;
use crate::web::staff::linode;
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::names::kind_name;
use crate::web::ui::{Choice, Field, Link, Pager, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/migration/list.html")]
pub struct MigrationsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    /// In words, if the list shows less than its tab says.
    pub narrowed: Option<String>,
    /// The tab that is shown.
    pub state: String,
    pub oldest: bool,
    pub fields: Vec<Field>,
    /// The Linode that it is only of.
    pub linode: String,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub linode: Link,
    pub account: String,
    pub kind: &'static str,
    pub from: String,
    pub to: String,
    pub state: Tag,
    pub step: String,
    pub at: When,
    pub why: String,
}

filters! {
    PATH, ROWS, FROM_TABS;
    state, host, kind, linode, q,
    /// The host it moves off.
    from,
    /// `2.4`: only of Linodes that have a profile with such a kernel.
    kernel,
    /// Made so many hours ago, or longer.
    age,
    /// `oldest`: these first.
    order,
    /// Made since: microseconds from 1970.
    since,
    /// The Monday of a week, in UTC.
    week,
    /// So many weeks, from that one on.
    weeks,
    before,
}

impl Params {
    fn filter(&self, now: Time) -> Result<MigrationFilter> {
        let (mut begun, mut failed_try) = (false, None);
        let states = match self.state.as_str() {
            // As readiness counts: see `domain::readiness::ended`.
            word @ ("given-up" | "stopped") => {
                begun = true;
                failed_try = Some(word == "given-up");
                let mut states = vec![State::Cancelled, State::Expired];
                states.extend((word == "given-up").then_some(State::Failed));
                states
            }
            "tried" => {
                failed_try = Some(true);
                Vec::new()
            }
            "under-way" => {
                begun = true;
                [&AT_WORK[..], &[State::Offered, State::Queued]].concat()
            }
            "" | "trial-failed" => Vec::new(),
            // Which of these, the list asks the database.
            "running" | "stuck" => AT_WORK.to_vec(),
            "moved" => vec![State::Finished, State::Confirmed],
            "back" => vec![State::Returning, State::Returned],
            word => Self::read(word)?.into_iter().collect(),
        };
        let weeks = Self::read::<u16>(&self.weeks)?.unwrap_or(1);
        let begin_and_end = |monday| {
            let begin = readiness::begin(monday);
            (begin, begin.plus_days(7 * i64::from(weeks)))
        };
        let span = Self::day(&self.week)?.map(begin_and_end);
        let of_tries = self.state == "tried";
        let since = Self::read(&self.since)?;
        Ok(MigrationFilter {
            states,
            host: Self::read(&self.host)?,
            linode: Self::read(&self.linode)?,
            text: clipped(&self.q, 100),
            kind: Self::read(&self.kind)?,
            source: Self::read(&self.from)?,
            made_since: since
                .map(|micros| Time::of_micros(micros).ok_or_else(Self::unknown))
                .transpose()?,
            started: span.filter(|_| !of_tries),
            tried: span.filter(|_| of_tries),
            begun,
            failed_try,
            among: None,
            old_kernel: match self.kernel.as_str() {
                "" => false,
                "2.4" => true,
                _ => return Err(Self::unknown()),
            },
            made_before: Self::older(&self.age, now)?,
            oldest_first: match self.order.as_str() {
                "" => false,
                "oldest" => true,
                _ => return Err(Self::unknown()),
            },
        })
    }

    fn narrowed(&self) -> Option<String> {
        let kind = MigrationKind::parse(&self.kind).map(|kind| kind_name(kind).to_owned());
        let state = match self.state.as_str() {
            "moved" => Some("moved to their new host".to_owned()),
            "back" => Some("went back".to_owned()),
            "given-up" => Some("failed, or given up after a try had failed".to_owned()),
            "stopped" => Some("started and cancelled, with no try that failed".to_owned()),
            "tried" => Some("with a try that failed".to_owned()),
            "stuck" => {
                Some("their present step has failed for good, or its host is silent".to_owned())
            }
            "trial-failed" => Some("their last trial on the new host did not come up".to_owned()),
            "under-way" => Some("started, and not over".to_owned()),
            _ => None,
        };
        let oldest = (!self.order.is_empty()).then(|| "the oldest first".to_owned());
        let week =
            (!self.week.is_empty()).then(|| match (self.state.as_str(), self.weeks.as_str()) {
                ("tried", weeks) => {
                    format!("then, in {} from {} (UTC)", weeks_words(weeks), self.week)
                }
                (_, "") => format!("started in the week from {} (UTC)", self.week),
                (_, weeks) => format!("started in {} from {} (UTC)", weeks_words(weeks), self.week),
            });
        let from = (!self.from.is_empty()).then(|| "off one host".to_owned());
        let since = (!self.since.is_empty()).then(|| "since it was last emptied".to_owned());
        let linode = (!self.linode.is_empty()).then(|| format!("of Linode {}", self.linode));
        let parts: Vec<String> = [kind, state, from, since, week, linode, oldest]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

fn weeks_words(weeks: &str) -> String {
    match weeks {
        "" | "1" => "the week".to_owned(),
        weeks => format!("the {weeks} weeks"),
    }
}

/// `GET /staff/migrations`
pub async fn list(portal: Portal, asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter(portal.now())
        .and_then(|filter| Ok((filter, Params::read(&asked.before)?)));
    let silent_since = portal.now().plus_s(-SILENT_S);
    let only_stuck = asked.state == "stuck";
    let only_tried = asked.state == "trial-failed";
    let (staff, (rows, counts, hosts)) = asks
        .read_by(wanted, move |conn, (mut filter, before)| {
            if only_stuck {
                filter.among = Some(store::migration::list::stuck(conn, silent_since)?);
            }
            if only_tried {
                filter.among = Some(store::trial::failed(conn)?);
            }
            let rows = store::migration::list::migrations(conn, &filter, before, Params::limit())?;
            Ok((
                rows,
                store::migration::counts(conn)?,
                store::host::names(conn)?,
            ))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.migration.id.to_string());
    let kinds = MigrationKind::ALL.iter();
    let kinds = Choice::any(
        "All kinds",
        kinds.map(|kind| Choice::new(kind, kind_name(*kind))),
    );
    let hosts = |any: &'static str| {
        let hosts = hosts.iter().map(|(id, name)| Choice::new(id, name));
        Choice::any(any, hosts)
    };
    let old = Choice::any("All kernels", [Choice::new("2.4", "With a kernel 2.4")]);
    let page = staff.page(Area::Migrations, "Migrations");
    let zone = page.zone();
    let rows = rows.iter().map(|row| view(row, zone)).collect();
    page::html(&MigrationsPage {
        tabs: tabs(&asked.state, &counts),
        narrowed: asked.narrowed(),
        state: asked.state,
        oldest: !asked.order.is_empty(),
        fields: vec![
            Field::select("kind", "Kind", kinds).value(&asked.kind),
            Field::select("host", "From or to host", hosts("All hosts")).value(&asked.host),
            Field::select("from", "From host", hosts("All hosts")).value(&asked.from),
            Field::select("kernel", "Kernel", old).value(&asked.kernel),
            age(&asked.age),
            Field::text("q", "Linode or account").value(&asked.q),
        ],
        linode: asked.linode,
        rows,
        pager,
        page,
    })
}

fn view(row: &MigrationRow, zone: Zone) -> Row {
    let it = &row.migration;
    let begun = it.finished_at.or(it.started_at).or(it.queued_at);
    Row {
        link: Link::new(format!("{PATH}/{}", it.id), format!("Migration {}", it.id)),
        linode: linode::link(it.linode_id, &row.linode),
        account: row.account.clone(),
        kind: kind_name(it.kind),
        from: row.source.clone(),
        to: row.destination.clone(),
        state: Tag::migration(it.state),
        step: it
            .step
            .map(|step| step.to_string().replace('_', " "))
            .unwrap_or_default(),
        at: zone.show(begun.unwrap_or(it.offered_at).utc()),
        why: it.failure.clone(),
    }
}

fn tabs(current: &str, counts: &[(State, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, states: &[State]| {
        let url = format!("{PATH}{}", query(&[("state", word)]));
        let count = count(counts, |of| states.contains(of));
        StateTab::new(url, label, count, current == word)
    };
    let single = State::ALL.iter().filter(|state| !AT_WORK.contains(state));
    [
        tab("", "All", State::ALL),
        tab("running", "Running", &AT_WORK),
    ]
    .into_iter()
    .chain(single.map(|state| tab(state.as_str(), &Tag::migration(*state).text, &[*state])))
    .collect()
}
