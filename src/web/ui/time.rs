//! Times on pages: absolute, in the reader's zone, with the machine-readable instant beside them.

use std::sync::LazyLock;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDateTime, TimeZone, Timelike, Utc};

use crate::domain::time::YEARS;
use crate::domain::time::zone::Tz;

/// Zones to choose from: a city of most countries, and of each clock of the large ones. Who lives by another one has it from an
/// import, and keeps it in the list.
pub const ZONES: [&str; 160] = [
    "UTC",
    "Africa/Abidjan",
    "Africa/Accra",
    "Africa/Addis_Ababa",
    "Africa/Algiers",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Dakar",
    "Africa/Dar_es_Salaam",
    "Africa/Douala",
    "Africa/Harare",
    "Africa/Johannesburg",
    "Africa/Kampala",
    "Africa/Khartoum",
    "Africa/Kinshasa",
    "Africa/Lagos",
    "Africa/Luanda",
    "Africa/Lusaka",
    "Africa/Maputo",
    "Africa/Nairobi",
    "Africa/Tunis",
    "Africa/Windhoek",
    "America/Anchorage",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Bogota",
    "America/Caracas",
    "America/Chicago",
    "America/Costa_Rica",
    "America/Denver",
    "America/Edmonton",
    "America/El_Salvador",
    "America/Guatemala",
    "America/Guayaquil",
    "America/Halifax",
    "America/Havana",
    "America/Jamaica",
    "America/La_Paz",
    "America/Lima",
    "America/Los_Angeles",
    "America/Managua",
    "America/Manaus",
    "America/Mexico_City",
    "America/Monterrey",
    "America/Montevideo",
    "America/New_York",
    "America/Panama",
    "America/Phoenix",
    "America/Port-au-Prince",
    "America/Port_of_Spain",
    "America/Puerto_Rico",
    "America/Recife",
    "America/Santiago",
    "America/Santo_Domingo",
    "America/Sao_Paulo",
    "America/Tegucigalpa",
    "America/Tijuana",
    "America/Toronto",
    "America/Vancouver",
    "America/Winnipeg",
    "Asia/Almaty",
    "Asia/Amman",
    "Asia/Baghdad",
    "Asia/Bahrain",
    "Asia/Baku",
    "Asia/Bangkok",
    "Asia/Beirut",
    "Asia/Colombo",
    "Asia/Damascus",
    "Asia/Dhaka",
    "Asia/Dubai",
    "Asia/Gaza",
    "Asia/Ho_Chi_Minh",
    "Asia/Hong_Kong",
    "Asia/Irkutsk",
    "Asia/Jakarta",
    "Asia/Jayapura",
    "Asia/Jerusalem",
    "Asia/Kabul",
    "Asia/Kamchatka",
    "Asia/Karachi",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Krasnoyarsk",
    "Asia/Kuala_Lumpur",
    "Asia/Kuwait",
    "Asia/Makassar",
    "Asia/Manila",
    "Asia/Muscat",
    "Asia/Nicosia",
    "Asia/Novosibirsk",
    "Asia/Omsk",
    "Asia/Phnom_Penh",
    "Asia/Qatar",
    "Asia/Riyadh",
    "Asia/Samarkand",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Taipei",
    "Asia/Tbilisi",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Ulaanbaatar",
    "Asia/Vladivostok",
    "Asia/Yakutsk",
    "Asia/Yangon",
    "Asia/Yekaterinburg",
    "Asia/Yerevan",
    "Atlantic/Azores",
    "Atlantic/Canary",
    "Atlantic/Reykjavik",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Darwin",
    "Australia/Hobart",
    "Australia/Melbourne",
    "Australia/Perth",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Belgrade",
    "Europe/Berlin",
    "Europe/Bratislava",
    "Europe/Brussels",
    "Europe/Bucharest",
    "Europe/Budapest",
    "Europe/Chisinau",
    "Europe/Copenhagen",
    "Europe/Dublin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Europe/Kaliningrad",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/Ljubljana",
    "Europe/London",
    "Europe/Luxembourg",
    "Europe/Madrid",
    "Europe/Malta",
    "Europe/Minsk",
    "Europe/Moscow",
    "Europe/Oslo",
    "Europe/Paris",
    "Europe/Prague",
    "Europe/Riga",
    "Europe/Rome",
    "Europe/Samara",
    "Europe/Sarajevo",
    "Europe/Sofia",
    "Europe/Stockholm",
    "Europe/Tallinn",
    "Europe/Tirane",
    "Europe/Vienna",
    "Europe/Vilnius",
    "Europe/Warsaw",
    "Europe/Zagreb",
    "Europe/Zurich",
    "Pacific/Auckland",
    "Pacific/Honolulu",
];

/// A way to write times, read once: a list's page writes hundreds.
type Written = LazyLock<Vec<Item<'static>>>;

