//! What both pages of readiness show.

use crate::domain::fairness::judge::Verdict;
use crate::web::ui::{Tag, Tone};

pub(in crate::web::staff) fn verdict_tag(verdict: Verdict) -> Tag {
    let tone = match verdict {
        Verdict::Unknown | Verdict::TooLittle | Verdict::NotCompared => Tone::Plain,
        Verdict::Fair => Tone::Good,
        Verdict::Uneven => Tone::Warn,
        Verdict::Unfair => Tone::Bad,
    };
    Tag::new(verdict.word(), tone)
}
