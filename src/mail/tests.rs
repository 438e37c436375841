//! Every mail as its reader gets it, and what hostile names do to it.

use chrono::{TimeZone, Utc};

use crate::domain::ids::{BugId, LinodeId, MigrationId};
use crate::domain::mail::MailKind;
use crate::domain::string_enum::StringEnum;
use crate::mail::*;

fn fields(kind: MailKind) -> MailFields {
    let back = kind == MailKind::Returned;
    let (from, to) = if back {
        ("xen-beta-1", "uml-27")
    } else {
        ("uml-27", "xen-beta-1")
    };
    MailFields {
        base_url: "https://manager.example.com".into(),
        programme: "Xen Public Beta".into(),
        member: "Ada Lovelace".into(),
        only_staff: false,
        linode: "web-01".into(),
        linodes: match kind {
            MailKind::Batch => "web-01\nweb-02\nold <mail>".into(),
            _ => String::new(),
        },
        linode_id: Some(LinodeId(17)),
        migration_id: Some(MigrationId(4)),
        from_host: from.into(),
        to_host: to.into(),
        position: Some(3),
        when: "22 Nov 2026, 16:40 CET".into(),
        begins: String::new(),
        until: "29 Nov 2026, 16:40 CET".into(),
        downtime: "about 20 seconds".into(),
        receipt: "receipt-4.json".to_owned(),
        came_back: false,
        is_held: false,
        is_over: false,
        is_off: false,
        move_off: MoveOff::default(),
        checks: match kind {
            MailKind::CheckFailed => AfterCheck::Told.told("Kernel alive\nhttpd: cannot bind <80>"),
            MailKind::TriedFirst => AfterCheck::Told.told("VFS: Cannot open root device\nKernel panic"),
            _ => CheckFields::default(),
        },
        reason: match kind {
            MailKind::CheckFailed => "http://10.0.0.7:80/ answers 200: Answered 503\nTCP port 22 of 10.0.0.7: No answer within 5 seconds".into(),
            MailKind::Declined => {
                "Its plan is not part of the beta yet.\nPlease register again in January.".into()
            }
            MailKind::TriedFirst => "Tried there: it stopped by itself after 12 s, with: Kernel panic".into(),
            MailKind::TokenMade => "backups (may read)".into(),
            MailKind::SecondFactor => "It was turned on: signing in takes a code from now on.".into(),
            MailKind::RoleChanged => "support: registrations and offers, bugs, the FAQ".into(),
            MailKind::Failed => {
                "The new host ran out of space while the disk \"data\" was copied.".into()
            }
            MailKind::Batch => "Their plan is not part of the beta yet.".into(),
            MailKind::CalledOff => "The host is taken for repairs.\nWe find another place for it.".into(),
            MailKind::Evacuation => "A disk of the host begins to fail.".into(),
            MailKind::StaffNeeded => "web is held: two hosts say that they own it\nxen3 gets no work: its ledger turned up on another machine.".into(),
            MailKind::AuditHead => format!("k1:{}", "8e".repeat(32)),
            MailKind::BugOpened => "Bug 12: no network after the move\nBug 13: eth0 is gone".into(),
            MailKind::BugReply => {
                "It is the card's driver.\nPlease boot **2.6.18** and tell us.".into()
            }
            MailKind::BugState => "Duplicate".into(),
            MailKind::QuestionAnswered => "Yes: switch \"Disable /lib/tls\" off.".into(),
            _ => String::new(),
        },
        reset: ResetToken("3b1f0c".into()),
        optional: false,
        board: board(kind),
    }
}

fn board(kind: MailKind) -> Board {
    match kind {
        MailKind::QuestionAnswered => Board {
            title: "May I use NPTL?".into(),
            path: "/members/faq/may-i-use-nptl".into(),
            ..Board::default()
        },
        MailKind::Batch => Board {
            title: "3 registrations are declined".into(),
            path: "/members/xenbeta".into(),
            ..Board::default()
        },
        MailKind::StaffNeeded => Board {
            title: "2 things wait for staff.".into(),
            path: "/staff".into(),
            ..Board::default()
        },
        MailKind::AuditHead => Board {
            title: "The audit trail's head: entry 4711".into(),
            path: "/staff/audit".into(),
            ..Board::default()
        },
        MailKind::BugOpened => Board {
            title: "2 new bugs".into(),
            path: "/staff/bugs?state=new".into(),
            ..Board::default()
        },
        MailKind::BugReply | MailKind::BugState => Board {
            title: "Bug 12: no network after the move".into(),
            bug: Some(BugId(12)),
            path: "/members/bugs/12".into(),
            who: "Sam Staff".into(),
            other_title: "Bug 7: eth0 is gone".into(),
            other_path: "/members/bugs/7".into(),
        },
        _ => Board::default(),
    }
}

