//! What the page after a POST says, once: carried there by a cookie.

use data_encoding::BASE64URL_NOPAD;

use crate::web::ui::Tone;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    pub tone: Tone,
    pub text: String,
}

impl Flash {
    pub fn good(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Good,
            text: text.into(),
        }
    }

    pub fn warn(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Warn,
            text: text.into(),
        }
    }

    /// As a cookie's value: a letter for the tone, then the text in base64, cut to what fits well.
    pub(in crate::web) fn cookie(&self) -> String {
        let text: String = self.text.chars().take(400).collect();
        let tone = match self.tone {
            Tone::Good => 'g',
            Tone::Warn | Tone::Bad => 'w',
            Tone::Info | Tone::Plain => 'i',
        };
        format!("{tone}{}", BASE64URL_NOPAD.encode(text.as_bytes()))
    }

    pub(in crate::web) fn of_cookie(value: &str) -> Option<Self> {
        let tone = match value.chars().next()? {
            'g' => Tone::Good,
            'w' => Tone::Warn,
            'i' => Tone::Info,
            _ => return None,
        };
        let bytes = BASE64URL_NOPAD.decode(value.get(1..)?.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        Some(Self { tone, text })
    }

    pub(crate) fn class(&self) -> String {
        self.tone.to_string()
    }

    pub(crate) fn role(&self) -> &'static str {
        match self.tone {
            Tone::Bad | Tone::Warn => "alert",
            Tone::Good | Tone::Info | Tone::Plain => "status",
        }
    }
}
