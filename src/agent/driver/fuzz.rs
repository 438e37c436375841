//! What guests write and what orders ask for, for `crate::fuzz`.

use std::path::PathBuf;

use super::console::shown;
use super::files::{plain, setting};
pub(crate) use super::net::fuzz::listing;
use super::{Guest, net, uml, xen};
use crate::domain::ids::LinodeId;
use crate::domain::text::unreadable;
use crate::wire::{BootSpec, GuestSpec};

/// A guest's console: nothing of it moves a cursor or turns a line around, and it grows to three times its length at most.
pub(crate) fn console(bytes: &[u8]) {
    let text = shown(bytes);
    assert!(text.len() <= 3 * bytes.len());
    let hidden = |c: char| unreadable(c) && !matches!(c, '\n' | '\t');
    assert!(!text.contains(hidden), "{text:?}");
}

/// Files of the host that are looked into.
pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for key in ["autoballoon", "GRUB_DISABLE_OS_PROBER"] {
        if let Some(value) = setting(&text, key) {
            assert!(text.contains(&value));
        }
    }
    if let Some(path) = plain(PathBuf::from(text.as_ref()).as_path()) {
        assert!(path.is_ascii() && !path.contains([' ', ',', ':', '"', '\'', '=']));
    }
}

/// `[GUEST, BOOT]` of an order, as each driver would start it: what members choose never adds a word, a line or a rule.
pub(crate) fn guests(bytes: &[u8]) {
    let Ok((spec, boot)) = serde_json::from_slice::<(GuestSpec, BootSpec)>(bytes) else {
        return;
    };
    let path = |disk: &crate::wire::DiskSpec| PathBuf::from(format!("/v/7/{}.img", disk.id));
    let disks: Vec<_> = (spec.disks.iter()).map(|it| (it.id, path(it))).collect();
    let guest = Guest {
        linode: LinodeId(7),
        spec: &spec,
        boot: &boot,
        disks: &disks,
    };
    uml::fuzz::starts(&guest);
    xen::fuzz::starts(&guest);
    net::fuzz::starts(&guest);
}
