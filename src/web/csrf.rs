//! The form token: shows that a form was made for the session (or, before sign-in, the browser) that sends it.
//!
//! Derived from the cookie's secret, so nothing is stored; masked anew for every page, so that a compressed page gives
//! nothing away by its length.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

const LENGTH: usize = 16;

fn plain(secret: &str) -> [u8; LENGTH] {
    let key = blake3::derive_key("xenbeta 2026 form token", secret.as_bytes());
    let mut token = [0; LENGTH];
    token.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    token
}

/// `getrandom` fails only where the kernel has no randomness at all, and without it there is no safe way to go on.
pub(in crate::web) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(fault) = getrandom::fill(&mut bytes) {
        tracing::error!(%fault, "no randomness");
        std::process::abort();
    }
    bytes
}

pub(in crate::web) fn make(secret: &str) -> String {
    let mask = random::<LENGTH>();
    let mut both = Vec::with_capacity(2 * LENGTH);
    both.extend_from_slice(&mask);
    both.extend(
        plain(secret)
            .iter()
            .zip(mask)
            .map(|(token, mask)| token ^ mask),
    );
    BASE64URL_NOPAD.encode(&both)
}

pub(in crate::web) fn check(secret: &str, token: &str) -> bool {
    let Ok(both) = BASE64URL_NOPAD.decode(token.as_bytes()) else {
        return false;
    };
    if both.len() != 2 * LENGTH {
        return false;
    }
    let (mask, masked) = both.split_at(LENGTH);
    let given: Vec<u8> = mask
        .iter()
        .zip(masked)
        .map(|(mask, token)| mask ^ token)
        .collect();
    given.ct_eq(&plain(secret)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_secret_only() {
        let token = make("one");
        assert!(check("one", &token));
        assert_ne!(token, make("one"), "masked anew");
        assert!(!check("two", &token));
        for foul in ["", "x", &token[1..], &format!("{token}AA"), &"A".repeat(43)] {
            assert!(!check("one", foul), "{foul}");
        }
    }
}
