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

/// As [`lines`], of a text whose end matters: at most so many of its last characters.
pub fn last_lines(text: &str, limit: usize) -> String {
    let all = lines(text, usize::MAX);
    let from = all.chars().count().saturating_sub(limit);
    all.chars().skip(from).collect()
}

/// As [`line`], with its breaks.
pub fn lines(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !unreadable(*c))
        .take(limit)
        .collect()
}
