//! A manager's file, for `crate::fuzz`.

use super::check::check;
use super::existing::Known;
use super::file::{Problem, parse, text};
use crate::domain::text::unreadable;

/// Read, and looked through against an empty database. What is wrong with it is said on one line, with a line that the file has.
pub(crate) fn fleet(bytes: &[u8]) {
    let said = |problem: &Problem| {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        assert!((1..=lines).contains(&problem.line), "{problem}");
        let written = problem.to_string();
        assert!(!written.contains(unreadable), "{written:?}");
    };
    let text = match text(bytes) {
        Ok(text) => text,
        Err(problem) => return said(&problem),
    };
    match parse(text) {
        Ok(fleet) => {
            let problems = check(text, &fleet, &Known::default());
            problems.told.iter().for_each(said);
            assert!(problems.told.len() <= 20 && (problems.more == 0 || problems.told.len() == 20));
        }
        Err(problem) => said(&problem),
    }
}
