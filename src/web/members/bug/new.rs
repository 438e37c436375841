//! `/members/bugs/new`: first one line of what it is about, then the threads like it, and below them the form for another.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::list::{Line, PATH};
use crate::app::bug::facts::LinodeFacts;
use crate::app::bug::{MOST_TEXT, Report};
use crate::app::error::AppError;
use crate::domain::bug::attachment::Attachment;
use crate::domain::bug::{Component, FactKind};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::domain::markdown::{Markdown, Title};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::web::extract::{Member, Query, Sent, Upload, once_or};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::ui::names::{component_choices, fact_name};
use crate::web::ui::{Field, Input, Problems};

/// Similar threads that are shown.
const LIKE: usize = 8;

#[derive(Debug, Template)]
#[template(path = "members/bug/new.html")]
pub struct NewPage {
    pub page: Page,
    /// The line by which the like is looked for.
    pub title: Field,
    pub linode: String,
    pub migration: String,
    /// `None`: nothing was looked for yet, and there is no form to open another.
    pub second: Option<Second>,
}

#[derive(Debug)]
pub struct Second {
    pub like: Vec<Line>,
    pub fields: Vec<Field>,
    pub facts: Vec<FactBox>,
    pub facts_error: Option<String>,
    pub files_error: Option<String>,
    pub seen: String,
    pub once: String,
}

/// What the portal would add, with its box.
#[derive(Debug)]
pub struct FactBox {
    pub kind: FactKind,
    pub name: &'static str,
    pub value: String,
    pub lines: bool,
    pub chosen: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    title: String,
    linode: String,
    migration: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewForm {
    title: String,
    happened: String,
    expected: String,
    reproduce: String,
    component: String,
    #[serde(default)]
    linode: String,
    #[serde(default)]
    migration: String,
    /// Kinds.
    #[serde(default)]
    fact: Vec<String>,
    #[serde(default)]
    seen: String,
    once: String,
    /// What a browser sends for a field of files when it sends none.
    #[serde(default)]
    #[allow(dead_code, reason = "files come apart from the texts")]
    file: String,
}

fn id(text: &str) -> Result<Option<i64>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::NotFound)
}

impl NewForm {
    fn report(&self, files: Vec<Attachment>, problems: &mut Problems) -> Option<Report> {
        let title = problems.take("title", Title::parse(&self.title));
        let happened = problems.take(
            "happened",
            Markdown::required(&self.happened, MOST_TEXT, "what happened"),
        );
        let expected = problems.take("expected", Markdown::parse(&self.expected, MOST_TEXT));
        let reproduce = problems.take("reproduce", Markdown::parse(&self.reproduce, MOST_TEXT));
        let component = problems.take("component", self.component.parse::<Component>());
        let report = Report {
            title: title?,
            happened: happened?,
            expected: expected?,
            reproduce: reproduce?,
            component: component?,
            linode: id(&self.linode).ok()?.map(LinodeId),
            migration: id(&self.migration).ok()?.map(MigrationId),
            keep: self
                .fact
                .iter()
                .filter_map(|word| FactKind::parse(word))
                .collect(),
            seen: self.seen.clone(),
            files,
            once: self.once.clone(),
        };
        problems.is_empty().then_some(report)
    }

    /// With the part that is likely, and the form's own mark.
    fn completed(self) -> Self {
        let component = match (self.component.as_str(), self.migration.as_str()) {
            ("", "") => "other".to_owned(),
            ("", _) => "migration".to_owned(),
            _ => self.component,
        };
        Self {
            component,
            once: once_or(&self.once),
            ..self
        }
    }

    fn fields(&self, problems: &Problems) -> Vec<Field> {
        let area = |name, label: &str, value: &str, rows| {
            Field::new(name, label, Input::Area(rows)).value(value)
        };
        let fields = [
            Field::text("title", "What it is about, in one line").value(&self.title),
            area("happened", "What happened", &self.happened, 5)
                .hint("Everybody in the beta reads it: leave out passwords and what only you should know. Markdown works."),
            area("expected", "What you expected (optional)", &self.expected, 3),
            area("reproduce", "How to make it happen again (optional)", &self.reproduce, 3),
            Field::select("component", "The part it is in, as far as you can tell", component_choices())
                .value(&self.component),
        ];
        problems.on(fields)
    }
}

/// What is shown of a form: the first step alone, or both with what was typed.
struct Shown {
    form: NewForm,
    both: bool,
    /// Typed already, so ticks are the member's.
    typed: bool,
    status: StatusCode,
}

