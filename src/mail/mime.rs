//! A [`Message`] as the bytes that travel, with headers checked once more on the way.

use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::Address;
use lettre::address::{AddressError, Envelope};
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
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
    let to = address(&message.to).map_err(|e| {
        SendError::Permanent(format!("{:?} is not a mail address: {e}", message.to))
    })?;
    // From the headers it would be read again, by a parser that does not know quotes.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])
        .map_err(|e| SendError::Permanent(e.to_string()))?;
    let builder = lettre::Message::builder()
        .envelope(envelope)
        .from(from.clone())
        .to(Mailbox::new(None, to));
    let builder = if message.subject.contains("=?") {
        builder.raw_header(encoded_subject(&message.subject)?)
    } else {
        builder.subject(message.subject.as_str())
    };
    builder
        .message_id(Some(message.message_id.clone()))
        .date(message.date.into())
        // RFC 3834: holiday responders do not answer.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body(message)?)
        .map_err(|e| SendError::Permanent(e.to_string()))
}

/// Some providers gave out addresses like `a..b.@example.com`, which travel only in quotes.
fn address(text: &str) -> Result<Address, AddressError> {
    text.parse().or_else(|error| {
        let (local, domain) = text.rsplit_once('@').ok_or(error)?;
        Address::new(format!("\"{local}\""), domain)
    })
}

const SUBJECT: &str = "Subject";

/// Text that looks like an encoded word must be one, or its reader would see it decoded (RFC 2047, 5).
fn encoded_subject(text: &str) -> Result<HeaderValue, SendError> {
    let mut encoded = String::new();
    {
        let mut writer = EmailWriter::new(&mut encoded, SUBJECT.len() + ": ".len(), 0, false);
        rfc2047::encode(text, &mut writer).map_err(|e| SendError::Permanent(e.to_string()))?;
    }
    let name = HeaderName::new_from_ascii_str(SUBJECT);
    Ok(HeaderValue::dangerous_new_pre_encoded(
        name,
        text.to_owned(),
        encoded,
    ))
}

/// Text and HTML; with files, both and then those.
fn body(message: &Message) -> Result<MultiPart, SendError> {
    let readable = MultiPart::alternative()
        .boundary(boundary(message, ""))
        .singlepart(part(ContentType::TEXT_PLAIN, &message.text))
        .singlepart(part(ContentType::TEXT_HTML, &message.html));
    let mut files = Vec::new();
    if let Some(calendar) = &message.calendar {
        // The method stands in the file too; mail programs look here first.
        let method = if calendar.contains("\r\nMETHOD:CANCEL\r\n") {
            "CANCEL"
        } else {
            "REQUEST"
        };
        let kind = format!("text/calendar; charset=utf-8; method={method}; name=migration.ics");
        files.push(file(&kind, "migration.ics", calendar)?);
    }
    if let Some(receipt) = &message.receipt {
        let kind = format!("application/json; name={}", receipt.name);
        files.push(file(&kind, &receipt.name, &receipt.text)?);
    }
    if files.is_empty() {
        return Ok(readable);
    }
    let mixed = MultiPart::mixed()
        .boundary(boundary(message, "m"))
        .multipart(readable);
    Ok(files.into_iter().fold(mixed, MultiPart::singlepart))
}

/// Byte for byte: a calendar's lines end in CR LF wherever it is read, and a receipt is signed as it is.
fn file(kind: &str, name: &str, text: &str) -> Result<SinglePart, SendError> {
    let kind = ContentType::parse(kind).map_err(|e| SendError::Permanent(e.to_string()))?;
    Ok(SinglePart::builder()
        .header(kind)
        .header(ContentDisposition::attachment(name))
        .header(ContentTransferEncoding::Base64)
        // As bytes: text would get other ends of lines.
        .body(text.as_bytes().to_vec()))
}

/// Always quoted-printable: readable in a file, safe on every server, and a long link survives.
fn part(kind: ContentType, body: &str) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(body.to_owned())
}

/// Unique to the message, and to the `level` of its parts. `=_` can not occur in quoted-printable text, so no body holds its own boundary.
fn boundary(message: &Message, level: &str) -> String {
    let id: String = message
        .message_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .take(50)
        .collect();
    format!("=_{level}{id}_=")
}
