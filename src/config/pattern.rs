//! Which settings mean which table: names and globs.

use super::{Settings, SourceSettings, TableSettings, nearest};
use crate::error::{Code, Error, Kind};
use crate::model::TableName;

impl Settings {
    /// The settings of one table: an exact name wins over globs, an earlier glob over a later one. `None`
    /// where the configuration does not mean it.
    pub fn table_settings(&self, table: &TableName) -> Option<&TableSettings> {
        let source = self
            .sources
            .iter()
            .find(|source| source.name == table.source)?;
        source.table_settings(table)
    }
}

impl SourceSettings {
    /// What its topics' names begin with, where all topics' begin with `prefix`.
    pub fn topics_begin_with<'a>(&'a self, prefix: &'a str) -> &'a str {
        self.topic_prefix.as_deref().unwrap_or(prefix)
    }

    /// As [`Settings::table_settings`], within this source.
    pub fn table_settings(&self, table: &TableName) -> Option<&TableSettings> {
        let mut exact = self.tables.iter().filter(|settings| !settings.is_glob());
        let mut globs = self.tables.iter().filter(|settings| settings.is_glob());
        exact.find(|settings| settings.means(table)).or_else(|| {
            self.globs_may_mean(table)
                .then(|| globs.find(|settings| settings.means(table)))?
        })
    }

    /// Whether `include` and `exclude` leave a table to the globs.
    pub fn globs_may_mean(&self, table: &TableName) -> bool {
        let is_in = |globs: &[String]| globs.iter().any(|glob| pattern_means(glob, table));
        (self.include.is_empty() || is_in(&self.include)) && !is_in(&self.exclude)
    }
}

impl TableSettings {
    /// Whether the pattern may mean several tables.
    pub fn is_glob(&self) -> bool {
        is_glob(&self.pattern)
    }

    /// Whether these settings mean `table`, other settings left aside.
    pub fn means(&self, table: &TableName) -> bool {
        let excluded = |glob: &String| pattern_means(glob, table);
        pattern_means(&self.pattern, table) && !self.exclude.iter().any(excluded)
    }
}

/// PostgreSQL's usual default schema, which people write out at times. The default one of MariaDB is its
/// database: before a dot that could be another source's name just as well.
const WRITTEN_OUT: &str = "public";

/// Whether a table is meant by the names on the command line; no name means all.
pub fn is_meant(only: &[String], table: &TableName) -> bool {
    only.is_empty() || only.iter().any(|name| is_meant_by(name, table))
}

/// As [`is_meant`], of what a problem is about: a table, or a pattern of tables, behind its source.
pub fn is_problem_meant(only: &[String], subject: &str) -> bool {
    let short = subject.split_once('.').map_or(subject, |(_, short)| short);
    let is_meant = |name: &String| {
        let name = name.strip_prefix("public.").unwrap_or(name);
        glob_matches(name, subject) || glob_matches(name, short)
    };
    only.is_empty() || only.iter().any(is_meant)
}

/// The names on the command line that mean none of these tables.
pub fn meaningless<'n>(only: &'n [String], tables: &[TableName]) -> Vec<&'n str> {
    let means_none = |name: &&String| !tables.iter().any(|table| is_meant_by(name, table));
    only.iter().filter(means_none).map(String::as_str).collect()
}

/// The names on the command line mean no table of this pipeline.
pub fn no_table_is_called<T: AsRef<str>>(names: &[T]) -> Error {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let names = names.join("`, `");
    Error::new(Kind::Usage, format!("no table is called `{names}`")).code(Code::NOT_CONFIGURED)
}

/// The glob that a name in the notation of SQL's LIKE stands for: `catalogue_%` is written `catalogue_*`. `None` where
/// it holds no `%`.
pub fn from_like(name: &str) -> Option<String> {
    name.contains('%').then(|| name.replace('%', "*"))
}

/// Which of these tables, as `source.table` or `source.schema.table`, a name that means none was likely meant to be.
pub fn nearest_table<'a>(name: &str, tables: &'a [String]) -> Option<&'a str> {
    // People leave out the source, and at times the schema where they must not.
    let behind_dot = |name: &'a str| name.split_once('.').map(|(_, rest)| rest);
    let spelled = |table: &'a String| {
        let short = behind_dot(table);
        let spelled = [Some(table.as_str()), short, short.and_then(behind_dot)];
        spelled.into_iter().flatten()
    };
    let near = nearest(name, tables.iter().flat_map(spelled))?;
    let is_near = |table: &&String| *table == near || table.ends_with(&format!(".{near}"));
    tables.iter().find(is_near).map(String::as_str)
}

