//! Whether a tree has the shape of the file, all of it at once. What its values mean is resolved elsewhere.

use super::keys::{FILE, Is, KAFKA_CONNECT, Key, Shape};
use super::nearest::nearest;
use super::problem::{Place, Problem};
use super::tree::{Entry, Node, What};
use crate::error::Code;

use Is::{Block, Later, List, Lists, Named, Pairs, Refused, Value, Word, Words};

/// `a.b.c`: where something stands, as people say it.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A key as a message may call it: what looks like a login, `user:password@`, is not shown.
pub(super) fn shown(key: &str) -> &str {
    match key.split_once('@') {
        Some((login, _)) if login.contains(':') => "…",
        _ => key,
    }
}

/// Reports whatever in `node` does not have this shape.
pub(super) fn check(
    node: &Node,
    shape: &Shape,
    path: &str,
    place: Place,
    problems: &mut Vec<Problem>,
) {
    let keys = format!(" ({})", allowed(shape));
    for entry in entries(node, path, place, &keys, problems) {
        let path_here = join(path, &entry.key);
        let Some(key) = shape.find(&entry.key) else {
            problems.push(unknown(entry, shape, path));
            continue;
        };
        let (code, text) = match key.is {
            Later(instead) => {
                let text = format!("`{path_here}` is not there yet: {instead}");
                (Code::NOT_THERE_YET, text)
            }
            Refused(why) => (
                Code::KEY_REFUSED,
                format!("`{path_here}` cannot be set: {why}"),
            ),
            _ => {
                check_under(entry, key, &path_here, problems);
                continue;
            }
        };
        problems.push(Problem::new(code, entry.place, text));
    }
}

/// The entries of what should be a block; an empty one has none.
fn entries<'n>(
    node: &'n Node,
    path: &str,
    place: Place,
    form: &str,
    problems: &mut Vec<Problem>,
) -> &'n [Entry] {
    match &node.what {
        What::Block(entries) => entries,
        What::Empty | What::Null(_) | What::Broken => &[],
        other => {
            let whose = if path.is_empty() {
                "the file".to_owned()
            } else {
                format!("`{path}`")
            };
            let found = other.in_words();
            let text = format!("{whose} must be a block of keys{form}, but is {found}");
            problems.push(Problem::new(Code::WRONG_SHAPE, place, text));
            &[]
        }
    }
}

fn check_under(entry: &Entry, key: &Key, path: &str, problems: &mut Vec<Problem>) {
    let Entry { node, place, .. } = entry;
    let example = format!(", e.g. `{}`", key.example);
    match key.is {
        Value(_) => check_value(node, path, *place, Some(key), problems),
        Word(_) => check_word(node, path, *place, problems),
        Words(_) => match &node.what {
            What::Block(entries) => {
                for entry in entries {
                    check_word(&entry.node, &join(path, &entry.key), entry.place, problems);
                }
            }
            _ => check_word(node, path, *place, problems),
        },
        Block(shape) => check(node, shape, path, *place, problems),
        Named(shape) => {
            for entry in entries(node, path, *place, &example, problems) {
                let path = join(path, &entry.key);
                check(&entry.node, shape, &path, entry.place, problems);
            }
        }
        Pairs(_) => {
            for entry in entries(node, path, *place, &example, problems) {
                let path = join(path, &entry.key);
                check_value(&entry.node, &path, entry.place, None, problems);
            }
        }
        Lists(_) => {
            for entry in entries(node, path, *place, &example, problems) {
                let path = join(path, &entry.key);
                check_list(&entry.node, &path, entry.place, "[38, 9]", problems);
            }
        }
        List(_) => check_list(node, path, *place, "[a, b]", problems),
        Later(_) | Refused(_) => {}
    }
}

fn check_list(node: &Node, path: &str, place: Place, example: &str, problems: &mut Vec<Problem>) {
    match &node.what {
        What::List(items) => {
            for item in items {
                check_value(item, path, item.place, None, problems);
            }
        }
        What::Broken => {}
        other => {
            let words = other.in_words();
            let text = format!("`{path}` must be a list, e.g. `{example}`, but is {words}");
            problems.push(Problem::new(Code::WRONG_SHAPE, place, text));
        }
    }
}

