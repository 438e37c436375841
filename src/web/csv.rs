//! Files for spreadsheets. A short one is made whole; a list of any length is read and sent page by page, so that it is whole
//! whatever its length, and takes no more memory than a page. A file that could not be finished says so in its last line.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::stream::{once, unfold};
use futures_util::{Stream, StreamExt};

use super::fault::{Fault, Response, Result};
use super::portal::{self, Portal};
use crate::domain::text::unreadable;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::StoreError;

/// Rows that are read at once.
pub const PAGE: i64 = 1000;

pub type Record = Vec<String>;

/// A page of an export: its rows, and the key to go on from; `None` after the last.
pub struct Part<K> {
    pub rows: Vec<Record>,
    pub next: Option<K>,
}

impl<K> Part<K> {
    /// `found` was asked for with [`PAGE`] as its limit: a full page may have another one after it.
    pub fn of<T>(found: &[T], key: impl Fn(&T) -> K, record: impl Fn(&T) -> Record) -> Self {
        let full = i64::try_from(found.len()).is_ok_and(|count| count >= PAGE);
        Self {
            rows: found.iter().map(record).collect(),
            next: found.last().filter(|_| full).map(key),
        }
    }
}

/// Spreadsheets run what begins like a formula, some also behind blanks, and in the full-width letters of East Asia.
pub fn unformula(text: &str) -> String {
    let is_blank =
        |c: char| c.is_whitespace() || unreadable(c) || matches!(c, '\u{200b}' | '\u{2060}');
    let first = text.trim_start_matches(is_blank).chars().next();
    let runs = first.is_some_and(|c| "=+-@＝＋－＠".contains(c));
    if runs || text.starts_with(['\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// A moment, as spreadsheets read it.
pub fn time(at: Time) -> String {
    at.utc().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What begins like a formula must have gone through [`unformula`].
pub fn file<R: IntoIterator<Item = String>>(
    name: &str,
    names: &[impl AsRef<[u8]>],
    rows: impl Iterator<Item = R>,
) -> Response {
    let mut out = writer();
    out.write_record(names).map_err(Fault::internal)?;
    for row in rows {
        out.write_record(row).map_err(Fault::internal)?;
    }
    let body = out
        .into_inner()
        .map_err(|fault| Fault::internal(fault.to_string()))?;
    Ok(answer(name).body(body))
}

/// Every field stands in quotes: where `;` separates, a bare one that has it would become two, and the second could be a formula.
fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .flexible(true)
        .from_writer(Vec::new())
}

fn answer(name: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/csv; charset=utf-8")
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ));
    answer
}

pub(super) fn bytes<R: AsRef<[u8]>>(rows: &[Vec<R>]) -> Result<Bytes> {
    let mut out = writer();
    for row in rows {
        out.write_record(row).map_err(Fault::internal)?;
    }
    let body = out.into_inner();
    Ok(Bytes::from(
        body.map_err(|fault| Fault::internal(fault.to_string()))?,
    ))
}

type Read<K> = Arc<dyn Fn(&mut Db, Option<K>) -> Result<Part<K>, StoreError> + Send + Sync>;

/// A list of any length. `read` gives the page after a key, the first one for `None`; it is asked when the reader of the file
/// is ready for more, each time with a connection of its own.
///
/// # Errors
/// Those of the first page, in time to answer with an error page.
pub async fn list<K: Clone + Send + 'static>(
    portal: Portal,
    name: &str,
    names: &[&str],
    read: impl Fn(&mut Db, Option<K>) -> Result<Part<K>, StoreError> + Send + Sync + 'static,
) -> Response {
    let read: Read<K> = Arc::new(read);
    let first = part(&portal, &read, None).await?;
    let head = bytes(&[names.to_vec()])?;
    let rows = bytes(&first.rows)?;
    let start = once(async move { Ok(Bytes::from([head, rows].concat())) });
    Ok(answer(name).streaming(start.chain(rest(portal, read, first.next))))
}

async fn part<K: Send + 'static>(
    portal: &Portal,
    read: &Read<K>,
    after: Option<K>,
) -> Result<Part<K>> {
    let read = Arc::clone(read);
    portal::read(portal, move |conn| read(conn, after)).await
}

/// How far an export is.
enum Stands<K> {
    From(K),
    /// It said that it is not whole, and is broken off, so that whoever fetches it sees that too.
    Broken,
}

fn rest<K: Clone + Send + 'static>(
    portal: Portal,
    read: Read<K>,
    next: Option<K>,
) -> impl Stream<Item = Result<Bytes>> {
    unfold(next.map(Stands::From), move |stands| {
        let (portal, read) = (portal.clone(), Arc::clone(&read));
        async move {
            let after = match stands? {
                Stands::From(after) => after,
                Stands::Broken => {
                    let fault = Fault::internal("an export was broken off".to_owned());
                    return Some((Err(fault), None));
                }
            };
            let found = part(&portal, &read, Some(after)).await;
            let made = found.and_then(|part| Ok((bytes(&part.rows)?, part.next)));
            match made {
                Ok((bytes, next)) => Some((Ok(bytes), next.map(Stands::From))),
                Err(fault) => {
                    tracing::error!(%fault, "an export could not be finished");
                    let said = "This file is not whole: a fault ended it here. Fetch it again.\n";
                    Some((Ok(Bytes::from(said)), Some(Stands::Broken)))
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_taken_apart() {
        assert_eq!(unformula("=1+1"), "'=1+1");
        assert_eq!(unformula("-web"), "'-web");
        for hidden in [
            "\n=1+1",
            "\u{a0}=1+1",
            " \t@x",
            "\u{200b}=1",
            "＝1+1",
            "\u{3000}＋1",
        ] {
            assert_eq!(unformula(hidden), format!("'{hidden}"));
        }
        // Where `;` separates, a field is one field.
        let row = bytes(&[vec!["x;=HYPERLINK(\"https://evil.example\",\"y\")", "12"]]).unwrap();
        assert_eq!(
            &row[..],
            b"\"x;=HYPERLINK(\"\"https://evil.example\"\",\"\"y\"\")\",\"12\"\n"
        );
        assert_eq!(unformula("web"), "web");
    }

    #[test]
    fn a_full_page_may_have_another() {
        let some = vec![7_i64; usize::try_from(PAGE).unwrap_or(0)];
        let record = |it: &i64| vec![it.to_string()];
        assert_eq!(Part::of(&some, |it| *it, record).next, Some(7));
        let less = some.get(1..).unwrap_or(&[]);
        assert_eq!(Part::of(less, |it| *it, record).next, None);
    }
}
