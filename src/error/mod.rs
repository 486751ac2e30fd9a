//! What went wrong, on what, why, and what happens next.
//!
//! One [`Error`] type serves the whole program. Its [`Kind`] decides three things in one table: whether
//! the work is tried again ([`Kind::fate`]), the exit code ([`Kind::exit_code`]), and the general hint.
//! Each error has a stable [`Code`], that of its site or the general one of its kind, which `cdc explain` knows.
//! Messages are lowercase, name things in backticks, and never hold a row's value or a secret.

use std::error::Error as StdError;
use std::fmt;

mod codes;

pub use codes::{Code, Explained};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure this is. The numbers of [`Kind::exit_code`] are a contract (`docs/`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The question was answered, and the answer is no (a refused snapshot, an unequal count).
    No,
    /// The command line cannot be understood.
    Usage,
    /// A value or a record is not what it must be.
    Data,
    /// A database, broker or store does not answer; it is tried again.
    Unavailable,
    /// A fault of `cdc` itself.
    Bug,
    /// A local file or directory cannot be read or written.
    LocalIo,
    /// It would work later or elsewhere: another worker has it, a twin is running, a newer format.
    TryLater,
    /// Credentials or grants are missing.
    Permission,
    /// The configuration, or the world it describes, is wrong.
    Config,
}

/// What is done after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Try again after a growing pause.
    Retry,
    /// Stop this unit of work and say why.
    Stop,
}

impl Kind {
    /// Whether the same work may succeed if it is simply tried again.
    pub fn fate(self) -> Fate {
        match self {
            Kind::Unavailable => Fate::Retry,
            Kind::No
            | Kind::Usage
            | Kind::Data
            | Kind::Bug
            | Kind::LocalIo
            | Kind::TryLater
            | Kind::Permission
            | Kind::Config => Fate::Stop,
        }
    }

    /// The process exit code (the numbers of `sysexits.h` where one fits).
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Data => 65,
            Kind::Unavailable => 69,
            Kind::Bug => 70,
            Kind::LocalIo => 74,
            Kind::TryLater => 75,
            Kind::Permission => 77,
            Kind::Config => 78,
        }
    }
}

/// A failure: what was being done, on what, because of what, and what to do about it.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    code: Option<Code>,
    doing: String,
    about: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
}

impl Error {
    /// A failure of `kind` while doing `doing`: a present-tense phrase ("reading rows") or a plain fact
    /// ("column `x` does not exist").
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Error {
            inner: Box::new(Inner {
                kind,
                code: None,
                doing: doing.into(),
                about: None,
                source: None,
                hint: None,
            }),
        }
    }

    /// Names what it happened to: a table, topic, file, host. The innermost name given first is kept.
    pub fn about(mut self, about: impl fmt::Display) -> Self {
        self.inner.about.get_or_insert_with(|| about.to_string());
        self
    }

    /// The failure underneath. Its text must be free of secrets and of row values.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// What the reader can do next, as a sentence without a full stop.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Which failure this is, where it has a code of its own. A code of another kind is not taken, so that a
    /// code always means one exit code; the innermost code given first is kept.
    pub fn code(mut self, code: Code) -> Self {
        if code.kind() == self.inner.kind {
            self.inner.code.get_or_insert(code);
        }
        self
    }

    /// By what `cdc explain` knows this failure: its own code, else that of the failure below it, else the
    /// general one of its kind.
    pub fn stable_code(&self) -> Code {
        self.own_code().unwrap_or(Code::of(self.inner.kind))
    }

    /// Whether its code says more than of what kind it is.
    pub fn has_own_code(&self) -> bool {
        self.own_code().is_some()
    }

    fn own_code(&self) -> Option<Code> {
        self.inner.code.or_else(|| {
            let below = self.inner.source.as_ref()?.downcast_ref::<Error>()?;
            let code = below.own_code();
            code.filter(|code| code.kind() == self.inner.kind)
        })
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// What it is about, where that is known.
    pub fn subject(&self) -> Option<&str> {
        self.inner.about.as_deref()
    }

    /// What to do next, where that is known.
    pub fn next_step(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Wraps this failure in what was being done around it, keeping kind, name and hint.
    pub fn while_doing(self, doing: impl Into<String>) -> Self {
        let (kind, about, hint) = (
            self.inner.kind,
            self.inner.about.clone(),
            self.inner.hint.clone(),
        );
        let mut outer = Error::new(kind, doing);
        outer.inner.about = about;
        outer.inner.hint = hint;
        let mut inner = self;
        inner.inner.about = None;
        inner.inner.hint = None;
        outer.because(inner)
    }
}

impl fmt::Display for Error {
    /// One line: what it is about, what was done, and the chain of causes; the hint is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = match &self.inner.about {
            Some(about) => format!("{about}: {}", self.inner.doing),
            None => self.inner.doing.clone(),
        };
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries print their cause in their own text, and then give it once more.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            // Our own errors already print the causes below them.
            if error.is::<Error>() {
                break;
            }
            cause = error.source();
        }
        f.write_str(&line)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.inner.kind)?;
        match &self.inner.hint {
            Some(hint) => write!(f, " (next: {hint})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_and_a_code_has_one_kind() {
        let general = Error::new(Kind::Data, "reading rows");
        assert_eq!(general.stable_code().to_string(), "CDC-0065");
        let error = || Error::new(Kind::Permission, "connecting").code(Code::DATABASE_CREDENTIALS);
        assert_eq!(error().stable_code(), Code::DATABASE_CREDENTIALS);
        assert_eq!(
            error().code(Code::GRANT_MISSING).stable_code(),
            Code::DATABASE_CREDENTIALS
        );
        assert_eq!(
            error().while_doing("polling").stable_code(),
            Code::DATABASE_CREDENTIALS
        );
        let other = Error::new(Kind::Config, "connecting").code(Code::DATABASE_CREDENTIALS);
        assert_eq!(other.stable_code().to_string(), "CDC-0078");
        let around = Error::new(Kind::Unavailable, "polling").because(error());
        assert_eq!(around.stable_code().to_string(), "CDC-0069");
    }

    #[test]
    fn an_error_reads_as_one_sentence_from_the_table_down_to_the_cause() {
        let io = std::io::Error::other("connection reset");
        let error = Error::new(Kind::Unavailable, "reading rows")
            .because(io)
            .about("ec.orders");
        let error = error.while_doing("polling");
        assert_eq!(
            error.to_string(),
            "ec.orders: polling: reading rows: connection reset"
        );
        assert_eq!(error.kind().exit_code(), 69);
        assert_eq!(error.kind().fate(), Fate::Retry);
    }
}
