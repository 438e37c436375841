//! `/staff/members`: who can sign in, with their accounts and roles.

use askama::Template;

use super::shared::{PATH, state};
use crate::domain::account::{StaffRole, UserRole};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::account::page::{UserFilter, UserRow};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, clipped, filters};
use crate::web::ui::list::{StateTab, query};
use crate::web::ui::{Choice, Field, Link, Pager, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/account/list.html")]
pub struct PeoplePage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub show: String,
    pub text: Field,
    pub role: Field,
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

filters! {
    PATH, ROWS, FROM_TABS;
    show, q, role, after,
}

const TABS: [(&str, &str); 4] = [
    ("", "All"),
    ("members", "Members"),
    ("staff", "Staff"),
    ("disabled", "Disabled"),
];

impl Params {
    fn filter(&self) -> Result<UserFilter> {
        let (role, disabled) = match self.show.as_str() {
            "" => (None, None),
            "members" => (Some(UserRole::Member), None),
            "staff" => (Some(UserRole::Staff), None),
            "disabled" => (None, Some(true)),
            _ => return Err(Self::unknown()),
        };
        Ok(UserFilter {
            role,
            staff_role: Self::read(&self.role)?,
            disabled,
            text: clipped(&self.q, 100),
        })
    }
}

fn roles() -> Vec<Choice> {
    let roles = StaffRole::ALL.iter();
    Choice::any(
        "Whatever their role",
        roles.map(|role| Choice::new(role, role.as_str())),
    )
}

/// `GET /staff/members`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked.filter().map(|it| (it, asked.after.clone()));
    let (staff, (rows, counts)) = asks
        .read_by(wanted, |conn, (filter, after)| {
            let after = (!after.is_empty()).then_some(after.as_str());
            let rows = store::account::page::users(conn, &filter, after, Params::limit())?;
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
        text: Field::text("q", "E-mail, name or account").value(&asked.q),
        role: Field::select("role", "Role", roles()).value(&asked.role),
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
        state: state(user.staff_role, user.disabled),
        since: zone.show(user.created_at),
    }
}
