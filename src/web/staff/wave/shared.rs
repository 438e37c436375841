//! What waves are called, and the tags they have.

use crate::domain::string_enum::StringEnum;
use crate::domain::wave::{Sequence, Stage, WaveKind, WaveState};
use crate::web::ui::{Choice, Tag, Tone};

pub(super) const PATH: &str = "/staff/waves";

pub(super) fn kind_words(kind: WaveKind) -> &'static str {
    match kind {
        WaveKind::Beta => "Offers of moves into the beta",
        WaveKind::Graduation => "Offers of moves to production hosts",
        WaveKind::Evacuation => "Moves off a host that is emptied",
    }
}

pub(super) fn sequence_words(of: Sequence) -> &'static str {
    match of {
        Sequence::Asked => "the first to ask first",
        Sequence::Smallest => "the smallest disks first",
        Sequence::Largest => "the largest disks first",
        Sequence::InTurn => "one of each account in turn",
    }
}

/// All words of a kind, to choose from.
pub(super) fn choices<T: StringEnum + ToString>(words: fn(T) -> &'static str) -> Vec<Choice> {
    let all = T::ALL.iter();
    all.map(|it| Choice::new(it.to_string(), words(*it)))
        .collect()
}

pub(super) fn state(of: WaveState) -> Tag {
    match of {
        WaveState::Draft => Tag::new("Not started", Tone::Plain),
        WaveState::Running => Tag::new("Running", Tone::Info),
        WaveState::Paused => Tag::new("Paused", Tone::Warn),
        WaveState::Stopped => Tag::new("Stopped", Tone::Plain),
        WaveState::Ended => Tag::new("Ended", Tone::Good),
    }
}

pub(super) fn stage(of: Stage) -> Tag {
    let words = stage_words(of);
    let tone = match of {
        Stage::Waiting | Stage::CameToNothing | Stage::Skipped => Tone::Plain,
        Stage::Offered | Stage::Queued | Stage::AtWork => Tone::Info,
        Stage::Done => Tone::Good,
        Stage::WentBack | Stage::Refused => Tone::Warn,
        Stage::Failed => Tone::Bad,
    };
    Tag::new(words, tone)
}

pub(super) fn stage_words(of: Stage) -> &'static str {
    match of {
        Stage::Waiting => "Waiting",
        Stage::Offered => "Offered",
        Stage::Queued => "Queued",
        Stage::AtWork => "Moving",
        Stage::Done => "Moved",
        Stage::WentBack => "Went back",
        Stage::Failed => "Failed",
        Stage::CameToNothing => "Came to nothing",
        Stage::Skipped => "Skipped",
        Stage::Refused => "Refused",
    }
}
