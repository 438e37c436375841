//! What an import did, or why it did nothing.

use super::check::Problems;
use super::file::Problem;
use crate::app::error::AppError;
use crate::store::error::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be taken as it is; nothing was changed.
    #[error("{}", told(.0))]
    File(Problems),
    #[error(transparent)]
    App(#[from] AppError),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

impl From<Problem> for ImportError {
    fn from(problem: Problem) -> Self {
        Self::File(Problems {
            told: vec![problem],
            more: 0,
        })
    }
}

fn told(problems: &Problems) -> String {
    let mut lines: Vec<String> = problems.told.iter().map(ToString::to_string).collect();
    if problems.more > 0 {
        lines.push(format!("… and {} more", problems.more));
    }
    lines.join("\n")
}

/// Of one kind of thing: how many were added, and how many were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub what: &'static str,
    pub added: usize,
    pub there: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported(pub Vec<Count>);

impl Imported {
    /// `added` of `all` things were not there.
    pub(super) fn note<T>(&mut self, what: &'static str, all: usize, added: &[T]) {
        self.0.push(Count {
            what,
            added: added.len(),
            there: all - added.len(),
        });
    }

    pub fn added(&self) -> usize {
        self.0.iter().map(|count| count.added).sum()
    }
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Count { what, added, there }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{what} {added} added {there} there")?;
        }
        Ok(())
    }
}
