//! The words of a text, for searching: the same for what is stored and for what is asked, on both databases. A question is a
//! list of words and nothing else, so that no database ever reads it as a language of its own.

/// Words of a stored text that are kept, and of a question.
const MOST_STORED: usize = 6000;
pub const MOST_ASKED: usize = 12;
const LONGEST: usize = 40;

/// So common that they tell nothing of a bug.
const EMPTY: [&str; 48] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "did", "do", "does", "for",
    "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "my", "no", "not",
    "of", "on", "or", "so", "that", "the", "then", "there", "this", "to", "was", "we", "what",
    "when", "which", "while", "why", "will", "with", "you",
];

fn plain(c: char) -> char {
    match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        c => c,
    }
}

fn all(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.chars()
                .flat_map(char::to_lowercase)
                .filter(|c| c.is_alphanumeric())
                .map(plain)
                .take(LONGEST)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
}

/// What is stored of a text: its words, with single spaces between.
#[must_use]
pub fn stored(text: &str) -> String {
    all(text).take(MOST_STORED).collect::<Vec<_>>().join(" ")
}

/// The words of a question, in order, each once. Those that say nothing are left out unless there are no others.
#[must_use]
pub fn asked(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in all(text).take(200) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let telling: Vec<String> = words
        .iter()
        .filter(|word| !EMPTY.contains(&word.as_str()))
        .cloned()
        .collect();
    let mut kept = if telling.is_empty() { words } else { telling };
    kept.truncate(MOST_ASKED);
    kept
}

/// A name for an address, from a line of text: "Why does NPTL matter?" is `why-does-nptl-matter`.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for word in all(text) {
        let word: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        if word.is_empty() || slug.len() + word.len() > 60 {
            continue;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word);
    }
    if slug.is_empty() {
        "entry".to_owned()
    } else {
        slug
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_its_words() {
        assert_eq!(
            stored("Disk /dev/xvda: *Ölgötter*\n<b>ENOSPC</b> -- 100%"),
            "disk dev xvda olgotter b enospc b 100"
        );
        assert_eq!(stored("'\"\0\u{202e};--"), "");
        assert!(stored(&"a ".repeat(100_000)).len() <= 2 * MOST_STORED);
    }

    #[test]
    fn a_question_is_words_and_nothing_else() {
        assert_eq!(
            asked("the disk OR (title:\"x\" NEAR/2 y*) & !z -disk"),
            ["disk", "title", "x", "near", "2", "y", "z"]
        );
        assert_eq!(asked("to be or not to be"), ["to", "be", "or", "not"]);
        assert!(
            asked("'); DROP TABLE bugs; --")
                .iter()
                .all(|word| word.chars().all(char::is_alphanumeric))
        );
        assert_eq!(
            asked(&(0..1000).map(|n| format!("w{n} ")).collect::<String>()).len(),
            MOST_ASKED
        );
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(
            slug("Why does “Disable /lib/tls” matter?"),
            "why-does-disable-lib-tls-matter"
        );
        assert_eq!(slug("日本語"), "entry");
        assert!(slug(&"long ".repeat(100)).len() <= 60 + 12);
    }
}
