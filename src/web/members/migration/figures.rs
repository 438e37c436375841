//! What a move came to, in figures: for its page.

use crate::domain::migration::forecast;
use crate::store::migration::Migration;
use crate::web::ui::units;

pub(super) fn figures(migration: &Migration) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    let bytes = |count: i64| units::bytes(u64::try_from(count).unwrap_or(0));
    if let (Some(from), Some(to)) = (migration.started_at, migration.finished_at) {
        figures.push(("Took in all", units::span(to.seconds_since(from))));
    }
    if let Some(down_s) = migration.down_s() {
        let span = units::span(down_s.max(1));
        let words = if migration.running_at.is_some() {
            format!("{span}, from the order to stop until it was started again")
        } else {
            format!("At most {span}, from the order to stop until it was seen running")
        };
        figures.push(("Downtime", words));
        if let Some((told, most)) = migration.foretold_ms.zip(migration.foretold_most_ms) {
            let words = forecast::words(told, most).replacen("about", "About", 1);
            figures.push(("Downtime foretold", words));
        }
    }
    if let Some(limit_s) = migration.down_limit_s {
        figures.push((
            "Your limit for the downtime",
            units::span(i64::from(limit_s)),
        ));
    }
    if migration.total_bytes > 0 {
        figures.push(("Size of the disks", bytes(migration.total_bytes)));
    }
    if migration.sent_bytes > 0 {
        figures.push(("Sent between the hosts", bytes(migration.sent_bytes)));
    }
    if migration.warm_passes > 0 {
        figures.push(("Passes while it ran", migration.warm_passes.to_string()));
    }
    figures
}
