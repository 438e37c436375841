//! `xenbeta verify`, from outside: without portal, configuration and database.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::receipt::keys::{ALGORITHM, KeyList, PublicKey, SigningKey};
use xenbeta::domain::receipt::{Receipt, sealed};

use crate::support::fleet::{UML1, WEB, XEN1};
use crate::support::{On, SECRET, TestApp};

const BOTH: [HostId; 2] = [UML1, XEN1];

fn verify(args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
        .arg("verify")
        .args(args)
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap();
    said(out)
}

fn said(out: Output) -> (Option<i32>, String) {
    let text = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8(text).unwrap())
}

/// Files by their names.
struct Desk(TempDir);

impl Desk {
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn desk() -> Desk {
    Desk(TempDir::new().unwrap())
}

/// A receipt of a move on this database, and the list of keys.
fn issued(app: &TestApp) -> (String, String) {
    let row = app.clicked(WEB);
    app.work_all(&BOTH);
    let keys = serde_json::to_string_pretty(&app.receipt_keys().unwrap()).unwrap();
    (app.receipt(None, row.id).unwrap(), keys)
}

/// The same receipt with other content, signed by a key of the test's own, and that key's list.
fn signed(receipt: &Receipt) -> (String, String) {
    let key = SigningKey::of_seed(&[5; 32]).unwrap();
    let list = KeyList::of(vec![PublicKey {
        id: key.id.clone(),
        algorithm: ALGORITHM.to_owned(),
        public: key.public.clone(),
        made: receipt.issued,
        retired: None,
    }]);
    let file = sealed::seal(receipt, &key).unwrap();
    (file, serde_json::to_string(&list).unwrap())
}

crate::both_databases! {
    fn a_receipt_is_checked_without_portal_and_database(app: TestApp) {
        let app = app.with_fleet();
        let (file, list) = issued(&app);
        let desk = desk();
        let (receipt, keys) = (desk.put("receipt.json", &file), desk.put("keys.json", &list));
        let (status, words) = verify(&[&receipt, "--keys", &keys]);
        assert_eq!(status, Some(0), "{words}");
        assert!(words.contains("web (Linode 101) of Mia Ltd") && words.ends_with("\nValid.\n"), "{words}");
        // Nobody's key is taken from the receipt itself.
        let (status, words) = verify(&[&receipt]);
        assert_eq!(status, Some(3), "{words}");
        assert!(words.contains("SIGNATURE WAS NOT CHECKED"), "{words}");
        // An edit, another's key, a list that lies.
        let edited = desk.put("edited.json", file.replace("\"web\"", "\"wob\""));
        let (status, words) = verify(&[&edited, "--keys", &keys]);
        assert_eq!(status, Some(1), "{words}");
        assert!(words.contains("has not signed this") && words.ends_with("NOT VALID.\n"), "{words}");
        let reordered = desk.put("reordered.json", file.replace('\n', "\r\n"));
        let (status, words) = verify(&[&reordered, "--keys", &keys]);
        assert!(status == Some(1) && words.contains("not laid out as a receipt"), "{words}");
        let other = sealed::open(file.as_bytes()).unwrap().receipt;
        let (_, others) = signed(&other);
        let (status, words) = verify(&[&receipt, "--keys", &desk.put("others.json", &others)]);
        assert!(status == Some(1) && words.contains("the list has no key"), "{words}");
        // Signed, and yet it contradicts itself.
        let mut wrong = other.clone();
        wrong.disks[1].source_root = "0".repeat(64);
        wrong.downtime.measured_s = Some(1 << 40);
        let (file, list) = signed(&wrong);
        let (status, words) = verify(&[&desk.put("wrong.json", file), "--keys", &desk.put("own.json", list)]);
        assert_eq!(status, Some(1), "{words}");
        assert!(words.contains("roots of disk 1012 differ") && words.contains("by its times"), "{words}");
    }
}

#[test]
fn what_cannot_be_read_has_a_status_of_its_own() {
    let app = TestApp::at_noon(On::Sqlite).with_fleet();
    let (file, list) = issued(&app);
    let desk = desk();
    let (receipt, keys) = (desk.put("receipt.json", file), desk.put("keys.json", list));
    let large = desk.put("large.json", vec![b' '; (1 << 20) + 1]);
    for (args, why) in [
        (vec!["/no/such/file"], "No such file"),
        (vec![&large], "larger than 1048576 bytes"),
        (vec![&receipt, "--keys", &large], "larger than"),
        (vec![&receipt, "--keys", &receipt], "no list of keys"),
        (
            vec![&receipt, "--keys", &keys, "--disk", "root"],
            "it is N=IMAGE",
        ),
        (
            vec![&receipt, "--keys", &keys, "--disk", "home=/dev/null"],
            "the receipt has no disk \"home\"",
        ),
        (
            vec![&receipt, "--keys", &keys, "--disk", "root=/no/such/image"],
            "No such file",
        ),
        (vec!["--nonsense"], "unexpected argument"),
    ] {
        let (status, words) = verify(&args);
        assert_eq!(status, Some(2), "{args:?}: {words}");
        assert!(words.contains(why), "{args:?}: {words}");
    }
}

/// As the agents compute it, written down anew: from chunks of 16 KiB.
fn root_of(bytes: &[u8]) -> String {
    let mut all = blake3::Hasher::new();
    for chunk in bytes.chunks(16 * 1024) {
        all.update(blake3::hash(chunk).as_bytes());
    }
    all.finalize().to_hex().to_string()
}

#[test]
fn an_image_is_compared_with_its_disk() {
    let app = TestApp::at_noon(On::Sqlite).with_fleet();
    let (file, _) = issued(&app);
    let mut receipt = sealed::open(file.as_bytes()).unwrap().receipt;
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|it| (it % 251) as u8).collect();
    let disk = &mut receipt.disks[0];
    disk.size_bytes = bytes.len() as u64;
    disk.source_root = root_of(&bytes);
    disk.destination_root = disk.source_root.clone();
    let (file, list) = signed(&receipt);
    let desk = desk();
    let (receipt, keys) = (desk.put("receipt.json", file), desk.put("keys.json", list));
    let compare = |name: &str, image: &Path| {
        let disk = format!("{name}={}", image.display());
        verify(&[&receipt, "--keys", &keys, "--disk", &disk])
    };
    let image = desk.path("image=1");
    std::fs::write(&image, &bytes).unwrap();
    for name in ["1011", "root"] {
        let (status, words) = compare(name, &image);
        assert_eq!(status, Some(0), "{words}");
        assert!(words.contains("its root is the receipt's"), "{words}");
    }
    let (status, words) = verify(&[&receipt, "--disk", &format!("root={}", image.display())]);
    assert_eq!(
        status,
        Some(3),
        "an image makes up for no signature: {words}"
    );
    for at in [0, 16_384, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&image, &changed).unwrap();
        let (status, words) = compare("root", &image);
        assert!(
            status == Some(1) && words.contains("and the receipt has"),
            "{words}"
        );
    }
    std::fs::File::options()
        .append(true)
        .open(&image)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let (status, words) = compare("root", &image);
    assert!(
        status == Some(1) && words.contains("3000002 bytes, and the receipt has 3000001"),
        "{words}"
    );
    let (status, words) = compare("swap", &image);
    assert!(
        status == Some(1) && words.contains("and the receipt has 16777216"),
        "{words}"
    );
}

#[test]
fn a_key_is_changed_and_listed_by_command() {
    let app = TestApp::at_noon(On::Sqlite).with_fleet();
    app.ready_receipt_key().unwrap();
    let before = app.receipt_keys().unwrap();
    let command = |what| {
        let out = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["receipt-key", what])
            .env("DATABASE_URL", &app.url)
            .env("XENBETA_SECRET", SECRET)
            .output()
            .unwrap();
        said(out)
    };
    let (status, words) = command("rotate");
    assert_eq!(status, Some(0), "{words}");
    let (_, listed) = command("list");
    let after = KeyList::read(listed.as_bytes()).unwrap();
    assert_eq!(after, app.receipt_keys().unwrap());
    assert_eq!((before.keys.len(), after.keys.len()), (1, 2));
    assert!(after.find(&before.keys[0].id).unwrap().retired.is_some());
}