async fn present(member: &Member, shown: Shown, mut problems: Problems) -> Response {
    let linode = id(&shown.form.linode)?.map(LinodeId);
    let migration = id(&shown.form.migration)?.map(MigrationId);
    let (both, title) = (shown.both, shown.form.title.clone());
    let found = member.act(move |app, actor| {
        let facts = app.bug_facts(actor, linode, migration)?;
        let mut like = app.db.read(|conn| {
            let most = if both { LIKE } else { 0 };
            let ids = store::search::bugs_like(conn, &title, most)?;
            store::bug::page::rows_of(conn, &ids).map_err(AppError::from)
        })?;
        like.retain(|row| row.bug.hidden_at.is_none());
        Ok((facts, like))
    });
    let (facts, like) = found.await?;
    let title = Title::parse(&shown.form.title);
    if both
        && let Err(why) = &title
        && problems.of("title").is_none()
    {
        problems.add("title", why.to_string());
    }
    let page = member
        .page(Area::Bugs, "Report a bug")
        .crumb("Bugs", PATH)
        .problems(problems);
    let zone = page.zone();
    let (form, typed) = (shown.form.completed(), shown.typed);
    let second = (both && title.is_ok() || typed).then(|| Second {
        like: like
            .iter()
            .map(|row| Line::new(row, Some(member.account), zone))
            .collect(),
        fields: form.fields(&page.problems),
        facts: boxes(&facts, typed.then_some(form.fact.as_slice())),
        facts_error: page.problems.of("fact").map(str::to_owned),
        files_error: page.problems.of("file").map(str::to_owned),
        seen: facts.mark(),
        once: form.once.clone(),
    });
    page::html_status(
        shown.status,
        &NewPage {
            title: Field::text("title", "What it is about, in one line")
                .value(&form.title)
                .hint("For example: no network after the move to Xen")
                .with(&page.problems),
            linode: form.linode,
            migration: form.migration,
            second,
            page,
        },
    )
}

fn boxes(facts: &LinodeFacts, ticked: Option<&[String]>) -> Vec<FactBox> {
    facts
        .0
        .iter()
        .map(|(kind, value)| FactBox {
            kind: *kind,
            name: fact_name(*kind),
            value: value.clone(),
            lines: *kind == FactKind::Console,
            chosen: ticked.is_none_or(|ticked| ticked.iter().any(|word| word == kind.as_str())),
        })
        .collect()
}

/// `GET /members/bugs/new`
pub async fn show(member: Member, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let both = !asked.title.trim().is_empty();
    let form = NewForm {
        title: asked.title.chars().take(300).collect(),
        linode: asked.linode,
        migration: asked.migration,
        ..NewForm::default()
    };
    let shown = Shown {
        form,
        both,
        typed: false,
        status: StatusCode::OK,
    };
    present(&member, shown, Problems::default()).await
}

/// Looks at files; what is wrong with them goes to the field `file`. The status for the form shown again.
pub(crate) fn files(sent: Vec<Sent>, problems: &mut Problems) -> (Vec<Attachment>, StatusCode) {
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut files = Vec::new();
    let count = sent.len();
    for file in sent {
        if file.too_large {
            status = StatusCode::PAYLOAD_TOO_LARGE;
            let name: String = file
                .name
                .chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect();
            problems.add("file", format!("{name}: the file is larger than 1 MiB. Your text is still here; choose smaller files"));
        } else if let Some(file) = problems.take("file", Attachment::parse(&file.name, file.bytes))
        {
            files.push(file);
        }
    }
    if count > crate::domain::bug::attachment::MOST_FILES {
        problems.add("file", "Attach 5 files or fewer");
    }
    (files, status)
}

/// `POST /members/bugs/new`
pub async fn open(member: Member, sent: Upload<NewForm>) -> Response {
    let mut problems = Problems::default();
    let (files, status) = files(sent.files, &mut problems);
    let report = sent.form.report(files, &mut problems);
    let shown = Shown {
        form: sent.form,
        both: true,
        typed: true,
        status,
    };
    let Some(report) = report else {
        return present(&member, shown, problems).await;
    };
    match member
        .submit(move |app, actor| app.open_bug(actor, &report))
        .await?
    {
        Ok(id) => page::said(
            &format!("{PATH}/{id}"),
            "The bug is open. You get mail when somebody replies or its state changes.",
        ),
        // What was refused is sent anew under a new mark.
        Err(problems) => {
            let mut shown = shown;
            shown.form.once = String::new();
            present(&member, shown, problems).await
        }
    }
}
