//! `/staff/programme/times`: when moves may begin by a member's choice.

use askama::Template;
use serde::Deserialize;

use crate::app::programme::move_times::span;
use crate::domain::programme::move_times::{Limits, Quiet};
use crate::domain::time::Time;
use crate::domain::time::zone::{self, Tz};
use crate::store;
use crate::web::extract::{self, Form, Staff, parse_seen};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::{Field, Input, Problems, ZONES};

const PATH: &str = "/staff/programme/times";
/// Field and name of each day, as in [`Limits::quiet`].
const DAYS: [(&str, &str); 7] = [
    ("mon", "Monday"),
    ("tue", "Tuesday"),
    ("wed", "Wednesday"),
    ("thu", "Thursday"),
    ("fri", "Friday"),
    ("sat", "Saturday"),
    ("sun", "Sunday"),
];

#[derive(Debug, Template)]
#[template(path = "staff/programme/move_times.html")]
pub struct TimesPage {
    pub page: Page,
    pub seen: String,
    pub zone: Field,
    /// The edition of the list of zones.
    pub zones: &'static str,
    pub per_hour: Field,
    pub stops_at_once: Field,
    pub quiet_cap: Field,
    pub days: Vec<Field>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimesForm {
    /// Microseconds of the last change that the form showed; empty if there was none.
    #[serde(default)]
    seen: String,
    timezone: String,
    #[serde(default)]
    per_hour: String,
    stops_at_once: String,
    #[serde(default)]
    quiet_cap_mb_s: String,
    #[serde(default)]
    mon: String,
    #[serde(default)]
    tue: String,
    #[serde(default)]
    wed: String,
    #[serde(default)]
    thu: String,
    #[serde(default)]
    fri: String,
    #[serde(default)]
    sat: String,
    #[serde(default)]
    sun: String,
}

impl TimesForm {
    fn of(limits: &Limits, seen: Option<Time>) -> Self {
        let [mon, tue, wed, thu, fri, sat, sun] = limits
            .quiet
            .map(|quiet| quiet.map(span).unwrap_or_default());
        Self {
            seen: extract::seen(seen),
            timezone: limits.zone.name().to_owned(),
            per_hour: limits.per_hour.map(|n| n.to_string()).unwrap_or_default(),
            stops_at_once: limits.stops_at_once.to_string(),
            quiet_cap_mb_s: limits
                .quiet_cap_mb_s
                .map(|n| n.to_string())
                .unwrap_or_default(),
            mon,
            tue,
            wed,
            thu,
            fri,
            sat,
            sun,
        }
    }

    fn days(&self) -> [&str; 7] {
        [
            &self.mon, &self.tue, &self.wed, &self.thu, &self.fri, &self.sat, &self.sun,
        ]
    }

    fn parse(&self) -> Result<(Limits, Option<Time>), Problems> {
        let mut problems = Problems::default();
        let zone = problems.take("timezone", self.timezone.trim().parse::<Tz>());
        let optional = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| "Enter a whole number, or nothing for no limit"),
        };
        let per_hour = problems.take("per_hour", optional(&self.per_hour));
        let quiet_cap = problems.take("quiet_cap_mb_s", optional(&self.quiet_cap_mb_s));
        let at_once = self.stops_at_once.trim().parse();
        let at_once = at_once.map_err(|_| "Enter a whole number");
        let at_once = problems.take("stops_at_once", at_once);
        let mut quiet = [None; 7];
        for ((slot, text), (name, _)) in quiet.iter_mut().zip(self.days()).zip(DAYS) {
            if let Some(parsed) = problems.take(name, hours(text)) {
                *slot = parsed;
            }
        }
        let seen = parse_seen(&self.seen);
        match (zone, per_hour, at_once, quiet_cap) {
            (Some(zone), Some(per_hour), Some(stops_at_once), Some(quiet_cap_mb_s))
                if problems.is_empty() =>
            {
                let limits = Limits {
                    zone,
                    quiet,
                    per_hour,
                    stops_at_once,
                    quiet_cap_mb_s,
                };
                Ok((limits, seen))
            }
            _ => Err(problems),
        }
    }
}