/// Whether a table is meant by `orders`, `ec.orders`, `public.orders`, or a glob of them.
pub fn is_meant_by(name: &str, table: &TableName) -> bool {
    let is_written_out = || {
        let (schema, rest) = name.split_once('.')?;
        let is_there = table.in_default_schema && table.schema == WRITTEN_OUT;
        Some(is_there && schema == WRITTEN_OUT && glob_matches(rest, &table.name))
    };
    glob_matches(name, &table.to_string())
        || glob_matches(name, &table.short())
        || is_written_out().unwrap_or(false)
}

/// Whether `*` or `?` stand in it.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Refuses what no table can be called; the refusal is the rest of a sentence.
pub(super) fn checked(pattern: &str) -> Result<(), String> {
    const FORM: &str = "write `name` or `schema.name`, `*` for any characters and `?` for one";
    if pattern.is_empty() {
        return Err(format!("a table has a name; {FORM}"));
    }
    if pattern.starts_with('.') || pattern.ends_with('.') {
        return Err(format!("`{pattern}` is no table; {FORM}"));
    }
    // A name may hold any character: only what has nothing else is taken for another notation.
    let is_of = |others: &str| {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '*' | '?');
        pattern.chars().all(|c| is_word(c) || others.contains(c))
    };
    let has_marks =
        pattern.starts_with('^') || pattern.ends_with('$') || pattern.contains(['[', '|', '\\']);
    match () {
        () if !is_glob(pattern) => Ok(()),
        () if has_marks && is_of("^$[]|()\\+-") => Err(format!(
            "`{pattern}` is a regular expression, and these are globs; {FORM}"
        )),
        () if pattern.contains(',') && is_of(", ") => Err(format!(
            "`{pattern}` is a list; give each table a key of its own; {FORM}"
        )),
        () => Ok(()),
    }
}

/// Whether every table that `narrow` means is surely meant by `wide` too. Some that are may be missed.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let dots = |pattern: &str| pattern.matches('.').count();
    if dots(wide) != dots(narrow) && wide != "*.*" {
        return false;
    }
    // What a `*` may stand for at the least, and something that no name in a pattern has.
    let sample = |any: &str| narrow.replace('*', any).replace('?', "\u{1}");
    let means = |sample: &str| match wide {
        "*.*" => true,
        _ => glob_matches(wide, sample),
    };
    means(&sample("")) && means(&sample("\u{1}\u{1}\u{1}"))
}

/// Without a dot a pattern means tables of the default schema only; before a dot stands the schema. Names may
/// hold dots themselves, so that each dot may be the one; of a name in the default schema a dot may also be
/// part where the pattern is exact: `*.*` is schema and table.
pub fn pattern_means(pattern: &str, table: &TableName) -> bool {
    let one_part = !(is_glob(pattern) && pattern.contains('.'));
    if one_part && table.in_default_schema && glob_matches(pattern, &table.name) {
        return true;
    }
    pattern.match_indices('.').any(|(dot, _)| {
        let (schema, name) = (&pattern[..dot], &pattern[dot + 1..]);
        glob_matches(schema, &table.schema) && glob_matches(name, &table.name)
    })
}

