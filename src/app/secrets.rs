//! Tokens: how they are made, stored and derived. A token is 256 random bits, shown once; the database has its hash.

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::error::{AppError, Result};

/// The portal's secret, from a file or the environment; keys everything derived here.
pub struct Secret {
    key: [u8; 32],
    /// `None`: it is a stand-in.
    trail: Option<[u8; 32]>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From any text of 32 characters or more.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() < 32 {
            return Err(AppError::Fault(
                "the secret must have 32 characters or more".to_owned(),
            ));
        }
        let key = blake3::derive_key("xenbeta portal secret", text.as_bytes());
        Ok(Self {
            trail: Some(blake3::derive_key("xenbeta audit trail", &key)),
            key,
        })
    }

    /// For a command that was given none: nothing that is derived from it is worth anything after it.
    pub fn stand_in() -> Result<Self> {
        Ok(Self {
            trail: None,
            ..Self::from_text(&new_token()?)?
        })
    }

    /// What the audit trail's links are made with; who has only the database cannot make one.
    pub fn trail_key(&self) -> Option<&[u8; 32]> {
        self.trail.as_ref()
    }

    /// Encrypted, for the database, which others may get hold of: only this portal's secret opens it, and only as what it
    /// was closed as.
    pub fn seal(&self, purpose: &str, of: &str, plain: &[u8]) -> Result<String> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = plain.to_vec();
        self.sealing()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(format!("{purpose} {of}")),
                &mut sealed,
            )
            .map_err(|_| AppError::Fault("something cannot be sealed".to_owned()))?;
        Ok(BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat()))
    }

    /// What was sealed; `None`: not by this secret, or not as this.
    pub fn open(&self, purpose: &str, of: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(format!("{purpose} {of}"));
        let plain = self
            .sealing()
            .ok()?
            .open_in_place(nonce, aad, sealed)
            .ok()?;
        Some(plain.to_vec())
    }

    fn sealing(&self) -> Result<LessSafeKey> {
        let key = blake3::derive_key("xenbeta sealed data", &self.key);
        UnboundKey::new(&CHACHA20_POLY1305, &key)
            .map(LessSafeKey::new)
            .map_err(|_| AppError::Fault("no key to seal with".to_owned()))
    }

    /// The same token every time for the same purpose and parts: what must be known in two places but not be stored.
    pub fn derive(&self, purpose: &str, parts: &[&str]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in std::iter::once(&purpose).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        BASE64URL_NOPAD.encode(hasher.finalize().as_bytes())
    }
}

/// A new token, for its reader's eyes only. It never begins with a hyphen, which a command line takes for an option.
pub fn new_token() -> Result<String> {
    Ok(format!("xb{}", BASE64URL_NOPAD.encode(&random::<32>()?)))
}

/// Of the system's own.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| AppError::Fault(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// What the database keeps of a token. The purpose is part of it: a token is worth nothing for another one. No salt is
/// needed for 256 random bits.
pub fn hash(purpose: &str, token: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("xenbeta token hash");
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(token.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// What a token is for.
pub mod purpose {
    pub const SESSION: &str = "session";
    pub const RESET: &str = "password reset";
    pub const ENROLMENT: &str = "enrolment";
    pub const AGENT: &str = "agent";
    pub const LEASE: &str = "lease";
    pub const API: &str = "api";
    pub const DEVICE: &str = "device";
    pub const TRANSFER: &str = "transfer";
    pub const SECOND_FACTOR: &str = "second factor";
    /// Of one that is not set up yet.
    pub const SETUP: &str = "second factor to be";
    pub const RECOVERY: &str = "recovery code";
    /// Of somebody whose code is waited for.
    pub const HALF: &str = "half a sign-in";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_by_the_same_secret_as_what_it_was_closed_as() {
        let secret = |text: &str| Secret::from_text(&text.repeat(32)).unwrap();
        let sealed = secret("a").seal("key", "7", b"plain").unwrap();
        assert_eq!(secret("a").open("key", "7", &sealed).unwrap(), b"plain");
        assert_ne!(secret("a").seal("key", "7", b"plain").unwrap(), sealed);
        assert_eq!(secret("b").open("key", "7", &sealed), None);
        assert_eq!(secret("a").open("key", "8", &sealed), None);
        assert_eq!(secret("a").open("setup", "7", &sealed), None);
        for foul in ["", "x", "AAAA", &sealed[1..], &format!("{sealed}A")] {
            assert_eq!(secret("a").open("key", "7", foul), None, "{foul}");
        }
    }
}
