//! The rooms of the house: imports point down only. Reads the sources, so that a wrong import fails a test and not a review.

mod circles;
mod named;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room with the rooms below it.
const ROOMS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("command", &[]),
    ("log", &[]),
    ("wire", &["domain"]),
    ("agent", &["wire", "domain", "command", "log"]),
    ("mail", &["domain"]),
    ("store", &["domain", "wire"]),
    ("app", &["store", "mail", "domain", "wire"]),
    ("config", &["app", "store", "mail", "domain", "log"]),
    (
        "work",
        &["config", "app", "store", "mail", "domain", "wire"],
    ),
    ("web", &["config", "app", "store", "mail", "domain", "wire"]),
    // What is fuzzed: no part of the product.
    (
        "fuzz",
        &[
            "web", "config", "app", "store", "mail", "agent", "wire", "domain", "command", "log",
        ],
    ),
];
/// What stands at the root of the crate without being a room.
const MACROS: [&str; 1] = ["string_enum"];

#[test]
fn imports_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let room = inside.split('/').next().unwrap().trim_end_matches(".rs");
        if matches!(room, "bin" | "lib") {
            continue;
        }
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            panic!("{inside}: a room that this test does not know; say in ROOMS what is below it");
        };
        seen.insert(room.to_owned());
        for (line, used) in rooms_used(&std::fs::read_to_string(&file).unwrap()) {
            let fine =
                used == room || below.contains(&used.as_str()) || MACROS.contains(&used.as_str());
            if !fine {
                wrong.push(format!("src/{inside}:{line}: {room} must not know {used}"));
            }
        }
    }
    assert_eq!(seen.len(), ROOMS.len(), "a room is gone: {seen:?}");
    assert!(
        wrong.is_empty(),
        "imports that point up:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let text = "use crate::store::db::Db;\n// crate::web is not used\nlet x = crate::web::page(crate::app::now());\n\
        use crate::{mail::Message, string_enum};\n$crate::domain::string_enum::StringEnum";
    let used: Vec<String> = rooms_used(text).into_iter().map(|(_, room)| room).collect();
    assert_eq!(
        used,
        ["store", "web", "app", "mail", "string_enum", "domain"]
    );
}

/// The first path segment after every `crate::`, with its line.
fn rooms_used(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(['}', ',']).map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                // Empty after the list's end; capital for a type that the crate's root might export.
                if !name.is_empty() && name.starts_with(|c: char| c.is_lowercase()) {
                    used.push((index + 1, name));
                }
            }
        }
    }
    used
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}

/// The longest a file may be, without the tests at its end: beyond it, it is two things.
const LINES: usize = 500;
/// One thing each, however long: the generated schema, and what every end of a job does.
const LONG: [&str; 2] = ["store/schema.rs", "app/job/outcome.rs"];

#[test]
fn no_file_is_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        if lines > LINES && !LONG.contains(&inside) {
            wrong.push(format!("src/{inside}: {lines} lines, at most {LINES}"));
        }
    }
    assert!(wrong.is_empty(), "take them apart:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut silent = Vec::new();
    for file in sources(&root) {
        let is_room = file
            .file_name()
            .is_some_and(|name| name == "mod.rs" || name == "lib.rs" || name == "main.rs");
        if is_room && !std::fs::read_to_string(&file).unwrap().starts_with("//! ") {
            silent.push(file.strip_prefix(&root).unwrap().display().to_string());
        }
    }
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "begin with //! and what the room is for"
    );
}

/// What the product is about. Each has this one name on every floor that has it.
const SUBJECTS: [&str; 22] = [
    "account",
    "audit",
    "bug",
    "batch",
    "evacuation",
    "fairness",
    "faq",
    "graduation",
    "host",
    "import",
    "job",
    "linode",
    "mail",
    "migration",
    "ownership",
    "placement",
    "programme",
    "readiness",
    "receipt",
    "registration",
    "trial",
    "wave",
];
/// What a floor has besides: its tools, and what is its own.
const TOOLS: [(&str, &str); 9] = [
    (
        "src/domain",
        "ids markdown mod network password platform search second_factor string_enum text time values",
    ),
    (
        "src/store",
        "alert attention backup catalogue connect db error fuzz limit mod name_index pulse retention schema schema_migrations search together types wake",
    ),
    (
        "src/app",
        "alert bulk clock context doors error idempotency mod reconcile refusals retention secrets",
    ),
    ("src/web/members", "mod"),
    ("src/web/staff", "dashboard mod routes"),
    ("templates/members", "compared"),
    ("templates/staff", "dashboard"),
    ("templates", "announcement errors layout members staff ui"),
    (
        "tests/portal",
        "announcement browser clock commands config demo doors house main packaging pages races served steps store v4",
    ),
];

#[test]
fn a_subject_has_one_name_on_every_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (floor, tools) in TOOLS {
        let there: BTreeSet<String> = std::fs::read_dir(root.join(floor))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let tools: BTreeSet<&str> = tools.split(' ').collect();
        for name in &there {
            let known = SUBJECTS.contains(&name.as_str()) || tools.contains(name.as_str());
            assert!(known, "{floor}/{name} is neither a subject nor a tool");
        }
        for tool in tools {
            assert!(there.contains(tool), "{floor}/{tool} is gone");
        }
    }
}

/// A page of a subject has its template in the folder of that subject.
#[test]
fn templates_stand_with_their_subject() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let subject = |path: &str| -> Vec<String> {
        let path = path.split('.').next().unwrap();
        path.split('/').take(2).map(str::to_owned).collect()
    };
    let mut seen = 0;
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap();
        if !inside.starts_with("members/") && !inside.starts_with("staff/") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for named in text.split("#[template(path = \"").skip(1) {
            let template = named.split('"').next().unwrap();
            assert_eq!(subject(template), subject(inside), "{template} of {inside}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} pages");
}
