//! The binary form of `numeric`: digits in base 10,000, read exactly or not at all.
//!
//! Source: `numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`.

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Decimal digits of one digit of the base.
const DIGITS: i32 = 4;

/// 10^0 to 10^38: all that an `i128` holds.
const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Reads a value as an integer count of `10^-scale`. The error names the kind of value that does not fit.
pub(super) fn decimal(bytes: &[u8], precision: u8, scale: u8) -> Result<i128, &'static str> {
    let (header, digits) = bytes.split_at_checked(8).ok_or("a malformed numeric")?;
    let word = |at: usize| match header.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    let (count, weight, sign) = (
        usize::from(word(0)),
        i32::from(word(2).cast_signed()),
        word(4),
    );
    match sign {
        NOT_A_NUMBER => return Err("a numeric NaN"),
        INFINITY | NEGATIVE_INFINITY => return Err("a numeric infinity"),
        _ => {}
    }
    if digits.len() != count * 2 {
        return Err("a malformed numeric");
    }
    let mut sum = 0_i128;
    let mut exponent = weight * DIGITS + i32::from(scale);
    for pair in digits.chunks_exact(2) {
        let digit = i128::from(u16::from_be_bytes([pair[0], pair[1]]));
        sum = shifted(digit, exponent)
            .and_then(|part| sum.checked_add(part))
            .ok_or(TOO_MANY_DIGITS)?;
        exponent -= DIGITS;
    }
    let largest = POWERS
        .get(usize::from(precision))
        .copied()
        .unwrap_or(i128::MAX);
    match sum < largest {
        true if sign == NEGATIVE => Ok(-sum),
        true => Ok(sum),
        false => Err(TOO_MANY_DIGITS),
    }
}

pub(super) const TOO_MANY_DIGITS: &str = "a numeric with more digits than the column admits";

/// `digit` × 10^`exponent`, if that is a whole number that fits.
fn shifted(digit: i128, exponent: i32) -> Option<i128> {
    if digit == 0 {
        return Some(0);
    }
    let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    match exponent >= 0 {
        true => digit.checked_mul(power),
        false => (digit % power == 0).then_some(digit / power),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the server would send: the same arithmetic, the other way round.
    fn sent(value: i128, scale: u8) -> Vec<u8> {
        let text = format!(
            "{:0>width$}",
            value.unsigned_abs(),
            width = usize::from(scale) + 1
        );
        let (whole, fraction) = text.split_at(text.len() - usize::from(scale));
        let whole = format!("{whole:0>width$}", width = whole.len().div_ceil(4) * 4);
        let fraction = format!(
            "{fraction:0<width$}",
            width = fraction.len().div_ceil(4) * 4
        );
        let groups: Vec<u16> = format!("{whole}{fraction}")
            .as_bytes()
            .chunks(4)
            .map(|g| std::str::from_utf8(g).unwrap().parse().unwrap())
            .collect();
        let sign = if value < 0 { NEGATIVE } else { 0 };
        let head = [
            groups.len() as u16,
            (whole.len() / 4 - 1) as u16,
            sign,
            u16::from(scale),
        ];
        head.iter()
            .chain(&groups)
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }

    proptest! {
        #[test]
        fn every_value_of_38_digits_comes_back_at_every_scale(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            prop_assert_eq!(decimal(&sent(value, scale), 38, scale), Ok(value));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40), precision in 1_u8..=38) {
            if let Ok(value) = decimal(&bytes, precision, 0) {
                prop_assert!(value.abs() < POWERS[usize::from(precision)]);
            }
        }
    }

    #[test]
    fn what_is_no_number_or_too_fine_is_refused() {
        let special = |sign: u16| {
            [0_u16, 0, sign, 0]
                .iter()
                .flat_map(|w| w.to_be_bytes())
                .collect::<Vec<_>>()
        };
        assert_eq!(decimal(&special(NOT_A_NUMBER), 10, 2), Err("a numeric NaN"));
        assert_eq!(
            decimal(&special(NEGATIVE_INFINITY), 10, 2),
            Err("a numeric infinity")
        );
        assert_eq!(decimal(&sent(12_345, 3), 10, 2), Err(TOO_MANY_DIGITS));
        assert_eq!(decimal(&sent(12_345, 0), 4, 0), Err(TOO_MANY_DIGITS));
    }
}
