//! Works batches of registrations off, whichever portal took the form.

use std::time::Duration;

use super::stop::Stop;
use crate::app::App;

/// A look without being asked: another portal may have ended with a batch at work.
const EVERY: Duration = Duration::from_secs(1);
/// Between two pieces, so that others get to the database too.
const BREATH: Duration = Duration::from_millis(5);
const PIECE: Duration = Duration::from_millis(500);

pub fn run(app: &App, stop: &Stop) {
    while !stop.asked() {
        let pause = match app.work_batches(PIECE) {
            Ok(true) => BREATH,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::error!(%error, "a batch could not be worked off");
                EVERY
            }
        };
        if !stop.sleep(pause) {
            return;
        }
    }
}
