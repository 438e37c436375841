//! The thread that samples: a glance every second, a look at every turn of ten, and then what was seen goes to the portal.

use std::time::{Duration, Instant};

use super::Daemon;
use crate::agent::client::ClientError;
use crate::agent::process::now;
use crate::agent::sampler::{Sampler, turn};

const GLANCE: Duration = Duration::from_secs(1);
/// A portal that knows no samples is asked again this often.
const OLD_PORTAL: Duration = Duration::from_secs(600);
/// Calls in a row, when there is a backlog.
const MOST_CALLS: usize = 4;

impl Daemon {
    /// Samples until [`Daemon::stop`].
    pub fn sample(&self) {
        let mut sampler = Sampler::default();
        let mut last = turn(now());
        let mut not_before = Instant::now();
        while !self.stopping() {
            self.sleep(GLANCE);
            self.host.driver.sample_waits();
            if turn(now()) == last {
                continue;
            }
            last = turn(now());
            sampler.look(&self.host);
            if Instant::now() >= not_before && !self.tell(&mut sampler) {
                not_before = Instant::now() + OLD_PORTAL;
            }
        }
    }

    /// `false`: this portal takes none.
    fn tell(&self, sampler: &mut Sampler) -> bool {
        for _ in 0..MOST_CALLS {
            let Some(batch) = sampler.batch() else { break };
            match self.client.samples(&batch) {
                Ok(answer) => {
                    sampler.told(&batch);
                    sampler.changed(answer.shares.iter().map(|(linode, _)| *linode));
                    self.set_shares(answer.shares);
                }
                Err(ClientError::Refused {
                    status: 404 | 405, ..
                }) => {
                    sampler.unwanted();
                    return false;
                }
                Err(error @ ClientError::Refused { .. }) => {
                    tracing::warn!(%error, "samples are not wanted and are dropped");
                    sampler.told(&batch);
                }
                // They are kept; polling says what is wrong.
                Err(_) => break,
            }
        }
        true
    }
}
