//! A [`Message`] as the bytes that travel, with headers checked once more on the way.

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::clean::fits_header;
use super::{Message, SendError, SetupError};

/// Reads the configured sender, `Name <address>` or a bare address.
pub(super) fn sender(from: &str) -> Result<Mailbox, SetupError> {
    if !fits_header(from) {
        return Err(SetupError::Sender(from.to_owned(), "line break".to_owned()));
    }
    from.parse().map_err(|e: lettre::address::AddressError| {
        SetupError::Sender(from.to_owned(), e.to_string())
    })
}

/// Builds the mail. The same message gives the same bytes: date, id and boundary come from it.
pub(super) fn build(from: &Mailbox, message: &Message) -> Result<lettre::Message, SendError> {
    for value in [&message.to, &message.subject, &message.message_id] {
        if !fits_header(value) {
            return Err(SendError::Permanent(format!(
                "line break in a header: {value:?}"
            )));
        }
    }
    let to = message.to.parse().map_err(|e| {
        SendError::Permanent(format!("{:?} is not a mail address: {e}", message.to))
    })?;
    lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(message.subject.as_str())
        .message_id(Some(message.message_id.clone()))
        .date(message.date.into())
        // RFC 3834: holiday responders do not answer.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(
            MultiPart::alternative()
                .boundary(boundary(message))
                .singlepart(part(ContentType::TEXT_PLAIN, &message.text))
                .singlepart(part(ContentType::TEXT_HTML, &message.html)),
        )
        .map_err(|e| SendError::Permanent(e.to_string()))
}

/// Always quoted-printable: readable in a file, safe on every server, and a long link survives.
fn part(kind: ContentType, body: &str) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(body.to_owned())
}

/// Unique to the message. `=_` can not occur in quoted-printable text, so no body holds its own boundary.
fn boundary(message: &Message) -> String {
    let id: String = message
        .message_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .take(50)
        .collect();
    format!("=_{id}_=")
}