fn check_value(
    node: &Node,
    path: &str,
    place: Place,
    key: Option<&Key>,
    problems: &mut Vec<Problem>,
) {
    let example = key
        .map(|key| key.example)
        .filter(|example| !example.is_empty());
    let text = match (&node.what, example) {
        (What::Value(_) | What::Broken, _) => return,
        (What::Empty | What::Null(_), Some(example)) => {
            format!("`{path}` has no value; write e.g. `{example}`, or remove the key")
        }
        (What::Empty | What::Null(_), None) => {
            format!("`{path}` has no value; write one or remove the key")
        }
        (other, Some(example)) => format!(
            "`{path}` must be a single value, e.g. `{example}`, but is {}",
            other.in_words()
        ),
        (other, None) => format!(
            "`{path}` must be a single value, but is {}",
            other.in_words()
        ),
    };
    problems.push(Problem::new(Code::WRONG_SHAPE, place, text));
}

fn check_word(node: &Node, path: &str, place: Place, problems: &mut Vec<Problem>) {
    if !matches!(node.what, What::Null(_)) {
        check_value(node, path, place, None, problems);
    }
}

/// The keys that may stand in a block, in words.
fn allowed(shape: &Shape) -> String {
    let names: Vec<&str> = shape.there().map(|key| key.name).collect();
    names.join(", ")
}

fn unknown(entry: &Entry, shape: &Shape, path: &str) -> Problem {
    let key = entry.key.as_str();
    let whose = if path.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{path}`")
    };
    if key.contains('@') {
        // Most likely a URL whose key was lost, with its password.
        let text = format!("this is no key of {whose}; is a `url:` missing before it?");
        return Problem::new(Code::UNKNOWN_KEY, entry.place, text);
    }
    let nearest = shape.nearest(key);
    let theirs = KAFKA_CONNECT.iter().find(|theirs| theirs.name == key);
    // One word may be a slip of ours as well as a name of theirs.
    if let Some(theirs) = theirs.filter(|_| key.contains('.') || nearest.is_none()) {
        let text = format!(
            "`{key}` is Kafka Connect's name; here it is {}",
            theirs.here
        );
        return Problem::new(Code::CONNECT_NAME, entry.place, text);
    }
    let text = match (nearest, elsewhere(key, shape)) {
        (Some(meant), _) => format!("`{key}` is no key of {whose}; did you mean `{meant}`?"),
        (None, Some(place)) => {
            format!("`{key}` is no key of {whose}; it belongs to {place}")
        }
        (None, None) => format!(
            "`{key}` is no key of {whose}; allowed are {}",
            allowed(shape)
        ),
    };
    Problem::new(Code::UNKNOWN_KEY, entry.place, text)
}

/// Where in the file there is a key of this very name, in words.
fn elsewhere(name: &str, here: &Shape) -> Option<String> {
    fn paths(shape: &'static Shape, path: &str, name: &str, found: &mut Vec<String>) {
        for key in shape.there() {
            let path = join(path, key.name);
            if key.name == name {
                found.push(format!("`{path}`"));
            }
            match key.is {
                Block(below) => paths(below, &path, name, found),
                Named(below) => {
                    let path = join(&path, placeholder(key.name));
                    paths(below, &path, name, found);
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    paths(&FILE, "", name, &mut found);
    (here.find(name).is_none() && !found.is_empty()).then(|| found.join(" or "))
}

/// What stands for a name of the user's choice below `key`.
pub(super) fn placeholder(key: &str) -> &'static str {
    match key {
        "tables" => "TABLE",
        _ => "NAME",
    }
}

impl Shape {
    /// The key that `word`, which is none, was most likely meant to be.
    pub fn nearest(&self, word: &str) -> Option<&'static str> {
        nearest(word, self.there().map(|key| key.name))
    }
}
