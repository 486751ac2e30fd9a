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
mod tests {
    use std::process::Command;

    use super::*;
    use crate::config::Schedule;

    fn table(name: &str, mode: Mode, schedule: Option<&str>, every: Option<f64>) -> TableSchedule {
        TableSchedule {
            table: name.into(),
            mode,
            schedule: schedule.map(str::to_owned),
            every_seconds: every,
            next: Vec::new(),
            last: None,
            late_since: None,
            paused: false,
            error: None,
        }
    }

    fn jobs() -> Jobs {
        let nightly = Some("30 2 * * * Asia/Seoul");
        Jobs::new(
            "retail",
            "/usr/bin/cdc",
            "/etc/cdc/100% sure.yaml",
            &[
                table("pos.stores", Mode::Bulk, nightly, None),
                table("ec.products", Mode::Bulk, nightly, None),
                table("ec.it's $odd", Mode::Bulk, Some("0 5 1 * MON"), None),
                table("ec.prices", Mode::Bulk, None, Some(21_600.0)),
                table("ec.stock", Mode::Bulk, None, Some(25_200.0)),
                table("ec.orders", Mode::Timestamp, None, Some(900.0)),
                table("ec.clicks", Mode::Incrementing, None, Some(5.0)),
                table("ec.archive", Mode::Bulk, None, None),
            ],
        )
    }

    #[test]
    fn a_timer_of_systemd_is_a_script_that_writes_both_units() {
        insta::assert_snapshot!(systemd(&jobs()).unwrap().join("\n"));
    }

    #[test]
    fn a_crontab_says_the_zone_and_what_it_cannot_say() {
        insta::assert_snapshot!(crontab(&jobs()).unwrap().join("\n"));
    }

    #[test]
    fn what_only_some_crons_know_is_refused_and_not_bent() {
        for fields in [
            "0 2 L * *",
            "0 2 * * MON#2",
            "0 2 15W * *",
            "0 2 ? * 1",
            "1 2 3 4",
        ] {
            assert_eq!(calendars(fields), None, "{fields}");
        }
        let with = [table("ec.t", Mode::Bulk, Some("0 2 L * *"), None)];
        let jobs = Jobs::new("retail", "cdc", "cdc.yaml", &with);
        assert_eq!(systemd(&jobs).unwrap_err().kind(), Kind::No);
        assert_eq!(crontab(&jobs).unwrap_err().kind(), Kind::No);
    }

    const EXPRESSIONS: [&str; 10] = [
        "30 2 * * *",
        "*/15 * * * *",
        "5-59/20 8-18 * * MON-FRI",
        "0 0 1,15 * *",
        "0 5 1 * MON",
        "0 0 31 * *",
        "1,2,3,10 */6 1-7/2 JAN,jun *",
        "0 12 * * 0,7",
        "59 23 29 2 *",
        "0 9-17/4 * 3-5 6",
    ];

    #[test]
    fn a_cron_expression_becomes_a_calendar_expression() {
        let shown = EXPRESSIONS.map(|fields| {
            let calendars = calendars(fields).unwrap_or_default();
            format!("{fields} = {}", calendars.join(" | "))
        });
        insta::assert_snapshot!(shown.join("\n"), @r"
        30 2 * * * = *-*-* 02:30:00
        */15 * * * * = *-*-* *:00,15,30,45:00
        5-59/20 8-18 * * MON-FRI = Mon,Tue,Wed,Thu,Fri *-*-* 08..18:05,25,45:00
        0 0 1,15 * * = *-*-01,15 00:00:00
        0 5 1 * MON = *-*-01 05:00:00 | Mon *-*-* 05:00:00
        0 0 31 * * = *-*-31 00:00:00
        1,2,3,10 */6 1-7/2 JAN,jun * = *-01,06-01,03,05,07 00,06,12,18:01..03,10:00
        0 12 * * 0,7 = Sun *-*-* 12:00:00
        59 23 29 2 * = *-02-29 23:59:00
        0 9-17/4 * 3-5 6 = Sat *-03..05-* 09,13,17:00:00
        ");
    }

    /// What systemd says, where it is there to be asked.
    fn asked(arguments: &[&str]) -> Option<String> {
        let answer = Command::new("systemd-analyze")
            .args(arguments)
            .env("TZ", "UTC")
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert!(
            answer.status.success(),
            "systemd-analyze {arguments:?}: {said}"
        );
        Some(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    #[test]
    fn systemd_ticks_when_the_schedule_does() {
        let from = "2026-11-20 12:00:00 UTC";
        for fields in EXPRESSIONS {
            let schedule = Schedule::parse(&format!("{fields} Asia/Seoul")).unwrap();
            let start = "2026-11-20T12:00:00Z".parse().unwrap();
            let ticks = schedule.ticks_after(start, 12).unwrap();
            let ours: BTreeSet<String> = ticks
                .iter()
                .map(|tick| tick.timestamp().strftime("%F %T").to_string())
                .collect();
            let mut theirs = BTreeSet::new();
            for calendar in calendars(fields).unwrap() {
                let zoned = format!("{calendar} Asia/Seoul");
                let Some(said) =
                    asked(&["calendar", "--iterations=12", "--base-time", from, &zoned])
                else {
                    return;
                };
                let moments = said.lines().filter_map(|line| {
                    let (what, moment) = line.split_once(": ")?;
                    let is_tick = what.trim() == "Next elapse" || what.trim().starts_with("Iter");
                    // `Sat 2026-11-21 17:30:00 UTC`
                    is_tick.then(|| {
                        moment
                            .split(' ')
                            .skip(1)
                            .take(2)
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                });
                theirs.extend(moments);
            }
            let first: BTreeSet<String> = theirs.into_iter().take(12).collect();
            assert_eq!(first, ours, "{fields}");
        }
    }

    #[test]
    fn the_units_are_what_systemd_takes() {
        let directory = tempfile::tempdir().unwrap();
        let mut script = systemd(&jobs()).unwrap().join("\n");
        // It looks whether the program is there.
        script = script.replace("/usr/bin/cdc", "/bin/true");
        let ran = Command::new("sh")
            .args(["-c", &script])
            .env("UNITS", directory.path())
            .status()
            .unwrap();
        assert!(ran.success());
        let units: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path().display().to_string())
            .collect();
        assert_eq!(units.len(), 10, "{units:?}");
        let mut arguments = vec!["verify", "--man=no"];
        arguments.extend(units.iter().map(String::as_str));
        asked(&arguments);
    }
}
