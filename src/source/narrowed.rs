//! A table as `columns:` and `where:` leave it. The choice is pure; `readable_of` asks the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Chosen, Described, Readable, Source};
use crate::config::{ColumnChoice, TableSettings};
use crate::error::{Error, Kind, Result};

/// Columns that the role may not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Those the catalog shows.
    pub columns: BTreeSet<String>,
    /// There are others, whose names the server does not show.
    pub others: bool,
    /// Who may not read them, and the statement that would change it.
    pub role: String,
    pub grant: String,
}

/// Names shown where a name is unknown and none is near.
const NAMES_SHOWN: usize = 20;

/// Describes a chosen table as its settings leave it.
pub async fn describe_chosen(source: &dyn Source, chosen: &Chosen) -> Result<Described> {
    let described = source.survey(&chosen.name).await?;
    described
        .narrowed(&chosen.settings)?
        .with_decimals(source.dialect(), &chosen.settings)
}

/// A chosen table with all that reading it needs. A filter is tried, so that a mistake in it is told as one.
pub async fn readable_of(
    source: &dyn Source,
    chosen: &Chosen,
    zone: &TimeZone,
) -> Result<Readable> {
    let described = describe_chosen(source, chosen).await?;
    readable_from(source, chosen, zone, described).await
}

/// The same, of a description that is there already.
pub async fn readable_from(
    source: &dyn Source,
    chosen: &Chosen,
    zone: &TimeZone,
    described: Described,
) -> Result<Readable> {
    let dialect = source.dialect();
    let readable = Readable::new(dialect, Arc::new(described), &chosen.settings, zone)?;
    if let (Some(filter), Some(trial)) = (&chosen.settings.filter, readable.statements.trial()) {
        let mut session = source.session().await?;
        let tried = session.integer(&trial).await;
        tried.map_err(|error| match error.kind() {
            Kind::Unavailable => error,
            Kind::Permission => error.about(&chosen.name),
            _ => Error::new(
                Kind::Config,
                format!("the database does not take the condition `{filter}` of `where`"),
            )
            .about(&chosen.name)
            .because(error)
            .code(crate::error::Code::CONDITION_REFUSED)
            .hint("mend `where:`; it names columns as they are, without the table before them"),
        })?;
    }
    Ok(readable)
}

impl Described {
    /// Without the columns that `settings` leave out. Refuses names that no column has, leaving out what the
    /// reading rests on, and columns that are read but may not be.
    pub fn narrowed(self, settings: &TableSettings) -> Result<Self> {
        let choice = &settings.columns;
        let names: Vec<&str> = self.names().collect();
        if let Some(unknown) = self.unknown(choice, &names) {
            return Err(unknown.about(&self.name));
        }
        let reads = choice.reads(names.iter().copied());
        let is_left_out = |name: &str| {
            let column = names
                .iter()
                .zip(&reads)
                .find(|(column, _)| **column == name);
            column.is_some_and(|(_, read)| !read)
        };
        for (what, name) in self.needed(settings) {
            if is_left_out(&name) {
                return Err(Error::new(
                    Kind::Config,
                    format!("`columns` leaves out `{name}`, which is {what}"),
                )
                .about(&self.name)
                .code(crate::error::Code::COLUMN_NEEDED)
                .hint(format!(
                    "keep `{name}`: the table cannot be read without it"
                )));
            }
        }
        self.refuse_withheld(choice, &is_left_out)?;
        if !reads.contains(&true) {
            return Err(Error::new(Kind::Config, "`columns` leaves no column")
                .about(&self.name)
                .hint("keep at least one column"));
        }
        Ok(self.without(&reads))
    }

    /// With every column; refuses those that may not be read.
    pub(super) fn whole(self) -> Result<Self> {
        self.refuse_withheld(&ColumnChoice::default(), &|_| false)?;
        Ok(self)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.schema
            .columns
            .iter()
            .map(|column| column.name.as_str())
    }

