//! Schedules for another's clock: units of systemd and lines of a crontab. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::inspect::TableSchedule;
use crate::model::Mode;

/// A table that is polled more often than this is for `cdc follow`, not for a timer.
const RARELY: f64 = 60.0;

/// What is to be started, and when.
pub struct Jobs {
    program: String,
    file: String,
    list: Vec<Job>,
}

struct Job {
    /// Names its units: it follows from pipeline, command and schedule, so that it stays when tables are added.
    name: String,
    when: When,
    words: &'static [&'static str],
    tables: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    /// Five fields, as written, and a zone.
    Cron {
        fields: String,
        zone: String,
    },
    Every(Duration),
}

impl Jobs {
    /// One job for each schedule and command, with all its tables.
    pub fn new(pipeline: &str, program: &str, file: &str, tables: &[TableSchedule]) -> Self {
        let mut grouped: BTreeMap<(When, &'static [&'static str]), Vec<String>> = BTreeMap::new();
        for table in tables {
            let words: &[&str] = match table.mode {
                Mode::Bulk => &["snapshot"],
                _ => &["follow", "--once"],
            };
            let every = table
                .every_seconds
                .filter(|every| table.mode == Mode::Bulk || *every >= RARELY);
            let when = match (&table.schedule, every) {
                (Some(schedule), _) => When::cron(schedule),
                (None, Some(every)) => When::Every(Duration::from_secs_f64(every)),
                (None, None) => continue,
            };
            grouped
                .entry((when, words))
                .or_default()
                .push(table.table.clone());
        }
        let list = grouped.into_iter().map(|((when, words), mut tables)| {
            tables.sort();
            Job {
                name: format!("cdc-{pipeline}-{}-{}", words[0], when.slug()),
                when,
                words,
                tables,
            }
        });
        Jobs {
            program: program.to_owned(),
            file: file.to_owned(),
            list: list.collect(),
        }
    }
}

impl When {
    fn cron(schedule: &str) -> Self {
        let words: Vec<&str> = schedule.split_whitespace().collect();
        let (fields, zone) = words.split_at(words.len().min(5));
        When::Cron {
            fields: fields.join(" "),
            zone: zone.first().map_or("UTC", |zone| zone).to_owned(),
        }
    }

    /// In letters that a unit's name may have.
    fn slug(&self) -> String {
        let text = match self {
            When::Cron { fields, zone } => format!("{fields} {zone}"),
            When::Every(every) => format!("every {}s", every.as_secs_f64()),
        };
        let letter = |c: char| match c {
            '*' => 'x',
            ',' => '_',
            ' ' => '-',
            c if c.is_ascii_alphanumeric() || c == '.' => c,
            '/' => '.',
            _ => '_',
        };
        text.chars().map(letter).collect()
    }

    fn in_words(&self) -> String {
        match self {
            When::Cron { fields, zone } => format!("`{fields}` {zone}"),
            When::Every(every) => format!("every {}", crate::inspect::duration(*every)),
        }
    }
}

/// A shell script that writes a service and a timer for each job. It changes nothing but those files: what starts them
/// is said at its end.
pub fn systemd(jobs: &Jobs) -> Result<Vec<String>> {
    let mut lines = vec![
        "# Writes a service and a timer for each schedule. UNITS is where they go.".to_owned(),
        "UNITS=${UNITS:-/etc/systemd/system}".to_owned(),
    ];
    let mut timers = Vec::new();
    for job in &jobs.list {
        let timer = timer(job)?;
        lines.push(format!("cat >\"$UNITS/{}.service\" <<'UNIT'", job.name));
        lines.extend(service(jobs, job));
        lines.push("UNIT".to_owned());
        lines.push(format!("cat >\"$UNITS/{}.timer\" <<'UNIT'", job.name));
        lines.extend(timer);
        lines.push("UNIT".to_owned());
        timers.push(format!("{}.timer", job.name));
    }
    lines.push("# then: systemctl daemon-reload".to_owned());
    if !timers.is_empty() {
        lines.push(format!(
            "#       systemctl enable --now {}",
            timers.join(" ")
        ));
    }
    Ok(lines)
}

fn service(jobs: &Jobs, job: &Job) -> Vec<String> {
    let mut command = vec![
        quoted(&jobs.program),
        "--config".to_owned(),
        quoted(&jobs.file),
    ];
    command.extend(job.words.iter().map(|word| (*word).to_owned()));
    command.extend(job.tables.iter().map(|table| quoted(table)));
    [
        "[Unit]".to_owned(),
        format!(
            "Description=cdc {}, {}",
            job.words.join(" "),
            specifier(&job.when.in_words())
        ),
        "Wants=network-online.target".to_owned(),
        "After=network-online.target".to_owned(),
        String::new(),
        "[Service]".to_owned(),
        "Type=oneshot".to_owned(),
        "# what `${env:…}` in the configuration stands for".to_owned(),
        "EnvironmentFile=-/etc/default/cdc".to_owned(),
        format!("ExecStart={}", command.join(" ")),
        "TimeoutStartSec=infinity".to_owned(),
        "TimeoutStopSec=30".to_owned(),
    ]
    .into()
}

fn timer(job: &Job) -> Result<Vec<String>> {
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!(
            "Description=cdc {}, {}",
            job.words.join(" "),
            specifier(&job.when.in_words())
        ),
        String::new(),
        "[Timer]".to_owned(),
    ];
    match &job.when {
        When::Cron { fields, zone } => {
            let calendars =
                calendars(fields).ok_or_else(|| unsaid(fields, "a timer of systemd"))?;
            lines.extend(
                calendars
                    .iter()
                    .map(|calendar| format!("OnCalendar={calendar} {zone}")),
            );
            lines.push("Persistent=true".to_owned());
        }
        When::Every(every) => {
            lines.push("OnActiveSec=0".to_owned());
            lines.push(format!("OnUnitActiveSec={}ms", every.as_millis()));
        }
    }
    lines.extend(["AccuracySec=1s", "", "[Install]", "WantedBy=timers.target"].map(str::to_owned));
    Ok(lines)
}

