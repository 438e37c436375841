//! Mails about what people wrote, for `crate::fuzz`.

use chrono::{DateTime, TimeDelta, Utc};

use super::calendar::{self, Appointment};
use super::clean::{one_line, paragraph};
use super::fields::{Board, MailFields, ResetToken};
use super::wrap::wrap;
use super::{Message, mime, render};
use crate::domain::ids::{BugId, LinodeId, MailId, MigrationId};
use crate::domain::mail::MailKind;
use crate::domain::string_enum::StringEnum;
use crate::domain::text::unreadable;
use crate::domain::time::zone::Tz;
use crate::domain::values::Email;

/// Headers that a mail has, and no others, whoever writes what.
const HEADERS: [&str; 9] = [
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Date",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// The first line is whom it goes to, the rest stands wherever people's words may. Every mail is made, its headers are its own, and no
/// line is longer than servers take.
pub(crate) fn mails(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (to, words) = text.split_once('\n').unwrap_or((&text, ""));
    let hidden = |c: char| unreadable(c) && c != '\n';
    assert!(!one_line(words).contains(unreadable) && !paragraph(words).contains(hidden));
    let kinds = MailKind::ALL;
    let kind = kinds[words.len() % kinds.len()];
    let Ok(rendered) = render::render(kind, &fields(words)) else {
        unreachable!("a template failed");
    };
    for line in wrap(words).lines() {
        let is_word = !line.trim().contains(' ');
        assert!(is_word || line.chars().count() <= 72, "{line:?}");
    }
    let Ok(to) = Email::parse(to) else {
        return;
    };
    let (date, calendar) = (at(words), calendar(to.as_str(), words));
    let message = Message::of_row(
        MailId(7),
        "lpm.example.net",
        to.as_str().to_owned(),
        date,
        rendered,
    );
    let message = message.with_calendar(words.len().is_multiple_of(2).then_some(calendar));
    let from = mime::sender("Xen <beta@lpm.example.net>");
    let Ok(from) = from else {
        unreachable!("the sender is good");
    };
    let built = mime::build(&from, &message);
    let Ok(built) = built else {
        unreachable!("{to:?}: {:?}", built.err());
    };
    let eml = built.formatted();
    let Some(end) = eml.windows(4).position(|it| it == b"\r\n\r\n") else {
        unreachable!("no end of the headers");
    };
    let head = String::from_utf8_lossy(&eml[..end]).into_owned();
    for line in head.split("\r\n") {
        let name = line.split(':').next().unwrap_or_default();
        // An address travels as it is, where servers speak SMTPUTF8.
        let is_fine = line.is_ascii() || name == "To";
        assert!(is_fine && !line.contains(['\r', '\n']), "{line:?}");
        assert!(
            line.starts_with([' ', '\t']) || HEADERS.contains(&name),
            "{line:?}"
        );
    }
    let body = String::from_utf8_lossy(&eml);
    assert!(
        body.split("\r\n")
            .all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
    );
}

fn fields(words: &str) -> MailFields {
    let own = || words.to_owned();
    MailFields {
        base_url: "https://lpm.example.net".to_owned(),
        programme: own(),
        member: own(),
        linode: own(),
        linode_id: Some(LinodeId(7)),
        migration_id: Some(MigrationId(8)),
        from_host: own(),
        to_host: own(),
        when: own(),
        until: own(),
        reason: own(),
        reset: ResetToken(own()),
        board: Board {
            bug: Some(BugId(3)),
            title: own(),
            path: "/members/bugs/3".to_owned(),
            who: own(),
            other_title: own(),
            other_path: String::new(),
        },
        ..MailFields::default()
    }
}

fn at(words: &str) -> DateTime<Utc> {
    let minutes = TimeDelta::minutes(i64::try_from(words.len()).unwrap_or(0) * 7919);
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + minutes
}

/// A calendar's file: lines of 75 octets, one event, nothing of a person's words a line of its own.
fn calendar(to: &str, words: &str) -> String {
    let zone = words.lines().next().unwrap_or_default();
    let zone = zone.parse().map_or("Europe/Vienna", Tz::name);
    let file = calendar::file(&Appointment {
        uid: "migration-7@lpm.example.net".to_owned(),
        sequence: 2,
        stamp: at(""),
        starts: at(words),
        zone,
        summary: words.to_owned(),
        description: paragraph(words),
        url: "https://lpm.example.net/members/migrations/8".to_owned(),
        organizer: "beta@lpm.example.net",
        attendee: to,
        cancelled: words.len().is_multiple_of(3),
    });
    for line in file.split("\r\n") {
        assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
    }
    for (line, most) in [
        ("BEGIN:VEVENT", 1),
        ("END:VCALENDAR", 1),
        ("\r\nATTENDEE", 1),
        ("\r\nORGANIZER", 1),
    ] {
        let count = match line.strip_prefix("\r\n") {
            Some(_) => file.matches(line).count(),
            None => file.split("\r\n").filter(|it| *it == line).count(),
        };
        assert_eq!(count, most, "{line}: {file}");
    }
    file
}
