//! Names and addresses as types: what is inside was checked at the edge, and nothing inside checks twice.

use std::fmt;

use super::text::unreadable;

/// Why a text is not what it should be, in words for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

fn invalid<T>(why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(why.into()))
}

/// The label of a Linode, disk, config profile or plan: 1 to 64 characters, none of which could make a path or a header
/// of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    pub const MAX: usize = 64;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return invalid("Enter a label");
        }
        if length > Self::MAX {
            return invalid(format!(
                "The label must be {} characters or fewer (this one has {length})",
                Self::MAX
            ));
        }
        if text.chars().all(|c| c == '.') {
            return invalid("A label cannot be made of dots alone");
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !(c.is_alphanumeric() || " ._-#()+,:'".contains(*c)))
        {
            return invalid(format!(
                "A label can have letters, digits, spaces and . _ - # ( ) + , : ' but not {bad:?}"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host's name, as in DNS: letters, digits, hyphens and dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let parts_fine = text.split('.').all(|part| {
            !part.is_empty()
                && part.len() <= 63
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        });
        if text.len() > 100 || !parts_fine {
            return invalid(
                "A host's name has letters, digits, hyphens and dots, at most 100 of them",
            );
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an address's reverse lookup says: a host name with a domain, lower-cased, without the dot at its end; empty for
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReverseName(String);

impl ReverseName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        let part = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let whole = text.len() <= 253
            && text.contains('.')
            && text.split('.').all(part)
            // 192.0.2.1 is no name.
            && !text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        if text.is_empty() || whole {
            Ok(Self(text.to_owned()))
        } else {
            invalid("Enter a host name like web.example.com, or nothing")
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address; only its outer form is checked (a mail is what proves it). Its letters A to Z are lower-cased, and no
/// others: lower-casing those makes some of them into A to Z, and so one person's address into another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(hidden) = text.chars().find(|c| unreadable(*c) || is_unseen(*c)) {
            return invalid(format!(
                "There is a character in the address that cannot be seen (U+{:04X})",
                u32::from(hidden)
            ));
        }
        // What can be sent: the mail's library refuses all else, so that its reader would never hear of anything.
        let in_local = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
        let in_domain = |c: char| c.is_alphanumeric() || c == '-';
        let fine = text.len() <= 254
            && text.split_once('@').is_some_and(|(local, domain)| {
                (1..=64).contains(&local.len())
                    && local.chars().all(in_local)
                    && domain.split('.').all(|part| {
                        (1..=63).contains(&part.len())
                            && part.chars().all(in_domain)
                            && !part.starts_with('-')
                            && !part.ends_with('-')
                    })
            });
        if fine {
            Ok(Self(text))
        } else {
            invalid("Enter an e-mail address, like name@example.com")
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Blanks of no width, and what joins or parts letters unseen.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}')
}

/// A person's name as shown in pages and mails: one line, 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 100 {
            return invalid("Enter a name of 1 to 100 characters");
        }
        if text.chars().any(unreadable) {
            return invalid(
                "A name is one line of text, without marks that turn the direction of reading",
            );
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a kernel: letters, digits and `._-+`, at most 64.
pub fn is_kernel_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

/// A device in a config profile: `ubda` to `ubdh`, `xvda` to `xvdh`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device(String);

impl Device {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.strip_prefix("/dev/").unwrap_or(text);
        let fine = (name.starts_with("ubd") || name.starts_with("xvd"))
            && name.len() == 4
            && name.ends_with(|c: char| ('a'..='h').contains(&c));
        if fine {
            Ok(Self(name.to_owned()))
        } else {
            invalid(format!(
                "{text:?} is not a device from ubda to ubdh or xvda to xvdh"
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a config profile boots from: a [`Device`], or a partition of one (`ubda1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDevice {
    pub device: Device,
    name: String,
}

impl RootDevice {
    /// Linux gives so many minor numbers to a disk of these drivers.
    const MOST_PARTITIONS: u8 = 15;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.strip_prefix("/dev/").unwrap_or(text);
        let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let device = Device::parse(disk).map_err(|_| {
            Invalid(format!(
                "{text:?} is neither a disk, like ubda or xvda, nor a partition of one, like ubda1"
            ))
        })?;
        let number = name.get(disk.len()..).unwrap_or_default();
        let is_partition = !number.starts_with('0')
            && number
                .parse()
                .is_ok_and(|number: u8| number <= Self::MOST_PARTITIONS);
        if number.is_empty() || is_partition {
            Ok(Self {
                device,
                name: name.to_owned(),
            })
        } else {
            invalid(format!(
                "{text:?} is no partition: they are counted from 1 to {}",
                Self::MOST_PARTITIONS
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// A MAC address, `aa:bb:cc:dd:ee:ff`, not a multicast one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mac(String);

impl Mac {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let octets: Option<Vec<u8>> = text
            .split(':')
            .map(|octet| {
                // `from_str_radix` alone takes a sign.
                (octet.len() == 2 && octet.bytes().all(|c| c.is_ascii_hexdigit()))
                    .then(|| u8::from_str_radix(octet, 16).ok())
                    .flatten()
            })
            .collect();
        match octets.as_deref() {
            Some([first, _, _, _, _, _]) if first & 1 == 0 => Ok(Self(text)),
            _ => invalid(format!(
                "{text:?} is not a MAC address like fe:fd:00:00:00:01"
            )),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stop limit the member chose: how long a clean shutdown may take before force is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimit(pub i32);

impl StopLimit {
    pub fn parse(seconds: i32) -> Result<Self, Invalid> {
        if (5..=600).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            invalid("The time for a clean shutdown is 5 to 600 seconds")
        }
    }
}

/// For how many seconds after the time chosen a Linode may still stop that was not in step by then; 0: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub i32);

impl Patience {
    pub const HOURS: [i32; 6] = [0, 1, 2, 4, 8, 24];

    pub fn parse(hours: i32) -> Result<Self, Invalid> {
        if Self::HOURS.contains(&hours) {
            Ok(Self(hours * 3600))
        } else {
            invalid("Choose how long after its time it may still stop")
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(2 * 3600)
    }
}

/// The name that Linodes share which are never both down for a move; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupName(String);

impl GroupName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // Written like a label; small and large letters are one name.
        let name = Label::parse(text)?;
        Ok(Self(name.as_str().to_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest downtime that a member allows for a move, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownLimit(pub i32);

impl DownLimit {
    pub const SECONDS: [i32; 7] = [15, 30, 60, 120, 300, 600, 1800];

    pub fn parse(seconds: i32) -> Result<Self, Invalid> {
        if Self::SECONDS.contains(&seconds) {
            Ok(Self(seconds))
        } else {
            invalid("Choose how long it may be off at most, or no limit")
        }
    }
}

/// A link that staff give to members: a web page or an IRC channel; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideLink(String);

impl OutsideLink {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let schemes = ["https://", "http://", "irc://", "ircs://"];
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\');
        let whole = rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain));
        if text.is_empty() || (text.len() <= 500 && whole) {
            Ok(Self(text.to_owned()))
        } else {
            invalid(
                "Enter a link that begins with https://, http://, irc:// or ircs://, or nothing",
            )
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_no_hexadecimal_digit() {
        assert!(Mac::parse("fe:fd:0f:00:00:01").is_ok());
        for bad in [
            "fe:fd:+f:00:00:01",
            "+e:fd:00:00:00:01",
            "fe:fd:00:00:00:+1",
            "fe:fd:-0:00:00:01",
            "fe:fd:00:00:00:1",
            "fe:fd:00:00:00:01:02",
        ] {
            let why = Mac::parse(bad).unwrap_err().0;
            assert!(why.contains("is not a MAC address"), "{why}");
        }
    }

    #[test]
    fn a_root_is_a_disk_or_a_partition_of_one() {
        for (text, name, disk) in [
            ("/dev/ubda", "ubda", "ubda"),
            ("/dev/ubda1", "ubda1", "ubda"),
            ("xvdh15", "xvdh15", "xvdh"),
        ] {
            let root = RootDevice::parse(text).unwrap();
            assert_eq!((root.as_str(), root.device.as_str()), (name, disk));
        }
        for bad in [
            "",
            "/dev/ubda0",
            "ubda01",
            "ubda16",
            "ubda+1",
            "ubdi1",
            "1",
            "sda1",
            "/dev//ubda1",
        ] {
            assert!(RootDevice::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_one_that_mail_can_be_sent_to() {
        for good in [
            "Ada+beta@Example.com",
            "aki..n.0511@mobile.example",
            "try.this.@mobile.example",
            ".office@example.com",
            "müller@example.com",
            "info@bücher.example",
            "o'brien@x-y.example",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for hidden in [
            "office\u{200b}@example.com",
            "office@ex\u{200b}ample.com",
            "a\u{ad}@example.com",
            "a\u{202e}@example.com",
        ] {
            let why = Email::parse(hidden).unwrap_err().0;
            assert!(why.contains("cannot be seen (U+"), "{why}");
        }
        for bad in [
            "post@-example.com",
            "post@example-.com",
            "😀@example.com",
            "a@😀.example",
            "a b@example.com",
            "a@b@c",
            "@x",
            "a@",
            "a@x..y",
            "a\"b@x.y",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_reads_as_it_is() {
        for bad in [
            "Ada\u{202e}ecalevoL",
            "Ada\nBcc: x",
            "\u{2066}Ada",
            "\u{feff}",
        ] {
            assert!(PersonName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(PersonName::parse(" آدا ").unwrap().as_str(), "آدا");
    }
}
