//! Where a value stands in a JSON file: from its path (`accounts[3].linodes[2].mac`) to its line. Reads only as far as
//! it must, so that it works on a file that is broken further down.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps of a path as we write it. Keys of ours have neither dots nor brackets.
pub fn steps(path: &str) -> Vec<Step> {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.strip_suffix(']')
                .and_then(|index| index.parse().ok())
                .map_or_else(|| Step::Key(part.to_owned()), Step::Index)
        })
        .collect()
}

/// The line, from 1, of the value at `path`; of the innermost thing around it that is there, if it is not.
pub fn line_of(text: &str, path: &[Step]) -> usize {
    let mut cursor = Cursor {
        bytes: text.as_bytes(),
        at: 0,
    };
    cursor.blanks();
    let mut found = cursor.at;
    for step in path {
        let entered = match step {
            Step::Key(key) => cursor.enter_key(key),
            Step::Index(index) => cursor.enter_index(*index),
        };
        match entered {
            Some(at) => found = at,
            None => break,
        }
    }
    line_at(text, found)
}

/// The line, from 1, of a byte.
#[allow(clippy::naive_bytecount, reason = "only for a file that is refused")]
pub fn line_at(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes past `wanted`, if it is next.
    fn eat(&mut self, wanted: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Goes past a string and gives back its text.
    fn string(&mut self) -> Option<String> {
        self.blanks();
        let start = self.at;
        self.eat(b'"')?;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(self.bytes.get(start..self.at)?).ok()
    }

    /// Goes past a value, whatever it is, without recursion.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.blanks();
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b',' | b':' => return None,
                _ => {
                    while self.peek().is_some_and(|byte| {
                        !byte.is_ascii_whitespace() && !b",:]}[{\"".contains(&byte)
                    }) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// From the `{` of an object to the value of its `key`.
    fn enter_key(&mut self, key: &str) -> Option<usize> {
        self.eat(b'{')?;
        loop {
            let name = self.string()?;
            self.eat(b':')?;
            self.blanks();
            if name == key {
                return Some(self.at);
            }
            self.value()?;
            self.eat(b',')?;
        }
    }

    /// From the `[` of an array to its value number `index`.
    fn enter_index(&mut self, index: usize) -> Option<usize> {
        self.eat(b'[')?;
        for _ in 0..index {
            self.value()?;
            self.eat(b',')?;
        }
        self.blanks();
        self.peek().filter(|byte| *byte != b']').map(|_| self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n \"a\": [\n  {\"b}\\\"\": \"]\",\n   \"c\": [1,\n 2]},\n  {\"c\":\n 7}\n ],\n \"d\": tr";

    fn line(path: &str) -> usize {
        line_of(TEXT, &steps(path))
    }

    #[test]
    fn finds_values() {
        assert_eq!(line(""), 1);
        assert_eq!(line("a"), 2);
        assert_eq!(line("a[0]"), 3);
        assert_eq!(line("a[0].c"), 4);
        assert_eq!(line("a[0].c[1]"), 5);
        assert_eq!(line("a[1]"), 6);
        assert_eq!(line("a[1].c"), 7);
        assert_eq!(line("d"), 9);
    }

    #[test]
    fn what_is_not_there_is_where_it_would_be() {
        assert_eq!(line("a[1].x"), 6);
        assert_eq!(line("a[9]"), 2);
        assert_eq!(line("x.y.z"), 1);
        assert_eq!(line("d.e"), 9);
    }

    #[test]
    fn no_cut_of_a_text_confuses_it() {
        for end in 0..TEXT.len() {
            for path in ["a[0].c[1]", "a[1].c", "d", "x"] {
                assert!(line_of(&TEXT[..end], &steps(path)) <= 9);
            }
        }
    }
}
