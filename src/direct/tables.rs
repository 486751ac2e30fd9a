//! Which tables are meant, and what each is like once nobody can change it any more.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::Order;
use crate::config::{is_meant, is_problem_meant};
use crate::error::{Error, Kind, Result};
use crate::lake::{Layout, Shape, compression_name};
use crate::model::{ColumnType, Mode, TableName};
use crate::source::{
    Chosen, Dialect, Listed, Param, Readable, Select, Session, Source, choose_from, quote,
    readable_of,
};

/// Names shown where a pattern matches none of them.
const NAMES_SHOWN: usize = 12;

/// A look reads nothing: one that takes longer waits for whoever is changing the table.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// The catalog answers within a moment, unless it waits for them too.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(5);

/// A table that is copied.
pub struct Table {
    /// Its place among those of the order.
    pub number: usize,
    pub chosen: Chosen,
    pub readable: Readable,
    pub layout: Layout,
    pub shape: Shape,
}

/// The tables of the order, in its order; none is no failure. Fails for the first that is not there or cannot be copied.
pub async fn choose(order: &Order, source: &dyn Source) -> Result<Vec<Chosen>> {
    let listed = source.list().await?;
    let choice = choose_from(&order.source, &listed, "");
    let about_these = |problem: &Error| {
        let subject = problem.subject();
        order.only.is_empty() || subject.is_some_and(|name| is_problem_meant(&order.only, name))
    };
    if let Some(problem) = choice.problems.into_iter().find(about_these) {
        return Err(problem);
    }
    let mut chosen = choice.tables;
    if order.globs_must_match {
        for settings in order.source.tables.iter().filter(|table| table.is_glob()) {
            let of_it = |chosen: &Chosen| settings.means(&chosen.name);
            if !chosen.iter().any(of_it) {
                return Err(nothing_matches(&settings.pattern, &listed, order));
            }
        }
    }
    chosen.retain(|chosen| is_meant(&order.only, &chosen.name));
    chosen.iter().try_for_each(can_be_copied)?;
    Ok(chosen)
}

fn nothing_matches(pattern: &str, listed: &[Listed], order: &Order) -> Error {
    let readable = listed.iter().filter(|relation| relation.is_readable);
    // What is written without its schema comes first: it is what was probably meant.
    let (near, far): (Vec<_>, Vec<_>) =
        readable.partition(|relation| relation.name.in_default_schema);
    let mut names: Vec<String> = near
        .into_iter()
        .chain(far)
        .map(|relation| format!("`{}`", relation.name.short()))
        .collect();
    let hint = match names.len() {
        0 => format!(
            "`{}` may read no table of database `{}`: GRANT SELECT on what is to be copied",
            order.source.url.user, order.source.url.database
        ),
        count => {
            names.truncate(NAMES_SHOWN);
            let more = match count > NAMES_SHOWN {
                true => ", …",
                false => "",
            };
            format!("there are {}{more}", names.join(", "))
        }
    };
    Error::new(Kind::Config, format!("no table matches `{pattern}`"))
        .about(&order.source.name)
        .hint(hint)
}

fn can_be_copied(chosen: &Chosen) -> Result<()> {
    let settings = &chosen.settings;
    if settings.mode != Mode::Bulk {
        return Err(Error::new(
            Kind::Config,
            format!(
                "it is read in mode `{}`, whose cursor is kept in Kafka, and there is no `kafka:` block",
                settings.mode
            ),
        )
        .about(&chosen.name)
        .hint("add `kafka: { brokers: \"localhost:9092\" }`, or write `mode: bulk` to copy the whole table each time"));
    }
    if settings.on_value.rejects() {
        return Err(Error::new(
            Kind::Config,
            "`on_value: reject` sends rows to a topic, and there is no `kafka:` block",
        )
        .about(&chosen.name)
        .hint("write `on_value: \"null\"` or `on_value: text` instead"));
    }
    Ok(())
}

