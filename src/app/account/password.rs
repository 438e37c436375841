//! Password hashing, bounded: argon2id is made to be slow and large, and many sign-ins at once must neither exhaust the
//! memory nor stall everything else.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::app::error::AppError;
use crate::domain::values::Invalid;

/// Memory in KiB, passes and lanes: OWASP's first recommendation for argon2id (19 MiB, 2, 1).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once, and how long one more waits for its turn.
const AT_ONCE: u32 = 2;
const WAIT: Duration = Duration::from_secs(10);

pub struct Hasher {
    argon: Argon2<'static>,
    busy: Mutex<u32>,
    freed: Condvar,
    /// The hash of no password, to spend the same time on an account that does not exist.
    nobody: String,
}

impl Hasher {
    pub fn new() -> Result<Self, AppError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .map_err(|error| AppError::Fault(format!("argon2 parameters: {error}")))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash_with(&argon, &crate::app::secrets::new_token()?)?;
        Ok(Self {
            argon,
            busy: Mutex::new(0),
            freed: Condvar::new(),
            nobody,
        })
    }

    /// The PHC string of a password.
    pub fn hash(&self, password: &str) -> Result<String, AppError> {
        let _turn = self.turn()?;
        hash_with(&self.argon, password)
    }

    /// Is it the password of `hash`? With no hash at all it takes as long, and is not.
    pub fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, AppError> {
        // Longer ones are never set; hashing them would only cost time.
        let too_long = password.chars().count() > 128;
        let known = hash.is_some() && !too_long;
        let password = if too_long { "" } else { password };
        let _turn = self.turn()?;
        let parsed = PasswordHash::new(hash.unwrap_or(&self.nobody))
            .map_err(|error| AppError::Fault(format!("a stored password hash: {error}")))?;
        Ok(self
            .argon
            .verify_password(password.as_bytes(), &parsed)
            .is_ok()
            && known)
    }

    fn turn(&self) -> Result<Turn<'_>, AppError> {
        let until = Instant::now() + WAIT;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy >= AT_ONCE {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(AppError::TooMany { retry_after_s: 10 });
            }
            (busy, _) = self
                .freed
                .wait_timeout(busy, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *busy += 1;
        Ok(Turn(self))
    }
}

struct Turn<'a>(&'a Hasher);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

/// A hash made elsewhere, if sign-in can use it: argon2id, and not so large that a sign-in would exhaust the machine.
pub fn check_stored(text: &str) -> Result<String, Invalid> {
    const MOST_KIB: u32 = 256 * 1024;
    const MOST_PASSES: u32 = 10;
    let unusable = |why: &str| {
        Invalid(format!(
            "this is not an argon2id hash ($argon2id$v=19$…) that sign-in can use: {why}"
        ))
    };
    if text.len() > 300 {
        return Err(unusable("it is too long"));
    }
    let parsed = PasswordHash::new(text).map_err(|error| unusable(&error.to_string()))?;
    if parsed.algorithm != Algorithm::Argon2id.ident() || parsed.hash.is_none() {
        return Err(unusable("it is of another kind"));
    }
    let params = Params::try_from(&parsed).map_err(|error| unusable(&error.to_string()))?;
    if params.m_cost() > MOST_KIB || params.t_cost() > MOST_PASSES {
        return Err(unusable("it takes too much memory or time"));
    }
    Ok(text.to_owned())
}

fn hash_with(argon: &Argon2<'_>, password: &str) -> Result<String, AppError> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt)
        .map_err(|error| AppError::Fault(format!("no randomness: {error}")))?;
    let salt =
        SaltString::encode_b64(&salt).map_err(|error| AppError::Fault(format!("salt: {error}")))?;
    argon
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| AppError::Fault(format!("argon2: {error}")))
}
