//! Lines of a text mail, folded at words.

/// Columns after which a line is folded; RFC 5322 asks for at most 78.
const WIDTH: usize = 72;
/// Sets the signature apart for mail programs; its trailing space belongs to it.
const SIGNATURE: &str = "-- ";

/// Folds every line at spaces, keeps its indent, and never breaks a word (a link stays whole however long it is).
/// Runs of empty lines, which templates leave where a sentence was dropped, become one.
pub(super) fn wrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / WIDTH);
    let mut empty_before = true;
    for line in text.lines() {
        if line == SIGNATURE {
            out.push_str(SIGNATURE);
            out.push('\n');
            continue;
        }
        let line = line.trim_end();
        if line.is_empty() {
            if !empty_before {
                out.push('\n');
            }
            empty_before = true;
        } else {
            fold(line, &mut out);
            empty_before = false;
        }
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out.push('\n');
    out
}

fn fold(line: &str, out: &mut String) {
    let words = line.trim_start();
    // Trimming only removes from the front here, so the difference is the indent; template indents are spaces.
    let indent = " ".repeat(line.len() - words.len());
    let mut column = 0;
    for word in words.split(' ') {
        let width = word.chars().count();
        if column == 0 {
            out.push_str(&indent);
            column = indent.len();
        } else if column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_at_words_and_keeps_links_and_indents() {
        let link = format!("https://example.com/{}", "a".repeat(90));
        let text = format!("  {}\n\n\n\n{link} end\n", "word ".repeat(20).trim());
        let folded = wrap(&text);
        assert_eq!(
            folded,
            format!(
                "  {}\n  {}\n\n{link}\nend\n",
                ["word"; 14].join(" "),
                ["word"; 6].join(" ")
            )
        );
    }
}
