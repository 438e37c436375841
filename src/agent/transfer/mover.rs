//! The seam between the steps and the mover: what a step asks for, whoever carries it out. A simulation has its own, in one
//! thread and without sockets.

use super::{Fetch, FinalReport, Result, WarmReport};

pub trait Mover: Send + Sync {
    /// As [`Fetch::warm`].
    fn warm(&self, fetch: &Fetch<'_>, max_passes: u32) -> Result<WarmReport>;

    /// As [`Fetch::finish`].
    fn finish(&self, fetch: &Fetch<'_>, epoch: i64) -> Result<FinalReport>;
}

/// The real one: from the peer's server, over TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverTls;

impl Mover for OverTls {
    fn warm(&self, fetch: &Fetch<'_>, max_passes: u32) -> Result<WarmReport> {
        fetch.warm(max_passes)
    }

    fn finish(&self, fetch: &Fetch<'_>, epoch: i64) -> Result<FinalReport> {
        fetch.finish(epoch)
    }
}
