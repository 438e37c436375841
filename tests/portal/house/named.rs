//! What the documents name is there: tests by their names, files by their paths. A promise whose test is gone is none.

use std::collections::BTreeSet;
use std::path::Path;

use super::sources;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All text in the folders, and the functions in it.
fn written() -> (String, BTreeSet<String>) {
    let mut text = String::new();
    for folder in ["src", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            text += &std::fs::read_to_string(file).unwrap();
        }
    }
    let functions = text.split("fn ").skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once(['(', '<'])?;
        Some(name.to_owned())
    });
    let functions = functions.collect();
    for file in std::fs::read_dir(root().join("packaging/ha")).unwrap() {
        text += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    (text, functions)
}

/// Each document's name with what stands in it between single backticks.
fn named() -> Vec<(String, String)> {
    let documents = std::fs::read_dir(root().join("docs")).unwrap();
    let documents = documents.map(|entry| entry.unwrap().path());
    let mut named = Vec::new();
    for path in documents.filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let document = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let prose = text.split("```").step_by(2);
        named.extend(
            prose
                .flat_map(|part| part.split('`').skip(1).step_by(2))
                .map(|word| (document.clone(), word.to_owned())),
        );
    }
    named
}

/// A test's name is a sentence; a setting or a metric that looks like one stands in what reads it.
#[test]
fn every_test_that_the_documents_name_is_there() {
    let (text, functions) = written();
    let mut tests = 0;
    let mut gone = Vec::new();
    for (document, word) in named() {
        let name = word.rsplit("::").next().unwrap();
        let is_name = name
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
        if !is_name || name.matches('_').count() < 2 {
            continue;
        }
        if functions.contains(name) {
            tests += usize::from(document == "SECURITY.md");
        } else if !text.contains(name.trim_start_matches("xenbeta_")) {
            gone.push(format!("docs/{document}: {name}"));
        }
    }
    assert!(gone.is_empty(), "no such test:\n{}", gone.join("\n"));
    assert!(tests > 60, "{tests}: are names still read?");
}

#[test]
fn every_source_that_the_documents_name_is_there() {
    let gone: Vec<String> = named()
        .into_iter()
        .filter(|(_, word)| word.starts_with("src/") || word.starts_with("tests/"))
        .filter(|(_, word)| !word.contains(|it: char| it.is_whitespace() || "{*".contains(it)))
        .filter(|(_, word)| !root().join(word.split(':').next().unwrap()).exists())
        .map(|(document, word)| format!("docs/{document}: {word}"))
        .collect();
    assert!(gone.is_empty(), "no such file:\n{}", gone.join("\n"));
}

/// As docs/SECURITY.md says.
#[test]
fn unsafe_stands_in_four_files() {
    let files = sources(&root().join("src"));
    let unsafe_ones = files.iter().filter(|path| {
        std::fs::read_to_string(path)
            .unwrap()
            .contains("unsafe_code")
    });
    assert_eq!(unsafe_ones.count(), 4);
}

#[test]
fn no_template_marks_data_as_safe() {
    fn templates(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .flat_map(|path| {
                if path.is_dir() {
                    templates(&path)
                } else {
                    vec![path]
                }
            })
            .collect()
    }
    let all = templates(&root().join("templates"));
    assert!(all.len() > 80, "{}", all.len());
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let spaced = text.replace(char::is_whitespace, "");
        assert!(!spaced.contains("|safe"), "{}", path.display());
    }
}
