//! What one portal enqueues wakes an agent that waits on another: PostgreSQL's notifications, on one connection per
//! portal. After a lost connection everyone is woken once: something may have been missed.

use std::time::Duration;

use super::stop::Stop;
use crate::store::db::{Database, Target};
use crate::store::error::StoreError;
use crate::store::wake::listen::Listener;

/// How often the connection is looked at; a wake's latency is half of it on average.
const LOOK: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_secs(1);

pub fn run(database: &Database, stop: &Stop) {
    let Target::Postgresql(url) = database.target() else {
        return;
    };
    while !stop.asked() {
        if let Err(error) = listen(database, url, stop) {
            tracing::warn!(%error, "listening for wakes failed; again in a second");
        }
        database.hub.wake_all();
        if !stop.sleep(AGAIN) {
            return;
        }
    }
}

fn listen(database: &Database, url: &str, stop: &Stop) -> Result<(), StoreError> {
    let mut listener = Listener::connect(url)?;
    database.hub.wake_all();
    while !stop.asked() {
        for wake in listener.drain()? {
            database.hub.wake(wake);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
