//! LVM's reports, taken apart strictly: a field more or less, or a number that is none, is an error and never a guess.
//! What stands beside or between a report's lines is no part of it, and is passed over.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::volume::{Extents, Volume, refused};
use crate::agent::disk::{DiskError, Result};

/// What is asked of a volume.
pub(super) const VOLUME: &str = "lv_name,lv_uuid,lv_size,lv_tags,lv_permissions";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report<T> {
    report: Vec<T>,
    /// What LVM did for it.
    #[serde(default, rename = "log")]
    _log: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    vg: Vec<GroupRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "LVM's names")]
struct GroupRow {
    vg_extent_size: String,
    vg_extent_count: String,
    vg_free_count: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Volumes {
    lv: Vec<VolumeRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "LVM's names")]
struct VolumeRow {
    lv_name: String,
    lv_uuid: String,
    lv_size: String,
    lv_tags: String,
    lv_permissions: String,
}

/// One row about one group.
pub(super) fn extents(json: &[u8]) -> Result<Extents> {
    let groups: Vec<Groups> = rows(json)?;
    let [Groups { vg }] = groups.as_slice() else {
        return Err(odd("not one report"));
    };
    let [row] = vg.as_slice() else {
        return Err(odd("not one volume group"));
    };
    Ok(Extents {
        size: number(&row.vg_extent_size)?,
        total: number(&row.vg_extent_count)?,
        free: number(&row.vg_free_count)?,
    })
}

pub(super) fn volumes(json: &[u8]) -> Result<Vec<Volume>> {
    let reports: Vec<Volumes> = rows(json)?;
    let rows = reports.into_iter().flat_map(|report| report.lv);
    rows.map(volume).collect()
}

fn volume(row: VolumeRow) -> Result<Volume> {
    let writable = match row.lv_permissions.as_str() {
        "writeable" => true,
        // The second: activated read-only by the host's configuration, whatever its own permission is.
        "read-only" | "read-only-override" => false,
        other => return Err(odd(&format!("permissions {other:?}"))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if row.lv_uuid.replace('-', "").len() != 32 || !row.lv_uuid.chars().all(plain) {
        return Err(odd(&format!("UUID {:?}", row.lv_uuid)));
    }
    Ok(Volume {
        bytes: number(&row.lv_size)?,
        tags: row
            .lv_tags
            .split(',')
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        name: row.lv_name,
        uuid: row.lv_uuid,
        writable,
    })
}

fn rows<T: DeserializeOwned>(json: &[u8]) -> Result<Vec<T>> {
    let parsed: Result<Report<T>, _> = serde_json::from_str(&only_json(json));
    parsed
        .map(|report| report.report)
        .map_err(|e| odd(&e.to_string()))
}

/// Without remarks between the lines, the command's name before them, and the commas too many of some versions (no name, tag
/// or number has a bracket).
fn only_json(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(|line| {
        let unnamed = ["lvs:", "vgs:"]
            .iter()
            .find_map(|name| line.strip_prefix(name));
        unnamed.unwrap_or(line).trim()
    });
    let json: String = lines
        .filter(|line| line.starts_with(['{', '}', '[', ']', ',', '"']))
        .collect();
    json.replace(",]", "]").replace(",}", "}")
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| odd(&format!("number {text:?}")))
}

fn odd(what: &str) -> DiskError {
    refused(format!("LVM's report is not understood: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"lv_name":"xb-7-1-1", "lv_uuid":"0Y9dML-6dnQ-zLL5-jzuR-4zd7-IC5P-MhnAdR", "lv_size":"10485760",
        "lv_tags":"xb,xb.linode=7", "lv_permissions":"writeable"}"#;

    fn lvs(rows: &str) -> Result<Vec<Volume>> {
        volumes(format!(r#"{{ "report": [ {{ "lv": [ {rows} ] }} ] }}"#).as_bytes())
    }

    #[test]
    fn volumes_are_read_as_lvm_2_03_writes_them() {
        assert_eq!(lvs("").unwrap(), []);
        let sealed = ROW
            .replace("writeable", "read-only")
            .replace("xb,xb.linode=7", "");
        let found = lvs(&format!("{ROW},{sealed}")).unwrap();
        let expected = Volume {
            name: "xb-7-1-1".into(),
            uuid: "0Y9dML-6dnQ-zLL5-jzuR-4zd7-IC5P-MhnAdR".into(),
            bytes: 10_485_760,
            tags: vec!["xb".into(), "xb.linode=7".into()],
            writable: true,
        };
        assert_eq!(found.first(), Some(&expected));
        let Some(second) = found.get(1) else {
            unreachable!()
        };
        assert!(!second.writable && second.tags.is_empty());
    }

    #[test]
    fn what_is_odd_is_refused() {
        for (from, to) in [
            ("10485760", "10.00m"),
            ("10485760", "-1"),
            ("0Y9dML-", ""),
            ("0Y9dML", "0Y9d\\\""),
            ("writeable", "unknown"),
            ("\"lv_tags\"", "\"lv_colour\":\"\", \"lv_tags\""),
            ("\"lv_name\":\"xb-7-1-1\", ", ""),
        ] {
            let row = ROW.replace(from, to);
            assert_ne!(row, ROW);
            assert!(lvs(&row).is_err(), "{row}");
        }
        assert!(volumes(b"").is_err());
        assert!(volumes(br#"{"report":[{"lv":[{"#).is_err(), "cut short");
        assert!(volumes(br#"{"report":[{"vg":[]}]}"#).is_err());
    }

    #[test]
    fn a_group_is_one_row() {
        let vgs = |rows: &str| {
            extents(format!(r#"{{ "report": [ {{ "vg": [ {rows} ] }} ] }}"#).as_bytes())
        };
        let row = r#"{"vg_extent_size":"1048576", "vg_extent_count":"511", "vg_free_count":"501"}"#;
        let expected = Extents {
            size: 1 << 20,
            total: 511,
            free: 501,
        };
        assert_eq!(vgs(row).unwrap(), expected);
        assert!(vgs("").is_err());
        assert!(vgs(&format!("{row},{row}")).is_err());
        assert!(extents(br#"{"report":[]}"#).is_err());
    }
}
