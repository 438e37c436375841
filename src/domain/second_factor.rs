//! The second factor of a sign-in: a code that an app makes anew each half minute (TOTP, RFC 6238), and recovery codes for
//! when that app is lost.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::ConstantTimeEq;
use totp_rs::{Algorithm, TOTP};

use super::time::Time;
use crate::string_enum;

/// RFC 4226, requirement 6: 160 bits.
pub const KEY_BYTES: usize = 20;
/// RFC 6238's default, and the only one that all apps have.
const STEP_S: i64 = 30;
const DIGITS: usize = 6;
/// Clocks may be off by so many steps, either way (RFC 6238, 5.2).
const SKEW: i64 = 1;
/// How many recovery codes are given at a time.
pub const RECOVERY_CODES: usize = 10;
/// 80 bits: more than can be guessed at.
pub const RECOVERY_BYTES: usize = 10;
/// Letters between two hyphens of a recovery code.
const GROUP: usize = 4;

string_enum! {
    /// Is a second factor asked of staff? Members may always have one.
    pub enum Policy { Offered = "offered", Required = "required" }
}

/// What codes are made from: known to its owner's app and to the portal.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is typed into an app: groups of four.
    pub fn text(&self) -> String {
        grouped(&BASE32_NOPAD.encode(&self.0), " ")
    }

    /// As an app reads it from a picture.
    pub fn url(&self, issuer: &str, email: &str) -> String {
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'@');
        let written = |text: &str| utf8_percent_encode(text, KEPT).to_string();
        // A colon parts issuer and name.
        let issuer = written(&issuer.replace(':', " "));
        let secret = BASE32_NOPAD.encode(&self.0);
        format!(
            "otpauth://totp/{issuer}:{}?secret={secret}&issuer={issuer}",
            written(email)
        )
    }

    /// The code of a step.
    fn code(&self, step: i64) -> String {
        let totp = TOTP::new_unchecked(
            Algorithm::SHA1,
            DIGITS,
            0,
            STEP_S.unsigned_abs(),
            self.0.to_vec(),
        );
        totp.generate((step * STEP_S).unsigned_abs())
    }

    /// The step that this code is of, if it is good now. Steps up to `used` are over: each code is good once.
    pub fn step_of(&self, code: &str, now: Time, used: i64) -> Option<i64> {
        let here = step(now);
        (here - SKEW..=here + SKEW)
            .filter(|step| *step > used)
            .find(|step| bool::from(self.code(*step).as_bytes().ct_eq(code.as_bytes())))
    }

    /// What the app shows at a moment.
    pub fn shown_at(&self, at: Time) -> String {
        self.code(step(at))
    }
}

fn step(at: Time) -> i64 {
    at.utc().timestamp().div_euclid(STEP_S)
}

fn grouped(text: &str, between: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let groups = letters.chunks(GROUP).map(String::from_iter);
    groups.collect::<Vec<_>>().join(between)
}

/// As it is shown, once.
pub fn recovery_code(bytes: [u8; RECOVERY_BYTES]) -> String {
    grouped(&BASE32_NOPAD.encode(&bytes).to_lowercase(), "-")
}

/// What somebody typed where a code is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    App(String),
    /// Without its hyphens.
    Recovery(String),
}

impl Typed {
    /// `None`: it is neither; nothing needs to be looked up.
    pub fn parse(text: &str) -> Option<Self> {
        // No code is longer, however it is spaced.
        let text: String = text.chars().take(100).collect();
        let code: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect();
        if code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::App(code));
        }
        let bytes = BASE32_NOPAD_NOCASE.decode(code.as_bytes()).ok()?;
        (bytes.len() == RECOVERY_BYTES).then(|| Self::Recovery(code.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::new(DateTime::from_timestamp(seconds, 0).unwrap())
    }

    /// RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
    #[test]
    fn codes_are_the_standards() {
        let key = Key::new(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(key.shown_at(at(seconds)), code);
            assert!(key.step_of(code, at(seconds), 0).is_some());
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_a_clock_that_is_half_a_minute_off() {
        let key = Key::new([7; KEY_BYTES]);
        let now = at(1_800_000_000);
        let code = key.shown_at(now);
        let step = key.step_of(&code, now, 0).unwrap();
        assert_eq!(key.step_of(&code, now, step), None, "used");
        assert_eq!(key.step_of(&code, now.plus_s(30), step - 1), Some(step));
        assert_eq!(key.step_of(&code, now.plus_s(-30), 0), Some(step));
        assert_eq!(key.step_of(&code, now.plus_s(60), 0), None);
        let before = key.shown_at(now.plus_s(-30));
        assert_eq!(key.step_of(&before, now, step), None, "older than the last");
        assert_eq!(key.step_of("", now, 0), None);
    }

    #[test]
    fn what_is_typed_is_read_as_people_type() {
        let code = recovery_code([0xa5; RECOVERY_BYTES]);
        assert_eq!(code.len(), 19, "{code}");
        let plain = code.replace('-', "");
        for typed in [
            code.clone(),
            code.to_uppercase(),
            code.replace('-', " "),
            plain.clone(),
        ] {
            assert_eq!(Typed::parse(&typed), Some(Typed::Recovery(plain.clone())));
        }
        assert_eq!(
            Typed::parse(" 123 456\n"),
            Some(Typed::App("123456".into()))
        );
        let long = "1".repeat(100_000);
        for foul in [
            "",
            "12345",
            "1234567",
            "12345x",
            "١٢٣٤٥٦",
            &code[1..],
            &long,
        ] {
            assert_eq!(Typed::parse(foul), None, "{foul:.40}");
        }
    }

    #[test]
    fn an_app_reads_whose_key_it_is() {
        let key = Key::new(*b"12345678901234567890");
        assert_eq!(
            key.url("Xen: Public Beta", "zoe+x@example.com"),
            "otpauth://totp/Xen%20%20Public%20Beta:zoe%2Bx@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Xen%20%20Public%20Beta"
        );
        assert!(key.text().starts_with("GEZD GNBV "));
    }
}
