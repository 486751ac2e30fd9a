//! The binary form of each type, byte by byte. Any input gives a value or an error, never a panic.
//!
//! Source: the `*_send` functions in PostgreSQL's `src/backend/utils/adt/`.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use arrow::array::builder::StringBuilder;

/// A value, or the kind of value that cannot be carried.
pub(super) type Outcome<T> = Result<T, &'static str>;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Exactly `N` bytes.
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Outcome<[u8; N]> {
    bytes.try_into().map_err(|_| "a value of unexpected length")
}

pub(super) fn boolean(bytes: &[u8]) -> Outcome<bool> {
    fixed::<1>(bytes).map(|[byte]| byte != 0)
}

/// A database with encoding SQL_ASCII sends whatever was stored.
pub(super) fn text(bytes: &[u8]) -> Outcome<&str> {
    std::str::from_utf8(bytes).map_err(|_| "text that is not UTF-8")
}

pub(super) fn jsonb(bytes: &[u8]) -> Outcome<&str> {
    match bytes.split_first() {
        Some((1, rest)) => text(rest),
        _ => Err("a jsonb of an unknown version"),
    }
}

/// Days since 1970-01-01.
pub(super) fn date(bytes: &[u8]) -> Outcome<i32> {
    match i32::from_be_bytes(fixed(bytes)?) {
        i32::MAX | i32::MIN => Err("a date of infinity"),
        days => days.checked_add(EPOCH_DAYS).ok_or("a date out of range"),
    }
}

/// Microseconds since 1970-01-01 00:00.
pub(super) fn timestamp(bytes: &[u8]) -> Outcome<i64> {
    match i64::from_be_bytes(fixed(bytes)?) {
        i64::MAX | i64::MIN => Err("a timestamp of infinity"),
        // The very last microsecond of 64 bits is what DuckDB takes for infinity.
        micros => micros
            .checked_add(EPOCH_MICROS)
            .filter(|micros| *micros < i64::MAX)
            .ok_or("a timestamp out of range"),
    }
}

/// How many bits there are, and the bytes that hold them from the highest.
pub(super) fn bits(bytes: &[u8]) -> Outcome<(u32, &[u8])> {
    let (count, bits) = bytes.split_at_checked(4).ok_or("a malformed bit string")?;
    let count = u32::from_be_bytes(fixed(count)?);
    match bits.len() == count.div_ceil(8) as usize {
        true => Ok((count, bits)),
        false => Err("a malformed bit string"),
    }
}

/// The number that at most 64 bits form.
pub(super) fn bit_number(bytes: &[u8]) -> Outcome<u64> {
    let (count, bits) = bits(bytes)?;
    if count > 64 {
        return Err("a bit string longer than the column admits");
    }
    let filled = bits
        .iter()
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Ok(filled >> ((8 - count % 8) % 8))
}

/// Appends the 36 characters of a UUID.
pub(super) fn uuid(bytes: &[u8], to: &mut StringBuilder) -> Outcome<()> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes: [u8; 16] = fixed(bytes)?;
    let mut text = [b'-'; 36];
    let mut places = text
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            if let (Some((_, place)), Some(hex)) = (places.next(), HEX.get(usize::from(digit))) {
                *place = *hex;
            }
        }
    }
    to.append_value(std::str::from_utf8(&text).map_err(|_| "a malformed uuid")?);
    Ok(())
}

/// Appends an address as `inet_out` and `cidr_out` write it: the width of the network only where it says something.
pub(super) fn inet(bytes: &[u8], to: &mut StringBuilder) -> Outcome<()> {
    const MALFORMED: &str = "a malformed network address";
    let (&[_, width, is_cidr, _], address) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let full = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(v4), _) => write!(to, "{}", Ipv4Addr::from(v4)).map(|()| 32),
        (_, Ok(v6)) => match v6 {
            // The server writes an IPv4 address at the end of an otherwise empty one with dots.
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if (a, b) != (0, 0) => {
                write!(to, "::{}", Ipv4Addr::new(a, b, c, d)).map(|()| 128)
            }
            _ => write!(to, "{}", Ipv6Addr::from(v6)).map(|()| 128),
        },
        _ => return Err(MALFORMED),
    };
    let full: u8 = full.map_err(|_| MALFORMED)?;
    if is_cidr != 0 || width != full {
        write!(to, "/{width}").map_err(|_| MALFORMED)?;
    }
    to.append_value("");
    Ok(())
}

/// The most dimensions an array can have: the server's `MAXDIM`.
const MOST_DIMENSIONS: usize = 6;

/// The elements of an array, in the order of the server: the last index runs first.
pub(super) struct Elements<'a> {
    left: usize,
    rest: &'a [u8],
    lengths: [usize; MOST_DIMENSIONS],
}

const MALFORMED_ARRAY: &str = "a malformed array";

