//! Exact numbers: integers and decimals go digit by digit, and only floats become floats.

use super::reader::{Fault, Parsed, Reader};

/// A number by the grammar of JSON, not yet a value.
struct Number<'a> {
    text: &'a [u8],
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// What whole and fraction make together without the point, as far as 64 bits hold it.
    low: u64,
    has_exponent: bool,
    /// Where it starts in the record.
    at: usize,
}

/// Appends a decimal with all digits of its scale: 1500 with scale 2 is `15.00`.
pub(super) fn write_decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let (mut short, mut long) = (itoa::Buffer::new(), itoa::Buffer::new());
    let digits = match u64::try_from(value.unsigned_abs()) {
        Ok(value) => short.format(value).as_bytes(),
        Err(_) => long.format(value.unsigned_abs()).as_bytes(),
    };
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
        out.extend_from_slice(fraction);
    }
}

/// Appends a float: the shortest text that gives the same float again; what JSON has no number for, as a string.
pub(super) fn write_float<F: zmij::Float + Into<f64> + Copy>(value: F, out: &mut Vec<u8>) {
    let double: f64 = value.into();
    if double.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(if double.is_nan() {
            b"\"NaN\"".as_slice()
        } else if double > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        });
    }
}

/// A float type and the values it has no digits for.
pub(super) trait Float: std::str::FromStr + Copy {
    const NAN: Self;
    const INFINITY: Self;
    const NEGATIVE_INFINITY: Self;
    fn is_finite(self) -> bool;
}

impl Float for f32 {
    const NAN: f32 = f32::NAN;
    const INFINITY: f32 = f32::INFINITY;
    const NEGATIVE_INFINITY: f32 = f32::NEG_INFINITY;
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f64 {
    const NAN: f64 = f64::NAN;
    const INFINITY: f64 = f64::INFINITY;
    const NEGATIVE_INFINITY: f64 = f64::NEG_INFINITY;
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl<'a> Reader<'a> {
    /// Reads an integer of type `T`; `wanted` names that type.
    pub fn integer<T: TryFrom<i128>>(&mut self, wanted: &'static str) -> Parsed<T> {
        let number = self.number(wanted)?;
        let fault = |found| Fault {
            wanted,
            found,
            at: number.at,
        };
        if number.has_exponent || !number.fraction.is_empty() {
            return Err(fault("a number with a fraction or an exponent"));
        }
        let out_of_range = || fault("a number out of range");
        let magnitude = number
            .digits()
            .and_then(|value| i128::try_from(value).ok())
            .ok_or_else(out_of_range)?;
        T::try_from(if number.negative {
            -magnitude
        } else {
            magnitude
        })
        .map_err(|_| out_of_range())
    }

    /// Reads a decimal as its unscaled integer.
    pub fn decimal(&mut self, precision: u8, scale: u8) -> Parsed<i128> {
        const WANTED: &str = "a decimal";
        let number = self.number(WANTED)?;
        let fault = |found| Fault {
            wanted: WANTED,
            found,
            at: number.at,
        };
        if number.has_exponent {
            return Err(fault("a number with an exponent"));
        }
        let Some(missing) = usize::from(scale).checked_sub(number.fraction.len()) else {
            return Err(fault(
                "a number with more digits after the point than the column has",
            ));
        };
        let value = number
            .digits()
            .and_then(|value| value.checked_mul(10_u128.checked_pow(missing as u32)?))
            .filter(|value| Some(*value) < 10_u128.checked_pow(precision.into()))
            .ok_or(fault("a number with more digits than the column has"))?
            as i128;
        Ok(if number.negative { -value } else { value })
    }

    /// Reads a float: a number, or one of the three strings.
    pub fn float<F: Float>(&mut self, wanted: &'static str) -> Parsed<F> {
        let at = self.at;
        if self.peek() == Some(b'"') {
            return match self.string(wanted)? {
                b"NaN" => Ok(F::NAN),
                b"Infinity" => Ok(F::INFINITY),
                b"-Infinity" => Ok(F::NEGATIVE_INFINITY),
                _ => Err(Fault {
                    wanted,
                    found: "a string",
                    at,
                }),
            };
        }
        let number = self.number(wanted)?;
        let value: Option<F> = std::str::from_utf8(number.text)
            .ok()
            .and_then(|text| text.parse().ok());
        // A number beyond the largest float is not silently made infinite.
        value.filter(|value| value.is_finite()).ok_or(Fault {
            wanted,
            found: "a number out of range",
            at,
        })
    }

    fn number(&mut self, wanted: &'static str) -> Parsed<Number<'a>> {
        let (at, text) = (self.at, self.rest());
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.fault(wanted));
        }
        let negative = self.eat_byte(b'-');
        let (whole, low) = self.digits(0);
        let malformed = Fault {
            wanted,
            found: "a malformed number",
            at,
        };
        if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
            return Err(malformed);
        }
        let mut number = Number {
            text,
            negative,
            whole,
            fraction: &[],
            low,
            has_exponent: false,
            at,
        };
        if self.eat_byte(b'.') {
            (number.fraction, number.low) = self.digits(low);
            if number.fraction.is_empty() {
                return Err(malformed);
            }
        }
        if self.eat_byte(b'e') || self.eat_byte(b'E') {
            number.has_exponent = true;
            let _sign = self.eat_byte(b'-') || self.eat_byte(b'+');
            if self.digits(0).0.is_empty() {
                return Err(malformed);
            }
        }
        number.text = text.get(..self.at - at).unwrap_or_default();
        Ok(number)
    }

    /// The digits that come next, and the number they make when they follow those of `low`.
    fn digits(&mut self, low: u64) -> (&'a [u8], u64) {
        let rest = self.rest();
        let (mut length, mut low) = (0, low);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            low = low.wrapping_mul(10).wrapping_add(digit.into());
            length += 1;
        }
        self.at += length;
        (rest.get(..length).unwrap_or_default(), low)
    }
}

impl Number<'_> {
    /// Whole and fraction together without the point, if 128 bits hold them.
    fn digits(&self) -> Option<u128> {
        // Nineteen digits always fit 64 bits, which are several times faster.
        if self.whole.len() + self.fraction.len() <= 19 {
            return Some(self.low.into());
        }
        let mut digits = self
            .whole
            .iter()
            .chain(self.fraction)
            .map(|digit| u128::from(digit - b'0'));
        digits.try_fold(0_u128, |value, digit| {
            value.checked_mul(10)?.checked_add(digit)
        })
    }
}
