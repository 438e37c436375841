//! `/staff/programme/texts/{section}`: a section of the announcement, written in Markdown, looked at before it is saved.

use askama::Template;
use serde::Deserialize;

use crate::app::programme::texts;
use crate::domain::programme::TextSection;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::web::extract::{Form, Path, Staff, parse_seen, seen};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::{Field, Input, Problems};

const PATH: &str = "/staff/programme";

#[derive(Debug, Template)]
#[template(path = "staff/programme/texts.html")]
pub struct TextPage {
    pub page: Page,
    pub action: String,
    pub seen: String,
    pub body: Field,
    /// The text as members would read it.
    pub preview: Rendered,
    pub is_saved: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextForm {
    #[serde(default)]
    seen: String,
    #[serde(default)]
    body: String,
    /// `save`, `preview` or `default`.
    #[serde(rename = "do")]
    deed: String,
}

fn section(of: &str) -> Result<TextSection> {
    TextSection::parse(of).ok_or(Fault::NotFound)
}

/// A text as it is stored or was typed.
struct Shown<'a> {
    body: &'a str,
    seen: String,
    is_saved: bool,
}

fn present(staff: &Staff, of: TextSection, shown: Shown<'_>, problems: Problems) -> Response {
    let Shown {
        body,
        seen,
        is_saved,
    } = shown;
    let page = staff
        .page(Area::Programme, texts::title(of))
        .crumb("Programme", PATH)
        .problems(problems);
    let hint = "In Markdown: headings, lists, emphasis, links, code. Nothing at all brings back the text it came with.";
    let field = Field::new("body", "Text", Input::Area(16))
        .value(body)
        .hint(hint)
        .with(&page.problems);
    let view = TextPage {
        action: format!("{PATH}/texts/{of}"),
        seen,
        body: field,
        preview: markdown::article(body, 2),
        is_saved,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/programme/texts/{section}`
pub async fn show(staff: Staff, of: Path<String>) -> Response {
    let of = section(&of.0)?;
    let stored = portal::read(&staff.portal, move |conn| store::programme::text(conn, of)).await?;
    let seen = seen(stored.as_ref().map(|text| text.changed_at));
    let body = stored.map_or_else(|| texts::default(of).to_owned(), |text| text.body);
    let shown = Shown {
        body: body.trim_end(),
        seen,
        is_saved: true,
    };
    present(&staff, of, shown, Problems::default())
}

/// `POST /staff/programme/texts/{section}`: saves; a preview changes nothing and shows what was typed.
pub async fn save(staff: Staff, of: Path<String>, form: Form<TextForm>) -> Response {
    let of = section(&of.0)?;
    let form = form.0;
    let shown = Shown {
        body: &form.body,
        seen: form.seen.clone(),
        is_saved: false,
    };
    let body = match form.deed.as_str() {
        "preview" => return present(&staff, of, shown, Problems::default()),
        "save" => form.body.clone(),
        "default" => String::new(),
        _ => {
            return Err(Fault::BadRequest(
                "Use one of the page's own buttons.".to_owned(),
            ));
        }
    };
    let seen = parse_seen(&form.seen);
    let saved = staff.submit(move |app, actor| app.set_text(actor, of, &body, seen));
    match saved.await {
        Ok(Ok(())) => {
            let said = format!("“{}” is saved.", texts::title(of));
            page::said(PATH, said)
        }
        Ok(Err(problems)) => present(&staff, of, shown, problems),
        // What was typed stays, to be copied over.
        Err(Fault::Conflict { message, .. }) => {
            present(&staff, of, shown, Problems::one("body", message))
        }
        Err(other) => Err(other),
    }
}
