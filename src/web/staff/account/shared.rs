//! What list and page of people have in common.

use crate::domain::account::StaffRole;
use crate::web::ui::{Tag, Tone};

pub(crate) const PATH: &str = "/staff/members";

pub(crate) fn state(role: Option<StaffRole>, disabled: bool) -> Tag {
    match (disabled, role) {
        (true, None) => Tag::new("Disabled", Tone::Bad),
        (true, Some(role)) => Tag::new(format!("Disabled, {role}"), Tone::Bad),
        (false, Some(role)) => Tag::new(format!("Staff, {role}"), Tone::Info),
        (false, None) => Tag::new("Member", Tone::Good),
    }
}