fn message(kind: MailKind, fields: &MailFields) -> Message {
    let date = Utc.with_ymd_and_hms(2026, 11, 22, 15, 40, 0).unwrap();
    let rendered = render(kind, fields).unwrap();
    Message::of_row(
        MailId(12),
        "example.com",
        "ada@example.org".into(),
        date,
        rendered,
    )
}

#[test]
fn every_kind_reads_well() {
    for kind in MailKind::ALL {
        let mail = render(*kind, &fields(*kind)).unwrap();
        insta::assert_snapshot!(
            format!("{kind}_text"),
            format!("Subject: {}\n\n{}", mail.subject, mail.text)
        );
        insta::assert_snapshot!(format!("{kind}_html"), mail.html);
    }
}

#[test]
fn every_kind_is_complete_in_text_and_links_in_both() {
    for kind in MailKind::ALL {
        let mail = render(*kind, &fields(*kind)).unwrap();
        let deep: Vec<&str> = mail
            .text
            .lines()
            .filter(|line| line.starts_with("https://") && !line.ends_with("/members/"))
            .collect();
        assert!(
            !deep.is_empty(),
            "{kind}: no deep link on a line of its own"
        );
        for link in deep {
            assert!(
                mail.html.contains(&format!("href=\"{link}\"")),
                "{kind}: {link}"
            );
        }
        for line in mail.text.lines() {
            assert!(line.chars().count() <= 78, "{kind}: {line}");
        }
    }
}

#[test]
fn missing_facts_leave_no_holes() {
    for kind in MailKind::ALL {
        let bare = MailFields {
            base_url: "https://m.example.com/".into(),
            programme: "Beta".into(),
            linode: "db".into(),
            to_host: "xen-1".into(),
            ..MailFields::default()
        };
        let mail = render(*kind, &bare).unwrap();
        for hole in ["  ", " .", " ,", "()", "\n\n\n", "//members"] {
            let text = mail.text.replace("    \n", "");
            assert!(!text.contains(hole), "{kind}: {hole:?} in {text}");
        }
    }
}

#[test]
fn html_escapes_what_people_typed_and_text_keeps_it() {
    let mut fields = fields(MailKind::Declined);
    fields.linode = "<script>alert(1)</script>".into();
    fields.member = "O'Neil & \"Sons\"".into();
    fields.reason = "<img src=x>\nsecond".into();
    let mail = render(MailKind::Declined, &fields).unwrap();
    assert!(!mail.html.contains("<script>") && !mail.html.contains("<img"));
    assert!(mail.html.contains("&#60;img src=x&#62;<br>second"));
    assert!(mail.text.contains("Hello O'Neil & \"Sons\","));
    assert!(mail.text.contains("    <img src=x>\n    second"));
}

#[test]
fn a_line_break_in_a_name_reaches_neither_header_nor_paragraph() {
    let mut fields = fields(MailKind::Finished);
    fields.linode = "web\r\nBcc: everyone@example.com\r\n\r\nYou have won".into();
    fields.member = "Ada\nX-Evil: yes".into();
    let message = message(MailKind::Finished, &fields);
    let folder = tempfile::tempdir().unwrap();
    let transport = FolderTransport::new(folder.path(), "Xen beta <beta@example.com>").unwrap();
    transport.send(&message).unwrap();
    let eml = read_only_file(folder.path());
    let headers = eml.split("\r\n\r\n").next().unwrap();
    assert!(
        !headers.contains("\nBcc:") && !headers.contains("\nX-Evil"),
        "{headers}"
    );
    assert!(
        message
            .text
            .contains("web Bcc: everyone@example.com You have won")
    );
}

#[test]
fn a_header_that_was_tampered_with_is_refused_for_good() {
    let transport_folder = tempfile::tempdir().unwrap();
    let transport = FolderTransport::new(transport_folder.path(), "beta@example.com").unwrap();
    let good = message(MailKind::Approved, &fields(MailKind::Approved));
    for (to, subject) in [
        ("ada@example.org\r\nBcc: x@example.org", "fine"),
        ("ada@example.org", "fine\r\nBcc: x@example.org"),
        ("not an address", "fine"),
    ] {
        let bad = Message {
            to: to.into(),
            subject: subject.into(),
            ..good.clone()
        };
        assert!(
            matches!(transport.send(&bad), Err(SendError::Permanent(_))),
            "{bad:?}"
        );
    }
    assert_eq!(
        std::fs::read_dir(transport_folder.path()).unwrap().count(),
        0
    );
}

#[test]
fn a_repetition_is_the_same_file_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let transport = FolderTransport::new(folder.path(), "Xen beta <beta@example.com>").unwrap();
    let message = message(MailKind::Scheduled, &fields(MailKind::Scheduled));
    transport.send(&message).unwrap();
    let first = read_only_file(folder.path());
    transport.send(&message).unwrap();
    assert_eq!(first, read_only_file(folder.path()));
    insta::assert_snapshot!("eml", first.replace('\r', ""));
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let fields = fields(MailKind::PasswordReset);
    let message = message(MailKind::PasswordReset, &fields);
    assert!(message.text.contains("/password/reset/3b1f0c"));
    let shown = format!(
        "{fields:?} {message:?} {:?}",
        render(MailKind::PasswordReset, &fields)
    );
    assert!(!shown.contains("3b1f0c"), "{shown}");
}

