//! What this host's files and programs say, and the portal's refusals, for `crate::fuzz`.

use std::path::Path;

use serde_json::Value;

use super::client::error_text;
use super::config::Config;
use super::ledger::file;
use super::probing::{Seen, judge_lvm, judge_rules};
use super::process::{ProcessRef, Stat};
use crate::domain::text::unreadable;

/// The agent's configuration.
pub(crate) fn config(bytes: &[u8]) {
    if let Ok(config) = Config::parse(&String::from_utf8_lossy(bytes)) {
        assert!((1..=64).contains(&config.slots) && config.portal.starts_with("http"));
    }
}

/// A record of the ledger. What was written is read again, and nothing is once a byte differs.
pub(crate) fn records(bytes: &[u8]) {
    if let Ok(value) = file::decode_or_plain::<Value>(bytes)
        && let Ok(written) = file::encode(&value)
    {
        assert!(file::decode::<Value>(&written).is_ok(), "{value}");
        let at = bytes.len() % written.len();
        let mut spoilt = written;
        spoilt[at] ^= 4;
        assert!(
            file::decode_or_plain::<Value>(&spoilt).is_err(),
            "byte {at}"
        );
    }
}

/// What udev's rules, LVM's settings and `/proc` say.
pub(crate) fn host(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for seen in [Seen::Volumes("vg0"), Seen::Loops(Path::new("/srv/linodes"))] {
        let _ = (judge_rules(Some(&text), &seen), judge_lvm(&text, &seen));
    }
    for line in text.lines() {
        let _ = Stat::parse(line).map(|stat| stat.lives());
        if let Some(process) = ProcessRef::parse(line) {
            let _ = process.since();
            assert_eq!(ProcessRef::parse(&process.id()), Some(process));
        }
    }
}

/// A refusal of the portal, or of whatever answers in its place: short enough for a line of a log.
pub(crate) fn refusals(bytes: &[u8]) {
    let text = error_text(bytes);
    assert!(
        text.chars().count() <= 1000 && !text.contains(unreadable),
        "{text:?}"
    );
}
