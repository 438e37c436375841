//! What people typed, made safe for a header or a paragraph before a template sees it.

use crate::domain::text::unreadable;

/// Longest name or label that a mail repeats, in characters; longer ones are cut.
const LINE_LIMIT: usize = 200;
/// Longest free text (a reason) that a mail repeats, in characters.
const TEXT_LIMIT: usize = 4000;

/// One line without control characters: line breaks and tabs become single spaces, so that nothing typed into a name can
/// start a header or a paragraph of its own.
pub fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if breaks_line(c) { ' ' } else { c })
        .filter(|c| !unreadable(*c))
        .collect();
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LINE_LIMIT).collect()
}

/// Free text with its line breaks, without other control characters.
pub(super) fn paragraph(text: &str) -> String {
    let lines: Vec<String> = text
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .lines()
        .map(|line| {
            line.chars()
                .map(|c| if breaks_line(c) { ' ' } else { c })
                .filter(|c| !unreadable(*c))
                .collect::<String>()
        })
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n").trim().chars().take(TEXT_LIMIT).collect()
}

/// True for a header value that can not end its own line.
pub(super) fn fits_header(value: &str) -> bool {
    !value.chars().any(breaks_line)
}

fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_name_becomes_a_space() {
        assert_eq!(
            one_line("web\r\nBcc: all@example.com\u{2028}x\t y"),
            "web Bcc: all@example.com x y"
        );
        assert_eq!(one_line("\u{202e}gpj.exe"), "gpj.exe");
        assert_eq!(one_line(&"a".repeat(1000)).len(), 200);
    }

    #[test]
    fn a_reason_keeps_its_lines_and_nothing_else() {
        assert_eq!(paragraph(" one\r\ntwo\rthree\u{7} \n\n"), "one\ntwo\nthree");
    }
}
