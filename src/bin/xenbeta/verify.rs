//! `xenbeta verify`: checks a receipt where there is no portal and no database. It reads the files that it is given, and
//! nothing else.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use xenbeta::domain::receipt::image::Root;
use xenbeta::domain::receipt::keys::{self, KeyList};
use xenbeta::domain::receipt::sealed::{self, Sealed, Signer};
use xenbeta::domain::receipt::{Disk, Receipt};
use xenbeta::domain::text::line;

#[derive(Args)]
pub struct What {
    /// The file, as the portal gave it out or as it came by mail
    receipt: PathBuf,
    /// The portal's list of keys (its /receipt-keys.json), kept since; without it nobody's signature is checked
    #[arg(long)]
    keys: Option<PathBuf>,
    /// A disk of the receipt, by its number or its label, and the image file or block device that it is to be: 1011=/dev/vg/root
    #[arg(long, value_name = "N=IMAGE")]
    disk: Vec<String>,
}

/// What a check comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    /// Nothing is wrong with it, but anybody may have written it.
    Unsigned,
    Wrong,
}

/// Bytes read of an image at once.
const PIECE: usize = 1024 * 1024;

pub fn run(what: &What) -> ExitCode {
    match check(what) {
        Ok(Verdict::Valid) => {
            println!("Valid.");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Unsigned) => {
            println!(
                "Consistent, but its SIGNATURE WAS NOT CHECKED: give the portal's keys (--keys)."
            );
            ExitCode::from(3)
        }
        Ok(Verdict::Wrong) => {
            println!("NOT VALID.");
            ExitCode::from(1)
        }
        Err(why) => {
            eprintln!("xenbeta: {why}");
            ExitCode::from(2)
        }
    }
}

/// An error: something could not be read, or was not there to be compared.
fn check(what: &What) -> Result<Verdict, String> {
    let file = bounded(&what.receipt, sealed::MOST_BYTES)?;
    let list = match &what.keys {
        Some(path) => {
            let bytes = bounded(path, keys::MOST_BYTES)?;
            let list = KeyList::read(&bytes)
                .map_err(|why| format!("{}: no list of keys: {why}", path.display()))?;
            Some(list)
        }
        None => None,
    };
    let sealed = match sealed::open(&file) {
        Ok(sealed) => sealed,
        Err(why) => {
            say(false, &format!("form: {why}"));
            return Ok(Verdict::Wrong);
        }
    };
    let receipt = &sealed.receipt;
    let images = chosen(receipt, &what.disk)?;
    introduce(receipt);
    let wrong = receipt.contradictions();
    for why in &wrong {
        say(false, why);
    }
    if wrong.is_empty() {
        say(
            true,
            "consistent: equal roots, times in order, the downtime is theirs",
        );
    }
    let signed = signature(&sealed, list.as_ref());
    let mut all = wrong.is_empty() && signed != Verdict::Wrong;
    for (disk, path) in images {
        all &= image(receipt, disk, &path)?;
    }
    Ok(if all { signed } else { Verdict::Wrong })
}

fn say(good: bool, what: &str) {
    println!(
        "{} {}",
        if good { "ok    " } else { "WRONG " },
        line(what, 1000)
    );
}

fn introduce(receipt: &Receipt) {
    let words = format!(
        "Receipt of migration {}: {} (Linode {}) of {} (account {}), {}, from {} to {}, finished {}",
        receipt.migration,
        receipt.linode.label,
        receipt.linode.id,
        receipt.account.name,
        receipt.account.id,
        receipt.kind,
        receipt.from.host,
        receipt.to.host,
        receipt.times.finished
    );
    println!("{}", line(&words, 1000));
}

fn signature(sealed: &Sealed<'_>, list: Option<&KeyList>) -> Verdict {
    let Some(list) = list else {
        return Verdict::Unsigned;
    };
    let (verdict, words) = match sealed.signer(list) {
        Signer::Known(key) => {
            let since = key
                .retired
                .map_or_else(String::new, |at| format!(", retired {at}"));
            (
                Verdict::Valid,
                format!("signature: by the key {}{since}", key.id),
            )
        }
        Signer::Unknown => (
            Verdict::Wrong,
            format!("signature: the list has no key {}", sealed.key),
        ),
        Signer::Forged => (
            Verdict::Wrong,
            format!("signature: the key {} has not signed this", sealed.key),
        ),
    };
    say(verdict == Verdict::Valid, &words);
    verdict
}

/// Which disks are compared with which images.
fn chosen<'a>(receipt: &'a Receipt, asked: &[String]) -> Result<Vec<(&'a Disk, PathBuf)>, String> {
    asked
        .iter()
        .map(|one| {
            let (name, path) = one
                .split_once('=')
                .filter(|(_, path)| !path.is_empty())
                .ok_or_else(|| format!("--disk {one}: it is N=IMAGE"))?;
            Ok((named(receipt, name)?, PathBuf::from(path)))
        })
        .collect()
}

fn named<'a>(receipt: &'a Receipt, name: &str) -> Result<&'a Disk, String> {
    let by_number = receipt
        .disks
        .iter()
        .find(|disk| disk.id.to_string() == name);
    if let Some(disk) = by_number {
        return Ok(disk);
    }
    let mut by_label = receipt.disks.iter().filter(|disk| disk.label == name);
    match (by_label.next(), by_label.next()) {
        (Some(disk), None) => Ok(disk),
        (Some(_), Some(_)) => Err(format!("two disks are called {name:?}: give the number")),
        (None, _) => Err(format!("the receipt has no disk {name:?}")),
    }
}

/// Is the image the disk of the receipt? A device may be longer than its disk; what follows is told and not compared.
fn image(receipt: &Receipt, disk: &Disk, path: &Path) -> Result<bool, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(named)?;
    let is_file = file.metadata().map_err(named)?.is_file();
    let size = file.seek(SeekFrom::End(0)).map_err(named)?;
    file.rewind().map_err(named)?;
    let what = format!("disk {} ({}) at {}", disk.id, disk.label, path.display());
    if size < disk.size_bytes || (is_file && size != disk.size_bytes) {
        let words = format!(
            "{what}: {size} bytes, and the receipt has {}",
            disk.size_bytes
        );
        say(false, &words);
        return Ok(false);
    }
    let root = Root::of_chunks(receipt.digests.chunk_bytes)
        .ok_or("the receipt does not say how it was computed")?;
    let found = root_of(root, file.take(disk.size_bytes)).map_err(named)?;
    let equal = found == disk.destination_root;
    let more = match size - disk.size_bytes {
        0 => String::new(),
        more => format!(" ({more} bytes behind it are not of the disk)"),
    };
    if equal {
        say(true, &format!("{what}: its root is the receipt's{more}"));
    } else {
        let words = format!(
            "{what}: its root is {found}, and the receipt has {}{more}",
            disk.destination_root
        );
        say(false, &words);
    }
    Ok(equal)
}

/// Reads to the end, a piece at a time.
fn root_of(mut root: Root, mut image: impl Read) -> std::io::Result<String> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = image.read(&mut piece)?;
        if count == 0 {
            return Ok(root.hex());
        }
        root.add(piece.get(..count).unwrap_or_default());
    }
}

/// A file that may not be larger.
fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(named)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > most {
        return Err(format!("{}: larger than {most} bytes", path.display()));
    }
    Ok(bytes)
}
