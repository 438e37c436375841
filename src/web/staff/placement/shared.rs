//! The address of the plan, with all that it is asked by.

use crate::web::page::{FROM_FILTERS, ROWS, filters};

pub(super) const PATH: &str = "/staff/plan";

filters! {
    PATH, ROWS, FROM_FILTERS;
    show, plan, q,
    /// Names of hosts.
    without,
    more, like, at_once, spare, after,
}
