//! The one header of a run: which schema, which epoch, which sequence numbers, which load.

use std::fmt;

use ulid::Ulid;

use crate::model::Fingerprint;

/// The header's name on the first record of each run.
pub const RUN_HEADER: &str = "cdc";

/// `<fingerprint>.<epoch>.<first sequence>+<records>[.<load ULID>]`, ASCII. A format that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHeader {
    pub fingerprint: Fingerprint,
    pub epoch: u64,
    /// The sequence number of the run's first record; sequences are dense per table, epoch and partition and
    /// start at 1.
    pub first: u64,
    pub records: u64,
    /// The bulk load these rows belong to.
    pub load: Option<Ulid>,
}

impl RunHeader {
    /// Reads a header; `None` if it is not one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.split('.');
        let fingerprint = Fingerprint::parse(parts.next()?)?;
        let epoch = number(parts.next()?)?;
        let (first, records) = parts.next()?.split_once('+')?;
        let load = match parts.next() {
            Some(load) => Some(
                Ulid::from_string(load)
                    .ok()
                    .filter(|ulid| ulid.to_string() == load)?,
            ),
            None => None,
        };
        let header = RunHeader {
            fingerprint,
            epoch,
            first: number(first)?,
            records: number(records)?,
            load,
        };
        let dense = header.first > 0
            && header.records > 0
            && header.first.checked_add(header.records).is_some();
        (parts.next().is_none() && dense).then_some(header)
    }
}

/// Digits only: no sign, no space, no leading zero.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for RunHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}+{}",
            self.fingerprint, self.epoch, self.first, self.records
        )?;
        match self.load {
            Some(load) => write!(f, ".{load}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_written_and_read_the_same_way_for_ever() {
        let text = "0123456789abcdef.1780000000000.7+250.01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let header = RunHeader::parse(text.as_bytes()).expect("a header");
        assert_eq!(
            (header.epoch, header.first, header.records),
            (1_780_000_000_000, 7, 250)
        );
        assert_eq!(header.to_string(), text);
        for wrong in [
            "",
            "0123456789abcdef.1.0+1",
            "0123456789abcdef.1.1+0",
            "0123456789ABCDEF.1.1+1",
            "0123456789abcdef.01.1+1",
            "0123456789abcdef.1.1+1.x",
            "0123456789abcdef.1.+1+1",
            "0123456789abcdef.1.18446744073709551615+1",
            "0123456789abcdef.1.1+1.01arz3ndektsv4rrffq69g5fav",
            "0123456789abcdef.1.1+1.01ARZ3NDEKTSV4RRFFQ69G5FAV.",
        ] {
            assert_eq!(RunHeader::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
