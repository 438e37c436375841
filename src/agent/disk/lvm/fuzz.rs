//! LVM's reports, and names and records of disks, for `crate::fuzz`.

use super::record::{Intent, Record};
use super::{Adopted, report};
use crate::agent::disk::layout::{generation, is_ours, number};

/// A report. What is taken of it stands in it as it is; a report cut short is none.
pub(crate) fn reports(bytes: &[u8]) {
    let _ = report::extents(bytes);
    if let Ok(volumes) = report::volumes(bytes) {
        for volume in volumes {
            assert_eq!(volume.uuid.replace('-', "").len(), 32);
            assert!(
                volume
                    .tags
                    .iter()
                    .all(|tag| !tag.is_empty() && !tag.contains(','))
            );
        }
        let text = String::from_utf8_lossy(bytes);
        // Any other last line may be a remark.
        if text.lines().last().map(str::trim) == Some("}") {
            let cut = text.trim_end().trim_end_matches('}');
            assert!(report::volumes(cut.as_bytes()).is_err(), "{cut}");
        }
    }
}

/// Each line as the name of a folder, as what is to be adopted, and as a disk's record.
pub(crate) fn names(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Some(epoch) = number(line, "e", "") {
            assert!(
                epoch >= 0 && line.trim_start_matches(['e', '0']).len() <= generation(epoch).len()
            );
        }
        let _ = is_ours(line);
        if let Ok(adopted) = line.parse::<Adopted>() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
            assert!(adopted.volume.chars().all(plain) && !adopted.volume.starts_with('-'));
        }
        if let Ok(record) = serde_json::from_str::<Record>(line) {
            let again = serde_json::to_string(&record).ok();
            let again = again.and_then(|text| serde_json::from_str(&text).ok());
            assert_eq!(again, Some(record));
        }
        let _ = serde_json::from_str::<Intent>(line);
    }
}
