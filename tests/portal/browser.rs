//! A browser without a screen: cookies, forms found by their button, links by their text. It talks to a real server.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use scraper::{ElementRef, Html, Selector};
use xenbeta::app::App;
use xenbeta::web::server;
use xenbeta::web::settings::Settings;

use crate::support::fleet::PASSWORD;

/// The portal's pages on a port of their own, for as long as it or a browser of it is there.
pub struct Site {
    pub base: String,
    /// `None`: another program serves them.
    pub serves: Option<Arc<Serves>>,
}

/// A server in this process, which would hold its connections to the database for as long as that runs.
pub struct Serves(ServerHandle);

impl Drop for Serves {
    fn drop(&mut self) {
        // The order to stop is given by the call; nobody waits for its end.
        drop(self.0.stop(false));
    }
}

impl Site {
    pub fn serve(app: &App) -> Self {
        Self::with(app, "127.0.0.1:0", Settings::default())
    }

    /// Behind a proxy on this machine, on every address of it where `listen` says so.
    pub fn behind_a_proxy(app: &App, listen: &str) -> Self {
        let settings = Settings {
            trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
            ..Settings::default()
        };
        Self::with(app, listen, settings)
    }

    fn with(app: &App, listen: &str, settings: Settings) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let app = app.clone();
        let (tell, handle) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = server::on(listener, app, settings).unwrap();
                tell.send(server.handle()).unwrap();
                server.await
            })
        });
        let serves = Some(Arc::new(Serves(handle.recv().unwrap())));
        Self { base, serves }
    }

    pub fn visitor(&self) -> Browser {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Browser {
            agent,
            base: self.base.clone(),
            _serves: self.serves.clone(),
            cookies: BTreeMap::new(),
            forwarded_for: String::new(),
        }
    }

    /// Somebody from there, as the proxy writes it.
    pub fn visitor_from(&self, address: impl Into<String>) -> Browser {
        Browser {
            forwarded_for: address.into(),
            ..self.visitor()
        }
    }

    /// Someone signed in.
    pub fn signed_in(&self, email: &str) -> Browser {
        let mut browser = self.visitor();
        let reply = browser.sign_in(email, PASSWORD);
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }
}

pub struct Browser {
    agent: ureq::Agent,
    base: String,
    _serves: Option<Arc<Serves>>,
    pub cookies: BTreeMap<String, String>,
    /// What a proxy adds; empty for nothing.
    pub forwarded_for: String,
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub path: String,
    pub location: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Browser {
    pub fn get(&mut self, path: &str) -> Reply {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("cookie", self.cookie());
        let reply = self.forwarded(request).call().unwrap();
        self.take(path, reply)
    }

    fn forwarded<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match self.forwarded_for.as_str() {
            "" => request,
            address => request.header("x-forwarded-for", address),
        }
    }

    /// Tries to sign in on the page for it.
    pub fn sign_in(&mut self, email: &str, password: &str) -> Reply {
        let login = self.get("/login");
        let fields = [("email", email), ("password", password)];
        self.submit(&login, "Sign in", &fields)
    }

    /// With the tag of what it has.
    pub fn get_if_changed(&mut self, path: &str, tag: &str) -> Reply {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("cookie", self.cookie())
            .header("if-none-match", tag);
        let reply = request.call().unwrap();
        self.take(path, reply)
    }

    pub fn head(&mut self, path: &str) -> Reply {
        let request = self
            .agent
            .head(format!("{}{path}", self.base))
            .header("cookie", self.cookie());
        let reply = request.call().unwrap();
        self.take(path, reply)
    }

    /// As a browser posts a form: with its cookies and its origin.
    pub fn post(&mut self, path: &str, fields: &[(String, String)]) -> Reply {
        let origin = self.base.clone();
        self.post_from(path, fields, &origin)
    }

    pub fn post_from(&mut self, path: &str, fields: &[(String, String)], origin: &str) -> Reply {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("cookie", self.cookie())
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded");
        let reply = self.forwarded(request).send(body.join("&")).unwrap();
        self.take(path, reply)
    }

