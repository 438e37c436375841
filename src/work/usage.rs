//! Rolls up what Linodes used, and forgets what is past its time.

use std::time::Duration;

use super::stop::Stop;
use crate::app::App;

const EVERY: Duration = Duration::from_secs(5);
/// Between two batches, so that others get to the database too.
const BREATH: Duration = Duration::from_millis(5);

pub fn run(app: &App, stop: &Stop) {
    while !stop.asked() {
        let pause = match app.roll_usage() {
            Ok(0) => EVERY,
            Ok(_) => BREATH,
            Err(error) => {
                tracing::error!(%error, "usage could not be rolled up");
                EVERY
            }
        };
        if !stop.sleep(pause) {
            return;
        }
    }
}
