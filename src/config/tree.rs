//! The file as a tree whose leaves are still text, each node with its line and column.
//!
//! YAML's own ideas of numbers and booleans would turn `no` into false and `007` into 7; here only the key
//! under which a value stands says what it is.

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::problem::{Place, Problem};
use super::reference::{References, Text};
use crate::error::Code;

/// YAML's key that copies other keys.
const MERGE: &str = "<<";

/// A part of the file.
#[derive(Debug)]
pub(super) struct Node {
    pub place: Place,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// Nothing, or `~`.
    Empty,
    /// The bare word `null`: nothing too, except where it is one of a key's words.
    Null(Text),
    Value(Text),
    List(Vec<Node>),
    Block(Vec<Entry>),
    /// Something that was reported already, so that nothing else is said about it.
    Broken,
}

/// A key and what stands under it.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    pub node: Node,
}

impl What {
    /// What it is, in words.
    pub fn in_words(&self) -> &'static str {
        match self {
            What::Empty | What::Null(_) | What::Broken => "nothing",
            What::Value(_) => "a single value",
            What::List(_) => "a list",
            What::Block(_) => "a block of keys",
        }
    }
}

/// Reads `text` and follows its references. `None` where it is no YAML: then the one problem is where the
/// reading stopped, since everything after it would be guessed.
pub(super) fn read(
    text: &str,
    references: &References<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Node> {
    let mut reading = Reading {
        events: Parser::new_from_str(text),
        references,
        problems,
    };
    match reading.document() {
        Ok(node) => Some(node),
        Err(error) => {
            *problems = vec![syntax_problem(text, &error)];
            None
        }
    }
}

struct Reading<'a, I> {
    events: I,
    references: &'a References<'a>,
    problems: &'a mut Vec<Problem>,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reading<'_, I> {
    fn document(&mut self) -> Result<Node, ScanError> {
        let mut root = Node {
            place: Place::START,
            what: What::Empty,
        };
        let mut documents = 0;
        while let Some((event, place)) = self.next()? {
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents == 2 {
                        self.report(
                            Code::YAML_EXTRAS,
                            place,
                            "a second document begins here; a configuration is one",
                        );
                    }
                }
                Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, place)?;
                    if documents == 1 {
                        root = node;
                    }
                }
            }
        }
        Ok(root)
    }

    /// The next event that says something about the content.
    fn next(&mut self) -> Result<Option<(Event<'t>, Place)>, ScanError> {
        for next in self.events.by_ref() {
            let (event, span) = next?;
            let says_something = event.is_node()
                || matches!(
                    event,
                    Event::MappingEnd
                        | Event::SequenceEnd
                        | Event::DocumentStart(..)
                        | Event::DocumentEnd
                );
            if says_something {
                let place = Place {
                    line: span.start.line(),
                    column: span.start.col() + 1,
                };
                return Ok(Some((event, place)));
            }
        }
        Ok(None)
    }

    /// The node that begins with `event`. Its depth is bounded by the parser's own limits.
    fn node(&mut self, event: Event<'t>, place: Place) -> Result<Node, ScanError> {
        let (what, tag) = match event {
            Event::Scalar(text, style, _, tag) => (self.scalar(&text, style, place), tag),
            Event::SequenceStart(_, _, tag) => (self.list()?, tag),
            Event::MappingStart(_, _, tag) => (self.block()?, tag),
            _ => {
                self.report(
                    Code::YAML_EXTRAS,
                    place,
                    "aliases (`*name`) are not followed; write the value out, or say it once in `defaults`",
                );
                (What::Broken, None)
            }
        };
        if tag.is_some() {
            self.report(
                Code::YAML_EXTRAS,
                place,
                "tags (`!name`) mean nothing here; remove it",
            );
        }
        Ok(Node { place, what })
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, place: Place) -> What {
        let is_plain = style == ScalarStyle::Plain;
        if is_plain && matches!(text, "" | "~") {
            return What::Empty;
        }
        match self.references.follow(text) {
            Ok(word) if is_plain && matches!(text, "null" | "Null" | "NULL") => What::Null(word),
            Ok(text) => What::Value(text),
            Err(why) => {
                self.report(Code::WRONG_REFERENCE, place, why);
                What::Broken
            }
        }
    }

    fn list(&mut self) -> Result<What, ScanError> {
        let mut items = Vec::new();
        while let Some((event, place)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, place)?);
        }
        Ok(What::List(items))
    }

    fn block(&mut self) -> Result<What, ScanError> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, place)) = self.next()? {
            let mut copies_others = false;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => {
                    // In quotes it is a name like any other.
                    copies_others = text == MERGE && style == ScalarStyle::Plain;
                    Some(text.into_owned())
                }
                event => {
                    self.report(Code::WRONG_SHAPE, place, "a key is a single word or text");
                    self.node(event, place)?;
                    None
                }
            };
            let Some((event, value_place)) = self.next()? else {
                break;
            };
            if copies_others {
                self.report(
                    Code::YAML_EXTRAS,
                    place,
                    "merge keys (`<<`) are not followed; write the keys out, or say them once in `defaults`",
                );
                self.unheard(event, value_place)?;
                continue;
            }
            let node = self.node(event, value_place)?;
            let Some(key) = key else { continue };
            match entries.iter().find(|entry| entry.key == key) {
                Some(first) => {
                    let line = first.place.line;
                    let shown = match key.contains('@') {
                        true => "this key".to_owned(),
                        false => format!("`{key}`"),
                    };
                    let text =
                        format!("{shown} stands here already, in line {line}; keep one of the two");
                    self.report(Code::KEY_TWICE, place, text);
                }
                None => entries.push(Entry { key, place, node }),
            }
        }
        Ok(What::Block(entries))
    }

    /// A node of which nothing more is said.
    fn unheard(&mut self, event: Event<'t>, place: Place) -> Result<(), ScanError> {
        let said = self.problems.len();
        self.node(event, place)?;
        self.problems.truncate(said);
        Ok(())
    }

    fn report(&mut self, code: Code, place: Place, text: impl Into<String>) {
        self.problems.push(Problem::new(code, place, text));
    }
}

