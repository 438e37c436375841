//! What people write: titles and longer texts (Markdown), bounded and free of what only confuses a reader.

use super::text::unreadable;
use super::values::Invalid;

/// One line that names a bug or a question: 1 to 150 characters. Breaks of lines become spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    pub const MAX: usize = 150;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let spaced: String = text
            .chars()
            .filter(|c| c.is_whitespace() || !unreadable(*c))
            .collect();
        let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
        let length = line.chars().count();
        if length == 0 {
            return Err(Invalid(
                "Enter a line that says what it is about".to_owned(),
            ));
        }
        if length > Self::MAX {
            return Err(Invalid(format!(
                "Use {} characters or fewer (these are {length})",
                Self::MAX
            )));
        }
        Ok(Self(line))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text in Markdown. Its length is bounded, its lines end in `\n` alone; what it may do on a page, `web::ui::markdown`
/// decides when it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markdown(String);

impl Markdown {
    /// The longest that any caller may allow, in characters.
    pub const MAX: usize = 20_000;

    /// `most` characters or fewer; may be empty.
    pub fn parse(text: &str, most: usize) -> Result<Self, Invalid> {
        let most = most.min(Self::MAX);
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = lines
            .chars()
            .filter(|c| matches!(c, '\n' | '\t') || !unreadable(*c))
            .collect();
        let clean = clean.trim_end().trim_start_matches('\n');
        let length = clean.chars().count();
        if length > most {
            return Err(Invalid(format!(
                "Use {most} characters or fewer (these are {length})"
            )));
        }
        Ok(Self(clean.to_owned()))
    }

    /// As [`parse`](Self::parse), but not empty; `what` it is, in the words of its field.
    pub fn required(text: &str, most: usize, what: &str) -> Result<Self, Invalid> {
        let text = Self::parse(text, most)?;
        if text.is_empty() {
            return Err(Invalid(format!("Enter {what}")));
        }
        Ok(text)
    }

    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        let title = Title::parse("  Disk\r\nBcc: x@y \u{202e}gnp.exe\0 ").unwrap();
        assert_eq!(title.as_str(), "Disk Bcc: x@y gnp.exe");
        assert!(Title::parse(" \r\n ").is_err());
        assert!(Title::parse(&"ä".repeat(150)).is_ok());
        assert!(Title::parse(&"ä".repeat(151)).is_err());
    }

    #[test]
    fn a_text_keeps_its_lines_and_is_bounded() {
        let text = Markdown::parse("\r\n    code\r\nb\rc\u{7}\t.\n\n", 100).unwrap();
        assert_eq!(text.as_str(), "    code\nb\nc\t.");
        assert!(Markdown::parse("abc", 2).is_err());
        assert!(Markdown::parse(&"a".repeat(20_001), 1_000_000).is_err());
        assert!(Markdown::required(" \n ", 10, "a text").is_err());
        assert!(Markdown::parse("", 10).unwrap().is_empty());
    }
}
