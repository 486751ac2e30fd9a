//! The floor law: a module imports only modules that stand above it in `src/lib.rs`, rooms of one floor never
//! import each other, and no file has a name that says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names under which everything and nothing would find a place.
const FORBIDDEN: [&str; 9] = [
    "util",
    "common",
    "core",
    "helper",
    "misc",
    "types",
    "manager",
    "handler",
    "processor",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each room and the floor it stands on, as `lib.rs` lists them, or the line that has no place there.
fn floors(lib: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut floors = BTreeMap::new();
    let mut floor = None;
    for line in lib.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            let number = rest
                .split(':')
                .next()
                .and_then(|number| number.parse().ok());
            let number: u32 = number.ok_or(format!("`{line}` names no floor"))?;
            if floor.is_some_and(|below| number != below + 1) {
                return Err(format!(
                    "`{line}` does not follow floor {}",
                    floor.unwrap_or(0)
                ));
            }
            floor = Some(number);
        } else if let Some(name) = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            let floor = floor.ok_or(format!("`{line}` stands on no floor"))?;
            floors.insert(name.to_owned(), floor);
        } else if !line.is_empty() && !line.starts_with("//") {
            return Err(format!("`{line}` is no module line"));
        }
    }
    Ok(floors)
}

/// Every `.rs` file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module path of a file below `src`: `source/postgres/guard.rs` is source, postgres, guard.
fn modules(path: &Path) -> Vec<String> {
    let parts = path.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The text without comments, so that a link in a comment is no import.
fn code(text: &str) -> String {
    let without = |line: &str| {
        // Behind a colon it is part of an address in a string.
        let mut starts = line.match_indices("//").map(|(at, _)| at);
        let comment = starts.find(|at| !line[..*at].ends_with(':'));
        line[..comment.unwrap_or(line.len())].to_owned()
    };
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

/// The first names of every path that begins with `start`: of `crate::{a, b::{c, d}}` they are a and b.
fn first_names(code: &str, start: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].ends_with(is_word) || code[..at].ends_with("::") {
            continue;
        }
        let rest = code[at + start.len()..].trim_start();
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(rest.chars().take_while(|c| is_word(*c)).collect());
            continue;
        };
        let mut depth = 1;
        let mut name = String::new();
        let mut begins = true;
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                _ if depth == 1 && begins && is_word(c) => name.push(c),
                _ if depth == 1 && begins && !name.is_empty() => begins = false,
                _ => {}
            }
            if (!begins || c == ',' || depth == 0) && !name.is_empty() {
                names.insert(std::mem::take(&mut name));
            }
            if depth == 0 {
                break;
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The rooms a file names: by `crate::`, or by as many `super::` as lead out of its own room.
fn imports(text: &str, depth: usize, rooms: &BTreeMap<String, u32>) -> BTreeSet<String> {
    let code = code(text);
    let mut found = first_names(&code, "crate::");
    for supers in depth..depth + 3 {
        found.extend(first_names(&code, &"super::".repeat(supers)));
    }
    found.retain(|name| rooms.contains_key(name));
    found
}

/// What a file of `room` may not import, of what it imports.
fn trespasses(
    room: &str,
    imports: &BTreeSet<String>,
    rooms: &BTreeMap<String, u32>,
) -> Vec<String> {
    let floor = |room: &str| rooms.get(room).copied().unwrap_or(u32::MAX);
    let others = imports.iter().filter(|other| other.as_str() != room);
    others
        .filter(|other| floor(other) >= floor(room))
        .cloned()
        .collect()
}

#[test]
fn lib_rs_lists_the_rooms_by_floor_and_holds_nothing_else() {
    let lib = fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    let rooms = floors(&lib).expect("only module lines");
    assert!(rooms.len() >= 10, "{rooms:?}");
    for file in files(&source()) {
        let path = file.strip_prefix(source()).expect("below src");
        let room = modules(path).remove(0);
        let known = rooms.contains_key(&room) || matches!(room.as_str(), "lib" | "main");
        assert!(known, "{} belongs to no room of lib.rs", path.display());
    }
}

#[test]
fn a_room_imports_only_rooms_of_lower_floors() {
    let rooms =
        floors(&fs::read_to_string(source().join("lib.rs")).expect("lib.rs")).expect("floors");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let path = file.strip_prefix(source()).expect("below src");
        let modules = modules(path);
        let room = modules[0].clone();
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        let imports = imports(
            &fs::read_to_string(&file).expect("a file"),
            modules.len(),
            &rooms,
        );
        for other in trespasses(&room, &imports, &rooms) {
            wrong.push(format!("src/{} imports `{other}`", path.display()));
        }
        seen.extend(imports.into_iter().map(|other| (room.clone(), other)));
    }
    assert!(
        wrong.is_empty(),
        "against the floor law:\n{}",
        wrong.join("\n")
    );
    // Were nothing found at all, nothing would be wrong.
    assert!(
        seen.contains(&("cli".to_owned(), "supervisor".to_owned())),
        "{seen:?}"
    );
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn no_file_has_a_name_under_which_anything_would_find_a_place() {
    let named = |part: &str| {
        FORBIDDEN
            .iter()
            .any(|word| part == *word || part == format!("{word}s"))
    };
    for file in files(&source()) {
        let path = file.strip_prefix(source()).expect("below src");
        let parts = modules(path);
        let bad = parts
            .iter()
            .flat_map(|part| part.split('_'))
            .find(|part| named(part));
        assert!(bad.is_none(), "src/{}: what is it about?", path.display());
    }
}

#[test]
fn the_law_sees_every_way_to_write_an_import() {
    let rooms = floors(
        "//! x\n// Floor 0: a.\npub mod error;\n// Floor 1: b.\npub mod lake;\npub mod wire;\n",
    );
    let rooms = rooms.expect("floors");
    let found = |text: &str, depth| imports(text, depth, &rooms).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::lake::Store;", 1), ["lake"]);
    assert_eq!(
        found("use crate::{error::{Error, Kind},\n    wire};", 1),
        ["error", "wire"]
    );
    assert_eq!(found("fn f() -> crate::wire::Run {}", 1), ["wire"]);
    assert_eq!(found("pub(in crate::lake) fn f() {}", 1), ["lake"]);
    assert_eq!(found("use super::super::wire::Run;", 2), ["wire"]);
    assert_eq!(
        found("use super::wire::Run;", 2),
        [""; 0],
        "a child's own sibling"
    );
    assert_eq!(
        found("// crate::lake\nlet a = \"s3://b\"; x(); // crate::wire", 1),
        [""; 0]
    );
    assert_eq!(found("use other_crate::lake;", 1), [""; 0]);
    let of_wire = BTreeSet::from(["error".to_owned(), "lake".to_owned(), "wire".to_owned()]);
    assert_eq!(trespasses("wire", &of_wire, &rooms), ["lake"]);
    assert!(floors("pub mod error;\n").is_err());
    assert!(floors("// Floor 0: a.\nuse std::fmt;\n").is_err());
    assert!(floors("// Floor 0: a.\n// Floor 2: a.\n").is_err());
}
