//! What an agent says of a job while it is at work, and how far that is: kept with the job, and never less than it was.

use serde::{Deserialize, Serialize};

use crate::domain::migration::progress::Sending;
use crate::store::job::Job;
use crate::wire::Progress;

/// As the row has it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Seen {
    #[serde(flatten)]
    pub said: Progress,
    /// Of all that is to be sent, in thousandths: the most that was ever shown.
    #[serde(default)]
    pub shown: u16,
}

/// The last progress a job reported, for pages.
pub fn seen(job: &Job) -> Option<Seen> {
    job.progress
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
}

impl Seen {
    /// A later word. `before`: what was seen of the job until now, another try of it included.
    pub(in crate::app) fn after(before: Option<Self>, said: Progress) -> Self {
        let shown = before.map_or(0, |it| it.shown);
        let seen = Self { said, shown };
        Self {
            shown: shown.max(seen.sending().thousandths()),
            ..seen
        }
    }

    pub fn sending(&self) -> Sending {
        Sending {
            pass: self.said.pass,
            looked: self.said.done_bytes,
            total: self.said.total_bytes,
            sent: self.said.sent_bytes,
            left: self.said.left_bytes,
        }
    }
}