    /// A call as agents make it, by this credential.
    pub fn agents_call(&mut self, path: &str, credential: &str) -> Reply {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", &format!("Bearer {credential}"))
            .header("content-type", "application/json");
        let reply = self.forwarded(request).send("{}").unwrap();
        self.take(path, reply)
    }

    /// As a browser posts a form with files: each with its field's name, its own name and its bytes.
    pub fn upload(
        &mut self,
        page: &Reply,
        button: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &[u8])],
    ) -> Reply {
        let (_, action, filled) = page.form(button, fields);
        let (kind, body) = multipart(&filled, files);
        let request = self
            .agent
            .post(format!("{}{action}", self.base))
            .header("cookie", self.cookie())
            .header("origin", &self.base)
            .header("content-type", kind);
        let reply = request.send(&body[..]).unwrap();
        self.take(&action, reply)
    }

    /// Fills in the form whose button says `button` and sends it. A field given here stands for all of that name.
    pub fn submit(&mut self, page: &Reply, button: &str, fields: &[(&str, &str)]) -> Reply {
        let (method, action, filled) = page.form(button, fields);
        if method == "post" {
            self.post(&action, &filled)
        } else {
            let query: Vec<String> = filled
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect();
            self.get(&format!("{action}?{}", query.join("&")))
        }
    }

    /// Where a 303 leads.
    pub fn follow(&mut self, reply: &Reply) -> Reply {
        assert_eq!(reply.status, 303, "{}: {}", reply.path, reply.body);
        self.get(&reply.location.clone())
    }

    /// The first event of a stream.
    pub fn first_event(&mut self, path: &str) -> serde_json::Value {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("cookie", self.cookie());
        let mut reply = request.call().unwrap();
        assert_eq!(
            reply.headers().get("content-type").unwrap(),
            "text/event-stream"
        );
        let mut text = String::new();
        let mut reader = reply.body_mut().as_reader();
        let mut piece = [0; 4096];
        while !text.contains("\n\n") {
            let count = reader.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the stream ended: {text}");
            text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        let data = text
            .split("data: ")
            .nth(1)
            .unwrap()
            .split("\n\n")
            .next()
            .unwrap();
        serde_json::from_str(data).unwrap()
    }

    /// As it stands in a request's head.
    pub fn cookie(&self) -> String {
        self.cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn take(&mut self, path: &str, mut reply: ureq::http::Response<ureq::Body>) -> Reply {
        for cookie in reply.headers().get_all("set-cookie") {
            let (name, value) = cookie
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .split_once('=')
                .unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let headers = reply
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        Reply {
            status: reply.status().as_u16(),
            path: path.to_owned(),
            location: reply
                .headers()
                .get("location")
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default(),
            headers,
            body: String::from_utf8_lossy(&reply.body_mut().read_to_vec().unwrap()).into_owned(),
        }
    }

    /// Every row's first cell, page after page.
    pub fn walk(&mut self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut page: Reply = self.get(path);
        loop {
            assert_eq!(page.status, 200, "{}", page.text());
            found.extend(page.texts("main tbody th a"));
            if page.texts("main a[rel=next]").is_empty() {
                return found;
            }
            page = self.get(&page.link("Next page"));
        }
    }
}

impl Reply {
    /// The fields of a spreadsheet's file, a line each, without the quotes that stand around every one of them.
    pub fn csv(&self) -> String {
        let mut file = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(self.body.as_bytes());
        let lines = file.records().map(|row| {
            let row = row.expect("a row");
            row.iter().collect::<Vec<_>>().join(",") + "\n"
        });
        lines.collect()
    }

    /// Status 200 and these words, as they are read.
    pub fn shows(&self, words: &[&str]) -> &Self {
        assert_eq!(self.status, 200, "{}: {}", self.path, self.text());
        self.says(words)
    }

    pub fn says(&self, words: &[&str]) -> &Self {
        let text = self.text();
        for word in words {
            assert!(
                text.contains(word),
                "{} does not say {word:?}: {text}",
                self.path
            );
        }
        self
    }

    /// Status 200, and one of these elements says each.
    pub fn shows_at(&self, selector: &str, words: &[&str]) -> &Self {
        assert_eq!(self.status, 200, "{}: {}", self.path, self.text());
        self.says_at(selector, words)
    }

    pub fn says_at(&self, selector: &str, words: &[&str]) -> &Self {
        let texts = self.texts(selector);
        for word in words {
            let found = texts.iter().any(|text| text.contains(word));
            assert!(
                found,
                "{} does not say {word:?} at {selector:?}: {texts:?} of {}",
                self.path,
                self.text()
            );
        }
        self
    }

    /// A form shown again: the summary says that there is a problem, and this stands beside the field.
    pub fn says_beside(&self, field: &str, words: &str) -> &Self {
        assert_eq!(self.status, 422, "{}: {}", self.path, self.text());
        self.says_at("#problems h2", &["There is a problem"])
            .says_at("#problems li", &[words])
            .says_at(&format!("#{field}-error"), &[words])
    }

    pub fn hides(&self, words: &[&str]) -> &Self {
        let text = self.text();
        // An error's reference is chance, and may have any word in it.
        let (text, after) = text.split_once("Reference: ").unwrap_or((&text, ""));
        let text = format!("{text} {}", after.split_once(' ').unwrap_or_default().1);
        for word in words {
            assert!(!text.contains(word), "{} says {word:?}: {text}", self.path);
        }
        self
    }

    /// The text of the page's main part, spaces made one.
    pub fn text(&self) -> String {
        let page = Html::parse_document(&self.body);
        let main = Selector::parse("main").unwrap();
        let text: String = page
            .select(&main)
            .flat_map(|main| main.text())
            .collect::<Vec<_>>()
            .join(" ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What the page is headed with; its title says the same.
    pub fn heading(&self) -> String {
        self.texts("main h1").join(" / ")
    }

    /// What the page says once, after something was done.
    pub fn said(&self) -> String {
        self.texts("main > div.note > p").join(" / ")
    }

    /// Texts of the elements, spaces made one.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let page = Html::parse_document(&self.body);
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector).map(|it| words(&it)).collect()
    }

    /// What the list of facts has by this name.
    pub fn fact(&self, name: &str) -> String {
        let names = self.texts("dl.facts dt");
        let at = names.iter().position(|it| it == name);
        let at = at.unwrap_or_else(|| panic!("{} has no fact {name:?}: {names:?}", self.path));
        self.texts("dl.facts dd").swap_remove(at)
    }

    /// The rows of the table whose caption begins so, cell by cell as they are read; none without the table.
    pub fn rows(&self, caption: &str) -> Vec<Vec<String>> {
        self.table(caption)
            .map(|(_, rows)| rows)
            .unwrap_or_default()
    }

    /// The row of it that begins with this.
    pub fn row(&self, caption: &str, name: &str) -> Vec<String> {
        let rows = self.rows(caption);
        let found = rows.iter().find(|row| row[0] == name).cloned();
        found.unwrap_or_else(|| panic!("{caption:?} has no row {name:?}: {rows:?}"))
    }

    /// One column of it, by what it is headed with.
    pub fn column(&self, caption: &str, heading: &str) -> Vec<String> {
        let Some((head, rows)) = self.table(caption) else {
            return Vec::new();
        };
        let at = head.iter().position(|it| it == heading);
        let at = at.unwrap_or_else(|| panic!("{caption:?} has no column {heading:?}: {head:?}"));
        rows.into_iter()
            .map(|mut row| row.swap_remove(at))
            .collect()
    }

    fn table(&self, caption: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
        let page = Html::parse_document(&self.body);
        let [tables, captions, heads, bodies, cell] =
            ["main table", "caption", "thead tr", "tbody tr", "th, td"]
                .map(|it| Selector::parse(it).unwrap());
        let table = page.select(&tables).find(|table| {
            let mut found = table.select(&captions);
            found
                .next()
                .is_some_and(|it| words(&it).starts_with(caption))
        })?;
        let cells = |row: ElementRef<'_>| row.select(&cell).map(|it| words(&it)).collect();
        let head = table.select(&heads).map(cells).next()?;
        let rows = table.select(&bodies).map(cells).collect();
        Some((head, rows))
    }

    /// Where the link with this text leads.
    pub fn link(&self, label: &str) -> String {
        let page = Html::parse_document(&self.body);
        let links = Selector::parse("main a").unwrap();
        let found = page.select(&links).find(|link| words(link) == label);
        found
            .unwrap_or_else(|| panic!("{} has no link {label:?}: {}", self.path, self.text()))
            .attr("href")
            .unwrap()
            .to_owned()
    }

    /// Elements that live values go to, with their text.
    pub fn live_texts(&self) -> BTreeMap<String, String> {
        let page = Html::parse_document(&self.body);
        let live = Selector::parse("[data-k]").unwrap();
        page.select(&live)
            .map(|element| {
                (
                    element.attr("data-k").unwrap().to_owned(),
                    element.text().collect(),
                )
            })
            .collect()
    }

    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let page = Html::parse_document(&self.body);
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector)
            .next()
            .and_then(|element| element.attr(name).map(str::to_owned))
    }

    pub fn token(&self) -> String {
        self.attribute("input[name=csrf]", "value").unwrap()
    }

    /// Method, action and fields of the form with this button.
    pub fn form(
        &self,
        button: &str,
        given: &[(&str, &str)],
    ) -> (String, String, Vec<(String, String)>) {
        let page = Html::parse_document(&self.body);
        let (forms, buttons) = (
            Selector::parse("form").unwrap(),
            Selector::parse("button").unwrap(),
        );
        let form = page
            .select(&forms)
            .find(|form| form.select(&buttons).any(|found| words(&found) == button));
        let form = form
            .unwrap_or_else(|| panic!("{} has no button {button:?}: {}", self.path, self.text()));
        let mut fields: Vec<(String, String)> = defaults(&form)
            .into_iter()
            .filter(|(name, _)| !given.iter().any(|(other, _)| other == name))
            .collect();
        fields.extend(
            given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let pressed = form
            .select(&buttons)
            .find(|found| words(found) == button)
            .unwrap();
        if let Some(name) = pressed.attr("name") {
            fields.push((
                name.to_owned(),
                pressed.attr("value").unwrap_or("").to_owned(),
            ));
        }
        let method = form.attr("method").unwrap_or("get").to_owned();
        (method, form.attr("action").unwrap().to_owned(), fields)
    }
}

fn words(element: &ElementRef<'_>) -> String {
    element
        .text()
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn defaults(form: &ElementRef<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for field in form.select(&Selector::parse("input, textarea, select").unwrap()) {
        let Some(name) = field.attr("name") else {
            continue;
        };
        let kind = field.attr("type").unwrap_or("text");
        let value = match field.value().name() {
            "textarea" => field
                .text()
                .collect::<String>()
                .trim_start_matches('\n')
                .to_owned(),
            "select" => {
                let options = Selector::parse("option").unwrap();
                let chosen = field
                    .select(&options)
                    .find(|option| option.attr("selected").is_some());
                chosen
                    .or_else(|| field.select(&options).next())
                    .map(|option| {
                        option
                            .attr("value")
                            .map_or_else(|| words(&option), str::to_owned)
                    })
                    .unwrap_or_default()
            }
            _ if matches!(kind, "checkbox" | "radio") && field.attr("checked").is_none() => {
                continue;
            }
            _ => field.attr("value").unwrap_or("").to_owned(),
        };
        fields.push((name.to_owned(), value));
    }
    fields
}

pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// A form with files, as browsers send it: its type, and its bytes.
pub fn multipart(filled: &[(String, String)], files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mark = "----form";
    let mut body = Vec::new();
    for (name, value) in filled.iter().filter(|(name, _)| name != "file") {
        body.extend(
            format!(
                "--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    for (name, bytes) in files {
        let name = name
            .replace('\r', "%0D")
            .replace('\n', "%0A")
            .replace('"', "%22");
        body.extend(
            format!("--{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend(format!("--{mark}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={mark}"), body)
}
