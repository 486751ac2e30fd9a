//! A table in one of the three cursor modes: the initial copy and the following, side by side.

mod reading;

use std::time::{Duration, Instant};

use ulid::Ulid;

use super::sending::Sending;
use super::unit::{Doing, End, Found, Goal, Unit, outcome, rows_of};
use crate::error::{Code, Error, Kind, Result};
use crate::model::CopyPhase;
use crate::source::{CopyReader, Fixed, Guard, GuardOptions, Page, Polled, Readable, class_of};
use crate::state::{Outcome, Verb};
pub(super) use reading::columns_of;
use reading::{Reader, next_page, poll};

/// The pause between polls where the configuration names none.
const EVERY: Duration = Duration::from_secs(5);
/// The pause before a bound is asked for again that was not proven yet.
const UNPROVEN: Duration = Duration::from_millis(150);

/// After this the wait for a bound is said aloud, and begun anew.
const UNPROVEN_FOR_LONG: Duration = Duration::from_secs(20);

/// Fixes the bound of the initial copy: safe, so that nothing can still appear below it. `None` for a bulk table.
pub(super) async fn fix_bound(unit: &Unit, found: &Found) -> Result<Option<Fixed>> {
    if found.readable.cursor_column().is_none() {
        return Ok(None);
    }
    let mut session = unit.source.session().await?;
    let mut guard = guard_of(unit, found).await?;
    let began = Instant::now();
    loop {
        let fixed =
            crate::source::fix_bound(&found.readable, session.as_mut(), guard.as_mut()).await?;
        if fixed.is_some() {
            return Ok(fixed);
        }
        if began.elapsed() > UNPROVEN_FOR_LONG {
            return Err(Error::new(
                Kind::Unavailable,
                "fixing the bound of the copy: open transactions hold it back",
            )
            .hint("look for transactions that stay open in the database; the copy begins when they end"));
        }
        tokio::time::sleep(UNPROVEN).await;
    }
}

async fn guard_of(unit: &Unit, found: &Found) -> Result<Box<dyn Guard>> {
    let column = found.readable.cursor_column().unwrap_or_default();
    let settings = &unit.chosen.settings;
    let options = GuardOptions {
        lookback: settings.lookback,
    };
    let guard = unit
        .source
        .guard(&found.readable.table, column, options)
        .await?;
    if let crate::model::GuardClass::Unsafe(why) = guard.class()
        && !settings.allow_unsafe
    {
        return Err(Error::new(
            Kind::Config,
            format!("rows could be missed here without a trace: {why}"),
        )
        .code(crate::error::Code::UNSAFE_GUARD)
        .hint("mend it, read the table in mode `bulk`, or write `allow_unsafe: true` below it"));
    }
    Ok(guard)
}

/// Copies what is not copied yet, follows beside it, and answers what is asked.
pub(super) async fn drive(unit: &mut Unit, sending: &mut Sending, found: &Found) -> Result<End> {
    let readable = &found.readable;
    if unit.goal == (Goal::Snapshot { again: false }) && unit.was_copied {
        return Ok(End::Reached(already_copied(unit)));
    }
    let mut guard = guard_of(unit, found).await?;
    unit.guarded(class_of(guard.as_mut(), readable.mode).await?);
    let mut reader = {
        let mut session = unit.source.session().await?;
        Reader::open(unit, sending, readable, session.as_mut()).await?
    };
    let copy = sending.head.copy.clone();
    let mut copy = copy.map(|copy| CopyReader::new(readable.clone(), copy));
    let mut rows_before = sending.head.rows;
    loop {
        if let Some(end) = answer_asked(unit, sending, found).await? {
            return Ok(end);
        }
        if sending.head.paused {
            let answer = paused(unit);
            unit.after_copy.append(&mut unit.asked_again);
            answer_all(&mut unit.after_copy, sending, &answer).await?;
            answer_all(&mut unit.after_catching_up, sending, &answer).await?;
            if unit.goal != Goal::Follow {
                return Ok(End::Reached(answer));
            }
            unit.doing(Doing::Paused);
            unit.wait(EVERY).await;
            continue;
        }
        let mut pause = unit.chosen.settings.every.unwrap_or(EVERY);
        // Borrowed for one round: the tables of a source share few connections.
        let mut session = unit.source.session().await?;
        if unit.has_changed(sending, found, session.as_mut()).await? {
            return Ok(End::Restart);
        }
        let copying = !is_copied(sending);
        if copying {
            unit.doing(Doing::Copying {
                rows: sending.head.rows,
            });
            let (session, guard) = (session.as_mut(), guard.as_mut());
            match next_page(&mut copy, session, guard, sending, found, reader.cursor()).await? {
                None => return Ok(End::Restart),
                Some(Page::Waiting(again_after)) => pause = again_after,
                Some(Page::Copied(_)) => pause = Duration::ZERO,
                Some(Page::Done) => {
                    sending.flush().await?;
                    warn_of_nulls(unit, sending, readable);
                }
            }
        }
        if is_copied(sending)
            && let Some(end) = answer_copied(unit, sending).await?
        {
            return Ok(end);
        }
        let catching_up =
            is_copied(sending) && (unit.goal == Goal::Once || !unit.after_catching_up.is_empty());
        let began = jiff::Timestamp::now().as_microsecond();
        let polled = {
            let (session, guard) = (session.as_mut(), guard.as_mut());
            poll(&mut reader, session, guard, sending, found, catching_up).await?
        };
        drop(session);
        let Some(polled) = polled else {
            return Ok(End::Restart);
        };
        note(unit, sending, &polled, began);
        if catching_up {
            sending.flush().await?;
            sending.settle().await?;
            let sent = sending.head.rows.saturating_sub(rows_before);
            rows_before = sending.head.rows;
            let text = format!("caught up, {} sent", rows_of(sent));
            let answer = Outcome {
                rows: Some(sent),
                ..outcome(0, text, unit.ends(sending)?)
            };
            if unit.goal == Goal::Once {
                return Ok(End::Reached(answer));
            }
            answer_all(&mut unit.after_catching_up, sending, &answer).await?;
        }
        if !copying {
            unit.doing(Doing::Following {
                rows: sending.head.rows,
                guard: polled.class.to_string(),
            });
        }
        let pause = pause.min(polled.again_after.unwrap_or(pause));
        if !pause.is_zero() {
            // What was read is durable before the unit rests.
            sending.rest().await?;
            unit.look_at_topic(sending).await?;
            unit.wait(pause).await;
        }
    }
}

