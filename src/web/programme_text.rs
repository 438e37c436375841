//! The programme in words, for the announcement and for members.

use super::ui::markdown::{self, Rendered};
use super::ui::{Tag, Tone, Zone};
use crate::app::programme::texts;
use crate::domain::programme::{Phase, TextSection};
use crate::domain::string_enum::StringEnum;
use crate::store::programme::Text;

#[derive(Debug)]
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Rendered,
}

impl Section {
    /// The section with the text that staff wrote, else its default.
    pub fn new(of: TextSection, written: &[Text]) -> Self {
        let body = written
            .iter()
            .find(|text| text.section == of)
            .map_or_else(|| texts::default(of), |text| text.body.as_str());
        Self {
            id: of.as_str(),
            title: texts::title(of),
            body: markdown::article(body, 2),
        }
    }
}

/// Where the programme stands, as a tag and in a sentence.
pub fn state_words(phase: Phase, zone: Zone) -> (Tag, String) {
    match phase {
        Phase::Announced(at) => (
            Tag::new("Announced", Tone::Info),
            format!("Registration opens on {}.", zone.both(at).text),
        ),
        Phase::Open => (
            Tag::new("Open", Tone::Good),
            "Registration is open.".to_owned(),
        ),
        Phase::Closed => (
            Tag::new("Closed to new registrations", Tone::Warn),
            "No new registrations are taken at present. What is registered goes on.".to_owned(),
        ),
        Phase::Ended => (
            Tag::new("Ended", Tone::Plain),
            "The beta has ended. Linodes that moved to Xen stay there; every way back stays open as long as it was promised."
                .to_owned(),
        ),
    }
}
