//! Words for what is stored as a word: one name for each, on every page.

use super::{Choice, Tag};
use crate::domain::bug::{Component, FactKind, Severity};
use crate::domain::host::HostRole;
use crate::domain::job::JobKind;
use crate::domain::linode::{Helper, RunLevel};
use crate::domain::migration::{MigrationKind, Step};
use crate::domain::platform::Platform;
use crate::domain::string_enum::StringEnum;

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

/// The platform's name, as people write it.
pub fn platform_name(platform: Platform) -> &'static str {
    platform.offers().name
}

pub fn component_name(component: Component) -> &'static str {
    match component {
        Component::Migration => "Migration",
        Component::Kernel => "Kernel",
        Component::Disk => "Disk",
        Component::Network => "Network",
        Component::Performance => "Performance",
        Component::Manager => "Manager",
        Component::Other => "Other",
    }
}

pub fn component_choices() -> Vec<Choice> {
    Component::ALL
        .iter()
        .map(|it| Choice::new(it, component_name(*it)))
        .collect()
}

pub fn severity_choices() -> Vec<Choice> {
    Severity::ALL
        .iter()
        .map(|it| Choice::new(it, Tag::severity(*it).text))
        .collect()
}

pub fn fact_name(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Linode => "Linode",
        FactKind::Plan => "Plan",
        FactKind::Host => "Host",
        FactKind::Kernel => "Kernel",
        FactKind::Profile => "Config profile",
        FactKind::Migration => "Migration",
        FactKind::Console => "Last lines of its console",
    }
}

pub fn kind_name(kind: MigrationKind) -> &'static str {
    match kind {
        MigrationKind::Beta => "Move to the Xen beta",
        MigrationKind::Graduation => "Move to a production host",
        MigrationKind::Return => "Way back",
        MigrationKind::Evacuation => "Move off a host",
    }
}

/// A job by the words of the Host Job Queue.
pub fn job_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Adopt => "Take stock",
        JobKind::Boot => "Boot",
        JobKind::Reboot => "Reboot",
        JobKind::Shutdown => "Shut down",
        JobKind::Console => "Read the console",
        JobKind::Check => "Ask the checks",
        JobKind::PreflightSource => "Check this host",
        JobKind::PreflightDestination => "Check the new host",
        JobKind::Reserve => "Reserve space",
        JobKind::OpenTransfer => "Open the transfer",
        JobKind::WarmCopy => "Copy while running",
        JobKind::StopSeal => "Stop and seal",
        JobKind::FinalCopy => "Copy the rest",
        JobKind::Start => "Start",
        JobKind::CloseTransfer => "Close the transfer",
        JobKind::Release => "Release the space",
        JobKind::Purge => "Delete the old copy",
        JobKind::Prove => "Check the disks before the old copy goes",
        JobKind::Trial => "Try it on the new host",
    }
}

pub fn role_name(role: HostRole) -> &'static str {
    match role {
        HostRole::Source => "Source",
        HostRole::Beta => "Beta",
        HostRole::Production => "Production",
    }
}

/// What a step does, in words for the member. The way back goes to a host that is not new.
pub fn step_words(step: Step, kind: MigrationKind) -> &'static str {
    let is_back = kind == MigrationKind::Return;
    match step {
        Step::PreflightSource => "Checking the present host",
        Step::PreflightDestination if is_back => "Checking the old host",
        Step::PreflightDestination => "Checking the new host",
        Step::Reserve if is_back => "Reserving space on the old host",
        Step::Reserve => "Reserving space on the new host",
        Step::OpenTransfer => "Opening the transfer between the hosts",
        Step::WarmCopy => "Copying the disks while the Linode runs",
        Step::Hold => "In step, waiting for the moment to stop",
        Step::TopUp => "Copying what has changed since",
        Step::StopSeal => "Stopping the Linode",
        Step::FinalCopy => "Copying the rest and comparing both copies",
        Step::Start if is_back => "Starting the Linode on its old host again",
        Step::Start => "Starting the Linode on its new host",
        Step::SealDestination if is_back => "The old host could not start it: closing it there",
        Step::SealDestination => "The new host could not start it: closing it there",
        Step::Restore if is_back => "Starting the Linode again on the host it was to leave",
        Step::Restore => "Starting the Linode again on its old host",
    }
}