impl<'a> Elements<'a> {
    /// Header: dimensions, whether there are nulls, the element's type; then length and first index of each
    /// dimension. An empty array has none, and belongs to a column of any number of `dimensions`.
    pub fn new(bytes: &'a [u8], dimensions: usize) -> Outcome<Self> {
        let mut rest = bytes;
        let found = usize::try_from(number(&mut rest)?).map_err(|_| MALFORMED_ARRAY)?;
        let (_has_nulls, _element_type) = (number(&mut rest)?, number(&mut rest)?);
        let mut lengths = [0; MOST_DIMENSIONS];
        let mut left = usize::from(found > 0);
        let places = lengths.get_mut(..found).ok_or(MALFORMED_ARRAY)?;
        let mut begins_at_1 = true;
        for length in places {
            *length = usize::try_from(number(&mut rest)?).map_err(|_| MALFORMED_ARRAY)?;
            left = left.checked_mul(*length).ok_or(MALFORMED_ARRAY)?;
            begins_at_1 &= number(&mut rest)? == 1;
        }
        if found != 0 && found != dimensions {
            return Err(match dimensions {
                1 => "an array of more than one dimension",
                _ => "an array of another number of dimensions than its column declares",
            });
        }
        match begins_at_1 {
            true => Ok(Elements {
                left,
                rest,
                lengths,
            }),
            false => Err("an array that does not begin at 1"),
        }
    }

    /// How many elements, or arrays of elements, one of this dimension holds; 0 of an empty array.
    pub fn length(&self, dimension: usize) -> usize {
        self.lengths.get(dimension).copied().unwrap_or(0)
    }

    /// The next element, where NULL is `Some(None)`.
    pub fn next(&mut self) -> Outcome<Option<Option<&'a [u8]>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let length = number(&mut self.rest)?;
        if length < 0 {
            return Ok(Some(None));
        }
        let length = usize::try_from(length).map_err(|_| MALFORMED_ARRAY)?;
        let (element, rest) = self.rest.split_at_checked(length).ok_or(MALFORMED_ARRAY)?;
        self.rest = rest;
        Ok(Some(Some(element)))
    }
}

fn number(rest: &mut &[u8]) -> Outcome<i32> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or(MALFORMED_ARRAY)?;
    *rest = after;
    Ok(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn appended(append: impl FnOnce(&mut StringBuilder) -> Outcome<()>) -> Outcome<String> {
        let mut builder = StringBuilder::new();
        append(&mut builder)?;
        Ok(builder.finish().value(0).to_owned())
    }

    #[test]
    fn addresses_read_as_the_server_writes_them() {
        let inet =
            |head: [u8; 4], address: &[u8]| appended(|to| inet(&[&head, address].concat(), to));
        let mut six = [0_u8; 16];
        assert_eq!(inet([2, 32, 0, 4], &[10, 0, 0, 1]), Ok("10.0.0.1".into()));
        assert_eq!(inet([2, 8, 0, 4], &[10, 0, 0, 1]), Ok("10.0.0.1/8".into()));
        assert_eq!(
            inet([2, 32, 1, 4], &[10, 0, 0, 1]),
            Ok("10.0.0.1/32".into())
        );
        six[15] = 1;
        assert_eq!(inet([3, 128, 0, 16], &six), Ok("::1".into()));
        six[12] = 1;
        assert_eq!(inet([3, 128, 0, 16], &six), Ok("::1.0.0.1".into()));
    }

    #[test]
    fn bits_form_the_number_that_is_written_with_them() {
        assert_eq!(bit_number(&[0, 0, 0, 3, 0b1010_0000]), Ok(5));
        assert_eq!(bit_number(&[0, 0, 0, 16, 1, 2]), Ok(258));
        assert_eq!(bit_number(&[0, 0, 0, 0]), Ok(0));
        assert!(bit_number(&[0, 0, 0, 9, 1]).is_err());
    }

    #[test]
    fn infinity_is_told_from_a_far_year() {
        assert_eq!(
            timestamp(&i64::MAX.to_be_bytes()),
            Err("a timestamp of infinity")
        );
        assert_eq!(
            timestamp(&(i64::MAX - 1).to_be_bytes()),
            Err("a timestamp out of range")
        );
        assert_eq!(
            timestamp(&(i64::MAX - EPOCH_MICROS).to_be_bytes()),
            Err("a timestamp out of range")
        );
        assert_eq!(date(&i32::MIN.to_be_bytes()), Err("a date of infinity"));
        assert_eq!(date(&0_i32.to_be_bytes()), Ok(10_957));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64), dimensions in 1_usize..7) {
            let _ = (boolean(&bytes), text(&bytes), jsonb(&bytes), date(&bytes), timestamp(&bytes), bit_number(&bytes));
            let _ = (appended(|to| uuid(&bytes, to)), appended(|to| inet(&bytes, to)));
            if let Ok(mut elements) = Elements::new(&bytes, dimensions) {
                while let Ok(Some(_)) = elements.next() {}
            }
        }
    }
}