/// Takes up what is asked: what can be answered at once is, the rest waits on its list.
async fn answer_asked(
    unit: &mut Unit,
    sending: &mut Sending,
    found: &Found,
) -> Result<Option<End>> {
    unit.take_asked();
    while let Some((id, request)) = unit.asked.pop_front() {
        let verb = request.verb;
        let Some((id, request)) = unit.answer_plain(sending, id, request).await? else {
            if verb == Verb::Restart {
                return Ok(Some(End::Restart));
            }
            continue;
        };
        match request.verb {
            Verb::SnapshotAgain => {
                unit.begin_again_for(id);
                return Ok(Some(End::Restart));
            }
            // The next try takes it up.
            Verb::OffsetsReset | Verb::OffsetsSet => {
                unit.asked.push_front((id, request));
                return Ok(Some(End::Restart));
            }
            Verb::Snapshot if is_copied(sending) => {
                let answer = already_copied(unit);
                sending.answer(id, &answer).await?;
            }
            Verb::Replay => super::replay::answer(unit, sending, found, id).await?,
            Verb::Snapshot => unit.after_copy.push(id),
            _ => unit.after_catching_up.push(id),
        }
    }
    Ok(None)
}

/// Answers who waits for the copy, now that it is done.
async fn answer_copied(unit: &mut Unit, sending: &mut Sending) -> Result<Option<End>> {
    unit.after_copy.append(&mut unit.asked_again);
    let is_goal = matches!(unit.goal, Goal::Snapshot { .. });
    if !is_goal && unit.after_copy.is_empty() {
        return Ok(None);
    }
    sending.settle().await?;
    let copy = sending.head.copy.as_ref();
    let rows = copy.map_or(0, |copy| copy.rows);
    let unfollowed = match copy.map_or(0, |copy| copy.null_cursors) {
        0 => String::new(),
        count => format!(", {count} of them without a cursor: they are not followed"),
    };
    let text = match sending.head.rejected {
        0 => format!("copied {}{unfollowed}", rows_of(rows)),
        rejected => format!(
            "copied {}, {rejected} of the table rejected{unfollowed}",
            rows_of(rows)
        ),
    };
    let mut answer = outcome(0, text, unit.ends(sending)?);
    answer.rows = Some(rows.saturating_sub(sending.head.rejected));
    answer.epoch = unit.began_again.then_some(sending.head.epoch);
    answer_all(&mut unit.after_copy, sending, &answer).await?;
    Ok(is_goal.then_some(End::Reached(answer)))
}

/// Rows that no poll will ever find again are told once, when the copy is complete.
fn warn_of_nulls(unit: &Unit, sending: &Sending, readable: &Readable) {
    let copy = sending.head.copy.as_ref();
    let rows = copy.map_or(0, |copy| copy.null_cursors);
    if rows > 0 {
        let column = readable.cursor_column().unwrap_or_default();
        tracing::warn!(table = %unit.chosen.name, rows, column, "rows whose cursor column is NULL were copied once; they are not followed");
    }
}

/// Answers one after the other; who is not reached stays on the list.
async fn answer_all(
    waiting: &mut Vec<Ulid>,
    sending: &mut Sending,
    answer: &Outcome,
) -> Result<()> {
    while let Some(id) = waiting.last().copied() {
        sending.answer(id, answer).await?;
        waiting.pop();
    }
    Ok(())
}

/// Takes in what a poll that began at `began` (µs) found.
fn note(unit: &mut Unit, sending: &mut Sending, polled: &Polled, began: i64) {
    let is_news = unit.held_back.is_news(polled.held_by.is_some());
    if let Some(held_by) = polled.held_by.as_ref().filter(|_| is_news) {
        tracing::warn!(table = %unit.chosen.name, held_by, "the safe bound is held back");
    }
    if unit.full.is_news(polled.waiting) {
        tracing::warn!(table = %unit.chosen.name, open = polled.open, "it remembers as much as it may, and waits for the bound");
    }
    sending.head.guard = Some(polled.class.clone());
    if is_copied(sending) && !polled.waiting {
        sending.head.fresh_to = Some(began);
    }
}

fn is_copied(sending: &Sending) -> bool {
    sending
        .head
        .copy
        .as_ref()
        .is_none_or(|copy| copy.phase == CopyPhase::Done)
}

fn paused(unit: &Unit) -> Outcome {
    let name = &unit.chosen.name;
    let text = format!("it is paused: `cdc resume {name}` lets it go on");
    outcome(Kind::No.exit_code(), text, Vec::new())
}

fn already_copied(unit: &Unit) -> Outcome {
    let name = &unit.chosen.name;
    let text = format!(
        "it was copied already: `cdc follow --once {name}` brings what is new, \
         `cdc snapshot --again {name}` begins it anew"
    );
    Outcome {
        code: Some(Code::COPIED_ALREADY.to_string()),
        ..outcome(Kind::No.exit_code(), text, Vec::new())
    }
}
