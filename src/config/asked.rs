//! What a command line asks for without a file: a database, some of its tables, a place for their rows.

use super::{
    ColumnChoice, DatabaseUrl, LakePlace, OnValues, SourceSettings, TableSettings, condition,
    defaults, units,
};
use crate::error::{Error, Kind, Result};
use crate::model::{Mode, OnValue, escape_part};

/// Where every AWS tool finds the address of a store that is not AWS's own, in this order.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// A database and what is wanted of it, as it was written.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub url: &'a str,
    /// The first directory below the lake; else the database's name.
    pub source: Option<&'a str>,
    /// Names and globs; none: every table of the default schema.
    pub tables: &'a [String],
    pub filter: Option<&'a str>,
    pub columns: ColumnChoice,
    pub on_value: OnValue,
    pub connections: usize,
}

impl Asked<'_> {
    /// The settings it means, and what works but should not stay so. Each table is read whole.
    ///
    /// Errors: `Usage`, which hold no part of the URL.
    pub fn settings(&self) -> Result<(SourceSettings, Option<String>)> {
        let url = DatabaseUrl::parse_with_references(self.url)
            .map_err(|why| {
                Error::new(Kind::Usage, format!("the url {why}"))
                    .hint("write it as `postgres://user@host/database?sslmode=verify-full`, or with `mariadb://`; what stands behind the `?` may be left out")
            })?;
        let source = match self.source {
            Some(name) => units::name(name)
                .map_err(|why| Error::new(Kind::Usage, format!("`--source`: `{name}` {why}")))?,
            None => escape_part(&url.database),
        };
        let filter = match self.filter {
            Some(text) => Some(condition::checked(text, Some(url.kind)).map_err(|why| {
                Error::new(Kind::Usage, format!("`--where`: the condition {why}"))
            })?),
            None => None,
        };
        let everything = ["*".to_owned()];
        let patterns = match self.tables {
            [] => &everything,
            named => named,
        };
        let warning = url
            .weakness()
            .map(|weakness| format!("the url asks for {weakness}"));
        let mut settings = SourceSettings::bare(&source, url);
        settings.connections = self.connections;
        settings.tables = patterns
            .iter()
            .map(|pattern| self.table(pattern, filter))
            .collect();
        Ok((settings, warning))
    }

    fn table(&self, pattern: &str, filter: Option<&str>) -> TableSettings {
        TableSettings {
            pattern: pattern.to_owned(),
            exclude: Vec::new(),
            mode: Mode::Bulk,
            columns: self.columns.clone(),
            filter: filter.map(str::to_owned),
            timestamp: None,
            incrementing: None,
            every: None,
            schedule: None,
            topic: None,
            partition_by: Vec::new(),
            on_value: OnValues {
                others: self.on_value,
                ..OnValues::default()
            },
            null_partition: None,
            decimal: Default::default(),
            allow_unsafe: false,
            lookback: defaults::LOOKBACK,
        }
    }
}

/// Reads how much memory may be used, in bytes, as `--memory` says it.
pub fn asked_memory(text: &str) -> Result<u64, String> {
    units::size_of_at_least(text, defaults::LEAST_MEMORY).map_err(|why| format!("`{text}` {why}"))
}

impl LakePlace {
    /// Reads a place that stands on the command line: as in the file, with the store's address from the environment.
    pub fn asked(text: &str) -> Result<Self> {
        let place = LakePlace::parse(text).map_err(|why| {
            let error = Error::new(Kind::Usage, format!("`--to`: `{text}` {why}"));
            match text.ends_with(".parquet") {
                true => error.hint(format!("for one file write `--to - > {text}`")),
                false => error,
            }
        })?;
        let variable = |name: &&str| std::env::var(name).ok().filter(|url| !url.is_empty());
        Ok(match (place, ENDPOINTS.iter().find_map(variable)) {
            (
                LakePlace::S3 {
                    bucket,
                    prefix,
                    region,
                    ca_file,
                    ..
                },
                Some(endpoint),
            ) => {
                LakePlace::S3 {
                    bucket,
                    prefix,
                    endpoint: Some(endpoint.trim_end_matches('/').to_owned()),
                    region: region.or_else(|| std::env::var("AWS_REGION").ok()),
                    // Few stores but AWS's own know a bucket by its host name.
                    path_style: true,
                    ca_file,
                }
            }
            (place, _) => place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(url: &'a str, tables: &'a [String]) -> Asked<'a> {
        Asked {
            url,
            source: None,
            tables,
            filter: None,
            columns: ColumnChoice::default(),
            on_value: OnValue::Stop,
            connections: 4,
        }
    }

    #[test]
    fn a_bare_url_means_every_table_of_the_default_schema_under_the_databases_name() {
        let (settings, warning) = asked("postgres://cdc@localhost/my shop", &[])
            .settings()
            .expect("settings");
        assert_eq!(settings.name, "my-20-shop");
        let patterns: Vec<_> = settings.tables.iter().map(|t| t.pattern.as_str()).collect();
        assert_eq!(patterns, ["*"]);
        assert_eq!(warning, None);
        let weak = asked("mariadb://cdc@db.example.com/shop?sslmode=disable", &[]);
        assert!(weak.settings().expect("settings").1.is_some());
    }

    #[test]
    fn what_is_asked_in_a_wrong_way_is_a_matter_of_the_command_line() {
        let wrong = [
            Asked {
                filter: Some("a = 1; drop"),
                ..asked("postgres://cdc@localhost/shop", &[])
            },
            Asked {
                source: Some("my shop"),
                ..asked("postgres://cdc@localhost/shop", &[])
            },
            asked("postgres://cdc:hunter2@localhost", &[]),
        ];
        for asked in wrong {
            let error = asked.settings().expect_err("refused");
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let error = LakePlace::asked("orders.parquet").expect_err("no place");
        assert!(
            error
                .next_step()
                .is_some_and(|next| next.contains("--to - > orders.parquet"))
        );
    }
}
