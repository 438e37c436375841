//! A status, told by its word; the colour only repeats it.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::bug::{BugState, Severity};
use crate::domain::host::HostState;
use crate::domain::job::JobState;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::registration::RegistrationState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Info,
    Good,
    Warn,
    Bad,
}

impl std::fmt::Display for Tone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Info => "info",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "ui/tag.html")]
pub struct Tag {
    pub text: String,
    pub tone: Tone,
}
impl HtmlSafe for Tag {}

impl Tag {
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    pub fn linode(status: LinodeStatus) -> Self {
        use LinodeStatus as S;
        match status {
            S::Running => Self::new("Running", Tone::Good),
            S::Offline => Self::new("Powered off", Tone::Plain),
            S::Booting => Self::new("Booting", Tone::Info),
            S::Rebooting => Self::new("Rebooting", Tone::Info),
            S::ShuttingDown => Self::new("Shutting down", Tone::Info),
            S::Provisioning => Self::new("Being set up", Tone::Info),
        }
    }

    pub fn registration(state: RegistrationState) -> Self {
        use RegistrationState as S;
        match state {
            S::Requested => Self::new("Waiting for review", Tone::Info),
            S::Approved => Self::new("Approved", Tone::Good),
            S::Declined => Self::new("Declined", Tone::Warn),
            S::Withdrawn => Self::new("Withdrawn", Tone::Plain),
            S::Graduated => Self::new("Graduated", Tone::Good),
            S::Closed => Self::new("Closed by the end of the beta", Tone::Plain),
        }
    }

    /// A move of this kind: a way back ends otherwise than it sounds by its state alone.
    pub fn moved(kind: MigrationKind, state: MigrationState) -> Self {
        use MigrationState as S;
        match (kind, state) {
            (MigrationKind::Return, S::Finished) => Self::new("Back on its old host", Tone::Good),
            (MigrationKind::Return, S::Confirmed) => Self::new("Moved back", Tone::Plain),
            (_, state) => Self::migration(state),
        }
    }

    pub fn migration(state: MigrationState) -> Self {
        use MigrationState as S;
        match state {
            S::Offered => Self::new("Ready to start", Tone::Info),
            S::Queued => Self::new("Queued", Tone::Info),
            S::Preparing => Self::new("Preparing", Tone::Info),
            S::Copying => Self::new("Copying", Tone::Info),
            S::Holding => Self::new("In step", Tone::Info),
            S::Switching => Self::new("Switching over", Tone::Warn),
            S::Finished => Self::new("Finished", Tone::Good),
            S::Confirmed => Self::new("Confirmed", Tone::Good),
            S::Returning => Self::new("Moving back", Tone::Info),
            S::Returned => Self::new("Moved back", Tone::Plain),
            S::Expired => Self::new("Expired", Tone::Plain),
            S::Cancelled => Self::new("Cancelled", Tone::Plain),
            S::Failed => Self::new("Failed", Tone::Bad),
        }
    }

    pub fn job(state: JobState) -> Self {
        use JobState as S;
        match state {
            S::Pending => Self::new("Waiting", Tone::Plain),
            S::Leased => Self::new("Running", Tone::Info),
            S::Succeeded => Self::new("Done", Tone::Good),
            S::Failed => Self::new("Failed", Tone::Bad),
            S::Cancelled => Self::new("Cancelled", Tone::Plain),
        }
    }

    pub fn bug(state: BugState) -> Self {
        use BugState as S;
        let text = crate::app::bug::state_words(state);
        match state {
            S::New => Self::new(text, Tone::Info),
            S::Confirmed | S::InProgress => Self::new(text, Tone::Warn),
            S::Fixed => Self::new(text, Tone::Good),
            S::NotABug | S::Duplicate => Self::new(text, Tone::Plain),
        }
    }

    pub fn severity(severity: Severity) -> Self {
        use Severity as S;
        match severity {
            S::None => Self::new("Not judged", Tone::Plain),
            S::Low => Self::new("Low", Tone::Plain),
            S::Medium => Self::new("Medium", Tone::Info),
            S::High => Self::new("High", Tone::Warn),
            S::Critical => Self::new("Critical", Tone::Bad),
        }
    }

    pub fn host(state: HostState) -> Self {
        use HostState as S;
        match state {
            S::Enabled => Self::new("Enabled", Tone::Good),
            S::Draining => Self::new("Draining", Tone::Warn),
            S::Disabled => Self::new("Disabled", Tone::Plain),
            S::Quarantined => Self::new("Quarantined", Tone::Bad),
        }
    }
}
