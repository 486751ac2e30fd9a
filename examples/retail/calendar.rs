//! Which days the sales lie on: the sixty before a given one, with a week's rhythm that a forecast can find.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use crate::Outcome;

const DAYS: i32 = 60;

/// How busy one day is against an ordinary one.
pub type Rhythm = fn(Date) -> f64;

/// Stores are fullest at the weekend, and on pay day.
pub fn tills_rhythm(day: Date) -> f64 {
    let weekday = match day.weekday() {
        Weekday::Monday => 0.8,
        Weekday::Friday => 1.15,
        Weekday::Saturday => 1.6,
        Weekday::Sunday => 1.4,
        _ => 0.9,
    };
    if day.day() == 25 {
        weekday * 1.25
    } else {
        weekday
    }
}

/// People order at the start of the week, and rest from it on Saturdays.
pub fn shop_rhythm(day: Date) -> f64 {
    match day.weekday() {
        Weekday::Monday => 1.3,
        Weekday::Tuesday => 1.15,
        Weekday::Saturday => 0.75,
        Weekday::Sunday => 1.1,
        _ => 0.95,
    }
}

/// The days before `until`, oldest first, each with its share of `total`. The shares add up to `total` exactly.
pub fn shares(until: Date, total: u64, rhythm: Rhythm) -> Outcome<Vec<(Date, u64)>> {
    let mut days = Vec::new();
    for back in (1..=DAYS).rev() {
        days.push(until.checked_sub(back.days())?);
    }
    let whole: f64 = days.iter().map(|day| rhythm(*day)).sum();
    let (mut so_far, mut given) = (0.0, 0);
    let shares = days.iter().map(|day| {
        so_far += rhythm(*day);
        let upto = (so_far / whole * total as f64).round() as u64;
        let share = upto - given;
        given = upto;
        (*day, share)
    });
    Ok(shares.collect())
}
