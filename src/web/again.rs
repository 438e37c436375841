//! A form that could not be taken when it was sent: what was typed is shown, and is sent again from there, after signing in
//! where that is needed. Nothing of it is kept here: it goes to its writer's page and back.

use askama::Template;
use askama::filters::HtmlSafe;
use data_encoding::BASE64URL_NOPAD;

use super::context::Typed;
use super::page::own_path;
use super::ui::{Field, Input, field_name};

/// Fields that are shown.
const MOST_SHOWN: usize = 40;
/// Bytes of a packed form, so that the form that carries it is no larger than forms may be.
const MOST_PACKED: usize = 48 * 1024;

/// What was typed, by names that people read, with a way to send it again where there is one.
#[derive(Debug, Clone, Template)]
#[template(path = "errors/typed.html")]
pub struct Kept {
    shown: Vec<(String, String)>,
    files: bool,
    way: Way,
    csrf: String,
}
impl HtmlSafe for Kept {}

#[derive(Debug, Clone)]
enum Way {
    /// Only to be copied.
    None,
    Send {
        path: String,
        pairs: Vec<(String, String)>,
    },
    /// After what `action` takes.
    After {
        heading: &'static str,
        action: &'static str,
        button: &'static str,
        fields: Vec<Field>,
        path: String,
        packed: String,
    },
}

/// What has to be done before a form is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Nothing,
    /// What came first is done.
    Done,
    SignIn,
    /// Show again who they are: by a code, or else by the password.
    Prove {
        code: bool,
    },
}

impl Kept {
    /// To be copied only.
    pub fn shown(typed: &Typed) -> Self {
        let shown = typed.pairs.iter().filter(|(_, value)| !value.is_empty());
        let named = shown.filter_map(|(name, value)| Some((field_name(name)?, value.clone())));
        Self {
            shown: named.take(MOST_SHOWN).collect(),
            files: typed.files,
            way: Way::None,
            csrf: String::new(),
        }
    }

    /// To be sent to `path` again, after what comes first.
    pub fn again(typed: &Typed, path: &str, csrf: &str, first: First) -> Self {
        let kept = Self::shown(typed);
        // A form may have had nothing but its button: what it does waits for the proof alone.
        let is_worth_it =
            !typed.pairs.is_empty() || matches!(first, First::Prove { .. } | First::Done);
        let path = own_path(path).filter(|_| typed.whole && is_worth_it);
        let way = path.map(str::to_owned).and_then(|path| {
            let (heading, action, button, fields) = match first {
                First::Nothing | First::Done => {
                    let pairs = typed.pairs.clone();
                    return Some(Way::Send { path, pairs });
                }
                First::SignIn => {
                    let (email, password) = fields();
                    let heading = "Sign in, and send it again";
                    (heading, "/login", "Sign in", vec![email, password])
                }
                First::Prove { code } => {
                    let heading = "Show that it is you, and send it again";
                    (heading, "/again", "It is me", vec![proof(code)])
                }
            };
            Some(Way::After {
                heading,
                action,
                button,
                fields,
                packed: pack(&typed.pairs)?,
                path,
            })
        });
        Self {
            way: way.unwrap_or(Way::None),
            csrf: csrf.to_owned(),
            ..kept
        }
    }

    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && !self.is_sent_again()
    }

    pub fn is_sent_again(&self) -> bool {
        !matches!(self.way, Way::None)
    }
}

/// Of the form to sign in by.
pub fn fields() -> (Field, Field) {
    let email = Field::new("email", "E-mail address", Input::Line("email"));
    (
        email.autocomplete("username"),
        Field::password("password", "Password", "current-password"),
    )
}

/// By which somebody shows again who they are.
pub fn proof(code: bool) -> Field {
    if code {
        self::code()
    } else {
        Field::password("password", "Your password", "current-password")
    }
}

pub fn code() -> Field {
    Field::new("code", "Code", Input::Line("text"))
        .hint("Six digits that your app shows now, or one of your recovery codes")
        .autocomplete("one-time-code")
        .short()
}

/// A form's fields in one text; `None` where it is too large to be carried along.
pub fn pack(pairs: &[(String, String)]) -> Option<String> {
    let text = serde_json::to_vec(pairs).ok()?;
    let packed = BASE64URL_NOPAD.encode(&text);
    (packed.len() <= MOST_PACKED).then_some(packed)
}

pub fn unpack(packed: &str) -> Option<Vec<(String, String)>> {
    let text = BASE64URL_NOPAD.decode(packed.as_bytes()).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_carried_along_whole_or_not_at_all() {
        let pair = |value: &str| vec![("body".to_owned(), value.to_owned())];
        let text = pair("two\r\nlines & \u{1f600}");
        let packed = pack(&text);
        assert_eq!(packed.as_deref().and_then(unpack), Some(text));
        assert_eq!(pack(&pair(&"x".repeat(MOST_PACKED))), None);
        for foul in ["", "x", "e30", "bm90IEpTT04"] {
            assert_eq!(unpack(foul), None, "{foul}");
        }
    }
}
