use std::collections::BTreeMap;

use super::keys::{ALGORITHM, KeyList, PublicKey, SigningKey};
use super::sealed::{self, Signer};
use super::*;
use crate::domain::string_enum::StringEnum;

fn at(second: i64) -> Time {
    Time::of_micros((1_780_488_000 + second) * 1_000_000).unwrap()
}

fn root(of: &str) -> String {
    blake3::hash(of.as_bytes()).to_hex().to_string()
}

fn receipt() -> Receipt {
    let disk = |id, label: &str| Disk {
        id: DiskId(id),
        label: label.to_owned(),
        size_bytes: 64 << 20,
        source_root: root(label),
        destination_root: root(label),
    };
    let profile = |kernel: &str, device: &str| Numbered {
        id: ConfigId(1),
        profile: Profile {
            label: "My Debian “default”".to_owned(),
            kernel: kernel.to_owned(),
            devices: BTreeMap::from([(device.to_owned(), DiskId(1011))]),
            root_device: format!("/dev/{device}"),
            helpers: Vec::new(),
            ram_limit_mb: 0,
            vcpus: 4,
        },
    };
    let place = |host: &str, platform| Place {
        host: host.to_owned(),
        platform,
    };
    Receipt {
        format: FORMAT.to_owned(),
        version: VERSION,
        issued: at(90),
        migration: MigrationId(12),
        kind: MigrationKind::ALL[0],
        linode: Linode {
            id: LinodeId(101),
            label: "web".to_owned(),
        },
        account: Account {
            id: AccountId(1),
            name: "Mia Ltd".to_owned(),
        },
        from: place("uml1", Platform::Uml),
        to: place("xen1", Platform::Xen),
        times: Times {
            asked: Some(at(0)),
            begun: Some(at(5)),
            stopped: Some(at(60)),
            started: Some(at(72)),
            finished: at(90),
        },
        downtime: Downtime {
            was_running: true,
            measured_s: Some(12),
            foretold_s: None,
            foretold_most_s: None,
        },
        digests: Digests {
            algorithm: image::ALGORITHM.to_owned(),
            chunk_bytes: 16 * 1024,
        },
        disks: vec![disk(1011, "root"), disk(1012, "swap")],
        addresses: vec![Address {
            address: "192.0.2.11".to_owned(),
            prefix: 24,
            kind: IpKind::ALL[0],
        }],
        profiles: Profiles {
            before: vec![profile("uml-2.6", "ubda")],
            after: vec![profile("xen-2.6", "xvda")],
        },
        versions: Versions {
            portal: "0.1.0".to_owned(),
            source_agent: Some("0.1.0".to_owned()),
            destination_agent: None,
        },
    }
}

fn key(seed: u32) -> SigningKey {
    let seed = blake3::hash(&seed.to_le_bytes());
    SigningKey::of_seed(seed.as_bytes()).unwrap()
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey {
        id: key.id.clone(),
        algorithm: ALGORITHM.to_owned(),
        public: key.public.clone(),
        made: at(-1000),
        retired: None,
    }
}

fn passes(file: &[u8], keys: &KeyList) -> bool {
    sealed::open(file).is_ok_and(|it| matches!(it.signer(keys), Signer::Known(_)))
}

#[test]
fn a_receipt_is_json_and_its_signed_part_is_all_lines_but_the_first_and_the_last() {
    let (mine, other) = (key(1), key(2));
    let file = sealed::seal(&receipt(), &mine).unwrap();
    let json: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(json["receipt"]["linode"]["label"], "web");
    assert_eq!(json["receipt"]["times"]["stopped"], "2026-06-03T12:01:00Z");
    assert_eq!(json["receipt"]["profiles"]["after"][0]["kernel"], "xen-2.6");
    let lines: Vec<&str> = file.split_inclusive('\n').collect();
    let middle = lines[1..lines.len() - 1].concat();
    let signature = json["signature"].as_str().unwrap();
    assert!(public(&mine).has_signed(&middle, signature));
    let keys = KeyList::of(vec![public(&other), public(&mine)]);
    let opened = sealed::open(file.as_bytes()).unwrap();
    assert_eq!(opened.receipt, receipt());
    assert_eq!(opened.signer(&keys), Signer::Known(&keys.keys[1]));
    assert_eq!(opened.receipt.contradictions(), Vec::<String>::new());
}

#[test]
fn every_flipped_bit_is_found() {
    let keys = KeyList::of(vec![public(&key(1))]);
    let file = sealed::seal(&receipt(), &key(1)).unwrap().into_bytes();
    assert!(passes(&file, &keys));
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!passes(&changed, &keys), "bit {bit}");
    }
    assert!(file.len() * 8 > 10_000, "{}", file.len());
}

