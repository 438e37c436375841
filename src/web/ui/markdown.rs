//! Markdown that people typed, made into HTML that can do nothing.
//!
//! The parser gives events; every tag that comes out is written here, from a closed set, with no attribute that is not ours.
//! Raw HTML shows as the text it is, images as their description, and a link that leads to anything but a web page, a mail
//! address or a page of this site as its words. Only this module makes a [`Rendered`], and only its type keeps a template from
//! escaping it.

use std::fmt;

use crate::domain::text::unreadable;
use askama::filters::HtmlSafe;
use askama::{FastWritable, Values};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Bytes read of a text, and written for it before no further piece is begun (one piece is at most five times as long as the
/// text).
const MOST_IN: usize = 128 * 1024;
const MOST_OUT: usize = 512 * 1024;
/// Quotes and lists within each other; deeper ones are shown as if they were this deep.
const MOST_DEPTH: usize = 12;

/// HTML that was made from Markdown here. Templates print it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered(String);

impl HtmlSafe for Rendered {}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FastWritable for Rendered {
    fn write_into(&self, dest: &mut dyn fmt::Write, _values: &dyn Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.0)?)
    }
}

/// A text of staff: an answer, an announcement. Its headings come below one of level `under` (1 for a page's own).
pub fn article(text: &str, under: u8) -> Rendered {
    render(text, under, false)
}

/// What somebody wrote into a thread. As [`article`], but every line they broke stays broken, as people paste what they saw.
pub fn post(text: &str, under: u8) -> Rendered {
    render(text, under, true)
}

fn render(text: &str, under: u8, keep_lines: bool) -> Rendered {
    let mut end = text.len().min(MOST_IN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let mut writer = Writer {
        out: String::with_capacity(text.len() + text.len() / 2),
        open: Vec::new(),
        depth: 0,
        last_heading: under.clamp(1, 5),
        under: under.clamp(1, 5),
        keep_lines,
        keys: false,
    };
    for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH) {
        writer.event(event);
        if writer.out.len() > MOST_OUT {
            writer.out.push('…');
            break;
        }
    }
    while let Some(close) = writer.open.pop() {
        writer.out.push_str(&close.text);
    }
    Rendered(writer.out)
}

/// What closes an element, and whether it counts as depth.
struct Close {
    text: String,
    deep: bool,
}

struct Writer {
    out: String,
    open: Vec<Close>,
    depth: usize,
    /// The level of the last heading written: the next one is at most one deeper, so that none is skipped.
    last_heading: u8,
    under: u8,
    keep_lines: bool,
    /// Within a block of code, where breaks of lines are not ours to set.
    keys: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => escape(&mut self.out, &text),
            Event::Code(code) => {
                self.out.push_str("<code>");
                escape(&mut self.out, &code);
                self.out.push_str("</code>");
            }
            Event::SoftBreak if self.keep_lines && !self.keys => self.out.push_str("<br>\n"),
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>\n"),
            Event::Rule => self.out.push_str("<hr>\n"),
            Event::TaskListMarker(_) => {}
        }
    }

    fn element(&mut self, open: &str, close: impl Into<String>) {
        self.out.push_str(open);
        self.open.push(Close {
            text: close.into(),
            deep: false,
        });
    }

    /// An element that can hold itself again.
    fn deep(&mut self, open: &str, close: &str) {
        self.depth += 1;
        let shown = self.depth <= MOST_DEPTH;
        self.element(
            if shown { open } else { "" },
            if shown { close } else { "" },
        );
        if let Some(last) = self.open.last_mut() {
            last.deep = true;
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.element("<p>", "</p>\n"),
            Tag::Heading { level, .. } => {
                let wanted = self.under + level as u8;
                let level = wanted.min(self.last_heading + 1).min(6);
                self.last_heading = level;
                self.element(&format!("<h{level}>"), format!("</h{level}>\n"));
            }
            Tag::BlockQuote(_) => self.deep("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(kind) => {
                self.keys = true;
                // The name of the language says nothing to a reader that the code does not.
                let (CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) = kind;
                self.element("<pre tabindex=\"0\"><code>", "</code></pre>\n");
            }
            Tag::List(None) => self.deep("<ul>\n", "</ul>\n"),
            Tag::List(Some(1)) => self.deep("<ol>\n", "</ol>\n"),
            Tag::List(Some(first)) => {
                self.deep(&format!("<ol start=\"{first}\">\n"), "</ol>\n");
            }
            Tag::Item => {
                let shown = self.depth <= MOST_DEPTH;
                self.element(
                    if shown { "<li>" } else { "" },
                    if shown { "</li>\n" } else { "\n" },
                );
            }
            Tag::Emphasis => self.element("<em>", "</em>"),
            Tag::Strong => self.element("<strong>", "</strong>"),
            Tag::Strikethrough => self.element("<del>", "</del>"),
            Tag::Link { dest_url, .. } => self.link(&dest_url),
            // Its description comes as text; the rest is not asked for and would not be shown.
            Tag::Image { .. }
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Table(_)
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => self.element("", ""),
        }
    }

    fn link(&mut self, url: &str) {
        let Some(target) = Target::of(url) else {
            return self.element("", "");
        };
        let mut open = String::from("<a href=\"");
        escape(&mut open, &target.url);
        open.push_str(if target.outside {
            "\" rel=\"nofollow noopener noreferrer\">"
        } else {
            "\">"
        });
        self.element(&open, "</a>");
    }

    fn end(&mut self, tag: TagEnd) {
        if tag == TagEnd::CodeBlock {
            self.keys = false;
        }
        if let Some(close) = self.open.pop() {
            self.out.push_str(&close.text);
            if close.deep {
                self.depth -= 1;
            }
        }
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            // They do not get in as such, but an entity can spell them.
            c if unreadable(c) && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
}

