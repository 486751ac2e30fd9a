//! The registry of codes: each failure that people meet, with its cause, its remedy and an example.
//!
//! A number is never given to another failure and never changed: people write them into their runbooks. The hundreds
//! say where it comes from: 01 the configuration, 02 databases, 03 Kafka, 04 the lake, 05 workers and requests.
//! Below 100 stands the general code of each kind, whose number is the exit code.

use std::fmt;

use super::Kind;

/// Declares the codes of one area: a constant each, and their table.
macro_rules! codes {
    ($($name:ident = $number:literal $kind:ident $title:literal
        cause $cause:literal remedy $remedy:literal example $example:literal;)*) => {
        impl $crate::error::Code {
            $(#[doc = $title] pub const $name: $crate::error::Code = $crate::error::codes::Code($number);)*
        }
        pub(super) static TABLE: &[$crate::error::Explained] = &[$($crate::error::Explained {
            code: $crate::error::Code::$name,
            kind: $crate::error::Kind::$kind,
            title: $title,
            cause: $cause,
            remedy: $remedy,
            example: $example,
        }),*];
    };
}

mod configuration;
mod database;
mod general;
mod kafka;
mod lake;
mod worker;

/// By what a failure is known for ever: `CDC-0412`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// What there is to know about a code.
#[derive(Debug)]
pub struct Explained {
    pub code: Code,
    /// What sort of failure it is, and so the exit code.
    pub kind: Kind,
    /// What it is called, in a few words.
    pub title: &'static str,
    /// Why it happens, and what `cdc` does about it by itself.
    pub cause: &'static str,
    /// What a person can do.
    pub remedy: &'static str,
    /// How it reads.
    pub example: &'static str,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CDC-{:04}", self.0)
    }
}

impl Code {
    /// Every code, by number.
    pub fn all() -> impl Iterator<Item = &'static Explained> {
        let tables = [
            general::TABLE,
            configuration::TABLE,
            database::TABLE,
            kafka::TABLE,
            lake::TABLE,
            worker::TABLE,
        ];
        tables.into_iter().flatten()
    }

    /// The general code of a kind, for what has none of its own.
    pub(super) fn of(kind: Kind) -> Code {
        Code(u16::from(kind.exit_code()))
    }

    /// The number alone.
    pub fn number(self) -> u16 {
        self.0
    }

    /// What there is to know about it.
    pub fn explained(self) -> Option<&'static Explained> {
        Code::all().find(|known| known.code == self)
    }

    /// The kind of failure it stands for.
    pub fn kind(self) -> Kind {
        self.explained().map_or(Kind::Bug, |known| known.kind)
    }

    /// Reads `CDC-0412`, `cdc-412` or `412`; `None` where there is no such code.
    pub fn parse(text: &str) -> Option<Code> {
        let digits = Code::digits(text)?;
        let number: u16 = digits.parse().ok()?;
        Code(number).explained().map(|known| known.code)
    }

    /// The digits of what is written as a code, whether there is one or not.
    pub fn digits(text: &str) -> Option<&str> {
        let text = text.trim();
        let digits = match text.get(..3) {
            Some(start) if start.eq_ignore_ascii_case("cdc") => {
                text[3..].trim_start_matches(['-', '_', ' '])
            }
            _ => text,
        };
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        is_number.then_some(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        for text in ["CDC-0103", "cdc-0103", "cdc103", "0103", "103", " CDC-103 "] {
            assert_eq!(Code::parse(text), Some(Code::UNKNOWN_KEY), "{text}");
        }
        for text in [
            "", "CDC-", "CDC-9999", "99999", "x103", "CDC-01O3", "-103", "한글",
        ] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }

    #[test]
    fn codes_are_in_order_and_none_has_two_meanings() {
        let numbers: Vec<u16> = Code::all().map(|known| known.code.0).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn every_kind_has_a_general_code_with_the_number_of_its_exit_code() {
        use Kind::*;
        for kind in [
            No,
            Usage,
            Data,
            Unavailable,
            Bug,
            LocalIo,
            TryLater,
            Permission,
            Config,
        ] {
            assert_eq!(
                Code::of(kind).explained().map(|known| known.kind),
                Some(kind)
            );
        }
        let general = Code::all().filter(|known| known.code.0 < 100);
        for known in general {
            assert_eq!(known.code.0, u16::from(known.kind.exit_code()));
        }
    }

    #[test]
    fn causes_and_remedies_are_sentences() {
        for Explained {
            code,
            title,
            cause,
            remedy,
            example,
            ..
        } in Code::all()
        {
            assert!(
                !title.ends_with('.') && !title.is_empty(),
                "{code}: {title}"
            );
            for text in [cause, remedy] {
                assert!(
                    text.ends_with('.') && !text.contains("  "),
                    "{code}: {text}"
                );
            }
            assert!(!example.is_empty(), "{code}");
        }
    }

    /// Numbers stand in people's runbooks: whoever adds a code adds it at the end of its hundred, and to this list.
    #[test]
    fn no_code_is_ever_renumbered() {
        let listed: Vec<String> = Code::all()
            .map(|known| format!("{} {:?} {}", known.code, known.kind, known.title))
            .collect();
        insta::assert_snapshot!("every_code", listed.join("\n"));
    }
}
