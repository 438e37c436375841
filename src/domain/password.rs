//! What a password may be: long enough, and none that is tried first. No rules of composition.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use super::values::Invalid;

pub const LEAST_CHARS: usize = 12;
pub const MOST_CHARS: usize = 128;
/// Powers of ten: so many guesses must not find it, by who knows the lists and whom it is for, and so many not what its
/// letters alone make: a common word stays one with a year behind it and signs between.
const LEAST_GUESSES: f64 = 8.0;
const LEAST_OF_LETTERS: f64 = 4.5;
const FEW_LETTERS: usize = 5;
/// Characters that are judged: the time to judge grows by the third power of their number.
const JUDGED: usize = 32;
/// Known from a picture, and on no list of words.
const FAMOUS: &str = "correcthorsebatterystaple";

/// A password as it is hashed and compared: composed, so that it is the same whichever system it was typed on.
pub fn normal(typed: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(typed)
}

/// A password someone chooses: 12 to 128 characters, and not one that is guessed soon.
pub struct NewPassword(String);

impl NewPassword {
    /// `about`: what whoever guesses knows: whose it is, and of which site.
    pub fn parse(typed: &str, about: &[&str]) -> Result<Self, Invalid> {
        let text = normal(typed);
        let length = text.chars().count();
        if length < LEAST_CHARS {
            return no("Use a password of 12 characters or more");
        }
        if length > MOST_CHARS {
            return no("Use a password of 128 characters or fewer");
        }
        let known = words(about);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if is_of(&text, &known) {
            return no(
                "This password is made of your address, your name or this site's: choose another one",
            );
        }
        if is_guessed(&text, &known) {
            return no("This password is on the lists that are tried first: choose another one");
        }
        Ok(Self(text.into_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn no<T>(why: &str) -> Result<T, Invalid> {
    Err(Invalid(why.to_owned()))
}

fn is_guessed(password: &str, known: &[&str]) -> bool {
    let known = [known, &[FAMOUS]].concat();
    let guesses = |text: &str| {
        let judged: String = text.chars().take(JUDGED).collect();
        zxcvbn::zxcvbn(&judged, &known).guesses_log10()
    };
    let letters: String = password.chars().filter(|c| c.is_alphabetic()).collect();
    let is_word = letters.chars().count() >= FEW_LETTERS && guesses(&letters) < LEAST_OF_LETTERS;
    is_word || guesses(password) < LEAST_GUESSES
}

/// Each as it is, and its words.
fn words(about: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for text in about {
        let text = text.to_lowercase();
        let parts = text.split(|c: char| !c.is_alphanumeric());
        words.extend(parts.filter(|it| it.chars().count() > 2).map(str::to_owned));
        words.push(text);
    }
    words
}

/// Is nothing left of it without these words, and what is put between and behind them?
fn is_of(password: &str, known: &[&str]) -> bool {
    let mut left = password.to_lowercase();
    let mut longest_first = known.to_vec();
    longest_first.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in longest_first.into_iter().filter(|word| !word.is_empty()) {
        left = left.replace(word, " ");
    }
    left.len() < password.to_lowercase().len() && !left.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: [&str; 4] = [
        "mia.miller@example.com",
        "Mia Miller",
        "Xen Public Beta",
        "lpm.example.net",
    ];

    fn refused(text: &str) -> Option<String> {
        NewPassword::parse(text, &ABOUT).err().map(|it| it.0)
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for text in [
            "password2026",
            "Password2026!",
            "p4ssw0rd2026",
            "passwordpassword",
            "qwertyuiop123",
            "1qaz2wsx3edc4rfv",
            "123456789012",
            "abcdefghijkl",
            "iloveyou2026",
            "Welcome12345",
            "Summer2026!!",
            "Summer-2026-!",
            "Password-2026!",
            "changeme2026",
            "administrator",
            "aaaaaaaaaaaa",
            "correcthorsebatterystaple",
            "letmeinletmein",
        ] {
            let why = refused(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains("lists"), "{text}: {why}");
        }
    }

    #[test]
    fn ones_own_address_and_the_sites_name_are_refused() {
        for text in [
            "mia.miller@example.com",
            "Mia.Miller2026",
            "miller-miller-1",
            "XenPublicBeta",
            "lpm.example.net!",
            "Xen Public Beta 2026",
        ] {
            let why = refused(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains("your address"), "{text}: {why}");
        }
    }

    #[test]
    fn what_people_make_up_is_taken() {
        for text in [
            "a long enough password",
            "another long password",
            "quite another one",
            "Grüne-Äpfel-2026",
            "xu7-Rem.o4pk",
            "wir fahren nach Graz",
            "密码要够长才行啊一二三四",
            "839204817465",
            "k-839204817465",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn length_counts_what_is_compared() {
        let decomposed = "u\u{308}".repeat(11);
        assert!(refused(&decomposed).unwrap().contains("12 characters"));
        let most: String = ('a'..='z')
            .cycle()
            .map(|c| format!("{c}u\u{308}"))
            .take(64)
            .collect();
        assert_eq!(normal(&most).chars().count(), 128);
        assert_eq!(normal("Gru\u{308}ne-A\u{308}pfel"), "Grüne-Äpfel");
    }
}
