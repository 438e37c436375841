//! Tokens: how they are made, stored and derived. A token is 256 random bits, shown once; the database has its hash.

use data_encoding::BASE64URL_NOPAD;

use super::error::AppError;

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
    pub fn from_text(text: &str) -> Result<Self, AppError> {
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
    pub fn stand_in() -> Result<Self, AppError> {
        Ok(Self {
            trail: None,
            ..Self::from_text(&new_token()?)?
        })
    }

    /// What the audit trail's links are made with; who has only the database cannot make one.
    pub fn trail_key(&self) -> Option<&[u8; 32]> {
        self.trail.as_ref()
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
pub fn new_token() -> Result<String, AppError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| AppError::Fault(format!("no randomness: {error}")))?;
    Ok(format!("xb{}", BASE64URL_NOPAD.encode(&bytes)))
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
}