/// Says what the YAML parser stumbled over; by far the commonest case, an unquoted reference in flow style,
/// gets its own words.
fn syntax_problem(text: &str, error: &ScanError) -> Problem {
    let marker = error.marker();
    let place = Place {
        line: marker.line(),
        column: marker.col() + 1,
    };
    if let Some(problem) = unquoted_reference(text, place.line) {
        return problem;
    }
    let line = text.lines().nth(place.line.saturating_sub(1));
    let indent = line
        .unwrap_or_default()
        .chars()
        .take_while(|c| c.is_whitespace());
    let hint = match () {
        () if indent.into_iter().any(|c| c == '\t') => "; indent with blanks instead of tabs",
        () if text.contains('\0') => "; the file holds NUL characters: save it as UTF-8 text",
        () => way_out(&error.info()),
    };
    let text = format!("this is not valid YAML: {}{hint}", error.info());
    Problem::new(Code::NOT_YAML, place, text)
}

/// What most likely happened where the parser says `info`.
fn way_out(info: &str) -> &'static str {
    let says = |words: &str| info.contains(words);
    match () {
        () if says("mapping values are not allowed") => "; put text with `: ` in it in quotes",
        () if says("unknown anchor") => {
            "; `*` and `&` at the beginning of a word are YAML's own: put it in quotes"
        }
        () if says("unexpected character") => "; put text that begins with it in quotes",
        () if says("expected ',' or '}'") => {
            "; is a `}` missing before it, or a quote around text with braces?"
        }
        () if says("expected ',' or ']'") => "; is a `]` or a comma missing before it?",
        () if says("did not find expected key") => {
            "; is this line indented like those it belongs to?"
        }
        () if says("quote") => "; is a quote never closed before it?",
        () => "",
    }
}

/// A `${` outside quotes in the line the parser stopped at or in the one before, after a `{` or `[`.
fn unquoted_reference(text: &str, stopped_at: usize) -> Option<Problem> {
    let first = stopped_at.saturating_sub(1).max(1);
    for (index, line) in text.lines().enumerate().skip(first - 1).take(2) {
        let Some((before, after)) = line.split_once("${") else {
            continue;
        };
        let in_flow = before.contains(['{', '[']);
        let in_quotes =
            before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1;
        if in_flow && !in_quotes {
            let reference = after
                .split_once('}')
                .map_or(after, |(reference, _)| reference);
            let place = Place {
                line: index + 1,
                column: before.chars().count() + 1,
            };
            let text = format!(
                "inside `{{…}}` or `[…]` YAML reads the brace of `${{` as its own; quote the reference: \"${{{reference}}}\""
            );
            return Some(Problem::new(Code::NOT_YAML, place, text));
        }
    }
    None
}
