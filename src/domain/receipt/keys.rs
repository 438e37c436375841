//! The keys that receipts are signed with: Ed25519. A key is named by its public half, so that a list can name none wrongly.

use data_encoding::HEXLOWER;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::domain::time::Time;

pub const FORMAT: &str = "xenbeta-receipt-keys";
pub const VERSION: u32 = 1;
pub const ALGORITHM: &str = "Ed25519";
/// A list with hundreds of keys is smaller.
pub const MOST_BYTES: u64 = 1024 * 1024;

/// A key that signs. It shows nothing of itself.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pub id: String,
    /// The public half, 64 hexadecimal digits.
    pub public: String,
}

impl SigningKey {
    /// Of 32 random bytes; `None`: they are not 32.
    pub fn of_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        Some(Self {
            pair,
            id: id_of(&public),
            public: HEXLOWER.encode(&public),
        })
    }

    pub(super) fn sign(&self, text: &str) -> String {
        HEXLOWER.encode(self.pair.sign(text.as_bytes()).as_ref())
    }
}

/// The first 16 hexadecimal digits of the public half's SHA-256.
pub fn id_of(public: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, public);
    let mut id = HEXLOWER.encode(digest.as_ref());
    id.truncate(ID_DIGITS);
    id
}

/// Lower-case digits, as all here are written.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) const ID_DIGITS: usize = 16;
pub(super) const SIGNATURE_DIGITS: usize = 128;

/// What anyone may have: by it a receipt is checked, and none can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    pub id: String,
    pub algorithm: String,
    pub public: String,
    pub made: Time,
    /// From when on it signs nothing any more.
    pub retired: Option<Time>,
}

impl PublicKey {
    pub(super) fn has_signed(&self, text: &str, signature: &str) -> bool {
        let halves = HEXLOWER
            .decode(self.public.as_bytes())
            .ok()
            .zip(HEXLOWER.decode(signature.as_bytes()).ok());
        halves.is_some_and(|(public, signature)| {
            UnparsedPublicKey::new(&ED25519, public)
                .verify(text.as_bytes(), &signature)
                .is_ok()
        })
    }

    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        let public = HEXLOWER.decode(self.public.as_bytes()).unwrap_or_default();
        if self.algorithm != ALGORITHM || public.len() != 32 {
            return Some(format!("key {:?} is no {ALGORITHM} key", self.id));
        }
        (id_of(&public) != self.id).then(|| format!("key {:?} is not the one it is named", self.id))
    }
}

/// As the portal lists them, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    pub format: String,
    pub version: u32,
    pub keys: Vec<PublicKey>,
}

impl KeyList {
    pub fn of(keys: Vec<PublicKey>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            keys,
        }
    }

    /// From a file that somebody kept; why not, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.format != FORMAT || list.version != VERSION {
            return Err(format!(
                "it is {:?} of version {}, not {FORMAT:?} of version {VERSION}",
                list.format, list.version
            ));
        }
        match list.keys.iter().find_map(PublicKey::fault) {
            Some(fault) => Err(fault),
            None => Ok(list),
        }
    }

    pub fn find(&self, id: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}
