//! Runs the reconciler: when something says that there may be work for it, and every few seconds anyway.

use std::time::{Duration, Instant};

use super::stop::Stop;
use crate::app::App;

/// A round without being asked: times come without an event.
const EVERY: Duration = Duration::from_secs(2);
const TIDY_EVERY: Duration = Duration::from_secs(600);

pub fn run(app: &App, stop: &Stop) {
    let poke = app.db.hub.reconcile();
    let Ok(waiting) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        tracing::error!("the reconciler could not start");
        return;
    };
    let mut tidied = Instant::now();
    while !stop.asked() {
        match app.reconcile() {
            Ok(round) if round != crate::app::reconcile::Round::default() => {
                tracing::info!(?round, "reconciled")
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a round of the reconciler failed"),
        }
        if let Err(error) = app.tell_news() {
            tracing::error!(%error, "what is new on the board could not be told");
        }
        if let Err(error) = app.tell_refusals() {
            tracing::error!(%error, "what was refused could not be written into the trail");
        }
        if tidied.elapsed() > TIDY_EVERY {
            tidied = Instant::now();
            if let Err(error) = app.tidy() {
                tracing::error!(%error, "could not tidy up");
            }
        }
        if let Err(error) = app.look_for_silent_hosts() {
            tracing::error!(%error, "could not look for silent hosts");
        }
        waiting.block_on(async {
            // Whichever comes first; both mean another round. Short, so that a stop is heard.
            let _poked_or_not = tokio::time::timeout(EVERY, poke.notified()).await;
        });
    }
}
