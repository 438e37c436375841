//! Gives out what waves may give out, whichever portal staff started them on.

use std::time::Duration;

use super::stop::Stop;
use crate::app::App;

/// A look without being asked: a window opens, a move ends, another portal may have ended with a wave at work.
const EVERY: Duration = Duration::from_secs(1);
/// Between two pieces, so that others get to the database too.
const BREATH: Duration = Duration::from_millis(5);
const PIECE: Duration = Duration::from_millis(500);

pub fn run(app: &App, stop: &Stop) {
    while !stop.asked() {
        let pause = match app.work_waves(PIECE) {
            Ok(true) => BREATH,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::error!(%error, "waves could not go on");
                EVERY
            }
        };
        if !stop.sleep(pause) {
            return;
        }
    }
}
