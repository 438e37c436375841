//! Mail kept in memory, failing on demand.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xenbeta::domain::time::Time;
use xenbeta::mail::{Message, SendError, Transport};
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::mail::Mail;

/// Mails kept; the oldest go first.
const KEPT: usize = 1000;

#[derive(Default)]
pub struct MemoryTransport {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sent: VecDeque<Message>,
    failures: VecDeque<SendError>,
}

impl MemoryTransport {
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, oldest first.
    pub fn sent(&self) -> Vec<Message> {
        self.lock().sent.iter().cloned().collect()
    }

    /// Lets the next sends fail, in this order.
    pub fn fail_next(&self, errors: impl IntoIterator<Item = SendError>) {
        self.lock().failures.extend(errors);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread leaves whole messages behind, never half ones.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for MemoryTransport {
    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut inner = self.lock();
        if let Some(error) = inner.failures.pop_front() {
            return Err(error);
        }
        if inner.sent.len() == KEPT {
            inner.sent.pop_front();
        }
        inner.sent.push_back(message.clone());
        Ok(())
    }
}

/// Mails that are due, as one mailer would take them, one after the other.
pub fn take_mails(
    conn: &mut Db,
    (now, until): (Time, Time),
    most: usize,
) -> Result<Vec<Mail>, StoreError> {
    let mut taken = Vec::new();
    while taken.len() < most {
        match store::mail::take_due(conn, now, until)? {
            Some(mail) => taken.push(mail),
            None => break,
        }
    }
    Ok(taken)
}