    fn unknown(&self, choice: &ColumnChoice, names: &[&str]) -> Option<Error> {
        // What the server does not show may well be left out by its name.
        let may_be_hidden = |name: &String| self.withheld.others && choice.drop.contains(name);
        let unknown = choice.unknown(names);
        let unknown = unknown.into_iter().find(|u| !may_be_hidden(&u.name))?;
        let hint = match &unknown.nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                let some: Vec<_> = names.iter().take(NAMES_SHOWN).copied().collect();
                let more = match names.len() > NAMES_SHOWN {
                    true => ", …",
                    false => "",
                };
                format!("its columns are {}{more}", quoted(&some))
            }
        };
        let text = format!(
            "`columns` names `{}`, and there is no such column",
            unknown.name
        );
        Some(
            Error::new(Kind::Config, text)
                .code(crate::error::Code::NO_SUCH_COLUMN)
                .hint(hint),
        )
    }

    /// Columns the reading rests on, and what each is.
    fn needed(&self, settings: &TableSettings) -> Vec<(&'static str, String)> {
        let key = self.schema.key.iter();
        let key = key.filter_map(|i| self.schema.columns.get(*i));
        let mut needed: Vec<_> = key
            .map(|column| ("part of the primary key", column.name.clone()))
            .collect();
        let cursor = settings.timestamp.iter().chain(&settings.incrementing);
        needed.extend(cursor.map(|name| ("the cursor column", name.clone())));
        let levels = settings.partition_by.iter();
        needed.extend(levels.map(|level| {
            let column = level.transform.column().to_owned();
            ("what `partition_by` cuts by", column)
        }));
        needed
    }

    fn refuse_withheld(
        &self,
        choice: &ColumnChoice,
        is_left_out: &impl Fn(&str) -> bool,
    ) -> Result<()> {
        let Withheld {
            columns,
            others,
            role,
            grant,
        } = &self.withheld;
        let column = columns.iter().find(|name| !is_left_out(name));
        let names: Vec<&str> = self.names().collect();
        // `keep` says what there is to be; `drop` must say at least one name that is not shown.
        let others_are_meant = !choice.keep.is_empty() || !choice.unknown(&names).is_empty();
        let all = columns.len() == names.len();
        let (what, way_out) = match column {
            Some(column) if all => (format!("may not read column `{column}`"), String::new()),
            Some(column) => (
                format!("may not read column `{column}`"),
                format!("; or leave it out: `columns: {{ drop: [{column}] }}`"),
            ),
            None if *others && !others_are_meant => (
                "may not read some columns, whose names the server does not show".to_owned(),
                "; or say which columns are read: `columns: { keep: […] }`".to_owned(),
            ),
            None => return Ok(()),
        };
        Err(Error::new(Kind::Permission, "describing the table")
            .code(crate::error::Code::GRANT_MISSING)
            .because(format!("role `{role}` {what}"))
            .about(&self.name)
            .hint(format!("{grant}{way_out}")))
    }

    fn without(mut self, reads: &[bool]) -> Self {
        if !reads.contains(&false) {
            return self;
        }
        let mut new_place = Vec::with_capacity(reads.len());
        let mut kept = 0;
        for read in reads {
            new_place.push(read.then_some(kept));
            kept += usize::from(*read);
        }
        let mut flags = reads.iter();
        self.selects.retain(|_| flags.next() == Some(&true));
        let mut flags = reads.iter();
        let left_out = &mut self.left_out;
        self.schema.columns.retain(|column| {
            let read = flags.next() == Some(&true);
            if !read {
                left_out.push(column.name.clone());
            }
            read
        });
        let place = |i: usize| new_place.get(i).copied().flatten();
        self.schema.key = self.schema.key.iter().filter_map(|i| place(*i)).collect();
        let is_read = |name: &String| !self.left_out.contains(name);
        self.incrementing_candidates.retain(is_read);
        self.timestamp_candidates.retain(is_read);
        self.indexed.retain(is_read);
        self.timestamp_precision.retain(|name, _| is_read(name));
        self.notes.retain(|note| {
            let about = |name: &String| note.starts_with(&format!("column `{name}`"));
            !self.left_out.iter().any(about)
        });
        self
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Database, settings};
    use super::*;
    use crate::model::{Mode, PartitionBy, Transform};

    fn described() -> Described {
        let mut described = Database::default().described();
        described.notes = vec!["column `note`: odd".into(), "a standby".into()];
        described.schema.key = vec![0];
        described
    }

    fn choosing(keep: &[&str], drop: &[&str]) -> TableSettings {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        TableSettings {
            columns: ColumnChoice {
                keep: list(keep),
                drop: list(drop),
                drop_if_there: vec![],
            },
            ..settings(Mode::Bulk)
        }
    }

    fn refusal(described: Described, settings: &TableSettings) -> String {
        let error = described.narrowed(settings).unwrap_err();
        format!("{error} (next: {})", error.next_step().unwrap_or_default())
    }

    #[test]
    fn what_is_left_out_is_nowhere() {
        let mut table = described();
        table.schema.key = vec![2];
        let table = table.narrowed(&choosing(&[], &["i*"])).unwrap();
        let names: Vec<&str> = table.names().collect();
        assert_eq!(names, ["at", "note"]);
        assert_eq!(table.selects, ["\"at\"", "\"note\""]);
        assert_eq!(table.schema.key, [1]);
        assert_eq!(table.left_out, ["id"]);
        assert_eq!(table.incrementing_candidates, Vec::<String>::new());
        assert_eq!(table.notes.len(), 2);
        let table = described().narrowed(&choosing(&["id", "at"], &[])).unwrap();
        assert_eq!(table.notes, ["a standby"]);
        let all = described().narrowed(&choosing(&[], &[])).unwrap();
        assert_eq!(all.schema, described().schema);
    }

    #[test]
    fn what_the_reading_rests_on_cannot_be_left_out() {
        let mut cursor = choosing(&[], &["at"]);
        cursor.timestamp = Some("at".into());
        let mut partition = choosing(&["id", "at"], &[]);
        partition.partition_by = vec![PartitionBy {
            name: "n".into(),
            transform: Transform::Column("note".into()),
        }];
        let said = [
            refusal(described(), &choosing(&[], &["id"])),
            refusal(described(), &cursor),
            refusal(described(), &partition),
            refusal(described(), &choosing(&[], &["nota"])),
            refusal(described(), &choosing(&["something", "id"], &[])),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        ec.orders: `columns` leaves out `id`, which is part of the primary key (next: keep `id`: the table cannot be read without it)
        ec.orders: `columns` leaves out `at`, which is the cursor column (next: keep `at`: the table cannot be read without it)
        ec.orders: `columns` leaves out `note`, which is what `partition_by` cuts by (next: keep `note`: the table cannot be read without it)
        ec.orders: `columns` names `nota`, and there is no such column (next: did you mean `note`?)
        ec.orders: `columns` names `something`, and there is no such column (next: its columns are `id`, `at`, `note`)
        "#);
    }

    #[test]
    fn a_column_that_may_not_be_read_must_be_left_out() {
        let withheld = |columns: &[&str], others| {
            let mut table = described();
            table.withheld = Withheld {
                columns: columns.iter().map(|name| (*name).to_owned()).collect(),
                others,
                role: "cdc".into(),
                grant: "GRANT SELECT".into(),
            };
            table
        };
        let said = [
            refusal(withheld(&["note"], false), &choosing(&[], &[])),
            refusal(withheld(&[], true), &choosing(&[], &[])),
            refusal(withheld(&[], true), &choosing(&[], &["note"])),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        ec.orders: describing the table: role `cdc` may not read column `note` (next: GRANT SELECT; or leave it out: `columns: { drop: [note] }`)
        ec.orders: describing the table: role `cdc` may not read some columns, whose names the server does not show (next: GRANT SELECT; or say which columns are read: `columns: { keep: […] }`)
        ec.orders: describing the table: role `cdc` may not read some columns, whose names the server does not show (next: GRANT SELECT; or say which columns are read: `columns: { keep: […] }`)
        "#);
        for (table, settings) in [
            (withheld(&["note"], false), choosing(&[], &["note"])),
            (withheld(&[], true), choosing(&[], &["card_token"])),
            (withheld(&[], true), choosing(&["id"], &[])),
        ] {
            assert!(table.narrowed(&settings).is_ok());
        }
    }
}