/// `08:00–18:00`, with a hyphen or a dash; nothing for none.
pub(in crate::web) fn hours(text: &str) -> Result<Option<Quiet>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let minutes = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let whole = |text: &str| {
            let digits = (1..=2).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = (whole(hours)?, whole(minutes)?);
        (minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
    };
    let ends = text.split_once(['-', '\u{2013}', '\u{2014}']);
    match ends.and_then(|(begins, ends)| minutes(begins).zip(minutes(ends))) {
        Some((begins, ends)) if begins != ends && begins < 1440 => Ok(Some(Quiet {
            begins,
            // Midnight at the end of a day is its last minute's end.
            ends: if ends == 0 { 1440 } else { ends },
        })),
        _ => Err("Enter hours like 08:00-18:00, or 22:00-06:00 over midnight, or nothing"),
    }
}

async fn present(staff: &Staff, typed: Option<TimesForm>, problems: Problems) -> Response {
    let form = if let Some(form) = typed {
        form
    } else {
        let (limits, seen) =
            portal::read(&staff.portal, store::programme::move_times::limits).await?;
        TimesForm::of(&limits, seen)
    };
    let page = staff
        .page(Area::Programme, "Times to move")
        .crumb("Programme", "/staff/programme")
        .problems(problems);
    let problems = &page.problems;
    let view = TimesPage {
        zones: zone::version(),
        zone: Field::new(
            "timezone",
            "Time zone of the quiet hours",
            Input::Words(&ZONES),
        )
        .value(&form.timezone)
        .with(problems),
        per_hour: Field::number("per_hour", "Chosen times an hour and host, at most")
            .value(&form.per_hour)
            .hint("Empty for no limit.")
            .with(problems),
        stops_at_once: Field::number(
            "stops_at_once",
            "Linodes that stop at once on a host, at most",
        )
        .value(&form.stops_at_once)
        .hint("So many can choose the same five minutes; others wait for one of these stops.")
        .with(problems),
        quiet_cap: Field::number(
            "quiet_cap_mb_s",
            "Copying in quiet hours, MB/s and host, at most",
        )
        .value(&form.quiet_cap_mb_s)
        .hint("Empty: as at any time.")
        .with(problems),
        days: DAYS
            .into_iter()
            .zip(form.days())
            .map(|((name, label), value)| {
                Field::text(name, label).value(value).short().with(problems)
            })
            .collect(),
        seen: form.seen.clone(),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/programme/times`
pub async fn show(staff: Staff) -> Response {
    present(&staff, None, Problems::default()).await
}

/// `POST /staff/programme/times`
pub async fn save(staff: Staff, form: Form<TimesForm>) -> Response {
    let (limits, seen) = match form.0.parse() {
        Ok(parsed) => parsed,
        Err(problems) => return present(&staff, Some(form.0), problems).await,
    };
    let saved = staff.submit(move |app, actor| app.set_move_times(actor, &limits, seen));
    match saved.await {
        Ok(Ok(())) => {
            let said =
                "The times are saved. Linodes whose time is in a quiet hour now stop at its end.";
            page::said(PATH, said)
        }
        Ok(Err(problems)) => present(&staff, Some(form.0), problems).await,
        Err(fault) => Err(fault.at(PATH, "Look at the times again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_as_people_type_them() {
        let quiet = |begins, ends| Ok(Some(Quiet { begins, ends }));
        assert_eq!(hours(" "), Ok(None));
        assert_eq!(hours("08:00-18:00"), quiet(480, 1080));
        assert_eq!(hours(" 8:00 – 18:00 "), quiet(480, 1080));
        assert_eq!(hours("22:00-06:30"), quiet(1320, 390));
        assert_eq!(hours("20:00-24:00"), quiet(1200, 1440));
        assert_eq!(hours("20:00-00:00"), quiet(1200, 1440));
        for foul in [
            "8-18",
            "08:00",
            "25:00-26:00",
            "08:60-09:00",
            "08:00-08:00",
            "24:00-06:00",
            "+8:00-9:00",
            "x",
            "-",
            "99999:00-1:00",
        ] {
            assert!(hours(foul).is_err(), "{foul}");
        }
    }
}
