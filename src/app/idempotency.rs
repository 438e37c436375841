//! A form that is sent twice does one thing, and nobody sends too many.

use super::error::{AppError, Result};

pub(super) fn too_many(message: &str) -> AppError {
    AppError::invalid("", message.to_owned())
}

/// A form that was sent once and changed since: neither lost without a word nor taken for the first.
pub(super) fn sent_before(field: &'static str) -> AppError {
    AppError::invalid(
        field,
        "This form was sent already, with another text. Send it again to send this one as well",
    )
}

/// A form's own mark, as the page gave it.
pub(super) fn check_once(once: &str) -> Result<()> {
    let fine = (8..=64).contains(&once.len())
        && once
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if fine {
        Ok(())
    } else {
        Err(AppError::conflict(
            "This form is not one of ours. Load the page anew",
        ))
    }
}
