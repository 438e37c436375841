//! `/staff/members`: who can sign in, with their accounts; one with what is theirs; access taken away and given back, and a
//! link for a new password sent.

use askama::Template;

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::account::UserRole;
use crate::domain::audit::Object;
use crate::domain::ids::UserId;
use crate::store;
use crate::store::account::page::{UserDetail, UserFilter, UserRow};
use crate::web::extract::{Asks, Form, Nothing, Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage, FROM_TABS, Filters, Page, ROWS, clipped, filters};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::{StateTab, query};
use crate::web::ui::{Action, Field, Link, Pager, Tag, Tone, When, Zone};

const PATH: &str = Asked::PATH;

#[derive(Debug, Template)]
#[template(path = "staff/account/list.html")]
pub struct PeoplePage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub show: String,
    pub text: Field,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub name: String,
    pub account: String,
    pub state: Tag,
    pub since: When,
}

#[derive(Debug, Template)]
#[template(path = "staff/account/show.html")]
pub struct PersonPage {
    pub page: Page,
    pub state: Tag,
    pub actions: Vec<Action>,
    pub facts: Vec<(&'static str, String)>,
    pub others: Vec<Link>,
    pub linodes: Vec<LinodeRow>,
    pub linodes_in_all: i64,
    pub registrations: Vec<RegistrationRow>,
    pub lists: Vec<Link>,
}

#[derive(Debug)]
pub struct LinodeRow {
    pub label: String,
    pub host: Link,
    pub status: Tag,
}

#[derive(Debug)]
pub struct RegistrationRow {
    pub label: String,
    pub state: Tag,
    pub requested: When,
}

filters! {
    "/staff/members", ROWS, FROM_TABS;
    show, q, after,
}

const TABS: [(&str, &str); 4] = [
    ("", "All"),
    ("members", "Members"),
    ("staff", "Staff"),
    ("disabled", "Disabled"),
];

impl Asked {
    fn filter(&self) -> Result<UserFilter, Fault> {
        let (role, disabled) = match self.show.as_str() {
            "" => (None, None),
            "members" => (Some(UserRole::Member), None),
            "staff" => (Some(UserRole::Staff), None),
            "disabled" => (None, Some(true)),
            _ => return Err(Self::unknown()),
        };
        Ok(UserFilter {
            role,
            disabled,
            text: clipped(&self.q, 100),
        })
    }
}

fn state(role: UserRole, disabled: bool) -> Tag {
    match (disabled, role) {
        (true, _) => Tag::new("Disabled", Tone::Bad),
        (false, UserRole::Staff) => Tag::new("Staff", Tone::Info),
        (false, UserRole::Member) => Tag::new("Member", Tone::Good),
    }
}

/// `GET /staff/members`
pub async fn list(asks: Asks<Staff>, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let wanted = asked.filter().map(|it| (it, asked.after.clone()));
    let (staff, (rows, counts)) = asks
        .read_by(wanted, |conn, (filter, after)| {
            let after = (!after.is_empty()).then_some(after.as_str());
            let rows = store::account::page::users(conn, &filter, after, Asked::limit())?;
            Ok((rows, store::account::page::user_counts(conn)?))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.user.email.clone());
    let page = staff.page(Area::People, "Members");
    let zone = page.zone();
    page::html(&PeoplePage {
        tabs: TABS
            .iter()
            .zip(counts)
            .map(|((show, label), count)| {
                let url = format!("{PATH}{}", query(&[("show", *show)]));
                StateTab::new(url, *label, count, *show == asked.show)
            })
            .collect(),
        text: Field::text("q", "E-mail, name or account (how words begin)").value(&asked.q),
        pager,
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        show: asked.show,
        page,
    })
}

fn view(row: &UserRow, zone: Zone) -> Row {
    let user = &row.user;
    Row {
        link: Link::new(format!("{PATH}/{}", user.id), user.email.clone()),
        name: user.name.clone(),
        account: row.account.clone().unwrap_or_default(),
        state: state(user.role, user.disabled),
        since: zone.show(user.created_at),
    }
}

/// `GET /staff/members/{id}`
pub async fn show(portal: Portal, staff: Staff, id: Path<i64>) -> Response {
    let now = portal.now();
    let idle_since = now.plus_s(-portal.settings.session_idle_s);
    let found = portal::find(&portal, move |conn| {
        store::account::page::user(conn, UserId(id.0), now, idle_since)
    })
    .await?;
    let page = staff
        .page(Area::People, found.user.email.clone())
        .crumb("Members", PATH);
    page::html(&PersonPage::new(page, &found, staff.actor.user))
}

impl PersonPage {
    fn new(page: Page, of: &UserDetail, me: UserId) -> Self {
        let (user, zone) = (&of.user, page.zone());
        let ask =
            |verb: &str, label: &str| Action::ask(format!("{PATH}/{}/{verb}", user.id), label);
        Self {
            state: state(user.role, user.disabled),
            actions: Action::those([
                (user.disabled, ask("enable", "Enable…")),
                (
                    !user.disabled,
                    ask("send-reset", "Send a link for a new password…").second(),
                ),
                (
                    !user.disabled && user.id != me,
                    ask("disable", "Disable…").second(),
                ),
            ]),
            facts: facts(of, zone),
            others: of
                .others
                .iter()
                .map(|(id, email)| Link::new(format!("{PATH}/{id}"), email.clone()))
                .collect(),
            linodes: of
                .linodes
                .iter()
                .map(|(linode, host)| LinodeRow {
                    label: linode.label.clone(),
                    host: Link::new(format!("/staff/hosts/{}", linode.host_id), host.clone()),
                    status: Tag::linode(linode.status),
                })
                .collect(),
            linodes_in_all: of.linodes_in_all,
            registrations: of
                .registrations
                .iter()
                .map(|(row, label)| RegistrationRow {
                    label: label.clone(),
                    state: Tag::registration(row.state),
                    requested: zone.show(row.requested_at),
                })
                .collect(),
            lists: lists(of),
            page,
        }
    }
}

/// Where else there is something of theirs.
fn lists(of: &UserDetail) -> Vec<Link> {
    let user = &of.user;
    let list = |list: &str, pairs: &[(&str, &str)], label: String| {
        Link::new(format!("/staff/{list}{}", query(pairs)), label)
    };
    let (email, object) = (user.email.as_str(), Object::User(user.id).to_string());
    let mut lists = vec![
        list("audit", &[("actor", email)], format!("What {email} did")),
        list(
            "audit",
            &[("object", &object)],
            format!("What was done to {email}"),
        ),
        list("mail", &[("q", email)], format!("Mail to {email}")),
    ];
    if let Some(account) = &of.account {
        let pairs = [("state", "all"), ("q", account.as_str())];
        lists.push(list(
            "registrations",
            &pairs,
            format!("Registrations of {account}"),
        ));
    }
    lists
}

fn facts(of: &UserDetail, zone: Zone) -> Vec<(&'static str, String)> {
    let user = &of.user;
    let mut facts = vec![("Name", user.name.clone())];
    if let Some(account) = &of.account {
        facts.push(("Account", account.clone()));
    }
    facts.push(("Time zone", user.timezone.clone()));
    facts.push(("Since", zone.text(user.created_at)));
    facts.push(("Sessions", of.sessions.to_string()));
    if let Some(at) = of.last_seen {
        facts.push(("Last seen", zone.text(at)));
    }
    facts.push(("API tokens", of.tokens.to_string()));
    let password = if user.password_hash.is_some() {
        "set"
    } else {
        "not set"
    };
    facts.push(("Password", password.to_owned()));
    if let Some(at) = of.last_reset {
        facts.push(("Last link for a new password", zone.text(at)));
    }
    facts.push(("Open registrations", of.registrations_open.to_string()));
    facts.push(("Migrations", of.migrations.to_string()));
    facts
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Disable,
    Enable,
    SendReset,
}

impl Deed {
    fn parse(word: &str) -> Result<Self, Fault> {
        match word {
            "disable" => Ok(Self::Disable),
            "enable" => Ok(Self::Enable),
            "send-reset" => Ok(Self::SendReset),
            _ => Err(Fault::NotFound),
        }
    }

    fn carry_out(self, app: &App, actor: &Actor, id: UserId) -> Result<(), AppError> {
        match self {
            Self::Disable => app.set_user_disabled(actor, id, true),
            Self::Enable => app.set_user_disabled(actor, id, false),
            Self::SendReset => app.send_password_reset(actor, id),
        }
    }

    fn consequences(self) -> &'static [&'static str] {
        match self {
            Self::Disable => &[
                "Every session ends at once, API tokens are revoked for good, and links for a new password work no more. They cannot sign in, and get no mail.",
                "Their Linodes run on. What they asked for and has not begun is not done: no reboot that waits, no migration that is queued or waits for its time. One that copies ends before it stops its Linode; one that has stopped it goes on to its end. Offers stay open to others of the account.",
                "You can enable them again.",
            ],
            Self::Enable => &[
                "They can sign in again with the password they had, and get mail again.",
                "Sessions and API tokens from before stay ended.",
            ],
            Self::SendReset => &[
                "They get mail with a link that works once, for 10 minutes. Until they use it their password stays as it is.",
            ],
        }
    }

    fn words(self, email: &str) -> (String, String) {
        match self {
            Self::Disable => (format!("Disable {email}"), format!("{email} is disabled.")),
            Self::Enable => (format!("Enable {email}"), format!("{email} is enabled.")),
            Self::SendReset => (
                format!("Send {email} a link for a new password"),
                format!("The link is on its way to {email}."),
            ),
        }
    }
}

async fn email_of(portal: &Portal, id: i64) -> Result<String, Fault> {
    let found = portal::read(portal, move |conn| {
        crate::store::account::user(conn, UserId(id))
    })
    .await?;
    Ok(found.ok_or(Fault::NotFound)?.email)
}

/// Moves they asked for that have not begun, one line each.
async fn moves_of(portal: &Portal, staff: &Staff, id: i64) -> Result<Vec<String>, Fault> {
    const SHOWN: usize = 50;
    let limit = i64::try_from(SHOWN).unwrap_or(50) + 1;
    let mut moves = portal::read(portal, move |conn| {
        store::account::page::queued_by(conn, UserId(id), limit)
    })
    .await?;
    let more = moves.len() > SHOWN;
    moves.truncate(SHOWN);
    let zone = staff.zone();
    let mut lines: Vec<String> = moves
        .into_iter()
        .map(|(id, label, at)| match at {
            Some(at) => {
                let at = zone.both(at).text;
                format!("{label} does not move on {at} (migration {id})")
            }
            None => format!("{label} does not move (migration {id})"),
        })
        .collect();
    lines.extend(more.then(|| "… and more".to_owned()));
    Ok(lines)
}

/// `GET /staff/members/{id}/{deed}`
pub async fn ask(portal: Portal, staff: Staff, path: Path<(i64, String)>) -> Response {
    let (id, word) = path.0;
    let deed = Deed::parse(&word)?;
    let email = email_of(&portal, id).await?;
    let moves = if deed == Deed::Disable {
        moves_of(&portal, &staff, id).await?
    } else {
        Vec::new()
    };
    let (button, _) = deed.words(&email);
    let url = format!("{PATH}/{id}");
    let page = staff
        .page(Area::People, format!("{button}?"))
        .crumb("Members", PATH)
        .crumb(&email, &url);
    ConfirmPage::new(page, button, format!("{url}/{word}"))
        .says(deed.consequences().iter().copied())
        .rows(moves)
        .danger(deed == Deed::Disable)
        .back(url, format!("Back to {email}"))
        .html()
}

/// `POST /staff/members/{id}/{deed}`
pub async fn act(
    portal: Portal,
    staff: Staff,
    path: Path<(i64, String)>,
    _: Form<Nothing>,
) -> Response {
    let (id, deed) = path.0;
    let deed = Deed::parse(&deed)?;
    let email = email_of(&portal, id).await?;
    let url = format!("{PATH}/{id}");
    let done = staff
        .act(&portal, move |app, actor| {
            deed.carry_out(app, actor, UserId(id))
        })
        .await;
    done.map_err(|fault| fault.at(url.clone(), format!("Back to {email}")))?;
    page::said(&url, deed.words(&email).1)
}
