//! What members do all day.

use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::client::{Client, links, numbered};
use crate::browser::Reply;
use crate::support::fleet::PASSWORD;

const PAGES: [&str; 8] = [
    "/",
    "/members/",
    "/members/xenbeta",
    "/members/bugs",
    "/members/faq",
    "/members/fairness",
    "/members/fairness.csv",
    "/members/accounts",
];
const LOG: &[u8] = b"<6>Linux version 2.6.16\n<4>eth0: link is down\n";

impl Client<'_> {
    /// Until the load is over: some acts, and sometimes signing out and in again.
    pub fn live_as_member(&mut self) {
        if !self.sign_in() {
            if self.chance(5) {
                self.forget_password();
            }
            thread::sleep(Duration::from_millis(300));
            return;
        }
        for _ in 0..4 + self.random.below(8) {
            if self.town.is_over() {
                return;
            }
            self.one_act();
        }
        if self.chance(40) {
            self.sign_out();
        }
    }

    fn one_act(&mut self) {
        match self.random.below(100) {
            0..22 => {
                let from = self.any(&PAGES).unwrap_or("/");
                self.crawl(from, 3);
            }
            22..32 => self.register(),
            32..60 => self.go_on(),
            60..68 => self.power(),
            68..76 => self.edit(),
            76..88 => self.on_the_board(),
            88..92 => self.ask_a_question(),
            92..96 => self.own_account(),
            96..98 => self.change_password(),
            _ => self.forget_password(),
        }
    }

    fn linodes(&mut self) -> Vec<String> {
        let all = self
            .get("/members/")
            .map(|page| links(&page))
            .unwrap_or_default();
        let is_one = |it: &String| numbered(it, "/members/linodes/");
        all.into_iter().filter(is_one).collect()
    }

    fn a_linode(&mut self) -> Option<(String, Reply)> {
        let all = self.linodes();
        let path = self.any(&all)?;
        let page = self.get(&path)?;
        Some((path, page))
    }

    fn register(&mut self) {
        let Some(page) = self.get("/members/xenbeta") else {
            return;
        };
        let ids = page_values(&page, "input[name=linode]");
        if let Some(id) = self.any(&ids) {
            self.press(&page, "Register", &[("linode", &id)]);
        } else if self.chance(10)
            && let Some(path) = self.any_link(&page, |it| it.ends_with("/withdraw"))
        {
            self.confirm(&path, &[]);
        }
    }

    /// The next step of a move: now, at a time, back, confirmed, cancelled.
    fn go_on(&mut self) {
        let Some((path, page)) = self.a_linode() else {
            return;
        };
        let all = links(&page);
        let offered =
            all.iter().any(|it| it.ends_with("/migrate")) || page.text().contains("Offered");
        if offered && let Some(start) = self.get(&format!("{path}/migrate")) {
            return self.start(&start);
        }
        let moves: Vec<String> = all
            .into_iter()
            .filter(|it| it.starts_with("/members/migrations/"))
            .collect();
        let Some(page) = moves.first().and_then(|it| self.get(it)) else {
            return;
        };
        if page
            .texts("main form button")
            .iter()
            .any(|it| it.starts_with("Try") || it.starts_with("Retry"))
        {
            let button = page.texts("main form button").swap_remove(0);
            self.press(&page, &button, &[]);
            return;
        }
        if let Some(way) = self.any_link(&page, |it| {
            ["/way-back", "/confirm", "/cancel", "/unschedule"]
                .iter()
                .any(|end| it.ends_with(end))
        }) {
            // Most are left in peace while they move, and few graduate.
            let often = match way.rsplit('/').next() {
                Some("way-back") => 60,
                Some("confirm") => 15,
                Some("cancel") => 12,
                _ => 30,
            };
            if self.chance(often) {
                self.confirm(&way, &[]);
            }
        }
    }

    fn start(&mut self, page: &Reply) {
        if self.chance(70) {
            self.press(page, "Migrate ", &[("when", "now")]);
        } else {
            let in_min = 2 + i64::try_from(self.random.below(3)).unwrap_or_default();
            let at = (Utc::now() + chrono::Duration::minutes(in_min))
                .format("%Y-%m-%dT%H:%M")
                .to_string();
            self.press(page, "Migrate ", &[("when", "at"), ("at", &at)]);
        }
    }

    fn power(&mut self) {
        let Some((path, page)) = self.a_linode() else {
            return;
        };
        let buttons = page.texts("main form button");
        if buttons.iter().any(|it| it.starts_with("Boot ")) {
            self.press(&page, "Boot ", &[]);
        } else if self.chance(40) {
            self.press(&page, "Reboot ", &[]);
        } else if self.chance(40) {
            self.confirm(&format!("{path}/shutdown"), &[]);
        } else {
            self.press(&page, "Read the last", &[]);
        }
    }

    fn edit(&mut self) {
        let Some((path, page)) = self.a_linode() else {
            return;
        };
        let all = links(&page);
        let of = |part: &str| -> Vec<String> {
            all.iter().filter(|it| it.contains(part)).cloned().collect()
        };
        let label = self.town.word("l");
        match self.random.below(5) {
            0 => {
                self.confirm(&format!("{path}/rename"), &[("label", &label)]);
            }
            1 => {
                if let Some(disk) = self.any(&of("/disks/")) {
                    self.confirm(&disk, &[("label", &label)]);
                }
            }
            2 => {
                if let Some(ip) = self.any(&of("/ips/")) {
                    self.confirm(&ip, &[("rdns", &format!("{label}.example.com"))]);
                }
            }
            3 => {
                let profiles: Vec<String> = of("/profiles/")
                    .into_iter()
                    .filter(|it| !it.ends_with("/new"))
                    .collect();
                if profiles.len() > 3 {
                    let last = profiles.last().cloned().unwrap_or_default();
                    self.confirm(&format!("{last}/delete"), &[]);
                } else {
                    self.confirm(&format!("{path}/profiles/new"), &[("label", &label)]);
                }
            }
            _ => {
                let profiles: Vec<String> = of("/profiles/")
                    .into_iter()
                    .filter(|it| !it.ends_with("/new"))
                    .collect();
                if let Some(profile) = self.any(&profiles)
                    && let Some(page) = self.get(&profile)
                {
                    self.press(&page, "Save the config profile", &[("comments", &label)]);
                }
            }
        }
    }

    fn on_the_board(&mut self) {
        if self.chance(35) {
            return self.open_a_bug();
        }
        let Some(list) = self.get("/members/bugs") else {
            return;
        };
        let bug = self.any_link(&list, |it| numbered(it, "/members/bugs/"));
        let Some(page) = bug.and_then(|path| self.get(&path)) else {
            return;
        };
        if self.chance(40) {
            let button = if self.chance(60) {
                "This hits me too"
            } else {
                "It does not hit me"
            };
            self.press(&page, button, &[]);
        } else {
            let body = self.town.word("reply");
            let files: &[(&str, &[u8])] = if self.chance(30) {
                &[("boot.log", LOG)]
            } else {
                &[]
            };
            let taken = self.press_with(&page, "Send the reply", &[("body", &body)], Some(files));
            self.town.mark(("bug_posts", "body"), &body, taken);
        }
    }

    fn open_a_bug(&mut self) {
        let title = self.town.word("bug");
        let Some(form) = self.get(&format!("/members/bugs/new?title={title}")) else {
            return;
        };
        let fields = [
            ("title", title.as_str()),
            ("happened", "It stood still."),
            ("expected", "That it goes on."),
        ];
        let taken = self.press_with(&form, "Open the bug", &fields, Some(&[("dmesg.txt", LOG)]));
        self.town.mark(("bugs", "title"), &title, taken);
    }

    fn ask_a_question(&mut self) {
        let Some(page) = self.get("/members/faq") else {
            return;
        };
        let question = self.town.word("question");
        let taken = self.press(&page, "Ask", &[("question", &question)]);
        self.town
            .mark(("faq_questions", "question"), &question, taken);
    }

    fn own_account(&mut self) {
        let Some(page) = self.get("/members/accounts") else {
            return;
        };
        match self.random.below(5) {
            0 => {
                let name = self.town.word("Name");
                self.press(&page, "Save profile", &[("name", &name)]);
            }
            1 => {
                self.press(&page, "Save the choice of mails", &[]);
            }
            2 => {
                self.press(&page, "End all other sessions", &[]);
            }
            3 => {
                let label = self.town.word("token");
                let taken = self.press(&page, "Make the token", &[("label", &label)]);
                self.town.mark(("api_tokens", "label"), &label, taken);
            }
            _ => {
                if let Some(path) = self.any_link(&page, |it| it.ends_with("/revoke")) {
                    self.confirm(&path, &[]);
                }
            }
        }
    }

    fn next_password(&mut self) -> String {
        let next = format!("{PASSWORD} {}", self.town.word("of"));
        // Which of the two it is shows at the next sign-in.
        self.passwords.push(next.clone());
        next
    }

    fn change_password(&mut self) {
        let Some(page) = self.get("/members/accounts") else {
            return;
        };
        let Some(old) = self.passwords.last().cloned() else {
            return;
        };
        let new = self.next_password();
        let fields = [("password", old.as_str()), ("new_password", &new)];
        if self.press(&page, "Change password", &fields) {
            self.passwords = vec![new];
        }
    }

    /// Asks for a link, waits for its mail, and follows it.
    fn forget_password(&mut self) {
        self.sign_out();
        let before = self.town.smtp.count();
        let email = self.email.clone();
        let asked = self.get("/password/forgot");
        if !asked.is_some_and(|page| self.press(&page, "Send the link", &[("email", &email)])) {
            return;
        }
        let until = Instant::now() + Duration::from_secs(8);
        let link = loop {
            let found = self
                .town
                .smtp
                .received_after(before)
                .into_iter()
                .rev()
                .find_map(|mail| {
                    let own = mail.to.contains(&email);
                    let (_, rest) = mail.text.split_once("/password/reset/").filter(|_| own)?;
                    Some(format!(
                        "/password/reset/{}",
                        rest.split_whitespace().next()?
                    ))
                });
            match found {
                Some(link) => break link,
                None if Instant::now() > until => {
                    return self.town.tally.count("links that took more than 8 s");
                }
                None => thread::sleep(Duration::from_millis(300)),
            }
        };
        if let Some(page) = self.get(&link) {
            let new = self.next_password();
            if self.press(&page, "Set the password", &[("password", &new)]) {
                self.passwords = vec![new];
                self.town.tally.count("passwords reset");
            }
        }
    }
}

/// The values of a form's fields.
pub fn page_values(page: &Reply, selector: &str) -> Vec<String> {
    let html = scraper::Html::parse_document(&page.body);
    let fields = scraper::Selector::parse(selector).unwrap();
    let all = html
        .select(&fields)
        .filter(|it| it.attr("disabled").is_none());
    all.filter_map(|it| it.attr("value"))
        .map(str::to_owned)
        .collect()
}
