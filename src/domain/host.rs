//! What a host is for, and what it may be doing.

use crate::string_enum;

string_enum! {
    /// What a host is for: where Linodes come from, where the beta runs, where they go afterwards.
    pub enum HostRole { Source = "source", Beta = "beta", Production = "production" }
}
string_enum! {
    /// `draining` takes no new Linodes; `disabled` takes no jobs at all; `quarantined` was taken over and may not come back.
    pub enum HostState { Enabled = "enabled", Draining = "draining", Disabled = "disabled", Quarantined = "quarantined" }
}
impl HostState {
    /// States in which a host does its work, and should be heard of.
    pub const TAKING_PART: [Self; 2] = [Self::Enabled, Self::Draining];
}

/// Silence after which a host counts as silent, in seconds: two polls and a half.
pub const SILENT_S: i64 = 75;
