//! The reader of a cursor table's mode, and its steps on their way to the committer.

use tokio::sync::mpsc::{Sender, channel};

use super::super::sending::Sending;
use super::super::sighting::Compared;
use super::super::unit::{Found, Unit};
use crate::error::{Error, Fate, Kind, Result};
use crate::model::{Cursor, Step};
use crate::source::{
    CopyReader, Depth, Guard, IncrementingReader, Page, Polled, Readable, RememberedMinute,
    Session, TimestampReader,
};
use crate::state::SeenMinute;

/// The reader of the table's mode.
pub(super) enum Reader {
    Incrementing(IncrementingReader),
    Timestamp(TimestampReader),
}

impl Reader {
    pub(super) async fn open(
        unit: &Unit,
        sending: &Sending,
        readable: &Readable,
        session: &mut dyn Session,
    ) -> Result<Self> {
        match &sending.head.cursor {
            Some(Cursor::Incrementing(cursor)) => {
                let now = session.server_time().await?;
                Ok(Reader::Incrementing(IncrementingReader::new(
                    readable.clone(),
                    cursor,
                    now,
                )))
            }
            Some(Cursor::Timestamp(cursor)) => {
                let seen = remembered(unit, sending, readable)?;
                Ok(Reader::Timestamp(TimestampReader::new(
                    readable.clone(),
                    cursor.clone(),
                    seen,
                )))
            }
            None => Err(Error::new(Kind::Bug, "the table has no cursor")),
        }
    }

    pub(super) fn cursor(&self) -> Cursor {
        match self {
            Reader::Incrementing(reader) => reader.cursor(),
            Reader::Timestamp(reader) => reader.cursor(),
        }
    }

    pub(super) async fn poll(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        match self {
            Reader::Incrementing(reader) => reader.poll(session, guard, out).await,
            Reader::Timestamp(reader) => reader.poll(session, guard, out).await,
        }
    }

    pub(super) async fn once(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        match self {
            Reader::Incrementing(reader) => reader.once(session, guard, out).await,
            Reader::Timestamp(reader) => reader.once(session, guard, out).await,
        }
    }
}

/// The seen window, with the columns of minutes that were written under another schema.
pub(super) fn remembered(
    unit: &Unit,
    sending: &Sending,
    readable: &Readable,
) -> Result<Vec<RememberedMinute>> {
    let mut remembered = Vec::new();
    for (
        minute,
        SeenMinute {
            fingerprint,
            hashes,
        },
    ) in sending.seen()
    {
        let columns = match fingerprint == sending.fingerprint().as_str() {
            true => None,
            false => Some(columns_of(unit, readable, fingerprint)?),
        };
        remembered.push(RememberedMinute {
            minute: *minute,
            hashes: hashes.clone(),
            columns,
        });
    }
    Ok(remembered)
}

pub(in crate::capture) fn columns_of(
    unit: &Unit,
    readable: &Readable,
    fingerprint: &str,
) -> Result<Vec<usize>> {
    let old = tokio::task::block_in_place(|| unit.shared.schemas.find(fingerprint))?.ok_or_else(
        || {
            Error::new(
                Kind::Data,
                format!("schema `{fingerprint}` is not in the schemas topic"),
            )
            .hint("its records were lost; `cdc snapshot --again` begins this table anew")
        },
    )?;
    let schema = &readable.table.schema;
    let indexes = old
        .columns
        .iter()
        .map(|column| schema.position(&column.name));
    indexes.collect::<Option<Vec<_>>>().ok_or_else(|| {
        Error::new(
            Kind::Data,
            "a column was dropped or renamed while rows that had it may still be read again",
        )
        .hint("`cdc snapshot --again` begins this table anew")
    })
}

pub(super) async fn poll(
    reader: &mut Reader,
    session: &mut dyn Session,
    guard: &mut dyn Guard,
    sending: &mut Sending,
    found: &Found,
    catching_up: bool,
) -> Result<Option<Polled>> {
    let (out, mut steps) = channel(1);
    let reading = async {
        let polled = match catching_up {
            true => reader.once(session, guard, &out).await,
            false => reader.poll(session, guard, &out).await,
        };
        drop(out);
        polled
    };
    let (polled, sent) = tokio::join!(reading, send_on(sending, found, &mut steps));
    match sent? {
        Sent::All => unless_changed(polled, found).await,
        Sent::UpToAChange => Ok(None),
    }
}

/// What was read; `None` where it could not be read because the table is another one by now.
pub(super) async fn unless_changed<T>(read: Result<T>, found: &Found) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind().fate() == Fate::Stop && error.kind() != Kind::TryLater => {
            match found.definition.compare(Depth::Definition).await? {
                Compared::Redefined | Compared::Rewritten => {
                    tracing::info!(table = %found.readable.table.name, %error, "looking at the table anew");
                    Ok(None)
                }
                Compared::Same | Compared::SameDefinition => Err(error),
            }
        }
        read => read.map(Some),
    }
}

/// How far what was read was sent.
pub(super) enum Sent {
    All,
    /// The table's definition is another one: what was read under the old one is read again under the new one.
    UpToAChange,
}

/// Sends what is read. Ends the reading by dropping its channel when a step cannot be sent.
pub(super) async fn send_on(
    sending: &mut Sending,
    found: &Found,
    steps: &mut tokio::sync::mpsc::Receiver<Step>,
) -> Result<Sent> {
    while let Some(step) = steps.recv().await {
        let sent = send(sending, found, step).await;
        if !matches!(sent, Ok(Sent::All)) {
            steps.close();
            while steps.recv().await.is_some() {}
            return sent;
        }
    }
    Ok(Sent::All)
}

pub(super) async fn send(sending: &mut Sending, found: &Found, step: Step) -> Result<Sent> {
    if step.rows.num_rows() > 0 {
        let sighting = sending.head.sighting.as_ref();
        let depth = match sighting.is_some_and(|sighting| sighting.witness.is_some()) {
            true => Depth::Definition,
            false => Depth::Storage,
        };
        let compared = found.definition.compare(depth).await?;
        if matches!(compared, Compared::Redefined | Compared::Rewritten) {
            return Ok(Sent::UpToAChange);
        }
        let witness = found.readable.witness(&step.rows);
        sending.remember(witness, compared == Compared::Same);
    }
    sending.step(step, None).await.map(|()| Sent::All)
}

pub(super) async fn next_page(
    copy: &mut Option<CopyReader>,
    session: &mut dyn Session,
    guard: &mut dyn Guard,
    sending: &mut Sending,
    found: &Found,
    cursor: Cursor,
) -> Result<Option<Page>> {
    let Some(copy) = copy else {
        return Ok(Some(Page::Done));
    };
    let (out, mut steps) = channel(1);
    let reading = async {
        let page = copy.next_page(session, guard, &out, &cursor).await;
        drop(out);
        page
    };
    let (page, sent) = tokio::join!(reading, send_on(sending, found, &mut steps));
    match sent? {
        Sent::All => unless_changed(page, found).await,
        Sent::UpToAChange => Ok(None),
    }
}
