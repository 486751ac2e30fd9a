//! A bulk table: one whole load at each tick, on request, or once.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::sending::Sending;
use super::unit::{Doing, End, Found, Goal, Unit, outcome, refused, rows_of};
use crate::error::{Error, Fate, Kind, Result};
use crate::lake::next_ulid;
use crate::model::Mode;
use crate::source::load;
use crate::state::{Head, LoadHead, LoadRecord, LoadState, Outcome, Verb};

/// The longest single wait for a tick: clocks are set, and a wait is cheap to renew.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Waits for ticks and requests, and loads.
pub(super) async fn drive(unit: &mut Unit, sending: &mut Sending, found: &Found) -> Result<End> {
    let is_now = matches!(due(unit, &sending.head)?, Due::Now);
    match unit.goal {
        Goal::Once if !is_now && unit.asked_again.is_empty() => {
            return Ok(End::Reached(not_due()));
        }
        Goal::Snapshot { .. } | Goal::Once => {
            let answer = load_now(unit, sending, found).await?;
            answer_begun_anew(unit, sending, &answer).await?;
            return Ok(End::Reached(answer));
        }
        Goal::Follow | Goal::Answer(_) => {}
    }
    if !unit.asked_again.is_empty() {
        let answer = load_now(unit, sending, found).await?;
        answer_begun_anew(unit, sending, &answer).await?;
    }
    loop {
        unit.take_asked();
        let is_needed = !unit.asked.is_empty() || matches!(due(unit, &sending.head)?, Due::Now);
        if is_needed && !found.definition.still_holds().await? {
            // What was asked is answered by the next try, which reads the table as it is now.
            return Ok(End::Restart);
        }
        while let Some((id, request)) = unit.asked.pop_front() {
            let verb = request.verb;
            let Some((id, _)) = unit.answer_plain(sending, id, request).await? else {
                if verb == Verb::Restart {
                    return Ok(End::Restart);
                }
                continue;
            };
            if verb == Verb::Replay {
                super::replay::answer(unit, sending, found, id).await?;
                continue;
            }
            // Not one more load: where the sink stands still, only a new epoch gets past it.
            if verb == Verb::SnapshotAgain {
                unit.begin_again_for(id);
                return Ok(End::Restart);
            }
            let is_due = verb != Verb::Once || matches!(due(unit, &sending.head)?, Due::Now);
            let answer = match is_due {
                true => load_now(unit, sending, found).await,
                false => Ok(not_due()),
            };
            match answer {
                Ok(answer) => sending.answer(id, &answer).await?,
                Err(error) => {
                    sending.answer(id, &refused(&error)).await?;
                    return Err(error);
                }
            }
        }
        if sending.head.paused {
            unit.doing(Doing::Paused);
            unit.wait(LONGEST_WAIT).await;
            continue;
        }
        unit.look_at_topic(sending).await?;
        match due(unit, &sending.head)? {
            Due::Now => {
                load_now(unit, sending, found).await?;
            }
            Due::At(tick) => {
                unit.doing(Doing::Idle { until: Some(tick) });
                let until =
                    Duration::try_from(tick.duration_since(Timestamp::now())).unwrap_or_default();
                unit.wait(until.min(LONGEST_WAIT)).await;
            }
            Due::OnRequest => {
                unit.doing(Doing::Idle { until: None });
                unit.wait(LONGEST_WAIT).await;
            }
        }
    }
}

/// Answers those who asked that the table be begun anew, which it was before it came here. Who is not reached stays on
/// the list.
async fn answer_begun_anew(unit: &mut Unit, sending: &mut Sending, answer: &Outcome) -> Result<()> {
    while let Some(id) = unit.asked_again.last().copied() {
        sending.answer(id, answer).await?;
        unit.asked_again.pop();
    }
    Ok(())
}

