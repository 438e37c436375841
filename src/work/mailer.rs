//! Sends what is in the outbox. A mail is put off right before it is tried, so that a crash half way sends it once more (with
//! the same Message-ID) rather than never; two portals never try the same one at once.

use std::time::Duration;

use super::stop::Stop;
use crate::app::App;
use crate::app::error::AppError;
use crate::domain::ids::MigrationId;
use crate::domain::receipt::file_name;
use crate::mail::{Message, ReceiptFile, Rendered, SendError, Transport};
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::mail::{Mail, Taken};

/// Mails tried in one go.
const BATCH: usize = 20;
/// How long a try may take before another one is made; longer than any transport's own limits.
const TRY_S: i64 = 300;
/// Tries, with waits of 1, 2, 4 … minutes, at most 4 hours: about two days in all.
const TRIES: i32 = 18;
const EVERY: Duration = Duration::from_secs(1);
/// A database that is away for longer is not waited for: a portal that is to stop does.
const AWAY_AT_MOST: Duration = Duration::from_secs(60);

pub fn run(app: &App, transport: &dyn Transport, domain: &str, stop: &Stop) {
    while !stop.asked() {
        match round(app, transport, domain) {
            Ok(0) => {}
            // There may be more.
            Ok(_) => continue,
            Err(error) => tracing::error!(%error, "the outbox could not be worked off"),
        }
        if !stop.sleep(EVERY) {
            return;
        }
    }
}

/// Tries some of what is due; says how many it tried.
pub fn round(app: &App, transport: &dyn Transport, domain: &str) -> Result<usize, AppError> {
    let mut tried = 0;
    while tried < BATCH && try_next(app, transport, domain)? {
        tried += 1;
    }
    Ok(tried)
}

/// Each mail is put off just before its own try, so that none is tried by another mailer because those before it took long.
fn try_next(app: &App, transport: &dyn Transport, domain: &str) -> Result<bool, AppError> {
    let now = app.now();
    let Some(mail) = app.db.write(|conn| {
        store::mail::take_due(conn, now, now.plus_s(TRY_S)).map_err(AppError::from)
    })?
    else {
        return Ok(false);
    };
    let (id, taken) = (mail.id, Taken::from(&mail));
    let vain = app
        .db
        .read(|conn| store::mail::in_vain(conn, &mail, app.now()))?;
    if let Some(why) = vain {
        let said = format!("Not sent: {}.", why.words());
        app.db
            .write(|conn| store::mail::mark_failed(conn, taken, &said, None))?;
        return Ok(true);
    }
    let attempts = mail.attempts;
    let receipt = match mail.receipt_of {
        Some(of) => app.db.read(|conn| receipt_file(conn, of))?,
        None => None,
    };
    let outcome = transport.send(&message(mail, domain).with_receipt(receipt));
    let now = app.now();
    // Why it was not sent, and when it is tried again, if it is.
    let failed = match outcome {
        Ok(()) => None,
        Err(SendError::Temporary(cause)) if attempts < TRIES => {
            tracing::warn!(mail = %id, %cause, "not sent yet");
            let minutes = 1_i64 << attempts.clamp(1, 9).saturating_sub(1);
            Some((cause, Some(now.plus_s(60 * minutes.min(240)))))
        }
        Err(SendError::Temporary(cause) | SendError::Permanent(cause)) => {
            tracing::error!(mail = %id, %cause, "given up");
            Some((cause, None))
        }
    };
    written(app, |conn| match &failed {
        None => store::mail::mark_sent(conn, taken, now),
        Some((cause, again)) => store::mail::mark_failed(conn, taken, cause, *again),
    })?;
    Ok(true)
}

/// What became of a mail is not forgotten because the database is away for a moment: it would go once more.
fn written(app: &App, mark: impl Fn(&mut Db) -> Result<(), StoreError>) -> Result<(), AppError> {
    let begun = app.clock.monotonic();
    loop {
        match app.db.write(|conn| mark(conn).map_err(AppError::from)) {
            Err(AppError::Away(why))
                if app.clock.monotonic().saturating_sub(begun) < AWAY_AT_MOST =>
            {
                tracing::warn!(%why, "what became of a mail is written down when the database is back");
                std::thread::sleep(EVERY);
            }
            other => return other,
        }
    }
}

fn receipt_file(conn: &mut Db, of: MigrationId) -> Result<Option<ReceiptFile>, StoreError> {
    let text = store::receipt::body(conn, of)?;
    Ok(text.map(|text| ReceiptFile {
        name: file_name(of),
        text,
    }))
}

fn message(mail: Mail, domain: &str) -> Message {
    let what = Rendered {
        subject: mail.subject,
        text: mail.text_body,
        html: mail.html_body,
    };
    Message::of_row(mail.id, domain, mail.recipient, mail.created_at.utc(), what)
        .with_calendar(mail.calendar)
}
