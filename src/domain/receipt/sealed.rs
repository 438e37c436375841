//! A receipt as a file: the signed text as it is, between a first and a last line, all of which is JSON.
//!
//! ```text
//! {"receipt":
//! { … }
//! ,"key":"0123456789abcdef","signature":"…"}
//! ```
//!
//! The signature is over the bytes between the two lines, with their last line feed. Nothing has to be written anew to
//! check it, and any other way to write the file is refused.

use super::keys::{ID_DIGITS, KeyList, PublicKey, SIGNATURE_DIGITS, SigningKey, is_hex};
use super::{FORMAT, Receipt, VERSION};

/// A receipt of many disks is a few KiB.
pub const MOST_BYTES: u64 = 1024 * 1024;

const FIRST: &str = "{\"receipt\":\n";
const KEY: &str = ",\"key\":\"";
const SIGNATURE: &str = "\",\"signature\":\"";
const LAST: &str = "\"}\n";

/// A file taken apart.
#[derive(Debug)]
pub struct Sealed<'a> {
    signed: &'a str,
    pub key: &'a str,
    pub signature: &'a str,
    pub receipt: Receipt,
}

/// Who signed it, by a list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer<'a> {
    Known(&'a PublicKey),
    /// The list has no such key.
    Unknown,
    /// The key it names has not signed this.
    Forged,
}

/// The file of a receipt.
pub fn seal(receipt: &Receipt, key: &SigningKey) -> Result<String, serde_json::Error> {
    let signed = serde_json::to_string_pretty(receipt)? + "\n";
    let signature = key.sign(&signed);
    Ok(format!(
        "{FIRST}{signed}{KEY}{}{SIGNATURE}{signature}{LAST}",
        key.id
    ))
}

/// Takes a file apart, byte for byte as [`seal`] writes it; why it cannot be, in words.
pub fn open(file: &[u8]) -> Result<Sealed<'_>, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is not text in UTF-8")?;
    let (signed, key, signature) = apart(text)
        .ok_or("it is not laid out as a receipt is: its first or its last line was changed")?;
    let receipt: Receipt = serde_json::from_str(signed).map_err(|error| error.to_string())?;
    if receipt.format != FORMAT || receipt.version != VERSION {
        return Err(format!(
            "it is {:?} of version {}, not {FORMAT:?} of version {VERSION}",
            receipt.format, receipt.version
        ));
    }
    Ok(Sealed {
        signed,
        key,
        signature,
        receipt,
    })
}

fn apart(text: &str) -> Option<(&str, &str, &str)> {
    let rest = text.strip_prefix(FIRST)?.strip_suffix(LAST)?;
    let (rest, signature) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_DIGITS)?)?;
    let rest = rest.strip_suffix(SIGNATURE)?;
    let (rest, key) = rest.split_at_checked(rest.len().checked_sub(ID_DIGITS)?)?;
    let signed = rest.strip_suffix(KEY)?;
    (signed.ends_with('\n') && is_hex(key) && is_hex(signature)).then_some((signed, key, signature))
}

impl Sealed<'_> {
    pub fn signer<'k>(&self, keys: &'k KeyList) -> Signer<'k> {
        match keys.find(self.key) {
            None => Signer::Unknown,
            Some(key) if key.has_signed(self.signed, self.signature) => Signer::Known(key),
            Some(_) => Signer::Forged,
        }
    }
}
