//! What a decimal column holds, as the configuration writes it: `[38, 9]`.

/// Digits in all, and how many of them stand behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// 1 to 38.
    pub precision: u8,
    /// At most `precision`.
    pub scale: u8,
}

impl Digits {
    const MOST: u8 = 38;

    /// Of two numbers as text.
    pub(super) fn parse(numbers: &[String]) -> Result<Self, String> {
        let form = "is not two numbers; write e.g. `[38, 9]`: the digits in all and those behind the point";
        let [precision, scale] = numbers else {
            return Err(form.to_owned());
        };
        let (Ok(precision), Ok(scale)) = (precision.parse(), scale.parse()) else {
            return Err(form.to_owned());
        };
        if !(1..=Self::MOST).contains(&precision) {
            return Err(format!(
                "is out of range: a decimal has 1 to {} digits in all",
                Self::MOST
            ));
        }
        if scale > precision {
            return Err("has more digits behind the point than in all".to_owned());
        }
        Ok(Digits { precision, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_that_fit_38_digits_are_taken() {
        let parse = |numbers: &[&str]| {
            let numbers: Vec<String> = numbers.iter().map(|n| (*n).to_owned()).collect();
            Digits::parse(&numbers)
                .ok()
                .map(|digits| (digits.precision, digits.scale))
        };
        assert_eq!(parse(&["38", "9"]), Some((38, 9)));
        assert_eq!(parse(&["1", "0"]), Some((1, 0)));
        assert_eq!(parse(&["5", "5"]), Some((5, 5)));
        for wrong in [
            &["39", "0"][..],
            &["0", "0"],
            &["5", "6"],
            &["5"],
            &["5", "1", "1"],
            &["a", "1"],
            &["5", "-1"],
            &[],
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
