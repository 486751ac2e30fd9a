//! What a schema says of a single value.

use serde_json::{Value, json};

use crate::config::keys::Form;

/// Text whose references are written as references are; `$${` stands for `${` itself. Like all patterns here it does
/// without looking ahead, which not every validator can.
pub(super) const TEXT: &str = r"^([^$]|\$+[^${]|\$+\$\{|\$\{env:[^}]+\}|\$\{file:/[^}]+\})*\$*$";

/// Where a reference begins.
pub(super) const REFERENCE: &str = r"\$\{(env:|file:/)";

/// Of a pipeline, a worker or a source.
pub(super) const NAME: &str = "^[A-Za-z0-9_-]+$";

const DURATION: &str = "^0*[1-9][0-9]*(ms|s|m|h|d)$";
const SIZE: &str = "^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$";
const ZONE: &str = "^[A-Za-z][A-Za-z0-9_+/-]*$";
const CRON: &str = r"^\s*\S+(\s+\S+){4}(\s+[A-Za-z]\S*)?\s*$";
const DATABASE_URL: &str = r"^(postgres|postgresql|mariadb|mysql)://[^/].*@[^/@,?#]+/[^/?#]+/?(\?((sslmode=(disable|require|require-noverify|verify-ca|verify-full)|sslrootcert=[^&]+|sslcert=[^&]+|sslkey=[^&]+)(&|$))*)?$";
const LAKE_URL: &str = r"^(s3://[a-z0-9.-]{3,63}(/+([^/]+(/[^/]+)*)?/*)?|file:///.*|[/.].*)$";
const TRANSFORM: &str = r"^\s*((year|month|day|hour)\s*\(\s*\S.*\)|bucket\s*\(\s*0*[1-9][0-9]{0,4}\s*,.*\S.*\)|[^(]*[^(\s][^(]*)\s*$";

/// What may stand as a value of this form, or in a list of them.
pub(super) fn one(form: Form) -> Value {
    match form {
        Form::Digits => digits(),
        Form::TableGlob | Form::ColumnGlob | Form::Column | Form::File | Form::Text => {
            json!({ "$ref": "#/$defs/text" })
        }
        _ => json!({ "anyOf": [written(form), { "$ref": "#/$defs/reference" }] }),
    }
}

/// What may stand in the file itself.
fn written(form: Form) -> Value {
    // Whatever else YAML takes a word for, the parser reads as text.
    let text =
        |pattern: &str| json!({ "type": ["string", "number", "boolean"], "pattern": pattern });
    let string = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match form {
        Form::Version => json!({ "enum": [1, "1"] }),
        Form::Name => json!({ "type": ["string", "integer", "boolean"], "pattern": NAME }),
        Form::Size { .. } => string(SIZE),
        Form::Duration => string(DURATION),
        Form::Count { least, most } => count(least, most),
        Form::Replication { most } => json!({ "anyOf": [count(1, most), { "enum": [-1, "-1"] }] }),
        Form::OneOf(words) => json!({ "enum": words() }),
        Form::Boolean => json!({ "enum": [true, false, "true", "false"] }),
        Form::Zone => string(ZONE),
        Form::Cron => string(CRON),
        Form::Brokers => string(&brokers()),
        Form::TopicPrefix => text("^[A-Za-z0-9._-]{0,248}$"),
        Form::TopicName => but(
            text("^[A-Za-z0-9._-]{1,249}$"),
            json!({ "enum": [".", ".."] }),
        ),
        Form::DatabaseUrl => string(DATABASE_URL),
        Form::LakeUrl => string(LAKE_URL),
        Form::Endpoint => string("^https?://."),
        Form::Condition => but(
            text(r"\S"),
            json!({ "pattern": r"^\s*[wW][hH][eE][rR][eE]\s" }),
        ),
        Form::Transform => text(TRANSFORM),
        Form::TableGlob
        | Form::ColumnGlob
        | Form::Column
        | Form::Property
        | Form::Digits
        | Form::File
        | Form::Text => json!({ "$ref": "#/$defs/text" }),
    }
}

/// `host:port,host:port`.
fn brokers() -> String {
    let host = r"(\[[^\]]+\]|[^,/@\s:\[\]]+)";
    let port =
        "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";
    let broker = format!(r"\s*{host}(:{port})?\s*");
    format!("^{broker}(,{broker})*$")
}

/// What keeps to `schema` and not to `other`.
fn but(mut schema: Value, other: Value) -> Value {
    schema["not"] = other;
    schema
}

fn count(least: i64, most: i64) -> Value {
    let number = match most {
        i64::MAX => json!({ "type": "integer", "minimum": least }),
        most => json!({ "type": "integer", "minimum": least, "maximum": most }),
    };
    json!({ "anyOf": [number, { "type": "string", "pattern": "^[0-9]+$" }] })
}

/// `[38, 9]`.
fn digits() -> Value {
    let number = |least| json!({ "anyOf": [count(least, 38), { "$ref": "#/$defs/reference" }] });
    json!({
        "type": "array",
        "prefixItems": [number(1), number(0)],
        "minItems": 2,
        "maxItems": 2,
    })
}
