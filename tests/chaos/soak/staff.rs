//! What staff do all day: they decide, offer, look after hosts and what failed, triage, write, and read every list.

use std::thread;
use std::time::Duration;

use super::client::{Client, links, numbered};
use super::member::page_values;

const PAGES: [&str; 22] = [
    "/staff/",
    "/staff/registrations",
    "/staff/registrations.csv",
    "/staff/migrations",
    "/staff/held",
    "/staff/recovery",
    "/staff/hosts",
    "/staff/fairness",
    "/staff/fairness.csv",
    "/staff/bugs",
    "/staff/bugs.csv",
    "/staff/faq",
    "/staff/programme",
    "/staff/graduation",
    "/staff/graduation.csv",
    "/staff/readiness",
    "/staff/readiness.csv",
    "/staff/members",
    "/staff/mail",
    "/staff/audit",
    "/staff/audit.csv",
    "/staff/jobs",
];
const SECTIONS: [&str; 4] = ["brings", "take-part", "tested", "bugs"];
/// Who is disabled and enabled again; nobody's load hangs on it.
pub const DISABLED: &str = "m9@example.com";

impl Client<'_> {
    pub fn live_as_staff(&mut self) {
        if !self.sign_in() {
            thread::sleep(Duration::from_millis(300));
            return;
        }
        for _ in 0..10 + self.random.below(20) {
            if self.town.is_over() {
                return;
            }
            match self.random.below(100) {
                0..25 => {
                    let from = self.any(&PAGES).unwrap_or("/staff/");
                    self.crawl(from, 3);
                }
                25..45 => self.review(),
                45..55 => self.look_after_moves(),
                55..62 => self.look_after_hosts(),
                62..68 => self.graduate(),
                68..80 => self.triage(),
                80..85 => self.answer(),
                85..89 => self.write(),
                89..91 => self.empty_a_host(),
                91..94 => self.people(),
                _ => self.mails_and_trail(),
            }
        }
        if self.chance(30) {
            self.sign_out();
        }
    }

    fn review(&mut self) {
        let (query, deed) = match self.random.below(10) {
            0..2 => ("state=requested", "approve"),
            2..3 => ("state=requested", "decline"),
            3..6 => ("state=requested", "configure"),
            _ => ("state=approved&unconfigured=yes", "configure"),
        };
        let Some(list) = self.get(&format!("/staff/registrations?{query}")) else {
            return;
        };
        let ids = page_values(&list, "input[name=id]");
        let some = 1 + self.random.index(4);
        let chosen: String = ids
            .iter()
            .take(some)
            .map(|id| format!("&id={id}"))
            .collect();
        if chosen.is_empty() {
            return;
        }
        let reason = [("reason", "There is no room for it now.")];
        let fields: &[(&str, &str)] = if deed == "decline" { &reason } else { &[] };
        self.confirm(
            &format!("/staff/registrations/review?do={deed}&{query}{chosen}"),
            fields,
        );
    }

    /// What failed is tried again or given up; what is held is believed.
    pub fn look_after_moves(&mut self) {
        if let Some(list) = self.get("/staff/jobs?state=failed")
            && let Some(page) = self
                .any_link(&list, |it| numbered(it, "/staff/jobs/"))
                .and_then(|path| self.get(&path))
        {
            self.press(&page, "Try", &[]);
        }
        if let Some(list) = self.get("/staff/migrations?state=failed")
            && let Some(path) = self.any_link(&list, |it| numbered(it, "/staff/migrations/"))
        {
            let deed = if self.chance(60) { "retry" } else { "cancel" };
            let why: &[(&str, &str)] = match deed {
                "cancel" => &[("reason", "It does not go.")],
                _ => &[],
            };
            self.confirm(&format!("{path}/{deed}"), why);
        }
        if self.chance(50)
            && let Some(list) = self.get("/staff/held")
            && let Some(path) = self.any_link(&list, |it| numbered(it, "/staff/held/"))
            && self.confirm(&format!("{path}/believe"), &[])
        {
            self.town.tally.count("Linodes believed");
        }
    }

    fn hosts(&mut self) -> Vec<String> {
        let list = self
            .get("/staff/hosts")
            .map(|page| links(&page))
            .unwrap_or_default();
        list.into_iter()
            .filter(|it| numbered(it, "/staff/hosts/"))
            .collect()
    }

    /// A host that was emptied, or drained for a while, takes part again; sometimes one is drained, or its limits changed.
    pub fn look_after_hosts(&mut self) {
        let all = self.hosts();
        let Some(page) = self.any(&all).and_then(|path| self.get(&path)) else {
            return;
        };
        let state = page_values(&page, "input[name=was]")
            .into_iter()
            .next()
            .unwrap_or_default();
        if state == "draining" && self.chance(60) {
            self.press(&page, "Set the state", &[("state", "enabled")]);
        } else if state == "enabled" && self.chance(20) {
            self.press(&page, "Set the state", &[("state", "draining")]);
        } else {
            let slots = (2 + self.random.below(3)).to_string();
            self.press(&page, "Save the limits", &[("slots", &slots)]);
        }
    }

    /// Every host takes part again.
    pub fn enable_hosts(&mut self) -> bool {
        let all = self.hosts();
        let mut done = !all.is_empty();
        for path in all {
            let Some(page) = self.get(&path) else {
                return false;
            };
            if page_values(&page, "input[name=was]")
                .first()
                .is_some_and(|it| it != "enabled")
            {
                done &= self.press(&page, "Set the state", &[("state", "enabled")]);
            }
        }
        done
    }

    fn empty_a_host(&mut self) {
        let all = self.hosts();
        if let Some(path) = self.any(&all)
            && self.confirm(
                &format!("{path}/evacuate"),
                &[("why", "A disk begins to fail."), ("when", "now")],
            )
        {
            self.town.tally.count("evacuations");
        }
    }

    fn graduate(&mut self) {
        let Some(plan) = self.get("/staff/graduation") else {
            return;
        };
        let offer = links(&plan)
            .into_iter()
            .find(|it| it.starts_with("/staff/graduation/offer"));
        if let Some(path) = offer {
            self.confirm(&path, &[]);
        }
    }

    fn triage(&mut self) {
        let Some(list) = self.get("/staff/bugs") else {
            return;
        };
        let is_bug = |it: &String| numbered(it, "/staff/bugs/");
        let all: Vec<String> = links(&list).into_iter().filter(is_bug).collect();
        let Some(path) = self.any(&all) else {
            return;
        };
        let Some(page) = self.get(&path) else {
            return;
        };
        match self.random.below(10) {
            0..5 => {
                let states = [
                    "new",
                    "confirmed",
                    "in_progress",
                    "fixed",
                    "not_a_bug",
                    "duplicate",
                ];
                let state = self.any(&states).unwrap_or("new");
                let severity = self.any(&["low", "medium", "high"]).unwrap_or("low");
                let other = self.any(&all).unwrap_or_default();
                let other = other.rsplit('/').next().unwrap_or_default().to_owned();
                let of = if state == "duplicate" {
                    other.as_str()
                } else {
                    ""
                };
                self.press(
                    &page,
                    "Save",
                    &[
                        ("state", state),
                        ("severity", severity),
                        ("duplicate_of", of),
                    ],
                );
            }
            5..8 => {
                let body = self.town.word("reply");
                let taken = self.press_with(&page, "Send the reply", &[("body", &body)], Some(&[]));
                self.town.mark(("bug_posts", "body"), &body, taken);
            }
            8 => {
                let note = self.town.word("note");
                let taken = self.press(&page, "Save the note", &[("note", &note)]);
                self.town.mark(("bug_notes", "body"), &note, taken);
            }
            _ => {
                if let Some(path) = self.any_link(&page, |it| it.contains("/hide")) {
                    self.confirm(&path, &[("reason", "A password is in it.")]);
                } else {
                    self.press(&page, "Show", &[]);
                }
            }
        }
    }

    fn answer(&mut self) {
        let Some(list) = self.get("/staff/faq") else {
            return;
        };
        if let Some(path) = self.any_link(&list, |it| it.starts_with("/staff/questions/"))
            && let Some(page) = self.get(&path)
        {
            let answer = self.town.word("answer");
            let taken = self.press(&page, "Answer in private", &[("answer", &answer)]);
            self.town.mark(("faq_questions", "answer"), &answer, taken);
        } else if let Some(page) = self.get("/staff/faq/new") {
            let question = self.town.word("entry");
            let taken = self.press(
                &page,
                "Save the entry",
                &[("question", &question), ("answer", "Yes.")],
            );
            self.town
                .mark(("faq_entries", "question"), &question, taken);
        }
    }

    fn write(&mut self) {
        if self.chance(70) {
            let section = self.any(&SECTIONS).unwrap_or("bugs");
            let words = self.town.word("Words");
            if let Some(page) = self.get(&format!("/staff/programme/texts/{section}")) {
                self.press(&page, "Save the text", &[("body", &words)]);
            }
        } else if let Some(page) = self.get("/staff/programme") {
            let seats = (25 + self.random.below(3)).to_string();
            self.press(&page, "Save the programme", &[("seats", &seats)]);
        }
    }

    fn people(&mut self) {
        let Some(list) = self.get(&format!("/staff/members?q={DISABLED}")) else {
            return;
        };
        let found = links(&list)
            .into_iter()
            .find(|it| numbered(it, "/staff/members/"));
        if let Some(path) = found {
            let deed = self
                .any(&["disable", "enable", "enable", "send-reset"])
                .unwrap_or("enable");
            self.confirm(&format!("{path}/{deed}"), &[]);
        }
    }

    fn mails_and_trail(&mut self) {
        match self.random.below(3) {
            0 => {
                self.get("/staff/audit/verify");
            }
            1 => {
                self.confirm("/staff/mail/retry", &[]);
            }
            _ => self.crawl("/staff/mail", 2),
        }
    }
}
