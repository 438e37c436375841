//! Somebody with a browser: goes to either portal, is signed in again when a session ended, and sends forms twice now
//! and then, to both portals at the same moment or again a little later.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use scraper::{Html, Selector};

use super::tally::PATIENCE;
use super::town::Town;
use crate::browser::{Reply, encode, multipart};
use crate::random::Random;

pub struct Client<'a> {
    pub town: &'a Town,
    pub random: Random,
    pub email: String,
    /// The last one that it may have; where an answer was lost, the one before counts perhaps.
    pub passwords: Vec<String>,
    /// Where it comes from, as a proxy says it.
    address: String,
    agent: ureq::Agent,
    cookies: BTreeMap<String, String>,
}

/// What is sent: a form's type and bytes; nothing of one is a look.
type Sent<'a> = Option<&'a (String, Vec<u8>)>;

pub fn links(page: &Reply) -> Vec<String> {
    let html = Html::parse_document(&page.body);
    let anchors = Selector::parse("main a[href]").unwrap();
    let all = html.select(&anchors).filter_map(|it| it.attr("href"));
    all.filter(|it| it.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

/// The page of one thing: a path, and its number.
pub fn numbered(path: &str, before: &str) -> bool {
    path.strip_prefix(before)
        .is_some_and(|id| id.parse::<i64>().is_ok())
}

/// A path with `{}` for what differs.
fn kind(method: &str, path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let words = path.split('/').map(|word| {
        let differs = word.len() > 30 || word.starts_with(|it: char| it.is_ascii_digit());
        if differs { "{}" } else { word }
    });
    format!("{method} {}", words.collect::<Vec<_>>().join("/"))
}

impl<'a> Client<'a> {
    pub fn new(town: &'a Town, number: u64, email: &str, password: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A connection that was kept is cut by a restart.
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        Self {
            town,
            random: Random::new(town.seed.wrapping_add(number)),
            email: email.to_owned(),
            passwords: vec![password.to_owned()],
            address: format!("198.51.100.{}", number % 250 + 1),
            agent,
            cookies: BTreeMap::new(),
        }
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    pub fn any<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.random.index(of.len())].clone())
    }

    /// One of a page's links that are so.
    pub fn any_link(&mut self, page: &Reply, is: impl Fn(&str) -> bool) -> Option<String> {
        let all: Vec<String> = links(page).into_iter().filter(|it| is(it)).collect();
        self.any(&all)
    }

    fn pause(&mut self) {
        if self.town.is_over() {
            return;
        }
        let (least, more) = self.town.pause_ms;
        thread::sleep(Duration::from_millis(least + self.random.below(more)));
    }

    /// One request to one portal.
    fn send(
        &self,
        portal: usize,
        path: &str,
        sent: Sent<'_>,
    ) -> Option<(Reply, Vec<(String, String)>)> {
        let base = format!("http://{}", self.town.portals[portal]);
        let cookie: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let asked = Instant::now();
        let url = format!("{base}{path}");
        let result = match sent {
            None => self
                .agent
                .get(url)
                .header("cookie", cookie.join("; "))
                .header("x-forwarded-for", &self.address)
                .call(),
            Some((form, bytes)) => self
                .agent
                .post(url)
                .header("cookie", cookie.join("; "))
                .header("x-forwarded-for", &self.address)
                .header("origin", &base)
                .header("content-type", form)
                .send(&bytes[..]),
        };
        let got = result
            .map_err(|error| error.to_string())
            .and_then(|answer| took(path, answer));
        let name = kind(if sent.is_some() { "POST" } else { "GET" }, path);
        let (ended, why) = match &got {
            Ok((reply, _)) if reply.status >= 500 => (Ok(reply.status), reply.text()),
            Ok((reply, _)) => (Ok(reply.status), String::new()),
            Err(error) => (Err(error.clone()), path.to_owned()),
        };
        self.town
            .tally
            .answered((&name, portal), asked, &ended, &why);
        got.ok()
    }

    fn keep(&mut self, cookies: Vec<(String, String)>) {
        for (name, value) in cookies {
            if value.is_empty() {
                self.cookies.remove(&name);
            } else {
                self.cookies.insert(name, value);
            }
        }
    }

    fn ask(&mut self, path: &str, sent: Sent<'_>) -> Option<Reply> {
        self.pause();
        let portal = self.random.index(2);
        let (reply, cookies) = self.send(portal, path, sent)?;
        self.keep(cookies);
        Some(reply)
    }

    /// The same form at both portals at the same moment, or a second time later.
    fn ask_twice(&mut self, path: &str, sent: Sent<'_>) -> Vec<Reply> {
        self.pause();
        let later = Duration::from_millis(if self.chance(60) {
            0
        } else {
            self.random.below(900)
        });
        let this: &Self = self;
        let got: Vec<_> = thread::scope(|scope| {
            let second = scope.spawn(move || {
                thread::sleep(later);
                this.send(1, path, sent)
            });
            let first = this.send(0, path, sent);
            [first, second.join().expect("a client")]
                .into_iter()
                .flatten()
                .collect()
        });
        let (replies, cookies): (Vec<Reply>, Vec<_>) = got.into_iter().unzip();
        cookies.into_iter().for_each(|some| self.keep(some));
        replies
    }

    /// A page, signed in again where that ended; `None`: there is no answer, or none of use.
    pub fn get(&mut self, path: &str) -> Option<Reply> {
        let reply = self.ask(path, None)?;
        if reply.status == 303 && reply.location.starts_with("/login") && self.sign_in() {
            return self.ask(path, None).filter(|it| it.status == 200);
        }
        (reply.status == 200).then_some(reply)
    }

    /// Fills in the form whose button begins so, and sends it: was it taken?
    pub fn press(&mut self, page: &Reply, button: &str, fields: &[(&str, &str)]) -> bool {
        self.press_with(page, button, fields, None)
    }

    /// The same, with files where it takes some.
    pub fn press_with(
        &mut self,
        page: &Reply,
        button: &str,
        fields: &[(&str, &str)],
        files: Option<&[(&str, &[u8])]>,
    ) -> bool {
        let buttons = page.texts("main form button");
        let Some(label) = buttons.into_iter().find(|it| it.starts_with(button)) else {
            return false;
        };
        let (_, action, filled) = page.form(&label, fields);
        let sent = match files {
            Some(files) => multipart(&filled, files),
            None => {
                let pairs = filled
                    .iter()
                    .map(|(name, value)| format!("{name}={}", encode(value)));
                let body = pairs.collect::<Vec<_>>().join("&").into_bytes();
                ("application/x-www-form-urlencoded".to_owned(), body)
            }
        };
        let replies = if self.chance(25) {
            self.ask_twice(&action, Some(&sent))
        } else {
            self.ask(&action, Some(&sent)).into_iter().collect()
        };
        // What was done may be shown at once, as a new token is.
        let done =
            |it: &Reply| it.status == 200 || it.status == 303 && !it.location.starts_with("/login");
        replies.iter().any(done)
    }

    /// Goes to a page that asks, and says yes.
    pub fn confirm(&mut self, path: &str, fields: &[(&str, &str)]) -> bool {
        let Some(page) = self.get(path) else {
            return false;
        };
        let buttons = page.texts("main form button");
        buttons
            .first()
            .is_some_and(|button| self.press(&page, button, fields))
    }

    pub fn sign_in(&mut self) -> bool {
        for password in self.passwords.clone().iter().rev() {
            self.cookies.clear();
            let Some(page) = self.ask("/login", None).filter(|it| it.status == 200) else {
                return false;
            };
            let email = self.email.clone();
            let (_, action, filled) =
                page.form("Sign in", &[("email", &email), ("password", password)]);
            let pairs = filled
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)));
            let body = pairs.collect::<Vec<_>>().join("&").into_bytes();
            let sent = ("application/x-www-form-urlencoded".to_owned(), body);
            match self.ask(&action, Some(&sent)) {
                Some(reply) if reply.status == 303 => {
                    self.passwords = vec![password.clone()];
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
        self.town.tally.count("sign-ins refused");
        false
    }

    pub fn sign_out(&mut self) {
        if let Some(page) = self.get("/members/accounts") {
            // The layout's own form, outside of what the page is about.
            let (_, action, filled) = page.form("Sign out", &[]);
            let pairs = filled
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)));
            let body = pairs.collect::<Vec<_>>().join("&").into_bytes();
            self.ask(
                &action,
                Some(&("application/x-www-form-urlencoded".to_owned(), body)),
            );
        }
        self.cookies.clear();
    }

    /// Reads on from a page, link by link.
    pub fn crawl(&mut self, from: &str, steps: usize) {
        let mut path = from.to_owned();
        for _ in 0..steps {
            let Some(page) = self.get(&path) else {
                return;
            };
            let Some(next) = self.any(&links(&page)) else {
                return;
            };
            path = next.split('#').next().unwrap_or_default().to_owned();
        }
    }
}

fn took(
    path: &str,
    mut answer: ureq::http::Response<ureq::Body>,
) -> Result<(Reply, Vec<(String, String)>), String> {
    let cookies = answer.headers().get_all("set-cookie").iter();
    let cookies = cookies.filter_map(|it| {
        let pair = it.to_str().ok()?.split(';').next()?;
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let cookies = cookies.collect();
    let location = answer
        .headers()
        .get("location")
        .and_then(|it| it.to_str().ok());
    let location = location.unwrap_or_default().to_owned();
    let body = answer
        .body_mut()
        .read_to_vec()
        .map_err(|error| error.to_string())?;
    let reply = Reply {
        status: answer.status().as_u16(),
        path: path.to_owned(),
        location,
        headers: BTreeMap::new(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    Ok((reply, cookies))
}
