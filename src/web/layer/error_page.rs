//! The page that a fault becomes.

use actix_web::http::StatusCode;
use askama::Template;

use crate::domain::account;
use crate::web::again::{First, Kept};
use crate::web::context::{Context, Typed};
use crate::web::fault::Fault;
use crate::web::page::{Area, Page};

const OWNERS: &str = "/staff/members?show=staff&role=owner";

#[derive(Debug, Template)]
#[template(path = "errors/error.html")]
struct ErrorPage {
    page: Page,
    heading: &'static str,
    lines: Vec<String>,
    kept: Kept,
    back_url: String,
    back_label: String,
    reference: String,
}

/// The page for a fault of a request to this path, or for a bare error status that a lower layer answered with.
pub fn error_page(
    context: &Context,
    status: StatusCode,
    (fault, path): (Option<&Fault>, &str),
) -> String {
    let (heading, mut lines) = words(status);
    let mut back = None;
    let first_page = |label: &str| Some((fault?.first()?.to_owned(), label.to_owned()));
    let mut kept = Kept::shown(&Typed::default());
    match fault {
        Some(Fault::BadRequest(message) | Fault::Forbidden(message)) => {
            lines = vec![message.clone()]
        }
        Some(Fault::Right { needs, has }) => {
            lines = vec![account::refusal(*needs, *has)];
            back = Some((OWNERS.to_owned(), "Who the owners are".to_owned()));
        }
        Some(Fault::SecondFactor) => {
            lines = vec![
                "Staff sign in with a second factor here: set yours up first. Nothing was changed."
                    .to_owned(),
            ];
            back = first_page("Set it up");
            kept = Kept::shown(&context.typed());
        }
        Some(Fault::Prove) => {
            let code = context.viewer().is_some_and(|viewer| viewer.second_factor);
            let first = First::Prove { code };
            kept = Kept::again(&context.typed(), path, &context.form_token(), first);
            lines = vec!["Nothing was changed. It is long since you showed that it is you, and this takes it anew.".to_owned()];
            if !kept.is_sent_again() {
                back = first_page("Show that it is you");
            }
        }
        Some(Fault::Conflict { message, back: way }) => {
            lines = vec![message.clone()];
            back.clone_from(way);
        }
        Some(Fault::Busy { retry_after_s }) => {
            lines = vec![format!(
                "Nothing was changed. Try again in {}.",
                crate::web::ui::units::span(i64::try_from(*retry_after_s).unwrap_or(60))
            )];
        }
        Some(Fault::TooMany { retry_after_s }) => lines.push(format!(
            "Try again in {}.",
            crate::web::ui::units::span(i64::try_from(*retry_after_s).unwrap_or(60))
        )),
        Some(Fault::Expired | Fault::SignIn) => {
            let for_all = !path.starts_with("/members") && !path.starts_with("/staff");
            let sign_in = context.viewer().is_none() && !for_all;
            let first = if sign_in {
                First::SignIn
            } else {
                First::Nothing
            };
            kept = Kept::again(&context.typed(), path, &context.form_token(), first);
            lines = vec!["Nothing was changed. This happens when you signed out or in again, or left the page open for long.".to_owned()];
            if !kept.is_sent_again() {
                lines.push("Go back, load the page anew, and send the form again.".to_owned());
            }
        }
        // Where a disk is full, what was written with care is not lost with it.
        Some(Fault::Internal(_)) => kept = Kept::shown(&context.typed()),
        Some(Fault::TooLarge) => {
            kept = Kept::shown(&context.typed());
            if !kept.is_empty() {
                lines.push("Below is what arrived of it; of a very long text that is the beginning. Your browser has all of it, if you go back.".to_owned());
            }
        }
        Some(Fault::Away(_)) => {
            kept = Kept::shown(&context.typed());
            lines = vec!["Our database is away, mostly for a moment. What you asked for may not have been done: look before you try again.".to_owned()];
        }
        Some(Fault::NotFound) | None => {}
    }
    let heading = match fault {
        Some(Fault::Expired | Fault::SignIn) => "This form has expired",
        Some(Fault::Prove) => "Is it you?",
        Some(Fault::SecondFactor) => "A second factor is needed",
        _ => heading,
    };
    let (back_url, back_label) = back.unwrap_or_else(|| way_back(context));
    let page = ErrorPage {
        page: Page::new(context, Area::None, heading),
        heading,
        lines,
        kept,
        back_url,
        back_label,
        reference: context.reference().to_owned(),
    };
    page.render().unwrap_or_else(|_| heading.to_owned())
}

fn words(status: StatusCode) -> (&'static str, Vec<String>) {
    let (heading, line) = match status.as_u16() {
        403 => (
            "You cannot do this",
            "Your sign-in does not allow it. If you think it should, ask for help with the reference below.",
        ),
        404 => (
            "Page not found",
            "There is no such page, or it is not yours. Check the address, or start from the link below.",
        ),
        405 => (
            "This cannot be done here",
            "The address takes another kind of request. Start from the link below.",
        ),
        409 => (
            "This cannot be done now",
            "Load the page anew to see how it stands.",
        ),
        413 => (
            "That is too large",
            "What was sent is larger than this page takes. Shorten it and send it again.",
        ),
        429 => (
            "Too many attempts",
            "There were too many attempts in a short time.",
        ),
        503 => (
            "The service is not available just now",
            "Nothing was changed. Try again in a minute.",
        ),
        400..=499 => (
            "The request could not be understood",
            "Go back, load the page anew, and try again.",
        ),
        _ => (
            "Something went wrong here",
            "The fault is ours and has been noted. What you asked for may not have been done: look before you try again.",
        ),
    };
    (heading, vec![line.to_owned()])
}

fn way_back(context: &Context) -> (String, String) {
    let (url, label) = match context.viewer() {
        Some(viewer) if viewer.member => ("/members/", "Back to your Linodes"),
        Some(viewer) if viewer.staff.is_some() => ("/staff/", "Back to the staff dashboard"),
        Some(_) => ("/members/accounts", "Back to your profile"),
        None => ("/", "Back to the start"),
    };
    (url.to_owned(), label.to_owned())
}
