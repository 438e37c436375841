//! The programs' log. What is written there comes from anywhere: forms, agents, guests, what other programs said. Whatever
//! could begin a line, move a terminal's cursor or turn a line around stands there as an escape.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing::Dispatch;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// Logs to standard error. `RUST_LOG` says what, or else all from `info` on.
pub fn to_stderr(format: Format) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    start(dispatch(format, filter, (io::stderr, is_terminal)));
}

/// Logs there, all from `info` on.
pub fn to<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(writer: W) {
    let filter = EnvFilter::new("info");
    start(dispatch(Format::Text, filter, (writer, false)));
}

fn start(dispatch: Dispatch) {
    // Whoever logs already goes on doing so.
    let _ = tracing::dispatcher::set_global_default(dispatch);
}

fn dispatch<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(
    format: Format,
    filter: EnvFilter,
    (writer, ansi): (W, bool),
) -> Dispatch {
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        Format::Text => Dispatch::new(
            log.with_ansi(ansi)
                .fmt_fields(debug_fn(field).delimited(" "))
                .with_writer(writer)
                .finish(),
        ),
        Format::Json => {
            let log = log.json().flatten_event(true);
            Dispatch::new(log.with_writer(Within(writer)).finish())
        }
    }
}

fn field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(to, "{}=", field.name())?;
    }
    write!(Escaped(to), "{value:?}")
}

/// Ends a line, is acted upon by a terminal, or changes the order in which others are read.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As Rust would write it.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(misleads) {
            let mut rest = piece.chars();
            match rest.next_back().filter(|c| misleads(*c)) {
                Some(c) => write!(self.0, "{}{}", rest.as_str(), c.escape_default())?,
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// Lines of JSON, which names by itself what ends a line; it may name the rest as well.
struct Within<W>(W);

struct Named<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Within<W> {
    type Writer = Named<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Named(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for Named<W> {
    /// Whole lines come here.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut named = String::with_capacity(text.len());
        for c in text.chars() {
            if c != '\n' && misleads(c) {
                named.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                named.push(c);
            }
        }
        self.0.write_all(named.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Any text in a line of either format, for `crate::fuzz`: it stays one line, and nothing of it misleads.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::new();
    let written = write!(Escaped(&mut Writer::new(&mut line)), "{text}");
    assert!(written.is_ok() && !line.contains(misleads), "{line:?}");
    let mut json = Named(Vec::new());
    let object = serde_json::Value::from(text.as_ref());
    let written = io::Write::write_all(&mut json, object.to_string().as_bytes());
    let line = String::from_utf8_lossy(&json.0);
    assert!(written.is_ok() && !line.contains(misleads), "{line:?}");
    assert_eq!(
        serde_json::from_str::<String>(&line).ok().as_deref(),
        Some(text.as_ref())
    );
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const BAD: &str = "a\r\n2026 ERROR forged\u{1b}[2J\u{9b}\u{202e}b\u{2028}\u{7f}";

    fn logged(format: Format, ansi: bool) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let to = (move || writer.clone(), ansi);
        let dispatch = dispatch(format, EnvFilter::new("info"), to);
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(fault = %BAD, name = BAD, said = ?BAD, number = 7, "it said {BAD}");
        });
        let kept = kept.0.lock().unwrap().clone();
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn no_value_ends_a_line_or_moves_a_cursor() {
        let text = logged(Format::Text, false);
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(misleads), "{line:?}");
        for told in [
            "it said a\\r\\n2026 ERROR forged\\u{1b}[2J\\u{9b}\\u{202e}b\\u{2028}\\u{7f}",
            " fault=a\\r\\n2026",
            "number=7",
        ] {
            assert!(line.contains(told), "{line}");
        }
        // Colours are the log's own.
        let colours = logged(Format::Text, true);
        assert!(colours.contains('\u{1b}') && !colours.contains("\u{1b}[2J"));
    }

    #[test]
    fn json_is_a_line_and_says_the_same() {
        let text = logged(Format::Json, false);
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(misleads), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(read["fault"], BAD);
        assert_eq!(read["message"], format!("it said {BAD}"));
        assert_eq!(
            (read["level"].as_str(), read["number"].as_i64()),
            (Some("INFO"), Some(7))
        );
    }
}