#[test]
fn smtp_settings_that_would_leak_or_fail_are_refused() {
    let settings = SmtpSettings {
        host: "mail.example.com".into(),
        port: None,
        security: SmtpSecurity::Plain,
        username: Some("beta".into()),
        password: Some("hunter2hunter2".into()),
        root_certificate: None,
        timeout: std::time::Duration::from_secs(1),
        from: "beta@example.com".into(),
        hello_name: None,
    };
    let refused = SmtpTransport::new(&settings).err().unwrap().to_string();
    assert!(refused.contains("in clear"), "{refused}");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let local = SmtpSettings {
        host: "127.0.0.1".into(),
        ..settings.clone()
    };
    assert!(SmtpTransport::new(&local).is_ok());
    let tls = SmtpSettings {
        security: SmtpSecurity::StartTls,
        ..settings.clone()
    };
    assert!(SmtpTransport::new(&tls).is_ok());
    let half = SmtpSettings {
        password: None,
        ..tls
    };
    assert!(SmtpTransport::new(&half).is_err());
    let nobody = SmtpSettings {
        from: "beta@example.com\r\nBcc: x".into(),
        ..settings
    };
    assert!(matches!(
        SmtpTransport::new(&nobody),
        Err(SetupError::Sender(..))
    ));
}

fn read_only_file(folder: &std::path::Path) -> String {
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].extension().unwrap(), "eml");
    std::fs::read_to_string(&files[0]).unwrap()
}

/// RFC 2047, 5: a reader would decode what looks like an encoded word.
#[test]
fn a_subject_is_read_as_it_was_typed() {
    let odd = "Bug 8: =?utf-8?B?WW91ciBhY2NvdW50IGlzIGNsb3NlZA==?= ä, and on until it needs a second line";
    let mail = Message {
        subject: odd.to_owned(),
        ..message(MailKind::BugReply, &fields(MailKind::BugReply))
    };
    let folder = tempfile::tempdir().unwrap();
    let transport = FolderTransport::new(folder.path(), "beta@example.com").unwrap();
    transport.send(&mail).unwrap();
    let sent = read_only_file(folder.path());
    let subject = sent.split_once("Subject: ").unwrap().1;
    let lines: Vec<&str> = subject.split("\r\n").collect();
    let more = lines
        .iter()
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .count();
    let decoded: String = lines[..=more]
        .iter()
        .map(|line| {
            assert!(line.len() <= 76, "{line}");
            let word = line.trim().strip_prefix("=?utf-8?b?").unwrap();
            let bytes = data_encoding::BASE64
                .decode(word.strip_suffix("?=").unwrap().as_bytes())
                .unwrap();
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    assert_eq!(decoded, odd);
}

/// Some providers gave out such addresses; they travel in quotes.
#[test]
fn odd_dots_travel_in_quotes() {
    for (to, header) in [
        (
            "aki..n.0511@mobile.example",
            "\"aki..n.0511\"@mobile.example",
        ),
        ("try.this.@mobile.example", "\"try.this.\"@mobile.example"),
        (".office@example.com", "\".office\"@example.com"),
        ("ada@example.com", "ada@example.com"),
    ] {
        assert_eq!(
            crate::domain::values::Email::parse(to).unwrap().as_str(),
            to,
            "taken, and sent"
        );
        let mail = Message {
            to: to.to_owned(),
            ..message(MailKind::BugReply, &fields(MailKind::BugReply))
        };
        let folder = tempfile::tempdir().unwrap();
        let transport = FolderTransport::new(folder.path(), "beta@example.com").unwrap();
        transport.send(&mail).unwrap();
        let sent = read_only_file(folder.path());
        assert!(sent.contains(&format!("To: {header}\r\n")), "{sent}");
    }
}

#[test]
fn a_receipt_travels_byte_for_byte() {
    let text = "{\"receipt\":\n{\n  \"label\": \"wéb\"\n}\n,\"key\":\"00\"}\n";
    let mail = message(MailKind::Finished, &fields(MailKind::Finished));
    let mail = mail.with_receipt(Some(ReceiptFile {
        name: "receipt-4.json".to_owned(),
        text: text.to_owned(),
    }));
    let folder = tempfile::tempdir().unwrap();
    let transport = FolderTransport::new(folder.path(), "beta@example.com").unwrap();
    transport.send(&mail).unwrap();
    let sent = read_only_file(folder.path());
    let (_, part) = sent
        .split_once("Content-Type: application/json; name=receipt-4.json\r\n")
        .unwrap();
    let (head, body) = part.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("attachment; filename=\"receipt-4.json\""),
        "{head}"
    );
    let (body, _) = body.split_once("\r\n--").unwrap();
    let body: String = body.split_whitespace().collect();
    let bytes = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
}
