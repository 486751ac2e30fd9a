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
        is_unknown: false,
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
            let Some(said) = asked(&["calendar", "--iterations=12", "--base-time", from, &zoned])
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
