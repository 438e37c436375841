//! The form of an FAQ entry, which is also the one that answers a question.

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use crate::app::faq::{EntryText, MOST_ANSWER};
use crate::domain::markdown::{Markdown, Title};
use crate::domain::time::{Time, YEARS};
use crate::store::faq::Entry;
use crate::web::ui::{Field, Input, Problems};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryForm {
    pub question: String,
    pub answer: String,
    /// `2026-11-22`; empty for today.
    #[serde(default)]
    pub dated: String,
    #[serde(default)]
    pub version: i32,
    #[serde(rename = "do", default)]
    pub deed: String,
}

fn date_of(text: &str, now: Time) -> Result<Time, &'static str> {
    let day = if text.trim().is_empty() {
        now.utc().date_naive()
    } else {
        NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
            .ok()
            .filter(|day| YEARS.contains(&day.year()))
            .ok_or("Enter a date like 2026-11-22")?
    };
    // Noon: the same day for nearly everybody.
    let noon = day
        .and_hms_opt(12, 0, 0)
        .ok_or("Enter a date like 2026-11-22")?;
    Ok(Time::new(noon.and_utc()))
}

impl EntryForm {
    pub fn of(entry: &Entry) -> Self {
        Self {
            question: entry.question.clone(),
            answer: entry.answer.clone(),
            dated: entry.dated_at.utc().format("%Y-%m-%d").to_string(),
            version: entry.version,
            deed: String::new(),
        }
    }

    pub fn answer(&self, problems: &mut Problems) -> Option<Markdown> {
        problems.take(
            "answer",
            Markdown::required(&self.answer, MOST_ANSWER, "the answer"),
        )
    }

    pub fn text(&self, now: Time, problems: &mut Problems) -> Option<EntryText> {
        let question = problems.take("question", Title::parse(&self.question));
        let answer = self.answer(problems);
        let dated_at = problems.take("dated", date_of(&self.dated, now));
        Some(EntryText {
            question: question?,
            answer: answer?,
            dated_at: dated_at?,
        })
    }

    pub fn fields(&self, answering: bool, problems: &Problems) -> Vec<Field> {
        let question = Field::text("question", "Question").value(&self.question);
        let fields = [
            if answering {
                question.hint("As the entry's heading; a private answer does not need it.")
            } else {
                question
            },
            Field::new("answer", "Answer", Input::Area(10))
                .value(&self.answer)
                .hint(
                    "Markdown: **bold**, [words](https://…), - lists, `code`. HTML shows as text.",
                ),
            Field::new("dated", "Date", Input::Line("date"))
                .value(&self.dated)
                .hint("Shown with the entry. Empty for today.")
                .short(),
        ];
        problems.on(fields)
    }
}
