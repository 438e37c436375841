//! What every page of hosts needs.

use crate::web::ui::Problems;

pub(in crate::web::staff) const PATH: &str = "/staff/hosts";

pub(super) fn number<N: std::str::FromStr>(
    problems: &mut Problems,
    field: &'static str,
    text: &str,
) -> Option<N> {
    problems.whole(field, text)
}

pub(super) fn optional(problems: &mut Problems, field: &'static str, text: &str) -> Option<i32> {
    if text.trim().is_empty() {
        None
    } else {
        number(problems, field, text)
    }
}
