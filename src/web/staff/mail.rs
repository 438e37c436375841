//! `/staff/mail`: the outbox: what waits, what was sent, what failed and why; one mail with its text; trying again.

use askama::Template;
use serde::Deserialize;

use crate::domain::ids::MailId;
use crate::domain::string_enum::Word;
use crate::domain::words::MailKind;
use crate::store;
use crate::store::mail::{Mail, MailFilter, MailRow, STATES};
use crate::web::extract::{Form, FormData, Nothing, Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::members::Link;
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::{ROWS, StateTab, cut, query};
use crate::web::ui::{Field, Pager, Tag, Tone, When, Zone};

const PATH: &str = "/staff/mail";

#[derive(Debug, Template)]
#[template(path = "staff/mails.html")]
pub struct MailsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub state: String,
    pub q: String,
    pub retry_url: String,
    pub text: Field,
    pub can_retry: bool,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub recipient: String,
    pub kind: String,
    pub state: Tag,
    pub attempts: i32,
    pub created: When,
    pub error: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/mail.html")]
pub struct MailPage {
    pub page: Page,
    pub id: i64,
    pub row: Row,
    pub sent: Option<When>,
    pub next: Option<When>,
    /// `None`: it holds, or held, a link that gives access.
    pub text: Option<String>,
    pub can_retry: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    before: String,
}

impl Asked {
    fn filter(&self) -> Result<(MailFilter, Option<MailId>), Fault> {
        let unknown =
            || Fault::BadRequest("The list cannot be filtered so. Start from its tabs.".to_owned());
        let state = match self.state.as_str() {
            "" => None,
            word => Some(*STATES.iter().find(|it| **it == word).ok_or_else(unknown)?),
        };
        let before = if self.before.is_empty() {
            None
        } else {
            Some(MailId(self.before.parse().map_err(|_| unknown())?))
        };
        let filter = MailFilter {
            state,
            recipient: clipped(&self.q),
        };
        Ok((filter, before))
    }

    fn url(&self, before: &str) -> String {
        let pairs = [
            ("state", self.state.clone()),
            ("q", self.q.trim().to_owned()),
            ("before", before.to_owned()),
        ];
        format!("{PATH}{}", query(&pairs))
    }
}

fn clipped(text: &str) -> String {
    text.trim().chars().take(100).collect()
}

fn tag(state: &str) -> Tag {
    match state {
        "sent" => Tag::new("Sent", Tone::Good),
        "failed" => Tag::new("Failed", Tone::Bad),
        _ => Tag::new("Waiting", Tone::Info),
    }
}

/// `GET /staff/mail`
pub async fn list(portal: Portal, staff: Staff, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let (filter, before) = asked.filter()?;
    let (rows, counts) = portal::read(&portal, move |conn| {
        let limit = i64::try_from(ROWS).unwrap_or(100) + 1;
        let rows = store::mail::list(conn, &filter, before, limit)?;
        Ok((rows, store::mail::counts(conn)?))
    })
    .await?;
    let (rows, more) = cut(rows);
    let page = staff.page(Area::Mail, "Mail");
    let zone = page.zone();
    page::html(&MailsPage {
        tabs: tabs(&asked.state, &counts),
        text: Field::text("q", "Recipient’s address begins with").value(&asked.q),
        can_retry: asked.state == "failed" && !rows.is_empty(),
        pager: Pager {
            first: (!asked.before.is_empty()).then(|| asked.url("")),
            next: rows
                .last()
                .filter(|_| more)
                .map(|last| asked.url(&last.id.to_string())),
        },
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        retry_url: format!("{PATH}/retry{}", query(&[("q", clipped(&asked.q))])),
        state: asked.state,
        q: clipped(&asked.q),
        page,
    })
}

fn tabs(current: &str, counts: &[(String, i64)]) -> Vec<StateTab> {
    let count = |word: &str| {
        let fitting = counts
            .iter()
            .filter(|(of, _)| word.is_empty() || of == word);
        fitting.map(|(_, count)| *count).sum()
    };
    std::iter::once("")
        .chain(STATES)
        .map(|word| StateTab {
            url: format!("{PATH}{}", query(&[("state", word.to_owned())])),
            label: if word.is_empty() {
                "All".to_owned()
            } else {
                tag(word).text
            },
            count: count(word),
            current: current == word,
        })
        .collect()
}

fn view(row: &MailRow, zone: Zone) -> Row {
    Row {
        link: Link::new(format!("{PATH}/{}", row.id), row.subject.clone()),
        recipient: row.recipient.clone(),
        kind: row.kind.replace('_', " "),
        state: tag(&row.state),
        attempts: row.attempts,
        created: zone.show(row.created_at.utc()),
        error: row.last_error.clone(),
    }
}

/// The text, unless it gives access to whoever reads it.
fn shown_text(mail: &Mail) -> Option<String> {
    let has_secret = mail.kind == MailKind::PasswordReset.as_str()
        || mail.text_body.contains("/password/reset/");
    (!has_secret).then(|| mail.text_body.clone())
}

/// `GET /staff/mail/{id}`
pub async fn show(portal: Portal, staff: Staff, id: Path<i64>) -> Response {
    let mail = portal::read(&portal, move |conn| store::mail::mail(conn, MailId(id.0))).await?;
    let mail = mail.ok_or(Fault::NotFound)?;
    let page = staff
        .page(Area::Mail, mail.subject.clone())
        .crumb("Mail", PATH);
    let zone = page.zone();
    let text = shown_text(&mail);
    let row = MailRow {
        id: mail.id,
        kind: mail.kind,
        recipient: mail.recipient,
        subject: mail.subject,
        state: mail.state,
        attempts: mail.attempts,
        next_at: mail.next_at,
        last_error: mail.last_error,
        created_at: mail.created_at,
        sent_at: mail.sent_at,
    };
    page::html(&MailPage {
        id: row.id.0,
        sent: row.sent_at.map(|at| zone.precise(at.utc())),
        next: (row.state == "pending").then(|| zone.precise(row.next_at.utc())),
        can_retry: row.state == "failed" && text.is_some(),
        row: view(&row, zone),
        text,
        page,
    })
}

/// `POST /staff/mail/{id}/retry`
pub async fn retry(portal: Portal, staff: Staff, id: Path<i64>, _form: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    let done = staff
        .act(&portal, move |app, actor| {
            app.retry_mail(actor, MailId(id.0))
        })
        .await;
    done.map_err(|fault| fault.at(url.clone(), "Back to the mail"))?;
    page::said(&url, "It is sent again.")
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct AskedRetry {
    #[serde(default)]
    q: String,
}

fn failed_url(q: &str) -> String {
    let pairs = [("state", "failed".to_owned()), ("q", q.to_owned())];
    format!("{PATH}{}", query(&pairs))
}

fn mails(count: i64) -> String {
    if count == 1 {
        "1 mail".to_owned()
    } else {
        format!("{count} mails")
    }
}

/// `GET /staff/mail/retry`: how many would be sent again.
pub async fn ask_retry(portal: Portal, staff: Staff, asked: Query<AskedRetry>) -> Response {
    let q = clipped(&asked.0.q);
    let (recipient, now) = (q.clone(), portal.now());
    let (worth, all) = portal::read(&portal, move |conn| {
        store::mail::count_failed(conn, &recipient, now)
    })
    .await?;
    if worth == 0 {
        return page::said(&failed_url(&q), "Nothing is left that could be sent again.");
    }
    let whose = if q.is_empty() {
        String::new()
    } else {
        format!(" to “{q}”")
    };
    let mut consequences = vec![format!(
        "Each is sent to its recipient as it was written. Of {} that failed{whose}, {worth} would be sent.",
        mails(all)
    )];
    if all > worth {
        consequences.push(format!(
            "{} stay as they are: their recipient is disabled, their moment has passed, or their link for a new password has ended.",
            mails(all - worth)
        ));
    }
    let button = format!("Send {} again", mails(worth));
    page::html(&ConfirmPage {
        page: staff
            .page(Area::Mail, format!("{button}?"))
            .crumb("Mail", PATH),
        consequences,
        rows: Vec::new(),
        action: format!("{PATH}/retry"),
        hidden: vec![("q", q.clone()), ("count", worth.to_string())],
        fields: Vec::new(),
        button,
        danger: false,
        back_url: failed_url(&q),
        back_label: "Back to the failed mails".to_owned(),
    })
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryForm {
    #[serde(default)]
    q: String,
    /// As the question said.
    #[serde(default)]
    count: i64,
}
impl FormData for RetryForm {}

/// `POST /staff/mail/retry`: the failed ones that the question counted.
pub async fn retry_all(portal: Portal, staff: Staff, form: Form<RetryForm>) -> Response {
    let (actor, recipient) = (staff.actor.clone(), clipped(&form.0.q));
    let expected = form.0.count;
    let done = portal::run(&portal, move |app| {
        app.retry_mails(&actor, &recipient, expected)
    })
    .await;
    let q = clipped(&form.0.q);
    let count = done.map_err(|fault| fault.at(failed_url(&q), "Back to the failed mails"))?;
    let said = match count {
        // The second press of two, or links that have ended.
        0 => "Nothing is left that could be sent again.".to_owned(),
        1 => "1 mail is sent again.".to_owned(),
        count => format!("{count} mails are sent again."),
    };
    let pairs = [("state", "pending".to_owned()), ("q", q)];
    let url = format!("{PATH}{}", query(&pairs));
    page::said(&url, said)
}
