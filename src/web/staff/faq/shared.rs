//! What both pages of the FAQ need.

pub(super) const PATH: &str = "/staff/faq";
