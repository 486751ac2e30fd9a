//! What becomes of each PostgreSQL type. `TYPES.md` is this table for people; a test holds the two equal.

use super::super::decimals::TOO_PRECISE;
use crate::model::ColumnType;

/// How the binary form of a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Int16,
    Int32,
    Int64,
    UInt32,
    Float32,
    Float64,
    Numeric,
    /// The bytes are the text.
    Text,
    /// One version byte, then the text.
    Jsonb,
    Uuid,
    Inet,
    Bytes,
    /// The number of bits, then the bits from the highest, filled up to whole bytes.
    Bits,
    Date,
    Timestamp,
}

/// How a type travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travels {
    Binary(Form),
    /// Selected as `::text`.
    AsText,
}

/// What a type becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Is(ColumnType),
    /// Decimal if precision and scale are declared and fit 38 digits, else text.
    Decimal,
    /// UInt64 up to 64 bits, binary above, text where no length is declared.
    Bits,
}

use Becomes::Is;
use ColumnType as To;
use Travels::{AsText, Binary};

/// One line per sort of type: the catalog's names, how they travel, what they become.
type Line = (&'static [&'static str], Travels, Becomes);

#[rustfmt::skip]
pub(super) const TYPES: &[Line] = &[
    // PostgreSQL                                        travels as                becomes
    (&["bool"],                                          Binary(Form::Bool),       Is(To::Bool)),
    (&["int2"],                                          Binary(Form::Int16),      Is(To::Int16)),
    (&["int4"],                                          Binary(Form::Int32),      Is(To::Int32)),
    (&["int8"],                                          Binary(Form::Int64),      Is(To::Int64)),
    (&["oid"],                                           Binary(Form::UInt32),     Is(To::UInt32)),
    (&["float4"],                                        Binary(Form::Float32),    Is(To::Float32)),
    (&["float8"],                                        Binary(Form::Float64),    Is(To::Float64)),
    (&["numeric"],                                       Binary(Form::Numeric),    Becomes::Decimal),
    (&["money"],                                         AsText,                   Is(To::Text)),
    (&["text", "varchar", "bpchar", "name"],             Binary(Form::Text),       Is(To::Text)),
    (&["char"],                                          AsText,                   Is(To::Text)),
    (&["bytea"],                                         Binary(Form::Bytes),      Is(To::Binary)),
    (&["bit"],                                           Binary(Form::Bits),       Becomes::Bits),
    (&["varbit"],                                        AsText,                   Is(To::Text)),
    (&["date"],                                          Binary(Form::Date),       Is(To::Date)),
    (&["timestamp"],                                     Binary(Form::Timestamp),  Is(To::Timestamp { utc: false })),
    (&["timestamptz"],                                   Binary(Form::Timestamp),  Is(To::Timestamp { utc: true })),
    (&["time", "timetz", "interval"],                    AsText,                   Is(To::Text)),
    (&["uuid"],                                          Binary(Form::Uuid),       Is(To::Text)),
    (&["json"],                                          Binary(Form::Text),       Is(To::Text)),
    (&["jsonb"],                                         Binary(Form::Jsonb),      Is(To::Text)),
    (&["jsonpath", "xml"],                               AsText,                   Is(To::Text)),
    (&["inet", "cidr"],                                  Binary(Form::Inet),       Is(To::Text)),
    (&["macaddr", "macaddr8"],                           AsText,                   Is(To::Text)),
    (&["point", "line", "lseg", "box", "path", "polygon", "circle"],
                                                         AsText,                   Is(To::Text)),
    (&["int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"],
                                                         AsText,                   Is(To::Text)),
    (&["int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"],
                                                         AsText,                   Is(To::Text)),
    (&["tsvector", "tsquery"],                           AsText,                   Is(To::Text)),
    (&["pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary",
       "pg_brin_minmax_multi_summary", "gtsvector"],     AsText,                   Is(To::Text)),
    (&["xid", "xid8", "cid", "tid", "pg_lsn", "pg_snapshot", "txid_snapshot"],
                                                         AsText,                   Is(To::Text)),
    (&["regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc",
       "regprocedure", "regrole", "regtype", "refcursor", "aclitem", "int2vector", "oidvector"],
                                                         AsText,                   Is(To::Text)),
];

