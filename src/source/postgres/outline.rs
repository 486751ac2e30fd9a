//! Every relation at once: four questions, however many there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::OUTLINES;
use super::connect::{Database, cell};
use super::describe::{Facts, Parts, assembled, estimate, parts, relation_kind};
use super::guard::{FOREIGN_IDS, STANDBY, assuming, flaw, unseen_sessions};
use super::{DEFAULT_SCHEMA, quoted};
use crate::config::defaults;
use crate::error::Result;
use crate::model::{GuardClass, TableName};
use crate::source::{Changes, Described, ExpectedGuards, Outline, RelationKind};

const DOING: &str = "looking at all tables";

/// What all sessions and the server say of a guard's evidence.
struct Ground {
    flaw: Option<String>,
    is_standby: bool,
    sees_sessions: bool,
}

pub(super) async fn outlines(database: &Arc<Database>) -> Result<Vec<Outline>> {
    let connection = database.catalog().await?;
    let rows = connection.query(DOING, OUTLINES, &[]).await?;
    let oids: Vec<u32> = rows.iter().map(|row| cell(row, 0)).collect::<Result<_>>()?;
    let mut parts = parts(&connection, &oids).await?;
    let mut outlines = Vec::with_capacity(rows.len());
    for row in &rows {
        let parts = parts.remove(&cell::<u32>(row, 0)?).unwrap_or_default();
        let schema: String = cell(row, 1)?;
        let name = TableName {
            source: database.source.clone(),
            in_default_schema: schema == DEFAULT_SCHEMA,
            schema,
            name: cell(row, 2)?,
        };
        let kind = relation_kind(cell(row, 3)?);
        let is_standby = cell(row, 12)?;
        let facts = Facts {
            kind,
            hides_rows: cell(row, 5)?,
            estimated_rows: estimate(cell(row, 6)?).filter(|_| kind != RelationKind::View),
            is_standby,
        };
        let ground = Ground {
            flaw: flaw(kind, cell(row, 11)?, kind == RelationKind::ForeignTable),
            is_standby,
            sees_sessions: cell(row, 13)?,
        };
        let mut described = assembled(database, &name, &facts, &parts);
        let in_schema: bool = cell(row, 4)?;
        if !in_schema {
            let (schema, role) = (quoted(&name.schema), quoted(&database.role));
            let usage = format!("GRANT USAGE ON SCHEMA {schema} TO {role}");
            described.withheld.grant = format!("{usage}; {}", described.withheld.grant);
        }
        let has_rows = matches!(kind, RelationKind::Table | RelationKind::MaterializedView);
        let number =
            |at| Ok::<_, crate::error::Error>(cell::<Option<i64>>(row, at)?.map(i64::unsigned_abs));
        let changes = Changes {
            inserted: number(8)?.unwrap_or_default(),
            updated: number(9)?.unwrap_or_default(),
            deleted: number(10)?.unwrap_or_default(),
        };
        outlines.push(Outline {
            is_readable: in_schema && parts.is_granted(),
            hides_rows: facts.hides_rows,
            bytes: number(7)?.filter(|_| has_rows),
            changes: Some(changes).filter(|_| kind == RelationKind::Table),
            updates_itself: BTreeSet::new(),
            guards: guards(&ground, &database.role, &described, &parts),
            described,
        });
    }
    Ok(outlines)
}

fn guards(ground: &Ground, role: &str, described: &Described, parts: &Parts) -> ExpectedGuards {
    let assumed = |reason: &str| GuardClass::Assumed(assuming(defaults::LOOKBACK, reason));
    let of_all = match (&ground.flaw, ground.is_standby) {
        (Some(flaw), _) => Some(GuardClass::Unsafe(flaw.clone())),
        (None, true) => Some(assumed(STANDBY)),
        (None, false) => None,
    };
    let by_id = described.incrementing_candidates.iter().map(|column| {
        let mut sequences = parts.sequences_of(column).peekable();
        let is_drawn = sequences.peek().is_some();
        let class = match (&of_all, sequences.find_map(|one| one.unsafe_because())) {
            (Some(GuardClass::Unsafe(flaw)), _) => GuardClass::Unsafe(flaw.clone()),
            (_, Some(flaw)) => GuardClass::Unsafe(flaw),
            (Some(class), None) => class.clone(),
            (None, None) if is_drawn => GuardClass::Proven,
            (None, None) => GuardClass::Assumed(FOREIGN_IDS.to_owned()),
        };
        (column.clone(), class)
    });
    ExpectedGuards {
        by_id: by_id.collect(),
        by_time: match (of_all.clone(), ground.sees_sessions) {
            (Some(class), _) => class,
            (None, true) => GuardClass::Proven,
            (None, false) => assumed(&unseen_sessions(role)),
        },
    }
}
