//! No two files of one floor import each other, directly or by way of others; and a subject has one name on every floor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{SUBJECTS, sources};

/// A module, as the segments of its path below the crate.
type Module = Vec<String>;

#[test]
fn files_of_one_floor_make_no_circle() {
    let house = House::read();
    let circles: Vec<String> = house
        .circles()
        .into_iter()
        .map(|circle| {
            circle
                .iter()
                .map(|it| it.join("::"))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    assert!(
        circles.is_empty(),
        "they import each other:\n{}",
        circles.join("\n")
    );
}

#[test]
fn a_circle_is_seen() {
    let mut house = House::default();
    for (file, text) in [
        ("app/mod.rs", "pub mod a;\npub mod b;\n"),
        (
            "app/a.rs",
            "use super::b::{self, More};\nfn f() { b::g() }\n",
        ),
        (
            "app/b.rs",
            "// use crate::app::a;\nfn g() { crate::app::a::f() }\n",
        ),
        (
            "app/c.rs",
            "use crate::app::a;\n#[cfg(test)]\nmod tests { use crate::app::b; }",
        ),
    ] {
        house.add(file, text);
    }
    house.link();
    let circles = house.circles();
    assert_eq!(circles.len(), 1);
    assert_eq!(
        circles[0]
            .iter()
            .map(|it| it.join("::"))
            .collect::<Vec<_>>(),
        ["app::a", "app::b"]
    );
}

#[test]
fn a_subject_has_one_name() {
    let house = House::read();
    let mut wrong = Vec::new();
    for module in house.texts.keys() {
        for name in module {
            let plural = name
                .strip_suffix('s')
                .is_some_and(|one| SUBJECTS.contains(&one));
            if plural && module[0] != "agent" && module[..2] != ["store", "host"] {
                wrong.push(module.join("::"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a subject is called by its one name: {wrong:?}"
    );
    for floor in ["store", "app"] {
        let missing: Vec<&str> = SUBJECTS
            .into_iter()
            .filter(|subject| {
                !house
                    .texts
                    .contains_key(&vec![floor.to_owned(), (*subject).to_owned()])
            })
            .collect();
        assert!(missing.is_empty(), "{floor} has no room for {missing:?}");
    }
}

#[derive(Default)]
struct House {
    texts: BTreeMap<Module, String>,
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

impl House {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut house = Self::default();
        for file in sources(&root) {
            let inside = file.strip_prefix(&root).unwrap().to_str().unwrap();
            if !inside.starts_with("bin/") && inside != "lib.rs" {
                house.add(inside, &std::fs::read_to_string(&file).unwrap());
            }
        }
        house.link();
        house
    }

    fn add(&mut self, file: &str, text: &str) {
        let mut module: Module = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module.last().is_some_and(|it| it == "mod") {
            module.pop();
        }
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        self.texts
            .insert(module, code.collect::<Vec<_>>().join("\n"));
    }

    fn link(&mut self) {
        for (module, text) in &self.texts {
            let mut names: BTreeMap<String, Module> = BTreeMap::new();
            let mut used = Vec::new();
            let mut rest = String::new();
            for (at, piece) in text.split("use ").enumerate() {
                let starts = at > 0 && text_before_is_statement(text, piece);
                let (tree, after) = piece
                    .split_once(';')
                    .filter(|_| starts)
                    .unwrap_or(("", piece));
                rest += after;
                // What a folder hands on of its own children is no import.
                let own = tree
                    .split("::")
                    .next()
                    .is_some_and(|first| self.texts.contains_key(&child(module, first)));
                if own && handed_on(text, tree) {
                    continue;
                }
                for (path, name) in leaves(tree) {
                    let Some(path) = self.resolve(module, &path, &names) else {
                        continue;
                    };
                    if self.texts.contains_key(&path) {
                        names.insert(name, path);
                    } else {
                        used.push(path);
                    }
                }
            }
            used.extend(
                paths(&rest)
                    .into_iter()
                    .filter_map(|path| self.resolve(module, &path, &names)),
            );
            let files: BTreeSet<Module> = used
                .iter()
                .filter_map(|path| {
                    (1..=path.len())
                        .rev()
                        .map(|to| path[..to].to_vec())
                        .find(|it| self.texts.contains_key(it))
                })
                .filter(|it| it != module && it[0] == module[0])
                .collect();
            self.imports.insert(module.clone(), files);
        }
    }

    fn resolve(
        &self,
        from: &Module,
        path: &[String],
        names: &BTreeMap<String, Module>,
    ) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let of = |base: &[String], rest: &[String]| Some([base, rest].concat());
        match first.as_str() {
            "crate" => of(&[], rest),
            "self" => of(from, rest),
            "super" => {
                let ups = path.iter().take_while(|it| *it == "super").count();
                of(from.get(..from.len().checked_sub(ups)?)?, &path[ups..])
            }
            name if names.contains_key(name) => of(&names[name], rest),
            name if self.texts.contains_key(&child(from, name)) => of(&child(from, name), rest),
            _ => None,
        }
    }

    /// Groups of modules each of which reaches all others of its group.
    fn circles(&self) -> Vec<Vec<Module>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = self
            .imports
            .keys()
            .map(|from| (from, self.reached(from)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for (module, to) in &reach {
            if !to.contains(module) || seen.contains(module) {
                continue;
            }
            let circle: Vec<Module> = to
                .iter()
                .filter(|it| reach[**it].contains(module))
                .map(|it| (*it).clone())
                .collect();
            seen.extend(to.iter().filter(|it| reach[**it].contains(module)).copied());
            circles.push(circle);
        }
        circles
    }

    fn reached(&self, from: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.imports[from].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.imports.get(module).into_iter().flatten());
            }
        }
        reached
    }
}

fn child(module: &Module, name: &str) -> Module {
    [module.as_slice(), &[name.to_owned()]].concat()
}

/// Does this piece follow a `use` that begins a statement?
fn text_before_is_statement(text: &str, piece: &str) -> bool {
    let at = piece.as_ptr() as usize - text.as_ptr() as usize - "use ".len();
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    let line = line.trim();
    line.is_empty() || line.starts_with("pub")
}

fn handed_on(text: &str, tree: &str) -> bool {
    let at = tree.as_ptr() as usize - text.as_ptr() as usize - "use ".len();
    text[..at].ends_with(' ')
}

/// The paths of a tree of imports, each with the name that it is known by.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    fn walk(tree: &str, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
        let tree = tree.trim();
        if let Some((head, list)) = tree.split_once('{') {
            let head = [before, &segments(head)].concat();
            let (mut depth, mut from) = (0, 0);
            let list = &list[..list.rfind('}').unwrap_or(list.len())];
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        walk(&list[from..at], &head, found);
                        from = at + 1;
                    }
                    _ => {}
                }
            }
            walk(&list[from..], &head, found);
            return;
        }
        let (path, alias) = tree
            .split_once(" as ")
            .map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let mut path = [before, &segments(path)].concat();
        if path.len() > 1 && path.last().is_some_and(|it| it == "self" || it == "*") {
            path.pop();
        }
        if let Some(name) = alias
            .map(|it| it.trim().to_owned())
            .or_else(|| path.last().cloned())
        {
            found.push((path, name));
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `a::b::c` wherever it stands in code.
fn paths(text: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !is_path(c))
        .filter(|it| it.contains("::"))
        .map(segments)
        .filter(|it| !it.is_empty())
        .collect()
}