/// Types of well-known extensions that travel as text without a remark, like enums.
const KNOWN_EXTENSIONS: &[&str] = &[
    "hstore", "citext", "ltree", "cube", "isbn", "semver", "vector",
];

/// A type as the catalog describes it, domains already replaced by what they stand on.
#[derive(Clone, Debug)]
pub(super) struct CatalogType {
    pub name: String,
    /// Whether it is PostgreSQL's own and not a namesake in another schema.
    pub built_in: bool,
    /// `pg_type.typtype`: base, composite, domain, enum, multirange, pseudo, range.
    pub sort: String,
    /// `atttypmod`: precision and scale of a numeric, length of a bit string; −1 for none.
    pub modifier: i32,
}

/// What becomes of a column, and how it is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub column_type: ColumnType,
    /// What follows the column's name in a SELECT list.
    pub cast: String,
    /// What a user should know about it.
    pub note: Option<String>,
}

/// Maps a column that is no array.
pub(super) fn scalar(kind: &CatalogType) -> Mapped {
    let text = |note| Mapped {
        column_type: To::Text,
        cast: "::pg_catalog.text".into(),
        note,
    };
    let Some((_, travels, becomes)) = line(kind) else {
        // Enums, composites, ranges and multiranges have no other form that would say more.
        let plain = matches!(kind.sort.as_str(), "e" | "c" | "r" | "m")
            || KNOWN_EXTENSIONS.contains(&kind.name.as_str());
        return text((!plain).then(|| {
            format!(
                "type `{}` is not known and is read in its text form",
                kind.name
            )
        }));
    };
    let binary = |column_type| Mapped {
        column_type,
        cast: String::new(),
        note: None,
    };
    match (travels, becomes) {
        (AsText, _) => text(None),
        (_, Is(column_type)) => binary(column_type.clone()),
        (_, Becomes::Decimal) => match precision_and_scale(kind.modifier) {
            Some((precision, scale)) => binary(To::Decimal { precision, scale }),
            // Without digits of its own a column is text as a matter of course.
            None => text((kind.modifier >= 4).then(|| TOO_PRECISE.to_owned())),
        },
        // Of any length, as an expression of a view has it: a number would lose the zeros it begins with.
        (_, Becomes::Bits) if kind.modifier < 1 => text(None),
        (_, Becomes::Bits) if kind.modifier <= 64 => binary(To::UInt64),
        (_, Becomes::Bits) => binary(To::Binary),
    }
}

/// Maps a column that is an array of `element`, a list within a list for each dimension that was declared. A
/// domain's array is not sent as its base type's, so it is cast.
pub(super) fn array(element: &CatalogType, element_is_domain: bool, dimensions: i32) -> Mapped {
    let mapped = scalar(element);
    let bits = line(element).is_some_and(|(_, _, becomes)| *becomes == Becomes::Bits);
    let (column_type, cast) = match mapped.cast.is_empty() && !bits {
        true if element_is_domain => (
            mapped.column_type,
            format!("::pg_catalog.{}[]", super::quoted(&element.name)),
        ),
        true => (mapped.column_type, String::new()),
        false => (To::Text, "::pg_catalog.text[]".into()),
    };
    let list = |inner, _| To::List(Box::new(inner));
    Mapped {
        column_type: (0..dimensions.max(1)).fold(column_type, list),
        cast,
        note: mapped.note,
    }
}

/// How values of a type that a result announces are read.
pub(super) fn form(type_name: &str) -> Option<Form> {
    let (_, travels, _) = TYPES
        .iter()
        .find(|(names, ..)| names.contains(&type_name))?;
    match travels {
        Binary(form) => Some(*form),
        AsText => None,
    }
}

fn line(kind: &CatalogType) -> Option<&'static Line> {
    TYPES
        .iter()
        .find(|(names, ..)| kind.built_in && names.contains(&kind.name.as_str()))
}