/// `*` is any run of characters, `?` exactly one; everything else is itself, letter case included.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut g, mut t) = (0, 0);
    // Where to go on when a later character does not fit: the last `*`, having taken one more character.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match glob.get(g) {
            Some('*') => {
                retry = Some((g, t));
                g += 1;
            }
            Some(expected) if *expected == '?' || expected == c => {
                g += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    g = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;
    use crate::model::Mode;
    use proptest::prelude::*;

    #[test]
    fn a_problem_of_a_pattern_is_meant_with_and_without_its_source() {
        let is_meant = |name: &str| is_problem_meant(&[name.to_owned()], "ec.log_*");
        for name in ["log_*", "ec.log_*", "ec.*", "*", "public.log_*"] {
            assert!(is_meant(name), "{name}");
        }
        assert!(!is_meant("log_web"));
    }

    #[test]
    fn a_name_that_means_nothing_is_found_beside_names_that_do() {
        let table = |name: &str| TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        let only = ["orders", "itmes", "public.items", "log_*"].map(str::to_owned);
        let found = meaningless(&only, &[table("orders"), table("items")]);
        assert_eq!(found, ["itmes", "log_*"]);
        assert!(meaningless(&[], &[]).is_empty());
    }

    fn settings(pattern: &str, exclude: &[&str]) -> TableSettings {
        TableSettings {
            pattern: pattern.to_owned(),
            exclude: exclude.iter().map(|glob| (*glob).to_owned()).collect(),
            columns: Default::default(),
            filter: None,
            mode: Mode::Bulk,
            timestamp: None,
            incrementing: None,
            on_value: Default::default(),
            every: None,
            schedule: None,
            topic: None,
            partition_by: vec![],
            null_partition: None,
            decimal: Default::default(),
            allow_unsafe: false,
            lookback: defaults::LOOKBACK,
        }
    }

    fn source(tables: Vec<TableSettings>) -> SourceSettings {
        SourceSettings {
            name: "ec".to_owned(),
            url: crate::config::DatabaseUrl::parse("postgres://cdc@localhost/shop").unwrap(),
            time_zone: jiff::tz::TimeZone::UTC,
            connections: 1,
            topic_prefix: None,
            include: vec![],
            exclude: vec![],
            tables,
        }
    }

    fn table(schema: &str, name: &str) -> TableName {
        TableName {
            source: "ec".to_owned(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            in_default_schema: schema == "public",
        }
    }

    fn found<'s>(source: &'s SourceSettings, schema: &str, name: &str) -> Option<&'s str> {
        source
            .table_settings(&table(schema, name))
            .map(|settings| settings.pattern.as_str())
    }

    #[test]
    fn a_table_is_meant_by_its_name_with_source_or_schema_or_neither_and_by_globs() {
        let orders = table("public", "orders");
        let meant = |name: &str| is_meant(&[name.to_owned()], &orders);
        assert!(is_meant(&[], &orders));
        for name in [
            "orders",
            "ec.orders",
            "ec.*",
            "ord?rs",
            "*",
            "public.orders",
            "public.ord*",
        ] {
            assert!(meant(name), "{name}");
        }
        for name in [
            "order",
            "pos.orders",
            "pos.*",
            "Orders",
            "public.items",
            "p*.orders",
            "archive.orders",
        ] {
            assert!(!meant(name), "{name}");
        }
        assert!(is_meant_by("archive.orders", &table("archive", "orders")));
        assert!(!is_meant_by("public.orders", &table("archive", "orders")));
    }

    #[test]
    fn a_sources_name_means_no_other_sources_database() {
        let of_another = TableName {
            source: "reporting".to_owned(),
            schema: "shop".to_owned(),
            name: "orders".to_owned(),
            in_default_schema: true,
        };
        for name in ["shop.orders", "shop.*"] {
            assert!(!is_meant_by(name, &of_another), "{name}");
        }
    }

    #[test]
    fn an_exact_name_wins_over_globs_and_an_earlier_glob_over_a_later_one() {
        let source = source(vec![
            settings("log_*", &["log_tmp*"]),
            settings("*", &["secret?"]),
            settings("log_web", &[]),
        ]);
        assert_eq!(found(&source, "public", "log_web"), Some("log_web"));
        assert_eq!(found(&source, "public", "log_app"), Some("log_*"));
        assert_eq!(found(&source, "public", "log_tmp_1"), Some("*"));
        assert_eq!(found(&source, "public", "orders"), Some("*"));
        assert_eq!(found(&source, "public", "secret1"), None);
    }

    #[test]
    fn a_pattern_without_a_dot_stays_in_the_default_schema() {
        let source = source(vec![settings("*", &[]), settings("archive.o*", &[])]);
        assert_eq!(found(&source, "archive", "orders"), Some("archive.o*"));
        assert_eq!(found(&source, "archive", "items"), None);
        assert_eq!(found(&source, "public", "orders"), Some("*"));
    }

    #[test]
    fn the_default_schema_may_be_written_out() {
        let source = source(vec![settings("public.orders", &[]), settings("*.*", &[])]);
        assert_eq!(found(&source, "public", "orders"), Some("public.orders"));
        assert_eq!(found(&source, "public", "items"), Some("*.*"));
        assert_eq!(found(&source, "sales", "items"), Some("*.*"));
    }

    #[test]
    fn what_a_source_includes_and_excludes_binds_its_globs_and_no_exact_name() {
        let mut source = source(vec![settings("*.*", &[]), settings("tmp_kept", &[])]);
        source.exclude = vec!["tmp_*".to_owned(), "archive.*".to_owned()];
        assert_eq!(found(&source, "public", "orders"), Some("*.*"));
        assert_eq!(found(&source, "public", "tmp_1"), None);
        assert_eq!(found(&source, "public", "tmp_kept"), Some("tmp_kept"));
        assert_eq!(found(&source, "archive", "orders"), None);
        source.include = vec!["sales.*".to_owned()];
        assert_eq!(found(&source, "sales", "orders"), Some("*.*"));
        assert_eq!(found(&source, "public", "orders"), None);
        assert_eq!(found(&source, "public", "tmp_kept"), Some("tmp_kept"));
    }

    #[test]
    fn a_dot_may_be_part_of_a_schemas_or_a_tables_name() {
        let source = source(vec![
            settings("my.schema.orders", &[]),
            settings("public.a.b", &[]),
            settings("c.d", &[]),
            settings("odd.name.*", &[]),
        ]);
        let exact = Some("my.schema.orders");
        assert_eq!(found(&source, "my.schema", "orders"), exact);
        assert_eq!(found(&source, "my", "schema.orders"), exact);
        assert_eq!(found(&source, "public", "a.b"), Some("public.a.b"));
        assert_eq!(found(&source, "public", "c.d"), Some("c.d"));
        assert_eq!(found(&source, "odd.name", "x"), Some("odd.name.*"));
    }

    #[test]
    fn a_glob_that_takes_all_of_another_is_known() {
        for (wide, narrow) in [
            ("*", "log_*"),
            ("*", "orders"),
            ("*.*", "log_*"),
            ("log_*", "log_web_*"),
            ("archive.*", "archive.o?"),
            ("log_?", "log_?"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("*", "archive.*"),
            ("log_?", "log_*"),
            ("log_*", "*"),
            ("?*", "*"),
            ("archive.*", "orders"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    proptest! {
        #[test]
        fn what_a_covered_glob_matches_the_wider_one_matches(
            wide in "[ab*?]{0,5}", narrow in "[ab*?]{0,5}", text in "[ab]{0,6}"
        ) {
            if covers(&wide, &narrow) && glob_matches(&narrow, &text) {
                prop_assert!(glob_matches(&wide, &text));
            }
        }
    }

    #[test]
    fn a_name_that_means_no_table_is_near_one_with_or_without_its_source_and_schema() {
        let tables = ["ec.orders", "ec.archive.items", "pos.sales"].map(str::to_owned);
        for (name, near) in [
            ("odrers", Some("ec.orders")),
            ("ec.odrers", Some("ec.orders")),
            ("ce.orders", Some("ec.orders")),
            ("Orders", Some("ec.orders")),
            ("items", Some("ec.archive.items")),
            ("archive.itmes", Some("ec.archive.items")),
            ("slaes", Some("pos.sales")),
            ("customers", None),
        ] {
            assert_eq!(nearest_table(name, &tables), near, "{name}");
        }
    }

    #[test]
    fn letter_case_counts() {
        let source = source(vec![settings("Orders", &[])]);
        assert_eq!(found(&source, "public", "orders"), None);
    }

    proptest! {
        #[test]
        fn a_glob_agrees_with_its_definition(glob in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn defined(glob: &[u8], text: &[u8]) -> bool {
                match (glob, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) if defined(rest, text) => true,
                    ([b'*', ..], [_, rest @ ..]) => defined(glob, rest),
                    ([b'?', glob @ ..], [_, text @ ..]) => defined(glob, text),
                    ([g, glob @ ..], [t, text @ ..]) if g == t => defined(glob, text),
                    _ => false,
                }
            }
            prop_assert_eq!(glob_matches(&glob, &text), defined(glob.as_bytes(), text.as_bytes()));
        }
    }
}