#[test]
fn a_thousand_edits_are_found() {
    let keys = KeyList::of(vec![public(&key(1))]);
    let file = sealed::seal(&receipt(), &key(1)).unwrap();
    let mut edits = vec![
        file.replace("\"web\"", "\"wob\""),
        file.replace("  ", " "),
        file.replace('\n', "\r\n"),
        file.replace('\n', ""),
        format!("{file}\n"),
        format!(" {file}"),
        format!("\u{feff}{file}"),
        file.trim_end().to_owned(),
        file.replace("\"key\"", "\"Key\""),
        // The same JSON, written otherwise.
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&file).unwrap())
            .unwrap(),
        // Another receipt under the same signature, and with a second one before it.
        sealed::seal(
            &Receipt {
                migration: MigrationId(13),
                ..receipt()
            },
            &key(2),
        )
        .unwrap(),
        file.replacen("{\"receipt\":\n", "{\"receipt\":{},\"receipt\":\n", 1),
    ];
    let letters: Vec<usize> = file.char_indices().map(|(at, _)| at).collect();
    for n in 0..1000 {
        let here = letters[n * 7919 % letters.len()];
        let mut edit = file.clone();
        match n % 3 {
            0 => drop(edit.remove(here)),
            1 => edit.insert(here, [' ', '0', '\n', '"'][n % 4]),
            _ => {
                let end = letters[(n * 7919 % letters.len() + 9).min(letters.len() - 1)];
                let piece = edit[here..end].chars().rev().collect::<String>();
                edit.replace_range(here..end, &piece);
            }
        }
        edits.push(edit);
    }
    let edits: Vec<String> = edits.into_iter().filter(|edit| *edit != file).collect();
    assert!(edits.len() >= 1000, "{}", edits.len());
    for edit in edits {
        assert!(!passes(edit.as_bytes(), &keys), "{edit}");
    }
}

#[test]
fn a_thousand_wrong_keys_are_found() {
    let mine = key(0);
    let file = sealed::seal(&receipt(), &mine).unwrap();
    let opened = sealed::open(file.as_bytes()).unwrap();
    for n in 1..=1000 {
        let wrong = public(&key(n));
        let renamed = PublicKey {
            id: mine.id.clone(),
            ..wrong.clone()
        };
        assert_eq!(opened.signer(&KeyList::of(vec![wrong])), Signer::Unknown);
        // A list that names a key as another is none; and if it were, it would not help.
        let list = KeyList::of(vec![renamed]);
        assert_eq!(opened.signer(&list), Signer::Forged);
        let read = KeyList::read(&serde_json::to_vec(&list).unwrap());
        assert!(read.unwrap_err().contains("is not the one it is named"));
    }
    let list = KeyList::of(vec![public(&mine)]);
    let written = serde_json::to_vec(&list).unwrap();
    assert_eq!(KeyList::read(&written), Ok(list));
}

#[test]
fn a_receipt_that_contradicts_itself_says_where() {
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 9] = [
        ("roots of disk 1011 differ", |it| {
            it.disks[0].source_root = root("else")
        }),
        ("a root of disk 1012 is none", |it| {
            it.disks[1].destination_root = "00".to_owned()
        }),
        ("it has no disk", |it| it.disks.clear()),
        ("its downtime is 11 s, and by its times 12 s", |it| {
            it.downtime.measured_s = Some(11)
        }),
        ("its downtime is 12 s, and by its times none", |it| {
            it.downtime.was_running = false
        }),
        ("it was begun before it was asked", |it| {
            it.times.asked = Some(at(6))
        }),
        ("it was issued before it was finished", |it| {
            it.issued = at(89)
        }),
        ("the algorithm \"sha1\" is not known", |it| {
            it.digests.algorithm = "sha1".to_owned()
        }),
        ("chunks of 0 bytes are none", |it| {
            it.digests.chunk_bytes = 0
        }),
    ];
    for (words, change) in changes {
        let mut changed = receipt();
        change(&mut changed);
        let said = changed.contradictions();
        assert!(
            said.len() == 1 && said[0].contains(words),
            "{words}: {said:?}"
        );
    }
    let newer = Receipt {
        version: 2,
        ..receipt()
    };
    let file = sealed::seal(&newer, &key(1)).unwrap();
    assert!(
        sealed::open(file.as_bytes())
            .unwrap_err()
            .contains("of version 2")
    );
}