/// Where a link may lead.
struct Target {
    url: String,
    outside: bool,
}

impl Target {
    const MOST: usize = 1000;

    fn of(url: &str) -> Option<Self> {
        let plain = url
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && !"\\\"<>`'{}|^".contains(c));
        if !plain || url.is_empty() || url.len() > Self::MOST {
            return None;
        }
        let own = if let Some(anchor) = url.strip_prefix('#') {
            is_anchor(anchor)
        } else if url.starts_with('/') {
            let (path, anchor) = url.split_once('#').unwrap_or((url, "a"));
            crate::web::page::own_path(path).is_some() && is_anchor(anchor)
        } else {
            false
        };
        if own {
            return Some(Self {
                url: url.to_owned(),
                outside: false,
            });
        }
        let (scheme, rest) = url.split_once(':')?;
        let fine = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => rest.strip_prefix("//").is_some_and(is_host_and_path),
            "mailto" => is_address(rest),
            _ => false,
        };
        fine.then(|| Self {
            url: url.to_owned(),
            outside: true,
        })
    }
}

fn is_anchor(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// A host without a user's name before it (which only makes a link look like another), then anything.
fn is_host_and_path(rest: &str) -> bool {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest.get(..end).unwrap_or_default();
    !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c))
}

/// One address and nothing after it: no subject, text or further readers.
fn is_address(rest: &str) -> bool {
    rest.split_once('@').is_some_and(|(local, domain)| {
        let fine = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c))
        };
        fine(local) && fine(domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        post(text, 1).to_string()
    }

    #[test]
    fn what_people_write_reads_well() {
        assert_eq!(
            html("One *two* **three** ~~four~~ `a<b`\nnext\n\n- a\n- b\n\n3. c\n"),
            "<p>One <em>two</em> <strong>three</strong> <del>four</del> <code>a&lt;b</code><br>\nnext</p>\n\
             <ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<ol start=\"3\">\n<li>c</li>\n</ol>\n"
        );
        assert_eq!(article("a\nb", 1).to_string(), "<p>a\nb</p>\n");
        assert_eq!(
            html("```html\n<b>\n\n  x\n```"),
            "<pre tabindex=\"0\"><code>&lt;b&gt;\n\n  x\n</code></pre>\n"
        );
        assert_eq!(html("> a\n"), "<blockquote>\n<p>a</p>\n</blockquote>\n");
        assert_eq!(article("", 1).to_string(), "");
    }

    #[test]
    fn headings_stay_below_the_pages_and_skip_none() {
        assert_eq!(
            html("# a\n### b\n# c"),
            "<h2>a</h2>\n<h3>b</h3>\n<h2>c</h2>\n"
        );
        assert_eq!(article("###### deep", 2).to_string(), "<h3>deep</h3>\n");
        let all: String = (1..=6).map(|n| format!("{} h\n", "#".repeat(n))).collect();
        assert!(!article(&all, 5).to_string().contains("<h7"));
    }

    #[test]
    fn links_lead_to_pages_addresses_and_here() {
        for fine in [
            "https://example.org/a?b=c&d=%20e#f",
            "http://[::1]:8080/x",
            "HTTPS://example.org",
            "mailto:a.b+c@example.org",
        ] {
            let shown = html(&format!("[x](<{fine}>)"));
            let href = fine.replace('&', "&amp;");
            assert_eq!(
                shown,
                format!("<p><a href=\"{href}\" rel=\"nofollow noopener noreferrer\">x</a></p>\n")
            );
        }
        for own in ["/members/faq#tls", "/members/bugs?state=new", "#tls", "/"] {
            assert_eq!(
                html(&format!("[x]({own})")),
                format!("<p><a href=\"{own}\">x</a></p>\n")
            );
        }
        assert_eq!(
            html("<https://example.org>"),
            "<p><a href=\"https://example.org\" rel=\"nofollow noopener noreferrer\">https://example.org</a></p>\n"
        );
    }

    #[test]
    fn other_links_are_only_words() {
        for foul in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "&#106;avascript:alert(1)",
            "java&Tab;script:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "//evil.test",
            "/\\evil.test",
            "/%2fevil.test",
            "/%5cevil.test",
            "/..//evil.test",
            "https:evil.test",
            "https:///evil.test",
            "https://own.test@evil.test/",
            "https:\\\\evil.test",
            "mailto:a@b.test?bcc=c@d.test",
            "mailto:",
            "members",
            "?next=x",
            "#a:b",
            "blob:https://x",
            "javascript&#58;alert(1)",
            "javascript&colon;alert(1)",
            "Data:text/html,x",
            "java&#10;script:alert(1)",
            "javascript&NewLine;:alert(1)",
        ] {
            assert_eq!(html(&format!("[x](<{foul}>)")), "<p>x</p>\n", "{foul}");
            let by_name = html(&format!("[x][r]\n\n[r]: <{foul}>\n"));
            assert_eq!(by_name, "<p>x</p>\n", "{foul}");
        }
        assert!(!html("<javascript:alert(1)>").contains("href"));
        assert!(!html("[x](javascript\n:alert(1))").contains("href"));
    }

    /// Each is known to have cost some reader of Markdown a time that grows with its square, or worse.
    #[test]
    fn patterns_that_are_made_to_be_slow_are_not() {
        let patterns = [
            "[",
            "![",
            "[x](",
            "[x](<",
            "[x][",
            "[^",
            "]",
            "*a_ ",
            "**x",
            "a***b",
            "_a __",
            "`a``",
            "<a ",
            "<!--",
            "<?",
            "<![CDATA[",
            "- ",
            "> ",
            "&#",
            "\\[",
            "<a@",
            "[a]: x\n",
            "a\n\n    b\n",
            "|a",
            "~~a",
            "1) ",
        ];
        for pattern in patterns {
            let text = pattern.repeat(20_000 / pattern.len());
            let begun = std::time::Instant::now();
            html(&text);
            // As tests are built, and with others beside it: 5 ms in a release.
            assert!(
                begun.elapsed().as_millis() < 500,
                "{pattern:?}: {:?}",
                begun.elapsed()
            );
        }
    }

    #[test]
    fn html_and_images_are_text() {
        for foul in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div>\n<svg/onload=alert(1)>\n</div>",
            "<!-- --><style>*{}</style>",
            "<a href='javascript:alert(1)'>x</a>",
            "<![CDATA[<script>]]>",
            "&lt;script&gt;",
            "<x\n\n<y",
            "`<b>`",
            "[<img src=x>](https://a.test)",
            "[a](https://a.test \"'><script>\")",
            "[a](https://a.test/\"onclick=x)",
            "# <h1>\n\n    <pre>",
        ] {
            let shown = html(foul);
            for tag in shown.split('<').skip(1) {
                let name: String = tag
                    .trim_start_matches('/')
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                assert!(
                    ["p", "br", "a", "code", "pre", "h2"].contains(&name.as_str()),
                    "{foul} became {shown}"
                );
                let inside = tag.split('>').next().unwrap_or_default();
                assert!(!inside.contains("on"), "{foul} became {shown}");
            }
        }
        assert_eq!(
            html("a&#x202e;b&#8238;c&#x2066;d &#7;&#x9b;e `x&#x202e;y`"),
            "<p>abcd e <code>x&amp;#x202e;y</code></p>\n"
        );
        assert_eq!(
            html("![a cat](https://a.test/cat.png) ![b](javascript:x)"),
            "<p>a cat b</p>\n"
        );
    }

    #[test]
    fn hostile_sizes_are_bounded_and_what_is_open_is_closed() {
        let texts = [
            ">".repeat(60_000),
            "- ".repeat(60_000),
            "[".repeat(100_000),
            "*a ".repeat(40_000),
            "<".repeat(200_000),
            "&".repeat(200_000),
            format!("[a]: /{}\n\n{}", "b".repeat(900), "[a] ".repeat(20_000)),
            "ä".repeat(100_000),
        ];
        for text in texts {
            let shown = html(&text);
            assert!(shown.len() < MOST_OUT + 5 * MOST_IN, "{}", shown.len());
            assert!(shown.matches("<blockquote>").count() <= MOST_DEPTH);
            for tag in ["p", "blockquote", "ul", "li", "a", "em"] {
                let opened = shown.matches(&format!("<{tag}>")).count()
                    + shown.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, shown.matches(&format!("</{tag}>")).count(), "{tag}");
            }
        }
    }

    #[test]
    fn a_template_prints_it_as_it_is() {
        #[derive(askama::Template)]
        #[template(source = "{{ body }}{{ typed }}", ext = "html")]
        struct Page {
            body: Rendered,
            typed: &'static str,
        }
        let page = Page {
            body: post("*a* <b>", 1),
            typed: "<b>",
        };
        assert_eq!(page.to_string(), "<p><em>a</em> &lt;b&gt;</p>\n&#60;b&#62;");
    }
}
