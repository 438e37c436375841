//! What browsers send besides forms, and what pages make of what people wrote, for `crate::fuzz`.

use super::csrf;
use super::csv;
use super::page::{Flash, own_path};
use super::public::assets::accepts;
use super::staff::fairness::weights_form::{parse_linode, parse_rule, parse_weight};
use super::staff::graduation::offer::parse_pairs;
use super::staff::programme::move_times::hours;
use super::ui::{Problems, Zone, local_time, markdown};
use crate::domain::second_factor::Typed as Code;

/// Cookies, tokens and codes. No text is a form's token that was not made for this very secret, and what a flash says comes back.
pub(crate) fn cookies(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for value in text.split(['\n', ';']) {
        assert!(!csrf::check("a secret", value.trim()), "{value}");
        if let Some(flash) = Flash::of_cookie(value.trim()) {
            let again = Flash::of_cookie(&flash.cookie());
            let cut: String = flash.text.chars().take(400).collect();
            assert_eq!(again.map(|it| it.text), Some(cut));
        }
        match Code::parse(value) {
            Some(Code::App(code)) => assert_eq!(code.len(), 6),
            Some(Code::Recovery(code)) => {
                let again = Code::parse(&code.to_uppercase());
                assert_eq!(again, Some(Code::Recovery(code)));
            }
            None => {}
        }
    }
    let token = csrf::make(&text);
    assert!(csrf::check(&text, &token));
    assert!(!csrf::check(&format!("{text}x"), &token));
}

/// What stands in addresses and in the fields of staff's forms.
pub(crate) fn queries(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        if let Some(path) = own_path(line) {
            assert!(path.starts_with('/') && path.is_ascii() && path.len() <= 300);
            assert!(!path.contains("//") && !path.contains(['\\', '@', ':', ' ']));
        }
        let _ = (accepts(line, "br"), accepts(line, "gzip"));
        if let Some(pairs) = parse_pairs(line) {
            let written: Vec<String> = (pairs.iter())
                .map(|(linode, host)| format!("{linode}.{host}"))
                .collect();
            assert_eq!(parse_pairs(&written.join("-")).as_ref(), Some(&pairs));
        }
        if let Ok(Some(quiet)) = hours(line) {
            assert!(quiet.begins < 1440 && quiet.ends <= 1440 && quiet.begins != quiet.ends);
        }
        let mut problems = Problems::default();
        let _ = parse_rule(&mut problems, "linear", line, line);
        let _ = parse_linode(&mut problems, line);
        let _ = parse_weight(&mut problems, line);
    }
}

/// Dates and times as they are typed, in zones whose clocks skip and repeat hours. One that is taken is written so that
/// it is read again as the same moment.
pub(crate) fn times(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        for name in [
            "UTC",
            "Europe/Vienna",
            "Australia/Lord_Howe",
            "Pacific/Apia",
        ] {
            let zone = Zone::named(name);
            let mut problems = Problems::default();
            let first = local_time::parse(zone, line, "first", &mut problems);
            let second = local_time::parse(zone, line, "second", &mut problems);
            assert_eq!(first.is_some(), second.is_some(), "{line}");
            let _ = local_time::occurrence(zone, line, "", &problems);
            if let Some(at) = zone.parse_field(line) {
                // A minute is what a field shows.
                let again = zone.parse_field(&zone.field(at));
                let minutes = again.map(|again| (at - again).num_seconds());
                assert!(
                    minutes.is_some_and(|s| (0..60).contains(&s)),
                    "{line}: {at:?} {again:?}"
                );
                let _ = (zone.both(at), zone.abbreviation(at));
            }
        }
    }
}

/// Cells of a CSV, a line each. None begins like a formula, and what is read of the file is what was written.
pub(crate) fn cells(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let cells: Vec<String> = text.split('\n').map(csv::unformula).collect();
    for cell in &cells {
        let first = cell.trim_start().chars().next();
        assert!(!first.is_some_and(|c| "=+-@".contains(c)), "{cell:?}");
        assert_eq!(*cell, csv::unformula(cell), "guarded twice");
    }
    let Ok(file) = csv::bytes(std::slice::from_ref(&cells)) else {
        unreachable!("cells can be written");
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(&*file);
    let rows: Vec<Vec<String>> = reader.deserialize().filter_map(Result::ok).collect();
    assert_eq!(rows, [cells]);
}

/// Elements that Markdown becomes, with the attributes that one may have. Of a link, where it leads is looked at, too.
const TAGS: [&str; 17] = [
    "p",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "em",
    "strong",
    "del",
    "code",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre tabindex=\"0\"",
    "br",
    "hr",
];

/// What people write, as a page shows it: elements of a closed set, each closed where it belongs, links to pages, mail
/// addresses and here, and nothing that runs.
pub(crate) fn writings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for shown in [markdown::article(&text, 1), markdown::post(&text, 3)] {
        let html = shown.to_string();
        let mut open: Vec<&str> = Vec::new();
        for piece in html.split('<').skip(1) {
            let Some((tag, _)) = piece.split_once('>') else {
                unreachable!("a bare <: {html}");
            };
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{html}");
                continue;
            }
            let name = tag.split(' ').next().unwrap_or_default();
            let numbered = tag
                .strip_prefix("ol start=\"")
                .and_then(|it| it.strip_suffix('"'));
            let known = TAGS.contains(&tag);
            let is_list = numbered.is_some_and(|it| it.bytes().all(|c| c.is_ascii_digit()));
            assert!(known || is_list || leads_well(tag), "<{tag}>");
            if !matches!(name, "br" | "hr") {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?} stay open: {html}");
        assert!(
            html.len() <= 512 * 1024 + 6 * text.len() + 100,
            "{} bytes",
            html.len()
        );
    }
}

fn leads_well(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("a href=\"") else {
        return false;
    };
    let Some((url, after)) = rest.split_once('"') else {
        return false;
    };
    let outside = ["http://", "https://", "mailto:"];
    let lower = url.to_ascii_lowercase();
    match after {
        "" => (url.starts_with('/') && !url.starts_with("//")) || url.starts_with('#'),
        " rel=\"nofollow noopener noreferrer\"" => outside.iter().any(|it| lower.starts_with(it)),
        _ => false,
    }
}
