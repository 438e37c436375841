//! Words for what is stored as a word: one name for each, on every page.

use crate::domain::words::{Helper, RunLevel};

pub fn run_level_name(level: RunLevel) -> &'static str {
    match level {
        RunLevel::Default => "Default run level",
        RunLevel::Single => "Single user mode",
        RunLevel::BinBash => "init=/bin/bash",
    }
}

pub fn helper_name(helper: Helper) -> &'static str {
    match helper {
        Helper::DisableTls => "Disable /lib/tls",
        Helper::Fstab => "Fix fstab",
        Helper::Console => "Console",
        Helper::Modules => "Kernel modules",
        Helper::UdevNet => "Forget old network cards",
        Helper::UpdatedbOff => "No updatedb",
    }
}