/// When a bulk table that failed is tried again: at its next tick.
pub(super) fn next_try(unit: &Unit, head: &Head) -> Option<Duration> {
    match due(unit, head) {
        Ok(Due::At(tick)) => {
            Some(Duration::try_from(tick.duration_since(Timestamp::now())).unwrap_or_default())
        }
        // The tick passed while the load ran.
        Ok(Due::Now) if unit.chosen.settings.mode == Mode::Bulk => Some(LONGEST_WAIT),
        _ => None,
    }
}

enum Due {
    Now,
    At(Timestamp),
    /// Neither `every` nor `schedule` is set.
    OnRequest,
}

/// When the next load is due. Ticks that were missed while nothing ran count as one.
fn due(unit: &Unit, head: &Head) -> Result<Due> {
    let settings = &unit.chosen.settings;
    let last = match &head.load {
        // A load that was cut off is begun again at once, and so is one that the table was begun anew after.
        Some(load) if load.open || load.void => return Ok(Due::Now),
        Some(load) => Timestamp::from_millisecond(load.began_at).unwrap_or(Timestamp::UNIX_EPOCH),
        // The first load is made at once: a lake without the table serves nobody.
        None if settings.schedule.is_some() || settings.every.is_some() => return Ok(Due::Now),
        None => return Ok(Due::OnRequest),
    };
    Ok(match settings.load_after(last)? {
        None => Due::OnRequest,
        Some(next) if next <= Timestamp::now() => Due::Now,
        Some(next) => Due::At(next),
    })
}

fn not_due() -> Outcome {
    Outcome {
        rows: Some(0),
        ..outcome(0, "no load is due", Vec::new())
    }
}

/// One load: announced, read in one snapshot, counted, announced again.
async fn load_now(unit: &mut Unit, sending: &mut Sending, found: &Found) -> Result<Outcome> {
    let (number, ulid) = begin(unit, sending).await?;
    let loaded = match read(unit, sending, found, ulid).await {
        Ok(source_rows) => source_rows,
        Err(error) => {
            // What was sent of it is garbage. A load that stays open is begun anew with the next try, which
            // says so of this one.
            if error.kind().fate() == Fate::Stop && error.kind() != Kind::TryLater {
                abandon(unit, sending, number, ulid, &error.to_string()).await?;
            }
            return Err(error);
        }
    };
    end(unit, sending, number, ulid, loaded).await
}

async fn begin(unit: &Unit, sending: &mut Sending) -> Result<(u64, Ulid)> {
    let previous = sending.head.load.clone();
    let number = previous.as_ref().map_or(1, |load| load.number + 1);
    let before = previous
        .as_ref()
        .and_then(|load| Ulid::from_string(&load.ulid).ok());
    let ulid = next_ulid(before);
    let mut records = Vec::new();
    if let Some(cut_off) = previous.filter(|load| load.open) {
        let reason = Some("its worker ended or lost the table before it was done".to_owned());
        let record = LoadRecord {
            cut_off: true,
            ..record(unit, sending, LoadState::Abandoned, &cut_off.ulid, reason)
        };
        records.push(sending.load_record(cut_off.number, &record));
    }
    let began = record(unit, sending, LoadState::Began, &ulid.to_string(), None);
    records.push(sending.load_record(number, &began));
    sending.head.load = Some(LoadHead {
        number,
        ulid: ulid.to_string(),
        open: true,
        began_at: Timestamp::now().as_millisecond(),
        rows: 0,
        void: false,
    });
    sending.begin_load();
    sending.write(Vec::new(), records).await?;
    Ok((number, ulid))
}