/// Holds the tables still for every session, and then finds out what they are like.
///
/// A session that has looked into a table in its snapshot keeps others from changing what columns it has; looked at
/// before, it could have got a column since. Each session does so before the first row is read: one that came later
/// would wait behind whoever waits to change the table, and that one waits for the others.
pub async fn hold(
    order: &Order,
    source: &dyn Source,
    chosen: &[Chosen],
    sessions: &mut [Box<dyn Session>],
) -> Result<Vec<Table>> {
    let dialect = source.dialect();
    let looks = sessions
        .iter_mut()
        .map(|session| look_into(dialect, chosen, session.as_mut()));
    let held = try_join_all(looks).await;
    let held = match held {
        Err(error) if error.kind() == Kind::Unavailable => return Err(error),
        held => held.map(drop),
    };
    if let (Ok(()), Dialect::Postgres, Some(first)) = (&held, dialect, sessions.first_mut()) {
        refuse_rewritten(chosen, first.as_mut()).await?;
    }
    let mut tables = Vec::with_capacity(chosen.len());
    for chosen in chosen {
        // What may not be read is told better here than by the look.
        let described = described(order, source, chosen, tables.len());
        // The catalog, too, may wait behind whoever waits for these sessions.
        let described = tokio::time::timeout(DESCRIBED_WITHIN, described).await;
        tables.push(described.unwrap_or_else(|_| Err(changing().about(&chosen.name)))?);
    }
    held.map(|_| tables)
}

async fn look_into(dialect: Dialect, chosen: &[Chosen], session: &mut dyn Session) -> Result<()> {
    for Chosen { name, .. } in chosen {
        let look = Select {
            sql: format!("SELECT 1 FROM {} LIMIT 0", relation(dialect, name)?),
            params: Vec::new(),
        };
        let looked = tokio::time::timeout(LOOK_WITHIN, session.integer(&look)).await;
        looked
            .unwrap_or_else(|_| Err(changing()))
            .map_err(|error| error.about(name))?;
    }
    Ok(())
}

/// How many of a table's files, and of its partitions', are others than in the snapshot: `pg_class` is read as of then,
/// and the function answers as of now.
const REWRITTEN: &str = "WITH RECURSIVE below(oid) AS ( \
     SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2 \
     UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below ON i.inhparent = below.oid) \
     SELECT pg_catalog.count(*) FROM below JOIN pg_catalog.pg_class AS c ON c.oid = below.oid \
     WHERE c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)";

/// A table that was emptied or written anew between the snapshot and the look has no rows that the snapshot sees
/// (<https://www.postgresql.org/docs/current/mvcc-caveats.html>). Once looked into, it is safe.
async fn refuse_rewritten(chosen: &[Chosen], session: &mut dyn Session) -> Result<()> {
    for Chosen { name, .. } in chosen {
        let text = |value: &String| Param {
            column_type: ColumnType::Text,
            value: value.clone(),
        };
        let select = Select {
            sql: REWRITTEN.to_owned(),
            params: vec![text(&name.schema), text(&name.name)],
        };
        if session.integer(&select).await?.unwrap_or_default() > 0 {
            return Err(Error::new(
                Kind::Unavailable,
                "it was emptied or written anew while the snapshot was opened",
            )
            .about(name)
            .hint("run the command again"));
        }
    }
    Ok(())
}

fn changing() -> Error {
    Error::new(
        Kind::Unavailable,
        "somebody is changing the table, or locks it, and does not end",
    )
    .hint("wait until they are done, then run the command again")
}

fn relation(dialect: Dialect, name: &TableName) -> Result<String> {
    Ok(format!(
        "{}.{}",
        quote(dialect, &name.schema)?,
        quote(dialect, &name.name)?
    ))
}

async fn described(
    order: &Order,
    source: &dyn Source,
    chosen: &Chosen,
    number: usize,
) -> Result<Table> {
    let settings = &chosen.settings;
    let zone = &order.source.time_zone;
    let readable = readable_of(source, chosen, zone).await?;
    for note in &readable.table.notes {
        tracing::info!(table = %chosen.name, note, "worth knowing");
    }
    let layout = Layout::spec(
        &settings.partition_by,
        zone,
        &order.day_in,
        settings.null_partition.as_deref(),
    );
    let schema = &readable.table.schema;
    let layout = Layout::bind(&layout, schema).map_err(|error| error.about(&chosen.name))?;
    let shape = Shape::new(schema, &[], compression_name(order.files.compression));
    Ok(Table {
        number,
        chosen: chosen.clone(),
        layout,
        shape,
        readable,
    })
}
