//! What every way out of here can do.

use super::Message;

/// Why a mail did not go out; decides whether it is tried again.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    /// The server, the network or the configuration is at fault: the same mail may go out later.
    #[error("not sent, to be tried again: {0}")]
    Temporary(String),
    /// This mail will never be taken: no such mailbox, not an address.
    #[error("not sent, and will not be: {0}")]
    Permanent(String),
}

/// A transport that can not be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0:?} is not a mail address to send from: {1}")]
    Sender(String, String),
    #[error("mail server {host}: {problem}")]
    Smtp { host: String, problem: String },
    #[error("mail folder {path}: {source}")]
    Folder {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

/// Sends mails, one at a time; may be shared between threads. Blocks, for as long as its time-outs allow.
pub trait Transport: Send + Sync {
    /// # Errors
    /// See [`SendError`]. After `Ok` the mail is the next server's, or safely in its folder.
    fn send(&self, message: &Message) -> Result<(), SendError>;
}