/// Reads the table in one snapshot; returns the database's own count inside it.
async fn read(unit: &mut Unit, sending: &mut Sending, found: &Found, ulid: Ulid) -> Result<u64> {
    let mut session = unit.source.session().await?;
    let (out, mut steps) = tokio::sync::mpsc::channel(1);
    let estimate = found.readable.table.estimated_rows.unwrap_or_default();
    let reading = async {
        let read = load(&found.readable, session.as_mut(), &out).await;
        drop(out);
        read
    };
    let sending_on = async {
        let mut rows = 0;
        while let Some(step) = steps.recv().await {
            // Whoever would change the table waits for this load's snapshot, so one look will do.
            if rows == 0 && !found.definition.still_holds().await? {
                return Err(changed());
            }
            rows += step.rows.num_rows() as u64;
            sending.step(step, Some(ulid)).await?;
            unit.doing(Doing::Loading { rows, of: estimate });
        }
        // Dropped here, so that a failure ends the reading too.
        drop(steps);
        Ok::<_, Error>(())
    };
    let (read, sent) = tokio::join!(reading, sending_on);
    sent?;
    if let Err(error) = &read
        && error.kind().fate() == Fate::Stop
        && !found.definition.still_holds().await?
    {
        tracing::info!(table = %unit.chosen.name, %error, "looking at the table anew");
        return Err(changed());
    }
    read.map(|loaded| loaded.source_rows)
}

/// The load begins anew, with the table as it is now.
fn changed() -> Error {
    Error::new(
        Kind::Unavailable,
        "the table was changed while its load began",
    )
    .hint("it is loaded again as it is now")
}

async fn end(
    unit: &Unit,
    sending: &mut Sending,
    number: u64,
    ulid: Ulid,
    source_rows: u64,
) -> Result<Outcome> {
    // All other transactions of the load are committed before its end is announced.
    sending.settle().await?;
    let partitions = sending.load_partitions();
    let rows: u64 = partitions.iter().map(|partition| partition.rows).sum();
    let rejected: u64 = partitions.iter().map(|partition| partition.rejected).sum();
    let apart = match rejected {
        0 => String::new(),
        rejected => format!(", {rejected} rejected"),
    };
    if rows + rejected != source_rows {
        let text = format!(
            "the database counted {source_rows} in the same snapshot, and {rows} were sent{apart}"
        );
        abandon(unit, sending, number, ulid, &text).await?;
        return Err(Error::new(Kind::Data, text)
            .hint("the load was abandoned and the lake shows the one before it; the next tick loads again"));
    }
    let ended = LoadRecord {
        partitions,
        source_rows,
        ..record(unit, sending, LoadState::Ended, &ulid.to_string(), None)
    };
    if let Some(load) = &mut sending.head.load {
        load.open = false;
        load.rows = rows;
    }
    let record = sending.load_record(number, &ended);
    sending.write(Vec::new(), vec![record]).await?;
    tracing::info!(table = %unit.chosen.name, rows, rejected, load = %ulid, "loaded");
    let mut answer = outcome(
        0,
        format!("loaded {}{apart}", rows_of(rows)),
        sending.end_offsets(),
    );
    answer.load = Some(ulid.to_string());
    answer.load_number = Some(number);
    answer.rows = Some(rows);
    Ok(answer)
}

async fn abandon(
    unit: &Unit,
    sending: &mut Sending,
    number: u64,
    ulid: Ulid,
    reason: &str,
) -> Result<()> {
    if let Some(load) = &mut sending.head.load {
        load.open = false;
    }
    let record = record(
        unit,
        sending,
        LoadState::Abandoned,
        &ulid.to_string(),
        Some(reason.to_owned()),
    );
    let record = sending.load_record(number, &record);
    sending.write(Vec::new(), vec![record]).await
}

fn record(
    unit: &Unit,
    sending: &Sending,
    state: LoadState,
    ulid: &str,
    reason: Option<String>,
) -> LoadRecord {
    LoadRecord {
        v: 1,
        state,
        ulid: ulid.to_owned(),
        topic: unit.chosen.topic.to_string(),
        epoch: sending.head.epoch,
        partitions: Vec::new(),
        source_rows: 0,
        reason,
        cut_off: false,
        fingerprint: Some(sending.fingerprint().to_string()),
    }
}
