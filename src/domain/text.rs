//! What can be read of a text, and what is left out of one that a program says.

/// Characters that are not there to be read: control characters, and those that turn the direction of the text around
/// them, with which one text can be made to look like another.
pub fn unreadable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The first `limit` characters, on one line. For what programs say, where a person's text would be refused or asked for again.
pub fn line(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !unreadable(*c))
        .take(limit)
        .collect()
}

/// What is kept of a console.
pub const CONSOLE_LINES: usize = 100;
pub const CONSOLE_BYTES: usize = 16 * 1024;

/// As [`lines`], of a text whose end matters, a console above all: at most so many of its last lines, and of those so many
/// bytes. Whole lines, unless the last one alone is too long.
pub fn last_lines(text: &str, most: usize, bytes: usize) -> String {
    let all = lines(text, usize::MAX);
    let all = all.trim_end();
    let from = all.len().saturating_sub(bytes);
    let from = all.ceil_char_boundary(from);
    let mut end = all.get(from..).unwrap_or_default();
    let is_cut = from > 0 && !all.get(..from).unwrap_or_default().ends_with('\n');
    if is_cut && let Some((_, whole)) = end.split_once('\n') {
        end = whole;
    }
    let mut breaks = end.rmatch_indices('\n').map(|(at, _)| at + 1);
    let from = most.checked_sub(1).and_then(|most| breaks.nth(most));
    end.get(from.unwrap_or(0)..).unwrap_or_default().to_owned()
}

/// As [`line`], with its breaks.
pub fn lines(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !unreadable(*c))
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_console_is_its_bounded_end() {
        let kept = |text: &str| last_lines(text, CONSOLE_LINES, CONSOLE_BYTES);
        assert_eq!(kept(""), "");
        assert_eq!(kept("one\ntwo\n\n"), "one\ntwo");
        assert_eq!(kept("one\r\ntwo\u{1b}[0m\u{202e}"), "one\ntwo[0m");
        let many: Vec<String> = (0..300).map(|at| format!("line {at}")).collect();
        let end = kept(&many.join("\n"));
        assert_eq!(end.lines().count(), CONSOLE_LINES);
        assert!(end.starts_with("line 200\n") && end.ends_with("line 299"));
        let long = kept(&"é".repeat(CONSOLE_BYTES));
        assert!(long.len() <= CONSOLE_BYTES && long.len() > CONSOLE_BYTES - 2);
    }

    #[test]
    fn lines_are_whole_where_they_are_short_enough() {
        assert_eq!(last_lines("first\nsecond\nthird", 9, 12), "second\nthird");
        assert_eq!(last_lines("first\nsecond\nthird", 9, 11), "third");
        assert_eq!(last_lines("first\nsecond\nthird", 9, 5), "third");
        assert_eq!(last_lines("first\nsecond\nthird", 9, 3), "ird");
        assert_eq!(last_lines("first\nsecond\nthird", 2, 99), "second\nthird");
        assert_eq!(last_lines("first\nsecond", 1, 99), "second");
        assert_eq!(last_lines("first", 1, 99), "first");
    }
}
