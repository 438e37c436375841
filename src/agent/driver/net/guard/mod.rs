//! Sees to it that the rules of each guest are loaded: before it starts, and at every look while it runs. Somebody flushes
//! a host's rules, or another program loads its own in place of all: guests run on, and nothing else would notice.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::nft::{Chain, Nft, NftError};
use super::{filter, learns, stop_learning, sys};
use crate::agent::driver::Result;
use crate::agent::driver::files::{at, replace};
use crate::domain::ids::LinodeId;
use crate::wire::GuestSpec;

/// How often a start tries to load them, and how far apart: `nft` fails when another changes rules at the same moment.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is said that something was undone.
const SAID: Duration = Duration::from_secs(60 * 60);

/// A guest to be looked after.
pub struct Kept {
    pub linode: LinodeId,
    /// Its port, and its table's name.
    pub port: String,
    /// Where its rules are kept.
    pub file: PathBuf,
}

/// What somebody undid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Undone {
    Rules,
    Port,
}

impl Undone {
    fn words(self, linode: LinodeId) -> String {
        match self {
            Self::Rules => format!(
                "anti-spoofing: the rules of Linode {linode} were gone, and were loaded again within the last hour"
            ),
            Self::Port => format!(
                "anti-spoofing: the bridge learned addresses from Linode {linode}, and was told not to within the last hour"
            ),
        }
    }
}

#[derive(Default)]
pub struct Guard {
    nft: Nft,
    mended: Mutex<BTreeMap<(LinodeId, Undone), Instant>>,
}

impl Guard {
    /// Could rules be loaded now? A host without `nft` at all has no rules, and that is for its operator to decide.
    pub fn ready(&self) -> Result<()> {
        match self.nft.available() {
            Ok(_) | Err(NftError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the guest's rules in place of earlier ones. Where `nft` is, no guest starts without them.
    pub fn install(&self, guest: &Kept, spec: &GuestSpec) -> Result<()> {
        let rules = filter::rules(&guest.port, spec)?;
        // Kept also where nothing can load it yet.
        replace(&guest.file, rules.as_bytes()).map_err(|error| at(&guest.file, &error))?;
        let mut attempt = 1;
        loop {
            match self.nft.load(&guest.file) {
                Ok(()) => return Ok(()),
                Err(NftError::Missing(error)) => {
                    tracing::error!(linode = %guest.linode, error, "no anti-spoofing: the guest can use any address");
                    return Ok(());
                }
                Err(NftError::Failed(error)) if attempt < ATTEMPTS => {
                    tracing::warn!(linode = %guest.linode, error, "a guest's rules could not be loaded; once more");
                    attempt += 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes them away. What cannot be, stays behind: rules for a port that is not there keep nobody from anything, and are
    /// no reason to hold up what comes after.
    pub fn remove(&self, guest: &Kept) -> Result<()> {
        if !guest.file.exists() {
            return Ok(());
        }
        match self.nft.remove(&guest.port) {
            Ok(()) | Err(NftError::Missing(_)) => {
                fs::remove_file(&guest.file).map_err(|error| at(&guest.file, &error))?;
            }
            Err(error) => {
                tracing::warn!(linode = %guest.linode, %error, "the guest's filter stays behind");
            }
        }
        Ok(())
    }

    /// [`Guard::look`] at those of the Linodes known here whose port is there.
    pub fn maintain(
        &self,
        known: Vec<LinodeId>,
        kept: impl Fn(LinodeId) -> Result<Kept>,
    ) -> Vec<String> {
        let there = |guest: &Kept| sys(&guest.port).exists();
        let guests = known.into_iter().filter_map(|linode| kept(linode).ok());
        let guests: Vec<Kept> = guests.filter(there).collect();
        self.look(&guests, &there)
    }

    /// Looks at the rules of all guests at once, and loads those that are not there. Gives back what was or is wrong, in
    /// words. `runs` is asked again before anything is done: a guest may have ended since it was listed.
    pub fn look(&self, guests: &[Kept], runs: &dyn Fn(&Kept) -> bool) -> Vec<String> {
        let loaded = match self.nft.loaded() {
            Ok(loaded) => loaded,
            Err(NftError::Missing(_)) => {
                return vec![
                    "anti-spoofing: there is no nft here, so guests can use any address".to_owned(),
                ];
            }
            Err(error) => {
                return vec![format!("anti-spoofing: rules cannot be looked at: {error}")];
            }
        };
        let mut said = Vec::new();
        for guest in guests {
            let chain = loaded.get(&(guest.port.clone(), filter::CHAIN.to_owned()));
            said.extend(self.mend(guest, chain, runs));
        }
        let mut mended = self.mended();
        mended.retain(|_, when| when.elapsed() < SAID);
        let words = mended.keys().map(|(linode, undone)| undone.words(*linode));
        said.extend(words);
        said
    }

    /// One guest's rules and its port. Gives back what is wrong and stays so.
    fn mend(
        &self,
        guest: &Kept,
        chain: Option<&Chain>,
        runs: &dyn Fn(&Kept) -> bool,
    ) -> Vec<String> {
        let linode = guest.linode;
        let text = fs::read_to_string(&guest.file).ok();
        let mark = text.as_deref().and_then(filter::mark);
        let whole = text.is_some() && filter::is_whole(chain, mark);
        if (whole && !learns(&guest.port)) || !runs(guest) {
            return Vec::new();
        }
        let rules = match text {
            None => Some(format!(
                "anti-spoofing: Linode {linode} was started without rules, and can use any address until its next start"
            )),
            Some(_) if whole => None,
            Some(_) => self.mend_rules(guest),
        };
        let port = learns(&guest.port).then(|| self.mend_port(guest)).flatten();
        rules.into_iter().chain(port).collect()
    }

    fn mend_rules(&self, guest: &Kept) -> Option<String> {
        let linode = guest.linode;
        match self.nft.load(&guest.file) {
            Ok(()) => {
                self.note(linode, Undone::Rules);
                None
            }
            Err(error) => {
                tracing::error!(%linode, %error, "a guest's rules are gone and cannot be loaded");
                Some(format!(
                    "anti-spoofing: the rules of Linode {linode} are gone and cannot be loaded: {error}"
                ))
            }
        }
    }

    fn mend_port(&self, guest: &Kept) -> Option<String> {
        match stop_learning(&guest.port) {
            Ok(()) => {
                self.note(guest.linode, Undone::Port);
                None
            }
            Err(error) => Some(format!(
                "anti-spoofing: the bridge learns addresses from Linode {}: {error}",
                guest.linode
            )),
        }
    }

    fn note(&self, linode: LinodeId, undone: Undone) {
        tracing::warn!("{}", undone.words(linode));
        self.mended().insert((linode, undone), Instant::now());
    }

    fn mended(&self) -> MutexGuard<'_, BTreeMap<(LinodeId, Undone), Instant>> {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
