//! Names, texts and files as people give them.

use std::collections::BTreeMap;

use crate::domain::bug::Part;
use crate::domain::bug::attachment::{Attachment, FileKind, MOST_BYTES};
use crate::domain::ids::DiskId;
use crate::domain::linode::KernelFamily;
use crate::domain::linode::translate::{Kernel, Profile, Target, device, translate};
use crate::domain::markdown::{Markdown, Title};
use crate::domain::password::NewPassword;
use crate::domain::platform::Platform;
use crate::domain::receipt::keys::{KeyList, SigningKey};
use crate::domain::receipt::sealed;
use crate::domain::search;
use crate::domain::string_enum::StringEnum;
use crate::domain::text::{line, lines, unreadable};
use crate::domain::time::zone::Tz;
use crate::domain::values::{
    Device, Email, HostName, Label, Mac, OutsideLink, PersonName, ReverseName, RootDevice,
    is_kernel_id,
};

/// One that is taken is readable, bounded, and taken again as it is.
macro_rules! again {
    ($type:ident, $text:expr, $most:expr) => {
        if let Ok(taken) = $type::parse($text) {
            let written = taken.as_str().to_owned();
            assert!(
                written.chars().count() <= $most && !written.contains(unreadable),
                "{written:?}"
            );
            assert_eq!($type::parse(&written).ok(), Some(taken), "{written:?}");
        }
    };
}

/// A name or an address a line.
pub(super) fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for word in text.lines() {
        again!(Label, word, 64);
        again!(HostName, word, 100);
        again!(ReverseName, word, 253);
        again!(Email, word, 254);
        again!(PersonName, word, 100);
        again!(Device, word, 4);
        again!(RootDevice, word, 6);
        again!(Mac, word, 17);
        again!(OutsideLink, word, 500);
        again!(Title, word, 150);
        if let Some(part) = Part::parse(word) {
            assert_eq!(Part::parse(&part.to_string()), Some(part));
        }
        if let Ok(zone) = word.parse::<Tz>() {
            assert_eq!(zone.name(), word);
        }
        assert!(!is_kernel_id(word) || word.is_ascii());
        for platform in Platform::ALL {
            let there = device(word, *platform);
            assert_eq!(device(&there, *platform), there, "{word:?} on {platform}");
        }
    }
}

/// A password that somebody chooses.
pub(super) fn passwords(bytes: &[u8]) {
    let typed = String::from_utf8_lossy(bytes);
    if let Ok(password) = NewPassword::parse(&typed, &["ada@example.com", "Ada", "xenbeta"]) {
        assert!((12..=128).contains(&password.expose().chars().count()));
        let again = NewPassword::parse(password.expose(), &[]);
        assert!(again.is_ok_and(|again| again.expose() == password.expose()));
    }
}

/// Texts, and what is searched for in them.
pub(super) fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(taken) = Markdown::parse(&text, Markdown::MAX) {
        let hidden = |c: char| unreadable(c) && !matches!(c, '\n' | '\t');
        assert!(!taken.as_str().contains(hidden));
        assert_eq!(
            Markdown::parse(taken.as_str(), Markdown::MAX).ok(),
            Some(taken)
        );
    }
    assert!(!line(&text, 60).contains(unreadable) && lines(&text, 60).chars().count() <= 60);
    let stored = search::stored(&text);
    assert_eq!(search::stored(&stored), stored, "folded twice");
    let asked = search::asked(&text);
    assert!(asked.len() <= search::MOST_ASKED);
    let is_short = text.len() < 4000;
    for word in asked.iter().filter(|_| is_short) {
        let found = stored.split(' ').any(|it| it == word);
        assert!(found, "{word:?} is asked for and not stored: {stored:?}");
    }
    let _ = (search::of_name(&[&text]), search::name_asked(&text));
}

/// A file that somebody attaches. What is taken is what it says it is, and is taken again as it is.
pub(super) fn attachments(bytes: &[u8]) {
    let name: String = String::from_utf8_lossy(bytes).chars().take(90).collect();
    let Ok(file) = Attachment::parse(&name, bytes.to_vec()) else {
        return;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(file.name.chars().all(plain) && file.name.len() <= 84 && !file.name.starts_with('.'));
    assert!(file.bytes.len() <= MOST_BYTES);
    match file.kind {
        FileKind::Text | FileKind::Recoded => {
            let Ok(text) = std::str::from_utf8(&file.bytes) else {
                unreachable!("text is UTF-8");
            };
            let begins = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            assert!(!begins.to_ascii_lowercase().starts_with("<html") && !text.contains('\0'));
        }
        FileKind::Png => {
            assert!(file.bytes.starts_with(b"\x89PNG") && bytes.starts_with(&file.bytes))
        }
        FileKind::Jpeg => {
            assert!(file.bytes.ends_with(b"\xff\xd9") && bytes.starts_with(&file.bytes))
        }
    }
    let again = Attachment::parse("a", file.bytes.clone());
    assert_eq!(again.map(|it| it.bytes), Ok(file.bytes));
}

/// A receipt, or a list of keys, that somebody has kept. What is taken is written as it was; nobody has signed it.
pub(super) fn receipts(bytes: &[u8]) {
    if let Ok(list) = KeyList::read(bytes) {
        let again = serde_json::to_vec(&list).unwrap_or_default();
        assert_eq!(KeyList::read(&again), Ok(list));
    }
    let Ok(opened) = sealed::open(bytes) else {
        return;
    };
    let _ = opened.receipt.contradictions();
    let seed = SigningKey::of_seed(&[7; 32]);
    let written = seed.and_then(|key| sealed::seal(&opened.receipt, &key).ok());
    let written = written.unwrap_or_default();
    let again = sealed::open(written.as_bytes()).map(|it| it.receipt);
    assert_eq!(again, Ok(opened.receipt));
}

/// A config profile, there and back.
pub(super) fn profiles(bytes: &[u8]) {
    let Ok(mut profile) = serde_json::from_slice::<Profile>(bytes) else {
        return;
    };
    let kernel = |id: &str, platform, to: &str| Kernel {
        id: id.to_owned(),
        label: id.to_owned(),
        platform,
        family: KernelFamily::ALL[0],
        maps_to: Some(to.to_owned()),
    };
    let [uml, xen] = [("u", Platform::Uml, "x"), ("x", Platform::Xen, "u")]
        .map(|(id, platform, to)| (id.to_owned(), kernel(id, platform, to)));
    let kernels = BTreeMap::from([uml, xen]);
    let target = |platform| Target {
        platform,
        kernels: &kernels,
        plan_ram_mb: 1024,
        plan_vcpus: 4,
    };
    "u".clone_into(&mut profile.kernel);
    let Ok(there) = translate(&profile, target(Platform::Xen)) else {
        return;
    };
    let disks = |of: &Profile| of.devices.values().copied().collect::<Vec<DiskId>>();
    let sorted = |of: &Profile| {
        let mut disks = disks(of);
        disks.sort_unstable();
        disks
    };
    assert_eq!(sorted(&there.profile), sorted(&profile), "a disk is lost");
    let here = translate(&there.profile, target(Platform::Xen)).map(|it| it.profile);
    assert_eq!(here.as_ref(), Ok(&there.profile), "translated twice");
    let _ = translate(&there.profile, target(Platform::Uml));
}
