//! Hosts and moments as this folder's pages write them.

use chrono::DateTime;

use crate::store::host::Host;
use crate::web::ui::names::platform_name;
use crate::web::ui::{When, Zone};

pub(super) fn place(host: &Host) -> String {
    format!("{} ({})", host.name, platform_name(host.platform))
}

pub(super) fn show_at(zone: Zone, at: i64) -> When {
    zone.show(DateTime::from_timestamp(at, 0).unwrap_or_default())
}
