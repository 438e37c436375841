//! The judgement over the file that the simulated guests write.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use xenbeta::agent::driver::simulated::witness::{Event, Line};
use xenbeta::domain::ids::LinodeId;

/// What the file says, judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub starts: usize,
    pub stops: usize,
    /// Clones that ran, which are no runs of their Linodes.
    pub trials: usize,
    /// Everything that must never happen, in words.
    pub violations: Vec<String>,
}

/// Reads the file; no file is no events.
pub fn read(witness: &Path) -> io::Result<Vec<Line>> {
    let text = match std::fs::read_to_string(witness) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::other))
        .collect()
}

/// Judges a whole history: no two runners at once, no number lost.
pub fn judge(witness: &Path) -> io::Result<Verdict> {
    let mut lines = read(witness)?;
    lines.sort_by_key(|line| line.at_ns);
    let mut verdict = Verdict::default();
    let mut newest: BTreeMap<LinodeId, u64> = BTreeMap::new();
    // On which host a trial of a Linode is.
    let mut trials: BTreeMap<LinodeId, String> = BTreeMap::new();
    for line in lines {
        if matches!(line.event, Event::Start | Event::Trial)
            && trials.get(&line.linode) == Some(&line.host)
        {
            verdict.violations.push(format!(
                "a trial of Linode {} is not over: {line:?}",
                line.linode
            ));
        }
        let newest = newest.entry(line.linode).or_default();
        match line.event {
            Event::Start => {
                verdict.starts += 1;
                let promised = (*newest).max(line.acknowledged);
                if line.number <= promised {
                    verdict.violations.push(format!(
                        "Linode {} on {} begins with {} although {promised} was synced",
                        line.linode, line.host, line.number
                    ));
                }
            }
            Event::Stop => {
                verdict.stops += 1;
                *newest = (*newest).max(line.number);
            }
            Event::Gone => verdict.stops += 1,
            Event::Trial => {
                verdict.trials += 1;
                trials.insert(line.linode, line.host);
            }
            Event::TrialOver => {
                trials.remove(&line.linode);
            }
            Event::Overlap | Event::Gap | Event::TrialOverlap => {
                verdict.violations.push(format!("{line:?}"));
            }
        }
    }
    Ok(verdict)
}
