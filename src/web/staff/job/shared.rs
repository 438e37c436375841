//! Where jobs are, which of them staff look at first, and what lists of them are filtered by.

use crate::domain::ids::HostId;
use crate::domain::job::JobKind;
use crate::domain::string_enum::StringEnum;
use crate::web::ui::Choice;
use crate::web::ui::names::job_name;

pub const PATH: &str = "/staff/jobs";

/// Jobs that failed longer ago are no longer counted where staff look first.
pub const LATELY_DAYS: i64 = 7;

pub(super) fn kinds(any: &'static str, fits: impl Fn(JobKind) -> bool) -> Vec<Choice> {
    let kinds = JobKind::ALL.iter().filter(|kind| fits(**kind));
    Choice::any(any, kinds.map(|kind| Choice::new(kind, job_name(*kind))))
}

pub(super) fn host_choices(hosts: Vec<(HostId, String)>) -> Vec<Choice> {
    let hosts = hosts.into_iter().map(|(id, name)| Choice::new(id, name));
    Choice::any("All hosts", hosts)
}