static SHORT: Written = LazyLock::new(|| StrftimeItems::new("%-d %b %Y, %H:%M").collect());
static PRECISE: Written = LazyLock::new(|| StrftimeItems::new("%-d %b %Y, %H:%M:%S").collect());
static ZONED: Written = LazyLock::new(|| StrftimeItems::new("%-d %b %Y, %H:%M %Z").collect());
static FIELD: Written = LazyLock::new(|| StrftimeItems::new("%Y-%m-%dT%H:%M").collect());
static ISO: Written = LazyLock::new(|| StrftimeItems::new("%Y-%m-%dT%H:%M:%SZ").collect());

/// The reader's time zone, by its IANA name. An unknown name reads as UTC: a page must not fail over a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    pub const UTC: Self = Self(Tz::UTC);

    pub fn named(name: &str) -> Self {
        Self(name.parse().unwrap_or(Tz::UTC))
    }

    pub fn name(self) -> &'static str {
        self.0.name()
    }

    fn written(self, at: DateTime<Utc>, way: &Written) -> String {
        at.with_timezone(&self.0)
            .format_with_items(way.iter())
            .to_string()
    }

    pub fn show(self, at: impl Into<DateTime<Utc>>) -> When {
        let at = at.into();
        When {
            iso: iso(at),
            text: self.text(at),
        }
    }

    /// `22 Nov 2026, 17:05`, in the reader's zone: for sentences and options, where no element can stand.
    pub fn text(self, at: impl Into<DateTime<Utc>>) -> String {
        self.written(at.into(), &SHORT)
    }

    /// With seconds, for logs and live pages.
    pub fn precise(self, at: impl Into<DateTime<Utc>>) -> When {
        let at = at.into();
        When {
            iso: iso(at),
            text: self.written(at, &PRECISE),
        }
    }

    /// In the reader's zone and in UTC, where a mistake of an hour would hurt (scheduled starts, deadlines).
    pub fn both(self, at: impl Into<DateTime<Utc>>) -> When {
        let at = at.into();
        let text = if self == Self::UTC {
            format!("{} UTC", self.text(at))
        } else {
            let (here, utc) = (self.written(at, &ZONED), at.format("%H:%M"));
            format!("{here} ({utc} UTC)")
        };
        When { iso: iso(at), text }
    }

    /// What a `datetime-local` field holds for this instant.
    pub fn field(self, at: impl Into<DateTime<Utc>>) -> String {
        self.written(at.into(), &FIELD)
    }

    /// What stands in a `datetime-local` field, as the clocks of the zone would show it; `None` for no date.
    pub fn local(self, text: &str) -> Option<NaiveDateTime> {
        let text = text.trim();
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M"))
            .ok()
            // A leap second is a second that no clock on a wall shows.
            .filter(|local| YEARS.contains(&local.year()) && local.nanosecond() < 1_000_000_000)
    }

    /// The instant of a `datetime-local` field, where an hour more or less does not matter: of two instants with one
    /// local time the earlier; `None` for no date, or one that the clocks skip.
    pub fn parse_field(self, text: &str) -> Option<DateTime<Utc>> {
        let local = self.local(text)?;
        let at = self.0.from_local_datetime(&local).earliest()?;
        Some(at.with_timezone(&Utc))
    }

    /// `CEST`: what the zone calls its time then.
    pub fn abbreviation(self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.0).format("%Z").to_string()
    }

    pub fn tz(self) -> Tz {
        self.0
    }
}

fn iso(at: DateTime<Utc>) -> String {
    at.format_with_items(ISO.iter()).to_string()
}

/// A `<time>` element.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "ui/time.html")]
pub struct When {
    pub iso: String,
    pub text: String,
}
impl HtmlSafe for When {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_the_readers_zone() {
        let at = Utc.with_ymd_and_hms(2026, 7, 1, 22, 30, 5).unwrap();
        let berlin = Zone::named("Europe/Berlin");
        assert_eq!(
            berlin.show(at).to_string(),
            r#"<time datetime="2026-07-01T22:30:05Z">2 Jul 2026, 00:30</time>"#
        );
        assert_eq!(berlin.both(at).text, "2 Jul 2026, 00:30 CEST (22:30 UTC)");
        assert_eq!(
            Zone::named("No/Such").both(at).text,
            "1 Jul 2026, 22:30 UTC"
        );
        assert_eq!(
            berlin.local(" 2026-07-02T00:30 ").unwrap().to_string(),
            "2026-07-02 00:30:00"
        );
        assert_eq!(berlin.parse_field("2026-03-29T02:30"), None);
        assert_eq!(berlin.local("tomorrow"), None);
        assert_eq!(berlin.local("2026-02-30T10:00"), None);
        assert_eq!(berlin.local("2016-12-31T23:59:60"), None);
        for year in ["-262143", "+262142", "1969", "9999"] {
            assert_eq!(berlin.local(&format!("{year}-01-01T00:00")), None);
        }
        assert_eq!(berlin.abbreviation(at), "CEST");
        assert_eq!(berlin.field(at), "2026-07-02T00:30");
    }

    #[test]
    fn zones_to_choose_from_exist() {
        for zone in ZONES {
            assert_eq!(Zone::named(zone).name(), zone);
        }
    }
}
