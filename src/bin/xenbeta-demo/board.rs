//! Bugs, questions and answers of the demo: a few in each state, days old.

use xenbeta::app::App;
use xenbeta::app::bug::Report;
use xenbeta::app::bug::triage::Decision;
use xenbeta::app::error::AppError;
use xenbeta::app::faq::EntryText;
use xenbeta::domain::bug::{BugState, Component, Severity};
use xenbeta::domain::ids::BugId;
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::domain::values::Invalid;
use xenbeta::store;

use super::account::{MEMBER, OTHER, STAFF};
use super::fleet::{DAY_S, actor, ago};
use crate::Failure;

struct Sample {
    title: &'static str,
    happened: &'static str,
    expected: &'static str,
    component: Component,
    severity: Severity,
    /// The states it went through, after `new`.
    states: &'static [BugState],
    replies: &'static [(&'static str, &'static str)],
}

const SAMPLES: [Sample; 4] = [
    Sample {
        title: "Clock is some seconds behind after the move",
        happened: "After the move to Xen `date` was **4 seconds** behind.\nntpd refused to correct it at once.",
        expected: "The same time as before.",
        component: Component::Kernel,
        severity: Severity::Medium,
        states: &[BugState::Confirmed, BugState::Fixed],
        replies: &[
            (STAFF, "We see it on one host. Does it stay after a reboot?"),
            (MEMBER, "No, after a reboot it is right."),
            (
                STAFF,
                "The hosts set their clocks before a guest starts now. Please tell us if it comes back.",
            ),
        ],
    },
    Sample {
        title: "updatedb makes every Linode of the host slow at night",
        happened: "From 04:00 on, disk reads take ten times as long.",
        expected: "Others' jobs should not show on mine.",
        component: Component::Performance,
        severity: Severity::High,
        states: &[BugState::Confirmed, BugState::InProgress],
        replies: &[(
            STAFF,
            "We are trying other I/O classes for this on one host.",
        )],
    },
    Sample {
        title: "Disk is slow at four in the morning",
        happened: "A backup that took five minutes takes an hour.",
        expected: "",
        component: Component::Disk,
        severity: Severity::None,
        states: &[],
        replies: &[],
    },
    Sample {
        title: "No eth0 after the boot with my own kernel modules",
        happened: "The guest came up without `eth0`:\n\n```\nnet eth0: failed to connect to the backend\n```",
        expected: "A network card, as with the provider's modules.",
        component: Component::Network,
        severity: Severity::None,
        states: &[],
        replies: &[],
    },
];

const ENTRIES: [(&str, &str); 3] = [
    (
        "Do I have to change anything on my Linode?",
        "No. Its disk images, config profiles and addresses move as they are. Before the click you see what will differ: device \
         names, the console and, for a 2.4 kernel, the kernel.",
    ),
    (
        "May I switch “Disable /lib/tls” off?",
        "Yes, in the config profile. Your programs then use NPTL, **which is slower** under Xen with an ordinary libc. A libc built \
         for Xen has neither problem.",
    ),
    (
        "How do I get back?",
        "Until you confirm the move, or its days are over, its page has a button for the way back. What was written in the \
         meantime comes along.",
    ),
];

fn bad(why: Invalid) -> Failure {
    why.0.into()
}

/// Puts them in.
pub fn put_in(app: &App) -> Result<(), Failure> {
    let staff = actor(app, STAFF)?;
    let (member, other) = (actor(app, MEMBER)?, actor(app, OTHER)?);
    let mut opened: Vec<BugId> = Vec::new();
    for (number, sample) in SAMPLES.iter().enumerate() {
        let day = 12 - 3 * i64::try_from(number)?;
        let then = ago(app, day * DAY_S);
        let who = if number % 2 == 0 { &member } else { &other };
        let report = Report {
            title: Title::parse(sample.title).map_err(bad)?,
            happened: Markdown::parse(sample.happened, 10_000).map_err(bad)?,
            expected: Markdown::parse(sample.expected, 10_000).map_err(bad)?,
            reproduce: Markdown::default(),
            component: sample.component,
            linode: None,
            migration: None,
            keep: Vec::new(),
            seen: String::new(),
            files: Vec::new(),
            once: format!("demo-bug-{number}"),
        };
        let id = then.open_bug(who, &report)?;
        opened.push(id);
        for (count, (email, text)) in sample.replies.iter().enumerate() {
            let by = actor(app, email)?;
            let body = Markdown::parse(text, 10_000).map_err(bad)?;
            let once = format!("demo-reply-{number}-{count}");
            let later = ago(app, day * DAY_S - 7000 * (1 + i64::try_from(count)?));
            later.reply_to_bug(&by, id, &body, &[], (&once, *email == STAFF))?;
        }
        for (count, state) in sample.states.iter().enumerate() {
            let later = ago(app, day * DAY_S - 30_000 * (1 + i64::try_from(count)?));
            decide(&later, &staff, id, *state, sample, None)?;
        }
    }
    // The third says what the second does.
    if let [_, second, third, ..] = *opened
        && let Some(sample) = SAMPLES.get(2)
    {
        decide(
            &ago(app, 2 * DAY_S),
            &staff,
            third,
            BugState::Duplicate,
            sample,
            Some(second),
        )?;
        app.hit_by_bug(&member, second, true)?;
    }
    for (question, answer) in ENTRIES {
        let then = ago(app, 10 * DAY_S);
        let text = EntryText {
            question: Title::parse(question).map_err(bad)?,
            answer: Markdown::parse(answer, 10_000).map_err(bad)?,
            dated_at: then.now(),
        };
        then.add_faq(&staff, &text)?;
    }
    let question = "Will there be snapshots of disk images on Xen?";
    let question = Markdown::parse(question, 1000).map_err(bad)?;
    ago(app, DAY_S).ask(&other, &question, "demo-question-1")?;
    Ok(())
}

fn decide(
    app: &App,
    staff: &xenbeta::app::context::Actor,
    id: BugId,
    state: BugState,
    sample: &Sample,
    duplicate_of: Option<BugId>,
) -> Result<(), Failure> {
    let bug = app
        .db
        .read(|conn| store::bug::bug(conn, id))?
        .ok_or(AppError::NotFound)?;
    let decision = Decision {
        state,
        severity: sample.severity,
        component: sample.component,
        duplicate_of,
        version: bug.version,
    };
    Ok(app.triage_bug(staff, id, &decision)?)
}