fn unsaid(fields: &str, what: &str) -> Error {
    Error::new(Kind::No, format!("`{fields}` cannot be said by {what}"))
        .hint("write it with numbers, names, `*`, `,`, `-` and `/`, or let `cdc follow` keep it")
}

/// A word of a command: systemd takes `%` and `$` for its own.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@-+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "$$");
    format!("\"{}\"", specifier(&escaped))
}

fn specifier(text: &str) -> String {
    text.replace('%', "%%")
}

/// Lines of a crontab.
pub fn crontab(jobs: &Jobs) -> Result<Vec<String>> {
    let mut lines = vec![
        "# CRON_TZ is known to cronie and Fedora's cron; Debian's goes by the machine's zone instead.".to_owned(),
    ];
    let mut zone = None;
    for job in &jobs.list {
        let (fields, own) = match &job.when {
            When::Cron { fields, zone } => {
                // What systemd can be told, every cron knows.
                calendars(fields).ok_or_else(|| unsaid(fields, "a crontab"))?;
                (fields.clone(), zone.as_str())
            }
            When::Every(every) => match fields_of(*every) {
                Some(fields) => (fields, "UTC"),
                None => {
                    let (when, tables) = (job.when.in_words(), job.tables.join(", "));
                    lines.push(format!("# {tables}: {when} cannot be said in a crontab"));
                    continue;
                }
            },
        };
        if zone != Some(own) {
            lines.push(format!("CRON_TZ={own}"));
            zone = Some(own);
        }
        let mut command = vec![
            in_shell(&jobs.program),
            "--config".to_owned(),
            in_shell(&jobs.file),
        ];
        command.extend(job.words.iter().map(|word| (*word).to_owned()));
        command.extend(job.tables.iter().map(|table| in_shell(table)));
        lines.push(format!(
            "{fields} {}",
            command.join(" ").replace('%', "\\%")
        ));
    }
    Ok(lines)
}

/// Fields that come so often, if minutes and hours divide by it.
fn fields_of(every: Duration) -> Option<String> {
    let seconds = every.as_secs();
    if every.subsec_nanos() > 0 || !seconds.is_multiple_of(60) {
        return None;
    }
    match seconds / 60 {
        1 => Some("* * * * *".to_owned()),
        minutes @ 2..60 if 60 % minutes == 0 => Some(format!("*/{minutes} * * * *")),
        60 => Some("0 * * * *".to_owned()),
        minutes if minutes % 60 == 0 && minutes < 1_440 && 1_440 % minutes == 0 => {
            Some(format!("0 */{} * * *", minutes / 60))
        }
        1_440 => Some("0 0 * * *".to_owned()),
        _ => None,
    }
}

fn in_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@-+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The calendar expressions of five cron fields, without a zone; `None` where they hold what only some crons know. A
/// cron with both a day and a weekday means either of them, systemd means both: that takes two expressions.
fn calendars(fields: &str) -> Option<Vec<String>> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return None;
    };
    let minutes = listed(&values(minute, 0, 59, &[])?, 0, 59);
    let hours = listed(&values(hour, 0, 23, &[])?, 0, 23);
    let days = listed(&values(day, 1, 31, &[])?, 1, 31);
    let months = listed(&values(month, 1, 12, &MONTHS)?, 1, 12);
    // 0 and 7 are both Sunday.
    let weekdays: BTreeSet<u8> = values(weekday, 0, 7, &WEEKDAYS)?
        .into_iter()
        .map(|day| day % 7)
        .collect();
    let of_week: Vec<&str> = [1, 2, 3, 4, 5, 6, 0]
        .into_iter()
        .filter(|day| weekdays.contains(day))
        .filter_map(|day| {
            ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
                .get(usize::from(day))
                .copied()
        })
        .collect();
    let by_week = format!("{} *-{months}-* {hours}:{minutes}:00", of_week.join(","));
    let by_day = format!("*-{months}-{days} {hours}:{minutes}:00");
    Some(
        match (*day == "*", *weekday == "*" || weekdays.len() == 7) {
            (_, true) => vec![by_day],
            (true, false) => vec![by_week],
            (false, false) => vec![by_day, by_week],
        },
    )
}

/// The values of a field: numbers, names, `*`, ranges, steps and lists of them.
fn values(field: &str, low: u8, high: u8, names: &[&str]) -> Option<BTreeSet<u8>> {
    let value = |text: &str| {
        let named = names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            // The first month is 1, the first weekday 0.
            Some(at) => u8::try_from(at).ok()? + u8::from(names.len() == 12),
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (low..=high).contains(&value).then_some(value)
    };
    let mut found = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/10` means one thing here and another there.
            None if part.contains('/') => return None,
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return None;
        }
        found.extend((from..=to).step_by(usize::from(step)));
    }
    Some(found)
}

/// Values as systemd writes them: `*`, or a list with ranges.
fn listed(values: &BTreeSet<u8>, low: u8, high: u8) -> String {
    if values.len() == usize::from(high - low) + 1 {
        return "*".to_owned();
    }
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for value in values {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *value => *end = *value,
            _ => ranges.push((*value, *value)),
        }
    }
    let text = ranges.iter().map(|(from, to)| match to - from {
        0 => format!("{from:02}"),
        1 => format!("{from:02},{to:02}"),
        _ => format!("{from:02}..{to:02}"),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
