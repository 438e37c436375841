//! `/staff/mail`: the outbox: what waits, what was sent, what failed and why; one mail with its text; trying again.

use askama::Template;
use serde::Deserialize;

use crate::domain::account::Right;
use crate::domain::ids::MailId;
use crate::domain::mail::{MailKind, MailState};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::mail::{Mail, MailFilter, MailRow};
use crate::web::extract::{Asks, Form, Nothing, Path, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, ConfirmPage, FROM_TABS, Filters, Page, ROWS, clipped, filters};
use crate::web::portal;
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::{Action, Field, Link, Pager, Tag, Tone, When, Zone, units};

const PATH: &str = Params::PATH;

#[derive(Debug, Template)]
#[template(path = "staff/mail/list.html")]
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
#[template(path = "staff/mail/show.html")]
pub struct MailPage {
    pub page: Page,
    pub row: Row,
    pub actions: Vec<Action>,
    pub sent: Option<When>,
    pub next: Option<When>,
    /// `None`: it holds, or held, a link that gives access.
    pub text: Option<String>,
}

filters! {
    "/staff/mail", ROWS, FROM_TABS;
    state, q, before,
}

impl Params {
    fn filter(&self) -> Result<MailFilter> {
        Ok(MailFilter {
            state: Self::read(&self.state)?,
            recipient: clipped(&self.q, 100),
        })
    }
}

fn tag(state: MailState) -> Tag {
    match state {
        MailState::Sent => Tag::new("Sent", Tone::Good),
        MailState::Failed => Tag::new("Failed", Tone::Bad),
        MailState::Pending => Tag::new("Waiting", Tone::Info),
    }
}

/// `GET /staff/mail`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter()
        .and_then(|it| Ok((it, Params::read(&asked.before)?)));
    let (staff, (rows, counts)) = asks
        .read_by(wanted, |conn, (filter, before)| {
            let rows = store::mail::list(conn, &filter, before, Params::limit())?;
            Ok((rows, store::mail::counts(conn)?))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.id.to_string());
    let page = staff.page(Area::Mail, "Mail");
    let zone = page.zone();
    page::html(&MailsPage {
        tabs: tabs(&asked.state, &counts),
        text: Field::text("q", "Recipient’s address, name or account").value(&asked.q),
        can_retry: asked.state == MailState::Failed.as_str() && !rows.is_empty(),
        pager,
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        retry_url: format!("{PATH}/retry{}", query(&[("q", clipped(&asked.q, 100))])),
        state: asked.state,
        q: clipped(&asked.q, 100),
        page,
    })
}

fn tabs(current: &str, counts: &[(MailState, i64)]) -> Vec<StateTab> {
    let tab = |word: &'static str, label: String| {
        let url = format!("{PATH}{}", query(&[("state", word)]));
        let count = count(counts, |of| word.is_empty() || of.as_str() == word);
        StateTab::new(url, label, count, current == word)
    };
    std::iter::once(tab("", "All".to_owned()))
        .chain(
            MailState::ALL
                .iter()
                .map(|it| tab(it.as_str(), tag(*it).text)),
        )
        .collect()
}

fn view(row: &MailRow, zone: Zone) -> Row {
    Row {
        link: Link::new(format!("{PATH}/{}", row.id), row.subject.clone()),
        recipient: row.recipient.clone(),
        kind: row.kind.replace('_', " "),
        state: tag(row.state),
        attempts: row.attempts,
        created: zone.show(row.created_at),
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
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    let mail = portal::find(&staff.portal, move |conn| {
        store::mail::mail(conn, MailId(id.0))
    })
    .await?;
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
        actions: Action::those([(
            row.state == MailState::Failed && text.is_some() && page.may(Right::Mail),
            Action::send(format!("{PATH}/{}/retry", row.id), "Send it again"),
        )]),
        sent: row.sent_at.map(|at| zone.precise(at)),
        next: (row.state == MailState::Pending).then(|| zone.precise(row.next_at)),
        row: view(&row, zone),
        text,
        page,
    })
}

/// `POST /staff/mail/{id}/retry`
pub async fn retry(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    let done = staff
        .act(move |app, actor| app.retry_mail(actor, MailId(id.0)))
        .await;
    done.map_err(|fault| fault.at(url.clone(), "Back to the mail"))?;
    page::said(&url, "It is sent again.")
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AskedRetry {
    q: String,
}

fn failed_url(q: &str) -> String {
    let pairs = [("state", MailState::Failed.as_str()), ("q", q)];
    format!("{PATH}{}", query(&pairs))
}

fn mails(count: i64) -> String {
    units::counted(count, "mail", "mails")
}

/// `GET /staff/mail/retry`: how many would be sent again.
pub async fn ask_retry(staff: Staff, asked: Query<AskedRetry>) -> Response {
    let q = clipped(&asked.0.q, 100);
    let (recipient, now) = (q.clone(), staff.portal.now());
    let (worth, all) = portal::read(&staff.portal, move |conn| {
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
    let page = staff
        .page(Area::Mail, format!("{button}?"))
        .crumb("Mail", PATH);
    ConfirmPage::new(page, button, format!("{PATH}/retry"))
        .says(consequences)
        .hidden("q", q.as_str())
        .hidden("count", worth.to_string())
        .back(failed_url(&q), "Back to the failed mails")
        .html()
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryForm {
    q: String,
    /// As the question said.
    count: i64,
}

/// `POST /staff/mail/retry`: the failed ones that the question counted.
pub async fn retry_all(staff: Staff, form: Form<RetryForm>) -> Response {
    let recipient = clipped(&form.0.q, 100);
    let expected = form.0.count;
    let done = staff
        .act(move |app, actor| app.retry_mails(actor, &recipient, expected))
        .await;
    let q = clipped(&form.0.q, 100);
    let count = done.map_err(|fault| fault.at(failed_url(&q), "Back to the failed mails"))?;
    let said = match count {
        // The second press of two, or links that have ended.
        0 => "Nothing is left that could be sent again.".to_owned(),
        count => units::counted(count, "mail is sent again.", "mails are sent again."),
    };
    let url = format!(
        "{PATH}{}",
        query(&[("state", MailState::Pending.as_str()), ("q", &q)])
    );
    page::said(&url, said)
}
