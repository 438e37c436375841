//! The words of a text, for searching: the same for what is stored and for what is asked, on both databases. A question is a
//! list of words and nothing else, so that no database ever reads it as a language of its own.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Words of a stored text that are kept, and of a question.
const MOST_STORED: usize = 6000;
pub const MOST_ASKED: usize = 12;
const LONGEST: usize = 40;
/// Words of a name that are kept, and that are looked for.
const MOST_OF_NAME: usize = 60;
const MOST_NAME_ASKED: usize = 6;

/// So common that they tell nothing of a bug.
const EMPTY: [&str; 48] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "did", "do", "does", "for",
    "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "my", "no", "not",
    "of", "on", "or", "so", "that", "the", "then", "there", "this", "to", "was", "we", "what",
    "when", "which", "while", "why", "will", "with", "you",
];

/// A letter as it is compared: without its accents (which are letters of their own after decomposing), and those that
/// Unicode does not take apart as a reader without that keyboard would type them.
fn plain(c: char) -> &'static str {
    match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        // Turkish: the capital of either is an "I" to most keyboards.
        'ı' => "i",
        'ĸ' => "k",
        'ł' => "l",
        'ŋ' => "n",
        'þ' => "th",
        'ŧ' => "t",
        // As inside a word.
        'ς' => "σ",
        _ => "",
    }
}

/// Marks that stand on the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// A text as it is compared: "Ölgötter", "OLGOTTER" and "ölgötter" are the same, and so are "Σίσυφος" and "σισυφοσ". Done
/// here rather than by either database, which fold differently (SQLite ASCII alone, PostgreSQL by its locale).
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(text.chars()) {
        for c in c.to_lowercase().filter(|c| !is_mark(*c)) {
            match plain(c) {
                "" => out.push(c),
                plain => out.push_str(plain),
            }
        }
    }
    out
}

fn all(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let words: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(LONGEST).collect())
        .collect();
    words.into_iter()
}

/// What is stored of a text: its words, with single spaces between.
pub fn stored(text: &str) -> String {
    all(text).take(MOST_STORED).collect::<Vec<_>>().join(" ")
}

/// The words of a question, in order, each once. Those that say nothing are left out unless there are no others.
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

/// The words by which a name is found, each once.
pub fn of_name(texts: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = texts.iter().flat_map(|text| all(text)).collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(MOST_OF_NAME);
    words
}

/// A name as a whole, to be found by any part: the words of each text with single spaces between, texts by a line's end.
pub fn whole_name(texts: &[&str]) -> String {
    let words = |text: &&str| all(text).take(MOST_OF_NAME).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = texts.iter().map(words).collect();
    texts.join("\n")
}

/// A part of a name this long is found anywhere in it; a shorter one where a word begins.
pub const PART: usize = 3;

/// What somebody looks for in a name: what stood between blanks, folded, at most a few, each once. One that is shorter than
/// [`PART`] is a single word.
pub fn name_asked(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for typed in text.split_whitespace() {
        let part = all(typed).collect::<Vec<_>>().join(" ");
        if !part.is_empty() && !parts.contains(&part) && parts.len() < MOST_NAME_ASKED {
            parts.push(part);
        }
    }
    parts
}

/// A name for an address, from a line of text: "Why does NPTL matter?" is `why-does-nptl-matter`.
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
    fn letters_are_compared_without_case_and_accents() {
        for (one, other) in [
            ("Ölgötter GROẞ Straße", "olgotter gross STRASSE"),
            ("Příliš žluťoučký kůň", "PRILIS ZLUTOUCKY KUN"),
            ("İstanbul IŞIK ılık", "istanbul isik ILIK"),
            ("Σίσυφος ΣΊΣΥΦΟΣ", "σισυφοσ σίσυφος"),
            ("Łódź smørrebrød Ærø", "lodz smorrebrod aero"),
            ("Mu\u{308}ller ﬁle ①", "Müller file 1"),
            ("Ёлка", "елка"),
        ] {
            assert_eq!(stored(one), stored(other), "{one}");
        }
        assert_eq!(stored("Müller"), "muller");
        assert_eq!(
            of_name(&["Ján Ö", "jan@example.com"]),
            ["com", "example", "jan", "o"]
        );
        assert_eq!(name_asked("a b a c d e f g h").len(), MOST_NAME_ASKED);
        assert_eq!(
            whole_name(&["Ján Ö'Neil", "jan@example.com"]),
            "jan o neil\njan example com"
        );
        assert_eq!(name_asked(" Eb-01 ÁN@ex -- ö "), ["eb 01", "an ex", "o"]);
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
