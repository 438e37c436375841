//! How single fields of a fleet file are read: into the types of `domain::values`, or refused in words for the person who
//! wrote the file.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::domain::linode::RunLevel;
use crate::domain::time::zone::Tz;
use crate::domain::values::{
    Device, Email, HostName, Invalid, Label, Mac, PersonName, RootDevice, is_kernel_id,
};

fn checked<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).map_err(de::Error::custom)
}

macro_rules! fields {
    ($($name:ident -> $type:ty = $parse:expr;)+) => { $(
        pub(in crate::app) fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
            checked(from, $parse)
        }
    )+ };
}

fields! {
    label -> Label = Label::parse;
    host_name -> HostName = HostName::parse;
    person_name -> PersonName = PersonName::parse;
    email -> Email = Email::parse;
    mac -> Mac = Mac::parse;
    root_device -> RootDevice = RootDevice::parse;
    kernel_id -> String = check_kernel_id;
    timezone -> String = check_timezone;
    filesystem -> String = check_filesystem;
    comments -> String = |text| short(text, 4000);
    rdns -> String = check_rdns;
}

/// As [`checked`]; `null` is none.
fn maybe<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text).map_err(de::Error::custom))
        .transpose()
}

pub(in crate::app) fn maybe_label<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Label>, D::Error> {
    maybe(from, Label::parse)
}

pub(in crate::app) fn maybe_kernel_id<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    maybe(from, check_kernel_id)
}

pub(in crate::app) fn password_hash<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    maybe(from, crate::app::account::password::check_stored)
}

/// A number with its bounds in it.
pub(in crate::app) fn within<'de, D: Deserializer<'de>, const LOW: i64, const HIGH: i64>(
    from: D,
) -> Result<i64, D::Error> {
    let number = i64::deserialize(from)?;
    if (LOW..=HIGH).contains(&number) {
        Ok(number)
    } else if HIGH == i64::MAX {
        Err(de::Error::custom(format!(
            "{number} must be {LOW} or greater"
        )))
    } else {
        Err(de::Error::custom(format!(
            "{number} is not from {LOW} to {HIGH}"
        )))
    }
}

pub(in crate::app) fn small<'de, D: Deserializer<'de>, const LOW: i64, const HIGH: i64>(
    from: D,
) -> Result<i32, D::Error> {
    let number = within::<D, LOW, HIGH>(from)?;
    i32::try_from(number).map_err(de::Error::custom)
}

fn check_kernel_id(text: &str) -> Result<String, Invalid> {
    if is_kernel_id(text) {
        Ok(text.to_owned())
    } else {
        Err(Invalid(
            "a kernel's id has letters, digits and . _ - +, 1 to 64 of them".to_owned(),
        ))
    }
}

fn check_timezone(text: &str) -> Result<String, Invalid> {
    text.parse::<Tz>()
        .map(|zone| zone.name().to_owned())
        .map_err(|_| {
            Invalid(format!(
                "{text:?} is not a time zone like Europe/Berlin or UTC"
            ))
        })
}

fn check_filesystem(text: &str) -> Result<String, Invalid> {
    let fine = (1..=16).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if fine {
        Ok(text.to_owned())
    } else {
        Err(Invalid(format!(
            "{text:?} is not a file system like ext3, xfs, swap or raw"
        )))
    }
}

fn check_rdns(text: &str) -> Result<String, Invalid> {
    let fine = text.len() <= 253
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if fine {
        Ok(text.to_owned())
    } else {
        Err(Invalid(format!("{text:?} is not a host's name")))
    }
}

fn short(text: &str, most: usize) -> Result<String, Invalid> {
    let length = text.chars().count();
    if length > most {
        return Err(Invalid(format!(
            "{length} characters are too many: at most {most}"
        )));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !"\n\r\t".contains(c))
    {
        return Err(Invalid("control characters are not text".to_owned()));
    }
    Ok(text.to_owned())
}

pub(in crate::app) fn usual_weight() -> i64 {
    256
}
pub(in crate::app) fn usual_slots() -> i32 {
    2
}
pub(in crate::app) fn one() -> i32 {
    1
}
pub(in crate::app) fn usual_timezone() -> String {
    "UTC".to_owned()
}
pub(in crate::app) fn usual_run_level() -> RunLevel {
    RunLevel::Default
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Devices;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of devices and disk ids, like {\"ubda\": 1234}")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Devices, M::Error> {
                let mut pairs: Vec<(Device, i64)> = Vec::new();
                while let Some((name, disk)) = map.next_entry::<String, i64>()? {
                    let device = Device::parse(&name).map_err(de::Error::custom)?;
                    if pairs.iter().any(|(other, _)| *other == device) {
                        return Err(de::Error::custom(format!("the device {name} stands twice")));
                    }
                    pairs.push((device, disk));
                }
                Ok(Devices(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// Device → disk id, in the file's order; no device twice.
#[derive(Debug)]
pub struct Devices(pub Vec<(Device, i64)>);
