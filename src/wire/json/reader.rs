//! Reads a record from its first byte to its last: names, strings and the marks between values.

use super::text::plain_length;

/// What stands in a record where something else should. Says the kind of thing found, never the thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub wanted: &'static str,
    pub found: &'static str,
    /// The byte of the record, counted from 0.
    pub at: usize,
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// A place in a record.
pub(super) struct Reader<'a> {
    pub input: &'a [u8],
    pub at: usize,
    /// Where strings with escapes are put together.
    pub scratch: &'a mut Vec<u8>,
}

impl<'a> Reader<'a> {
    pub fn new(input: &'a [u8], scratch: &'a mut Vec<u8>) -> Self {
        Reader {
            input,
            at: 0,
            scratch,
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// Passes over these very bytes, if they come next.
    pub fn eat(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest().starts_with(bytes);
        if found {
            self.at += bytes.len();
        }
        found
    }

    /// Passes over this byte, if it comes next.
    pub fn eat_byte(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The fault of wanting something else than what begins here.
    #[cold]
    pub fn fault(&self, wanted: &'static str) -> Fault {
        let found = match self.peek() {
            None => "the end of the record",
            Some(b'"') => "a string",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(b't') if self.rest().starts_with(b"true") => "a boolean",
            Some(b'f') if self.rest().starts_with(b"false") => "a boolean",
            Some(b'n') if self.rest().starts_with(b"null") => "null",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b',' | b':' | b'}' | b']') => "a punctuation mark",
            Some(_) => "no JSON value",
        };
        Fault {
            wanted,
            found,
            at: self.at,
        }
    }

    /// The content of a string, without its escapes; `wanted` is what the string is for.
    pub fn string(&mut self, wanted: &'static str) -> Parsed<&[u8]> {
        let start = self.at;
        if !self.eat_byte(b'"') {
            return Err(self.fault(wanted));
        }
        let rest = self.rest();
        let (plain, after) = rest.split_at(plain_length(rest));
        self.at += plain.len();
        let content = if after.first() == Some(&b'"') {
            plain
        } else {
            self.scratch.clear();
            self.scratch.extend_from_slice(plain);
            self.unescape_rest()?;
            self.scratch.as_slice()
        };
        self.at += 1;
        match std::str::from_utf8(content) {
            Ok(_) => Ok(content),
            Err(_) => Err(Fault {
                wanted,
                found: "a string that is not UTF-8",
                at: start,
            }),
        }
    }

    /// Moves what comes before the closing quote to the scratch, and stops at that quote.
    fn unescape_rest(&mut self) -> Parsed<()> {
        const WANTED: &str = "the end of the string";
        loop {
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    self.at += 1;
                    self.unescape_one()?;
                }
                Some(_) => {
                    return Err(Fault {
                        wanted: WANTED,
                        found: "a raw control character",
                        at: self.at,
                    });
                }
                None => return Err(self.fault(WANTED)),
            }
            let rest = self.rest();
            let plain = rest.get(..plain_length(rest)).unwrap_or_default();
            self.scratch.extend_from_slice(plain);
            self.at += plain.len();
        }
    }

    /// Reads what follows a backslash.
    fn unescape_one(&mut self) -> Parsed<()> {
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 0x0c,
            Some(b'r') => b'\r',
            Some(b'u') => return self.unescape_unicode(),
            _ => {
                return Err(Fault {
                    wanted: "an escape",
                    found: "something else after a backslash",
                    at: self.at,
                });
            }
        };
        self.scratch.push(byte);
        self.at += 1;
        Ok(())
    }

    /// Reads `uXXXX`, or two of them that are a surrogate pair.
    fn unescape_unicode(&mut self) -> Parsed<()> {
        let start = self.at;
        let fault = |found| Fault {
            wanted: "a character",
            found,
            at: start,
        };
        let mut code = self
            .four_hex_digits()
            .ok_or(fault("an escape without four hexadecimal digits"))?;
        if (0xd800..0xdc00).contains(&code) && self.eat_byte(b'\\') {
            let low = self
                .four_hex_digits()
                .filter(|low| (0xdc00..0xe000).contains(low));
            code = 0x1_0000
                + ((code - 0xd800) << 10)
                + (low.ok_or(fault("half of a surrogate pair"))? - 0xdc00);
        }
        let character = char::from_u32(code).ok_or(fault("half of a surrogate pair"))?;
        self.scratch
            .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn four_hex_digits(&mut self) -> Option<u32> {
        let [b'u', digits @ ..] = self.rest() else {
            return None;
        };
        let mut code = 0;
        for digit in digits.get(..4)? {
            code = code << 4 | char::from(*digit).to_digit(16)?;
        }
        self.at += 5;
        Some(code)
    }
}
