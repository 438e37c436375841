//! Who owns a Linode, where the portal and its hosts remember differently, and what follows (docs/ARCHITECTURE.md).

pub(super) mod change;
pub(super) mod contradiction;
pub(super) mod guard;
pub mod hold;
pub mod joint;
pub(super) mod ledger;
pub(super) mod proof;
pub mod recovery;
pub mod watch;