/// Precision and scale of a decimal that holds every value of `numeric(p, s)`; `None` if that takes more than
/// 38 digits or nothing is declared. Since PostgreSQL 15 a scale may be negative or above the precision.
fn precision_and_scale(modifier: i32) -> Option<(u8, u8)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let precision = if scale < 0 {
        precision - scale
    } else {
        precision.max(scale)
    };
    let (precision, scale) = (
        u8::try_from(precision).ok()?,
        u8::try_from(scale.max(0)).ok()?,
    );
    (precision <= 38).then_some((precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::type_page;

    fn built_in(name: &str, modifier: i32) -> CatalogType {
        CatalogType {
            name: name.into(),
            built_in: true,
            sort: "b".into(),
            modifier,
        }
    }

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn the_page_for_people_says_what_the_table_says() {
        let line = |(names, travels, becomes): &Line| {
            let decimal = To::Decimal {
                precision: 38,
                scale: 9,
            };
            let (becomes, note) = match (travels, becomes) {
                (AsText, _) => (vec![To::Text], "the server's text"),
                (_, Is(column_type)) => (vec![column_type.clone()], ""),
                (_, Becomes::Decimal) => (
                    vec![decimal, To::Text],
                    "text without digits of its own, or over 38",
                ),
                (_, Becomes::Bits) => (
                    vec![To::UInt64, To::Binary, To::Text],
                    "binary over 64 bits, text without a length",
                ),
            };
            type_page::line(names, &becomes, note)
        };
        let lines: Vec<_> = TYPES.iter().map(line).collect();
        type_page::hold("src/source/postgres/TYPES.md", &lines);
    }

    #[test]
    fn a_numeric_becomes_a_decimal_that_holds_all_its_values_or_text() {
        let becomes = |modifier| scalar(&built_in("numeric", modifier)).column_type;
        assert_eq!(
            becomes(modifier(12, 2)),
            To::Decimal {
                precision: 12,
                scale: 2
            }
        );
        assert_eq!(
            becomes(modifier(3, -2)),
            To::Decimal {
                precision: 5,
                scale: 0
            }
        );
        assert_eq!(
            becomes(modifier(2, 5)),
            To::Decimal {
                precision: 5,
                scale: 5
            }
        );
        assert_eq!(becomes(modifier(39, 0)), To::Text);
        assert_eq!(becomes(-1), To::Text);
    }

    #[test]
    fn a_numeric_that_declares_too_many_digits_is_read_as_text_with_a_note() {
        let mapped = |modifier| scalar(&built_in("numeric", modifier));
        let wide = mapped(modifier(60, 20));
        assert_eq!(wide.column_type, To::Text);
        assert_eq!(wide.note.as_deref(), Some(TOO_PRECISE));
        assert_eq!(mapped(-1).note, None);
        assert_eq!(mapped(modifier(38, 20)).note, None);
    }

    #[test]
    fn a_namesake_of_a_built_in_type_is_read_as_text_with_a_note() {
        let mapped = scalar(&CatalogType {
            built_in: false,
            ..built_in("uuid", -1)
        });
        assert_eq!(mapped.cast, "::pg_catalog.text");
        assert!(mapped.note.is_some());
    }

    #[test]
    fn arrays_travel_as_their_elements_do() {
        assert_eq!(array(&built_in("int4", -1), false, 1).cast, "");
        assert_eq!(
            array(&built_in("int4", -1), true, 1).cast,
            "::pg_catalog.\"int4\"[]"
        );
        assert_eq!(
            array(&built_in("interval", -1), false, 1).cast,
            "::pg_catalog.text[]"
        );
        assert_eq!(
            array(&built_in("bit", 8), false, 1).column_type,
            To::List(Box::new(To::Text))
        );
        let lists = |dimensions| array(&built_in("int4", -1), false, dimensions).column_type;
        assert_eq!(lists(0), To::List(Box::new(To::Int32)));
        assert_eq!(lists(2), To::List(Box::new(To::List(Box::new(To::Int32)))));
    }
}
