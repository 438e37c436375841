//! Bugs: their words, what may become of them, and what of them members see of each other.

pub mod attachment;

use super::ids::{BugFileId, BugPostId};
use crate::string_enum;

string_enum! {
    pub enum BugState {
        New = "new", Confirmed = "confirmed", InProgress = "in_progress", Fixed = "fixed", NotABug = "not_a_bug",
        Duplicate = "duplicate",
    }
}
string_enum! {
    /// `none`: nobody of the staff has judged it yet.
    pub enum Severity { None = "none", Low = "low", Medium = "medium", High = "high", Critical = "critical" }
}
string_enum! {
    pub enum Component {
        Migration = "migration", Kernel = "kernel", Disk = "disk", Network = "network", Performance = "performance",
        Manager = "manager", Other = "other",
    }
}
string_enum! {
    /// What the portal can add to a bug about its author's Linode.
    pub enum FactKind {
        Linode = "linode", Plan = "plan", Host = "host", Kernel = "kernel", Profile = "profile", Migration = "migration",
        Console = "console",
    }
}
string_enum! {
    /// What an event of a thread changed.
    pub enum Changed { State = "state", Severity = "severity", Component = "component" }
}

/// What staff can hide of a bug. In addresses and forms: `opening`, `post-5`, `file-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its title, texts, facts and first files.
    Opening,
    Post(BugPostId),
    File(BugFileId),
}

impl Part {
    pub fn parse(word: &str) -> Option<Self> {
        let id = |text: &str| text.parse::<i64>().ok().filter(|id| *id > 0);
        match word.split_once('-') {
            None if word == "opening" => Some(Self::Opening),
            Some(("post", number)) => id(number).map(|id| Self::Post(BugPostId(id))),
            Some(("file", number)) => id(number).map(|id| Self::File(BugFileId(id))),
            None | Some(_) => None,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Opening => f.write_str("opening"),
            Self::Post(id) => write!(f, "post-{id}"),
            Self::File(id) => write!(f, "file-{id}"),
        }
    }
}

impl BugState {
    /// Somebody still has to do something about it.
    pub fn is_open(self) -> bool {
        match self {
            Self::New | Self::Confirmed | Self::InProgress => true,
            Self::Fixed | Self::NotABug | Self::Duplicate => false,
        }
    }
}

impl FactKind {
    /// Does everybody in the beta see it? Others find their own bug again by plan and kernel; the rest says whose Linode it
    /// is and what runs on it, which is for its member and staff.
    pub fn is_public(self) -> bool {
        match self {
            Self::Plan | Self::Kernel => true,
            Self::Linode | Self::Host | Self::Profile | Self::Migration | Self::Console => false,
        }
    }
}

/// Why a bug does not go from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSo {
    #[error("A bug that was looked at is not new again: confirm it, or close it")]
    NotNewAgain,
    #[error("It is closed: open it again first")]
    OpenFirst,
}

/// May a bug go from `from` to `to`? Staying is always fine. Closed ones can be opened again; from one closed state to
/// another it goes by way of an open one, so that the thread tells why.
pub fn step(from: BugState, to: BugState) -> Result<(), NotSo> {
    use BugState as S;
    match (from, to) {
        (S::New, _) => Ok(()),
        (S::Confirmed | S::InProgress, S::New) => Err(NotSo::NotNewAgain),
        (
            S::Confirmed | S::InProgress,
            S::Confirmed | S::InProgress | S::Fixed | S::NotABug | S::Duplicate,
        ) => Ok(()),
        (S::Fixed, S::Fixed) | (S::NotABug, S::NotABug) | (S::Duplicate, S::Duplicate) => Ok(()),
        (S::Fixed, S::New) => Err(NotSo::NotNewAgain),
        (S::NotABug | S::Duplicate, S::New) => Ok(()),
        (S::Fixed | S::NotABug | S::Duplicate, S::Confirmed | S::InProgress) => Ok(()),
        (S::Fixed, S::NotABug | S::Duplicate)
        | (S::NotABug, S::Fixed | S::Duplicate)
        | (S::Duplicate, S::Fixed | S::NotABug) => Err(NotSo::OpenFirst),
    }
}

/// What others see of a member's name: "A. L."
pub fn initials(name: &str) -> String {
    let letters: Vec<String> = name
        .split_whitespace()
        .filter_map(|part| part.chars().find(|c| c.is_alphanumeric()))
        .take(3)
        .map(|first| format!("{}.", first.to_uppercase()))
        .collect();
    if letters.is_empty() {
        "A member".to_owned()
    } else {
        letters.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    #[test]
    fn every_state_leads_on_and_closed_ones_open_again() {
        let mut table = String::new();
        for from in BugState::ALL {
            let to: Vec<&str> = BugState::ALL
                .iter()
                .filter(|to| *to != from && step(*from, **to).is_ok())
                .map(|to| to.as_str())
                .collect();
            table.push_str(&format!("{from}: {}\n", to.join(" ")));
            assert!(step(*from, *from).is_ok());
            assert!(step(*from, BugState::Confirmed).is_ok());
        }
        assert_eq!(
            table,
            "new: confirmed in_progress fixed not_a_bug duplicate\n\
             confirmed: in_progress fixed not_a_bug duplicate\n\
             in_progress: confirmed fixed not_a_bug duplicate\n\
             fixed: confirmed in_progress\n\
             not_a_bug: new confirmed in_progress\n\
             duplicate: new confirmed in_progress\n"
        );
    }

    #[test]
    fn parts_are_told_by_their_words() {
        for word in ["opening", "post-5", "file-7"] {
            assert_eq!(
                Part::parse(word).map(|it| it.to_string()).as_deref(),
                Some(word)
            );
        }
        for foul in [
            "",
            "post",
            "post-",
            "post-0",
            "post--1",
            "file-x",
            "opening-1",
            "bug-1",
        ] {
            assert_eq!(Part::parse(foul), None, "{foul}");
        }
    }

    #[test]
    fn names_become_initials() {
        assert_eq!(initials("Ada Lovelace"), "A. L.");
        assert_eq!(initials("  élodie  d'Arc von und zu "), "É. D. V.");
        assert_eq!(initials("<script>"), "S.");
        assert_eq!(initials(" - "), "A member");
    }
}
