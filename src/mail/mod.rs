//! Mail: text and HTML from templates, and the ways out (SMTP, a folder).
//!
//! Rule of the room: nothing here knows rows, requests or the clock. A use case renders with [`render`] in its own
//! transaction and stores the result in the outbox; the mailer makes a [`Message`] of the row and hands it to a [`Transport`].
//! Rendering early means that a row says exactly what its reader gets, and that sending can not fail over a template.

mod calendar;
mod clean;
mod fields;
mod folder;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod mime;
mod render;
mod smtp;
mod transport;
mod vtimezone;
mod wrap;

#[cfg(test)]
mod tests;

pub use calendar::{Appointment, file as calendar_file};
pub use clean::one_line;
pub use fields::{AfterCheck, Board, CheckFields, MailFields, MoveOff, ResetToken};
pub use folder::FolderTransport;
pub use render::{Rendered, render};
pub use smtp::{SmtpSecurity, SmtpSettings, SmtpTransport};
pub use transport::{SendError, SetupError, Transport};

use chrono::{DateTime, Utc};

use crate::domain::ids::MailId;

/// One mail, ready to go. Sending it twice gives the same bytes with the same Message-ID, so that a reader's mail program
/// (and a server that looks) can tell a repetition.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// A bare address, without a name.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// With its angle brackets.
    pub message_id: String,
    /// When the mail was written, which may be long before it is sent.
    pub date: DateTime<Utc>,
    /// A calendar file that goes with it.
    pub calendar: Option<String>,
    /// A receipt that goes with it.
    pub receipt: Option<ReceiptFile>,
}

/// A receipt as a file: byte for byte, as its signature is over its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptFile {
    pub name: String,
    pub text: String,
}

impl Message {
    /// With a calendar file.
    #[must_use]
    pub fn with_calendar(self, calendar: Option<String>) -> Self {
        Self { calendar, ..self }
    }

    /// With a receipt.
    #[must_use]
    pub fn with_receipt(self, receipt: Option<ReceiptFile>) -> Self {
        Self { receipt, ..self }
    }

    /// The mail of an outbox row. `domain` is the part of the sender's address after the `@`; it must not change while
    /// rows wait, or a repetition would carry another Message-ID.
    pub fn of_row(
        id: MailId,
        domain: &str,
        to: String,
        date: DateTime<Utc>,
        what: Rendered,
    ) -> Self {
        let Rendered {
            subject,
            text,
            html,
        } = what;
        let message_id = format!("<xenbeta.{id}.{}@{domain}>", date.timestamp());
        Self {
            to,
            subject,
            text,
            html,
            message_id,
            date,
            calendar: None,
            receipt: None,
        }
    }
}

/// Bodies may hold a password reset link, so they stay out of logs.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}
