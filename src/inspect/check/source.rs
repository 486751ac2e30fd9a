//! What is said of a database and its tables. Pure.

use super::super::database::{Examined, Found, Login, Look};
use super::super::patience::is_out_of_time;
use super::super::words::{counted, number};
use super::{Finding, Findings, Level};
use crate::error::Error;
use crate::model::{GuardClass, Mode, TableName};

/// Clocks further apart than this are remarked upon: ages and schedules go by ours.
const CLOCKS_APART_MS: i64 = 5_000;

pub(super) fn about_source(look: &Look, collisions: &[(TableName, Error)]) -> Vec<Finding> {
    let mut findings = Findings::of(&look.source);
    let login = match &look.login {
        Ok(login) => login,
        Err(error) => {
            findings.error(Level::Fail, "login", error);
            return findings.list;
        }
    };
    findings.ok("login", format!("{}, {} ms", login.version, login.took_ms));
    about_clock(&mut findings, login);
    for problem in &look.problems {
        findings.error(Level::Fail, "tables", problem);
    }
    for double in &look.doubles {
        let next = double.next_step().map(str::to_owned);
        findings.add(Level::Warn, "tables", double.to_string(), next);
    }
    let mut left = 0;
    for table in &look.tables {
        if table.found.as_ref().is_err_and(is_out_of_time) {
            left += 1;
            continue;
        }
        about_table(&mut findings, table);
        let own = collisions
            .iter()
            .filter(|(name, _)| *name == table.chosen.name);
        own.for_each(|(name, error)| findings.error(Level::Fail, &name.short(), error));
    }
    if left > 0 {
        let text = format!("{} were not looked at: the time was over", number(left));
        let next = "name those that matter: `cdc check TABLE…`";
        findings.add(Level::Warn, "tables", text, Some(next.to_owned()));
    }
    findings.list
}

fn about_clock(findings: &mut Findings, login: &Login) {
    let apart = login.clock_ahead_ms;
    if apart.abs() <= CLOCKS_APART_MS {
        let text = format!("{} ms from this machine's", apart.abs());
        return findings.ok("clock", text);
    }
    let direction = if apart > 0 { "ahead of" } else { "behind" };
    let seconds = apart.abs() / 1000;
    findings.add(
        Level::Warn,
        "clock",
        format!("the server's is {seconds} s {direction} this machine's"),
        Some(
            "set both by NTP: ages in `status` and schedules go by this machine's clock".to_owned(),
        ),
    );
}

fn about_table(findings: &mut Findings, table: &Examined) {
    let name = table.chosen.name.short();
    let found = match &table.found {
        Ok(found) => found,
        Err(error) => return findings.error(Level::Fail, &name, error),
    };
    findings.ok(&name, in_one_line(found));
    match &found.guard {
        Ok(Some(GuardClass::Assumed(why))) => {
            let text = format!("guard: assumed: no row is missed as long as {why}");
            findings.add(Level::Warn, &name, text, grant_in(why));
        }
        Ok(Some(GuardClass::Unsafe(why))) => {
            let level = match table.chosen.settings.allow_unsafe {
                true => Level::Warn,
                false => Level::Fail,
            };
            let next =
                "mend it, read the table in mode `bulk`, or write `allow_unsafe: true` below it";
            let text = format!("guard: unsafe: rows could be missed without a trace: {why}");
            findings.add(level, &name, text, Some(next.to_owned()));
        }
        Ok(Some(GuardClass::Proven) | None) => {}
        Err(error) => findings.error(Level::Fail, &name, error),
    }
    for advice in &found.advice {
        findings.add(Level::Warn, &name, &advice.text, advice.next.clone());
    }
}

/// `timestamp+incrementing by updated_at, order_id; guard: proven; about 4,000 rows`.
fn in_one_line(found: &Found) -> String {
    let readable = &found.readable;
    let columns = [readable.columns.timestamp, readable.columns.incrementing];
    let columns = columns.into_iter().flatten();
    let columns: Vec<&str> = columns
        .filter_map(|i| readable.table.schema.columns.get(i))
        .map(|column| column.name.as_str())
        .collect();
    let mut line = readable.mode.to_string();
    if readable.mode != Mode::Bulk {
        line.push_str(&format!(" by {}", columns.join(", ")));
    }
    if let Ok(Some(GuardClass::Proven)) = &found.guard {
        line.push_str("; guard: proven");
    }
    if let Some(rows) = readable.table.estimated_rows {
        line.push_str(&format!("; about {}", counted(rows, "row", "rows")));
    }
    line
}

/// The statement that a guard asks for, taken out of its reason: `GRANT … TO …;`.
fn grant_in(why: &str) -> Option<String> {
    let statement = why.get(why.find("GRANT ")?..)?;
    let end = statement.find([';', ',']).unwrap_or(statement.len());
    let statement = statement.get(..end)?.trim_end_matches('.').trim_end();
    Some(format!("{statement};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_a_guard_lacks_is_a_line_to_type() {
        let why = "no transaction stays open for longer than 10 min; not all sessions can be seen: GRANT pg_read_all_stats TO \"cdc\"";
        assert_eq!(
            grant_in(why).as_deref(),
            Some("GRANT pg_read_all_stats TO \"cdc\";")
        );
        assert_eq!(
            grant_in("no transaction stays open for longer than 10 min; it is a standby"),
            None
        );
    }
}
