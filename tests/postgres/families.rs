//! The types of PostgreSQL by family: what each becomes, values that have gone wrong somewhere before, and an
//! expression that makes a random one.
//!
//! In an expression `$n` is the row's number. `h` is 64 random bits, `u` a number below its last argument, and so on
//! for whatever [`set_up`] defines; the number behind `$n` tells the calls of one expression apart.

use cdc::model::ColumnType;

/// A type in a test's table.
pub struct Sort {
    /// As CREATE TABLE has it.
    pub name: &'static str,
    pub becomes: ColumnType,
    /// Values in SQL.
    pub listed: &'static [&'static str],
    pub random: &'static str,
}

fn sort(
    name: &'static str,
    becomes: ColumnType,
    listed: &'static [&'static str],
    random: &'static str,
) -> Sort {
    Sort {
        name,
        becomes,
        listed,
        random,
    }
}

fn list(element: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(element))
}

fn decimal(precision: u8, scale: u8) -> ColumnType {
    ColumnType::Decimal { precision, scale }
}

/// Types, and the functions that random values are made of.
pub fn set_up(seed: u64) -> String {
    const FUNCTIONS: &str = r#"
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'glad', 'it''s "so", so\', '슬픔', '');
CREATE TYPE pair AS (n int, t text);
CREATE TYPE textrange AS RANGE (subtype = text);
CREATE DOMAIN price AS numeric(9,3); CREATE DOMAIN dear_price AS price CHECK (VALUE > 1);
CREATE DOMAIN numbers AS int[]; CREATE DOMAIN flags AS bit(5); CREATE DOMAIN plain_number AS numeric;
-- 64 random bits.
CREATE FUNCTION h(n bigint, k int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT hashint8extended(n, {seed} + k)';
-- A number from 0 to m - 1.
CREATE FUNCTION u(n bigint, k int, m bigint) RETURNS bigint LANGUAGE sql STABLE AS
 'SELECT (hashint8extended(n, {seed} + k) & 9223372036854775807) % m';
-- Every exponent is as likely as the other, subnormal numbers and what is none included.
CREATE FUNCTION f8(n bigint, k int) RETURNS float8 LANGUAGE sql STABLE AS $$
 SELECT CASE u(n, k, 60) WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' WHEN 3 THEN '-0' WHEN 4 THEN 0
   WHEN 5 THEN (1 + u(n, k + 1, 4503599627370495)) * power(2::float8, -1074)
   WHEN 6 THEN u(n, k + 1, 2000) - 1000 WHEN 7 THEN (u(n, k + 1, 2000000) - 1000000) / 1000.0
   ELSE (1 - 2 * u(n, k + 2, 2)) * (1 + u(n, k + 1, 4503599627370496) * power(2::float8, -52)) * power(2::float8, u(n, k + 3, 2046)::int - 1022) END $$;
CREATE FUNCTION f4(n bigint, k int) RETURNS float4 LANGUAGE sql STABLE AS $$
 SELECT (CASE u(n, k, 60) WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' WHEN 3 THEN '-0' WHEN 4 THEN 0
   WHEN 5 THEN (1 + u(n, k + 1, 8388607)) * power(2::float8, -149)
   ELSE (1 - 2 * u(n, k + 2, 2)) * (1 + u(n, k + 1, 8388608) * power(2::float8, -23)) * power(2::float8, u(n, k + 3, 254)::int - 126) END)::float4 $$;
-- 1 to m digits and a sign, without a point.
CREATE FUNCTION digits(n bigint, k int, m int) RETURNS numeric LANGUAGE sql STABLE AS $$
 SELECT ((CASE WHEN u(n, k, 2) = 0 THEN '-' ELSE '' END) ||
   left(lpad(u(n, k + 1, 9223372036854775807)::text, 19, '0') || lpad(u(n, k + 2, 9223372036854775807)::text, 19, '0'),
        1 + u(n, k + 3, m)::int))::numeric $$;
-- Any microsecond that 64 bits hold from 4713 BC on, half of them of our days.
CREATE FUNCTION ts(n bigint, k int) RETURNS timestamp LANGUAGE sql STABLE AS $$
 SELECT CASE u(n, k, 2) WHEN 0 THEN date '1970-01-01' + (u(n, k + 1, 80000) - 40000)::int
   ELSE date '4714-11-24 BC' + u(n, k + 1, date '294247-01-09' - date '4714-11-24 BC')::int END
   + make_interval(secs => u(n, k + 2, 86400000000) / 1e6) $$;
-- What has to be escaped somewhere, the edges of UTF-8, and any character there is.
CREATE FUNCTION part(n bigint, k int) RETURNS text LANGUAGE sql STABLE AS $$
 SELECT coalesce((ARRAY[E'\x01', E'\x02', E'\x07', E'\b', E'\t', E'\n', E'\x0b', E'\f', E'\r', E'\r\n', E'\x1b', E'\x1f', E'\x7f', '"', '''', '\', '\\',
   '\u0000', '\N', 'NULL', '{', '}', ',', '|', '`', '$', '%', '<a>', '&', ' ', '   ', 'a', 'Z', '0', E'\u0080', E'\u07ff', E'\u0800', E'\ud7ff',
   E'\ue000', E'\ufeff', E'\ufffd', E'\uffff', E'\U00010000', E'\U0010ffff', '주문', '각', '각', '☕', '😀', '👩‍👩‍👧', 'é', 'é', 'ß', 'İ', 'ﷺ', E'\u2028', E'\u202e',
   'a quite long text, longer than what a word of eight bytes holds'])[1 + u(n, k, 90)],
   CASE WHEN u(n, k, 90) < 75 THEN '' ELSE chr(1 + u(n, k + 1, 1112062)::int + CASE WHEN u(n, k + 1, 1112062) < 55295 THEN 0 ELSE 2048 END) END) $$;
CREATE FUNCTION words(n bigint, k int) RETURNS text LANGUAGE sql STABLE AS
 'SELECT part(n, k) || part(n, k + 2) || part(n, k + 4) || part(n, k + 6)';
-- Eight groups, most of them zero.
CREATE FUNCTION v6(n bigint, k int) RETURNS text LANGUAGE sql STABLE AS $$
 SELECT string_agg(CASE WHEN u(n, k + i, 3) < 2 THEN '0' WHEN u(n, k + i, 50) = 7 THEN 'ffff' ELSE to_hex(u(n, k + 20 + i, 65536)) END, ':')
 FROM generate_series(1, 8) i $$;
CREATE FUNCTION bounds(n bigint, k int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT (ARRAY['[]', '[)', '(]', '()'])[1 + u(n, k, 4)] $$;
"#;
    FUNCTIONS.replace("{seed}", &(seed % 1_000_000_000_000 * 1000).to_string())
}

use ColumnType as To;

#[rustfmt::skip]
pub fn numbers() -> Vec<Sort> {
    vec![
        sort("bool", To::Bool, &["true", "false"], "u($n, 1, 2) = 1"),
        sort("smallint", To::Int16, &["-32768", "32767", "0"], "(h($n, 1) >> (48 + u($n, 2, 16)::int))::smallint"),
        sort("integer", To::Int32, &["-2147483648", "2147483647"], "(h($n, 1) >> (32 + u($n, 2, 32)::int))::int"),
        sort("bigint", To::Int64, &["'-9223372036854775808'", "9223372036854775807", "9007199254740993"], "h($n, 1) >> u($n, 2, 64)::int"),
        sort("oid", To::UInt32, &["0", "4294967295"], "u($n, 1, 4294967296)::oid"),
        sort("real", To::Float32, &["'NaN'", "'-Infinity'", "1.1", "'-0'", "1e-45", "3.4028235e38", "16777217"], "f4($n, 1)"),
        sort("double precision", To::Float64, &["'NaN'", "'Infinity'", "0.1", "5e-324", "'-0'", "1.7976931348623157e308", "2.2250738585072011e-308", "9007199254740993"], "f8($n, 1)"),
        sort("numeric(12,2)", decimal(12, 2), &["-1234567890.12", "0", "0.01", "-0.01"], "digits($n, 1, 12) * 0.01"),
        sort("numeric(38,0)", decimal(38, 0), &["99999999999999999999999999999999999999", "-1"], "digits($n, 1, 38)"),
        sort("numeric(38,19)", decimal(38, 19), &["1234567890123456789.1234567890123456789", "-0.5"], "digits($n, 1, 38) * 1e-19"),
        sort("numeric(38,37)", decimal(38, 37), &["1.2345678901234567890123456789012345678", "-0.5"], "digits($n, 1, 38) * 1e-37"),
        sort("numeric(38,38)", decimal(38, 38), &["0.00000000000000000000000000000000000001", "-0.99999999999999999999999999999999999999"], "digits($n, 1, 38) * 1e-38"),
        sort("numeric(3,-2)", decimal(5, 0), &["99900", "-100"], "(u($n, 1, 1999) - 999) * 100"),
        sort("numeric(2,5)", decimal(5, 5), &["0.00099", "-0.00001"], "(u($n, 1, 199) - 99) * 0.00001"),
        sort("numeric(1,1)", decimal(1, 1), &["0.9", "-0.9"], "(u($n, 1, 19) - 9) * 0.1"),
        sort("numeric", To::Text, &["1e100", "'NaN'", "1.10", "-0.000001", "'-Infinity'", "1e-16383", "1e131071", "0.00"],
             "CASE u($n, 9, 30) WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' ELSE (digits($n, 1, 38)::text || 'e' || (u($n, 8, 200) - 100))::numeric END"),
        sort("numeric(50,20)", To::Text, &["123456789012345678901234567890.90", "'NaN'"], "digits($n, 1, 29) + digits($n, 6, 20) * 1e-20"),
        sort("numeric", decimal(38, 9), &["1.1", "-99999999999999999999999999999.999999999", "7.1000000000000"], "digits($n, 1, 38) * 1e-9"),
        sort("numeric(50,20)", decimal(20, 20), &["0.5"], "digits($n, 1, 20) * 1e-20"),
        sort("plain_number", To::Text, &["1.50"], "digits($n, 1, 38)"),
        sort("price", decimal(9, 3), &["12.345"], "digits($n, 1, 9) * 0.001"),
        sort("dear_price", decimal(9, 3), &["99.5"], "(1001 + u($n, 1, 999998000)) * 0.001"),
        sort("money", To::Text, &["12.34", "-1234567.8", "'-92233720368547758.08'"], "((h($n, 1) >> u($n, 2, 64)::int)::numeric / 100)::money"),
    ]
}

#[rustfmt::skip]
pub fn times() -> Vec<Sort> {
    let (naive, instant) = (To::Timestamp { utc: false }, To::Timestamp { utc: true });
    vec![
        sort("date", To::Date, &["'1970-01-01'", "'0044-03-15 BC'", "'0001-12-31 BC'", "'0001-01-01'", "'9999-12-31'", "'10000-01-01'", "'5874897-12-31'", "'4714-11-24 BC'"],
             "CASE u($n, 1, 2) WHEN 0 THEN date '1970-01-01' + (u($n, 2, 80000) - 40000)::int ELSE date '4714-11-24 BC' + u($n, 2, 2147483494)::int END"),
        sort("timestamp", naive.clone(), &["'2026-03-29 02:30:00.123456'", "'4714-11-24 BC'", "'1969-12-31 23:59:59.999999'", "'294247-01-10 04:00:54.775806'", "'0001-12-31 23:59:59.999999 BC'", "'2000-01-01'"], "ts($n, 1)"),
        sort("timestamp(0)", naive.clone(), &["'2026-03-29 02:30:00.6'"], "ts($n, 1)"),
        sort("timestamp(3)", naive, &["'2026-03-29 02:30:00.6789'"], "ts($n, 1)"),
        sort("timestamptz", instant.clone(), &["'2026-03-29 02:30:00.123456+09'", "'294247-01-10 04:00:54.775806Z'", "'4714-11-24 00:00Z BC'", "'0044-03-15 12:00:00.5Z BC'"], "ts($n, 1) AT TIME ZONE 'UTC'"),
        sort("timestamptz(3)", instant, &["'2026-03-29 02:30:00.1239+09'"], "ts($n, 1) AT TIME ZONE 'UTC'"),
        sort("time", To::Text, &["'23:59:59.999999'", "'24:00'", "'00:00'"], "time '00:00' + make_interval(secs => u($n, 1, 86400000000) / 1e6)"),
        sort("time(3)", To::Text, &["'23:59:59.999'"], "time '00:00' + make_interval(secs => u($n, 1, 86400000000) / 1e6)"),
        sort("timetz", To::Text, &["'23:59:59+09:30'", "'00:00-15:59:59'", "'24:00+00'"],
             "((time '00:00' + make_interval(secs => u($n, 1, 86400000000) / 1e6))::text || (ARRAY['+', '-'])[1 + u($n, 2, 2)] || lpad(u($n, 3, 16)::text, 2, '0') || ':' || lpad(u($n, 4, 60)::text, 2, '0'))::timetz"),
        sort("interval", To::Text, &["'1 year 2 days -03:04:05.678'", "'0'", "'-178000000 years'", "'-00:00:00.000001'"],
             "make_interval(years => (u($n, 1, 3000) - 1500)::int, months => u($n, 2, 25)::int - 12, days => u($n, 3, 80)::int - 40, secs => (h($n, 4) >> (12 + u($n, 5, 50)::int)) / 1e6)"),
        sort("interval day to second(3)", To::Text, &["'1 02:03:04.5678'"], "make_interval(days => u($n, 3, 80)::int - 40, secs => (h($n, 4) >> 20) / 1e6)"),
        sort("daterange", To::Text, &["'[2026-01-01,2026-02-01]'", "'empty'", "'(,)'", "'[0044-03-15 BC,)'"],
             "daterange(date '2000-01-01' + least(u($n, 1, 9000), u($n, 2, 9000))::int, date '2000-01-01' + greatest(u($n, 1, 9000), u($n, 2, 9000))::int, bounds($n, 3))"),
        sort("tsrange", To::Text, &["'[2026-01-01 00:00:00.000001,)'"], "tsrange(least(ts($n, 1), ts($n, 5)), greatest(ts($n, 1), ts($n, 5)), bounds($n, 9))"),
        sort("tstzrange", To::Text, &["'[2026-01-01Z,)'"], "tstzrange(least(ts($n, 1), ts($n, 5)) AT TIME ZONE 'UTC', greatest(ts($n, 1), ts($n, 5)) AT TIME ZONE 'UTC', bounds($n, 9))"),
        sort("tsmultirange", To::Text, &["'{}'"], "tsmultirange(tsrange(least(ts($n, 1), ts($n, 5)), greatest(ts($n, 1), ts($n, 5)), bounds($n, 9)), tsrange(NULL, ts($n, 12)))"),
        sort("tstzmultirange", To::Text, &["'{[2026-01-01Z,2026-01-02Z],(2027-01-01Z,)}'"], "tstzmultirange(tstzrange(ts($n, 12) AT TIME ZONE 'UTC', NULL))"),
        sort("datemultirange", To::Text, &["'{[2026-01-01,2026-02-01],[2027-01-01,)}'"], "datemultirange(daterange(date '2000-01-01' - u($n, 1, 9000)::int, date '2000-01-01' + u($n, 2, 9000)::int))"),
    ]
}

#[rustfmt::skip]
pub fn texts() -> Vec<Sort> {
    vec![
        sort("text", To::Text, &["''", "'주문 ☕ 😀'", "E'tab\\tline\\nend'", "repeat('가😀\"\\', 30000)", "E'\\u0001\\U0010ffff'"], "words($n, 1)"),
        sort("varchar(20)", To::Text, &["'abc'", "''"], "left(words($n, 1), 20)"),
        sort("char(9)", To::Text, &["'abc'", "''", "'  x'"], "left(words($n, 1), 9)"),
        sort("name", To::Text, &["'relname'", "''"], "left(words($n, 1), 15)::name"),
        sort("\"char\"", To::Text, &["'x'", "''", "'\\351'", "'\\'"], "(u($n, 1, 256)::int - 128)::\"char\""),
        sort("citext", To::Text, &["'Äpfel'"], "words($n, 1)::citext"),
        sort("bytea", To::Binary, &["'\\x'", "'\\x00ff10'", "decode(repeat('00', 70000), 'hex')"], "left(encode(int8send(h($n, 1)) || int8send(h($n, 2)), 'hex'), 2 * u($n, 3, 17)::int)::bytea"),
        sort("bit(1)", To::UInt64, &["B'1'", "B'0'"], "u($n, 1, 2)::int::bit(1)"),
        sort("bit(7)", To::UInt64, &["B'1010101'", "B'0000000'"], "u($n, 1, 128)::int::bit(7)"),
        sort("bit(33)", To::UInt64, &["~ (0::bit(33))"], "h($n, 1)::bit(33)"),
        sort("bit(63)", To::UInt64, &["~ (0::bit(63))"], "h($n, 1)::bit(63)"),
        sort("bit(64)", To::UInt64, &["~ (0::bit(64))", "0::bit(64)"], "h($n, 1)::bit(64)"),
        sort("bit(65)", To::Binary, &["~ (0::bit(65))", "0::bit(65)"], "h($n, 1)::bit(64) || B'1'"),
        sort("bit(100)", To::Binary, &["~ (0::bit(100))"], "h($n, 1)::bit(64) || h($n, 2)::bit(36)"),
        sort("flags", To::UInt64, &["B'00101'"], "u($n, 1, 32)::int::bit(5)"),
        sort("varbit", To::Text, &["B'0101'", "B''"], "substring(h($n, 1)::bit(64) from 1 for u($n, 2, 65)::int)::varbit"),
        sort("mood", To::Text, &["'glad'", "''"], "(enum_range(NULL::mood))[1 + u($n, 1, 5)]"),
        sort("pair", To::Text, &["'(1,\"a b\")'", "ROW(NULL, NULL)", "ROW(NULL, '')"], "ROW(u($n, 20, 9), words($n, 1))::pair"),
        sort("textrange", To::Text, &["'[a,\"b c\"]'", "'empty'"], "textrange(least(words($n, 1), words($n, 10)), greatest(words($n, 1), words($n, 10)), bounds($n, 20))"),
    ]
}

#[rustfmt::skip]
pub fn addresses() -> Vec<Sort> {
    vec![
        sort("inet", To::Text, &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'::2'", "'::'", "'2001:db8::1/64'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:0:2:3:4:5:6:7'", "'1:0:0:2:0:0:3:4'", "'::ffff:0:0'", "'::ffff:0:1:2'", "'64:ff9b::1.2.3.4'", "'::1:0'", "'0.0.0.0/0'"],
             "set_masklen('0.0.0.0'::inet + u($n, 1, 4294967296), u($n, 2, 33)::int)"),
        sort("inet", To::Text, &["'::/0'"], "(v6($n, 1) || '/' || u($n, 40, 129))::inet"),
        sort("cidr", To::Text, &["'10.0.0.0/8'", "'10.0.0.1/32'", "'2001:db8::/32'", "'::/0'", "'::2/128'"], "network((v6($n, 1) || '/' || u($n, 40, 129))::inet)"),
        sort("macaddr", To::Text, &["'08:00:2b:01:02:03'"], "left(md5(h($n, 1)::text), 12)::macaddr"),
        sort("macaddr8", To::Text, &["'08:00:2b:01:02:03:04:05'"], "left(md5(h($n, 1)::text), 16)::macaddr8"),
        sort("uuid", To::Text, &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"], "md5(h($n, 1)::text)::uuid"),
    ]
}

#[rustfmt::skip]
pub fn documents() -> Vec<Sort> {
    vec![
        sort("json", To::Text, &["'{\"a\":  1.10, \"a\": 2}'", "' null '"], "(' ' || jsonb_build_array(words($n, 1), digits($n, 20, 38), NULL)::text)::json"),
        sort("jsonb", To::Text, &["'{\"b\": 1e400, \"a\": null}'", "'\"x\"'", "'[]'"], "jsonb_build_object(words($n, 1), part($n, 10), 'n', digits($n, 20, 38) * 1e-10, 'l', jsonb_build_array(u($n, 30, 9), NULL, true))"),
        sort("jsonpath", To::Text, &["'$.a[*]'"], "('$.\"' || u($n, 1, 1000) || '\"[*] ? (@ > ' || u($n, 2, 1000) || ')')::jsonpath"),
        sort("xml", To::Text, &["'<a>é</a>'", "'text'"], "xmlelement(name \"é\", 'a' || u($n, 1, 1000000))"),
        sort("hstore", To::Text, &["''", "'a=>NULL, \"b c\"=>\"\\\"\"'"], "hstore(part($n, 1), part($n, 10)) || hstore('none', NULL)"),
        sort("ltree", To::Text, &["'a.b.c'", "''"], "('a' || u($n, 1, 100) || '.b' || u($n, 2, 100))::ltree"),
        sort("tsvector", To::Text, &["'a fat cat'", "'a:1A,2B'", "''"], "array_to_tsvector(ARRAY['x' || part($n, 1), 'y' || part($n, 10)])"),
        sort("tsquery", To::Text, &["'fat & rat'", "''"], "to_tsquery('simple', 'a' || u($n, 1, 1000) || ' & !b' || u($n, 2, 1000) || ':*')"),
        sort("point", To::Text, &["'(1.5,-2)'", "'(NaN,-0)'"], "point(f8($n, 1), f8($n, 5))"),
        sort("line", To::Text, &["'{1,2,3}'"], "('{' || 1 + u($n, 1, 1000000) || ',' || f8($n, 2) || ',' || f8($n, 6) || '}')::line"),
        sort("lseg", To::Text, &["'[(0,0),(1,1)]'"], "lseg(point(f8($n, 1), f8($n, 5)), point(f8($n, 9), f8($n, 13)))"),
        sort("box", To::Text, &["'(1,1),(0,0)'"], "box(point(f8($n, 1), f8($n, 5)), point(f8($n, 9), f8($n, 13)))"),
        sort("path", To::Text, &["'((0,0),(1,1))'", "'[(0,0)]'"], "('[(' || f8($n, 1) || ',' || f8($n, 5) || '),(1,2)]')::path"),
        sort("polygon", To::Text, &["'((0,0),(1,1),(1,0))'"], "('((' || f8($n, 1) || ',' || f8($n, 5) || '),(1,2))')::polygon"),
        sort("circle", To::Text, &["'<(0,0),2>'"], "circle(point(f8($n, 1), f8($n, 5)), u($n, 9, 1000000) / 7.0)"),
    ]
}

#[rustfmt::skip]
pub fn system() -> Vec<Sort> {
    let known = |name, listed| sort(name, To::Text, listed, match name {
        "regclass" => "u($n, 1, 14000)::oid::regclass",
        "regcollation" => "u($n, 1, 14000)::oid::regcollation",
        "regconfig" => "u($n, 1, 14000)::oid::regconfig",
        "regdictionary" => "u($n, 1, 14000)::oid::regdictionary",
        "regnamespace" => "u($n, 1, 14000)::oid::regnamespace",
        "regoper" => "u($n, 1, 5000)::oid::regoper",
        "regoperator" => "u($n, 1, 5000)::oid::regoperator",
        "regproc" => "u($n, 1, 7000)::oid::regproc",
        "regprocedure" => "u($n, 1, 7000)::oid::regprocedure",
        "regrole" => "u($n, 1, 14000)::oid::regrole",
        _ => "u($n, 1, 7000)::oid::regtype",
    });
    vec![
        known("regclass", &["'pg_class'", "0"]), known("regcollation", &["'\"C\"'"]), known("regconfig", &["'simple'"]),
        known("regdictionary", &["'simple'"]), known("regnamespace", &["'pg_catalog'"]), known("regoper", &["0"]),
        known("regoperator", &["'+(integer,integer)'"]), known("regproc", &["'now'"]), known("regprocedure", &["'now()'"]),
        known("regrole", &["'postgres'"]), known("regtype", &["'integer'", "'timestamp with time zone'"]),
        sort("refcursor", To::Text, &["'a cursor'"], "words($n, 1)::refcursor"),
        sort("aclitem", To::Text, &["makeaclitem(10, 10, 'SELECT', true)"], "makeaclitem(10, 10, (ARRAY['SELECT', 'INSERT', 'UPDATE'])[1 + u($n, 1, 3)], u($n, 2, 2) = 1)"),
        sort("int2vector", To::Text, &["'1 2'", "''"], "(u($n, 1, 32767) || ' -' || u($n, 2, 32767))::int2vector"),
        sort("oidvector", To::Text, &["'1 4294967295'", "''"], "(u($n, 1, 4294967296) || ' ' || u($n, 2, 4294967296))::oidvector"),
        sort("xid", To::Text, &["'4294967295'"], "u($n, 1, 4294967296)::text::xid"),
        sort("xid8", To::Text, &["'18446744073709551615'"], "u($n, 1, 9223372036854775807)::text::xid8"),
        sort("cid", To::Text, &["'4294967295'"], "u($n, 1, 4294967296)::text::cid"),
        sort("tid", To::Text, &["'(4294967295,65535)'"], "('(' || u($n, 1, 4294967296) || ',' || u($n, 2, 65536) || ')')::tid"),
        sort("pg_lsn", To::Text, &["'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"], "(to_hex(u($n, 1, 4294967296)) || '/' || to_hex(u($n, 2, 4294967296)))::pg_lsn"),
        sort("pg_snapshot", To::Text, &["'10:20:10,14,15'"], "(1 + u($n, 1, 1000) || ':' || 2000 + u($n, 2, 1000) || ':1500')::pg_snapshot"),
        sort("txid_snapshot", To::Text, &["'10:20:10,14,15'"], "(1 + u($n, 1, 1000) || ':' || 2000 + u($n, 2, 1000) || ':1500')::txid_snapshot"),
        sort("int4range", To::Text, &["'[1,5)'", "'empty'", "'(,)'"], "int4range(least(u($n, 1, 999), u($n, 2, 999))::int, greatest(u($n, 1, 999), u($n, 2, 999))::int, bounds($n, 3))"),
        sort("int8range", To::Text, &["'[-9223372036854775808,9223372036854775807)'"], "int8range(least(h($n, 1), h($n, 2)), greatest(h($n, 1), h($n, 2)), '[)')"),
        sort("numrange", To::Text, &["'[1.10,)'"], "numrange(least(digits($n, 1, 38), digits($n, 5, 38)), greatest(digits($n, 1, 38), digits($n, 5, 38)), bounds($n, 10))"),
        sort("int4multirange", To::Text, &["'{[1,2],[4,)}'", "'{}'"], "int4multirange(int4range(u($n, 1, 99)::int, 100), int4range(200, 201 + u($n, 2, 99)::int))"),
        sort("int8multirange", To::Text, &["'{[1,2],[4,)}'"], "int8multirange(int8range(u($n, 1, 99), NULL))"),
        sort("nummultirange", To::Text, &["'{[1,2],[3.5,4)}'"], "nummultirange(numrange(NULL, digits($n, 1, 38)))"),
    ]
}

/// A slice of an array begins at 1 and may be empty.
#[rustfmt::skip]
pub fn arrays() -> Vec<Sort> {
    vec![
        sort("bool[]", list(To::Bool), &["'{t,f,NULL}'"], "(ARRAY[true, NULL, false])[1:u($n, 1, 4)]"),
        sort("integer[]", list(To::Int32), &["'{}'", "'{1,NULL,3}'"], "(ARRAY[u($n, 1, 9)::int, NULL, u($n, 2, 2147483647)::int, -1])[1:u($n, 3, 5)]"),
        sort("numbers", list(To::Int32), &["'{}'", "'{1,NULL,3}'"], "(ARRAY[u($n, 1, 9)::int, NULL])[1:u($n, 3, 3)]"),
        sort("integer[3]", list(To::Int32), &["'{1,2,3,4}'"], "ARRAY[u($n, 1, 9)::int]"),
        sort("smallint[]", list(To::Int16), &["'{-32768,32767}'"], "ARRAY[(h($n, 1) >> 48)::smallint]"),
        sort("bigint[]", list(To::Int64), &["'{-9223372036854775808}'"], "ARRAY[h($n, 1), NULL]"),
        sort("oid[]", list(To::UInt32), &["'{4294967295}'"], "ARRAY[u($n, 1, 4294967296)::oid]"),
        sort("real[]", list(To::Float32), &["'{NaN,-0,1.1}'"], "ARRAY[f4($n, 1), f4($n, 5)]"),
        sort("double precision[]", list(To::Float64), &["'{0.1,NaN,-0,5e-324}'"], "(ARRAY[f8($n, 1), NULL, f8($n, 5)])[1:u($n, 10, 4)]"),
        sort("text[]", list(To::Text), &["'{a,\"b c\",NULL,\"\",\"NULL\"}'", "ARRAY['{', '\"', '\\']"], "(ARRAY[words($n, 1), NULL, words($n, 10)])[1:u($n, 20, 4)]"),
        sort("char(3)[]", list(To::Text), &["'{a,\"\"}'"], "ARRAY[left(words($n, 1), 3)]"),
        sort("\"char\"[]", list(To::Text), &["ARRAY['\\351'::\"char\", 'a']"], "ARRAY[(u($n, 1, 256)::int - 128)::\"char\"]"),
        sort("numeric(5,2)[]", list(decimal(5, 2)), &["'{1.5,-999.99}'"], "(ARRAY[digits($n, 1, 5) * 0.01, NULL])[1:u($n, 6, 3)]"),
        sort("numeric[]", list(To::Text), &["'{1e50,NaN,1.10}'"], "ARRAY[digits($n, 1, 38) * 1e-19, 'NaN']"),
        sort("money[]", list(To::Text), &["'{1.5}'"], "ARRAY[u($n, 1, 1000000)::int::money]"),
        sort("date[]", list(To::Date), &["'{0044-03-15 BC,NULL}'"], "ARRAY[date '1970-01-01' + (u($n, 2, 2000000) - 1000000)::int]"),
        sort("timestamp[]", list(To::Timestamp { utc: false }), &["'{2026-01-01 00:00:00.000001}'"], "ARRAY[ts($n, 1), NULL]"),
        sort("timestamptz[]", list(To::Timestamp { utc: true }), &["'{2026-01-01Z}'"], "ARRAY[ts($n, 1) AT TIME ZONE 'UTC']"),
        sort("interval[]", list(To::Text), &["'{1 day}'"], "ARRAY[make_interval(secs => u($n, 1, 1000000000) / 1e6)]"),
        sort("bytea[]", list(To::Binary), &["ARRAY['\\x00ff'::bytea, '']"], "ARRAY[int8send(h($n, 1)), NULL]"),
        sort("bit(3)[]", list(To::Text), &["'{101,001}'"], "ARRAY[u($n, 1, 8)::int::bit(3)]"),
        sort("uuid[]", list(To::Text), &["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"], "ARRAY[md5(h($n, 1)::text)::uuid]"),
        sort("inet[]", list(To::Text), &["'{10.0.0.1,::1,::2/127}'"], "ARRAY['0.0.0.0'::inet + u($n, 1, 4294967296)]"),
        sort("json[]", list(To::Text), &["ARRAY['{\"a\":  1}'::json, NULL]"], "ARRAY[to_json(words($n, 1))]"),
        sort("jsonb[]", list(To::Text), &["ARRAY['{\"a\": 1}'::jsonb, NULL]"], "ARRAY[to_jsonb(words($n, 1)), NULL]"),
        sort("mood[]", list(To::Text), &["'{glad,sad}'"], "ARRAY[(enum_range(NULL::mood))[1 + u($n, 1, 5)], NULL]"),
        sort("price[]", list(decimal(9, 3)), &["'{1.125,NULL}'"], "ARRAY[digits($n, 1, 9) * 0.001]::price[]"),
        sort("numbers[]", list(To::Text), &["'{\"{1,2}\",\"{}\",NULL}'"], "('{\"{' || u($n, 1, 9) || ',NULL}\"}')::numbers[]"),
        sort("pair[]", list(To::Text), &["ARRAY['(1,\"a b\")'::pair, NULL, '(,)']"], "ARRAY[ROW(1, words($n, 1))::pair]"),
        sort("hstore[]", list(To::Text), &["ARRAY['a=>NULL'::hstore, NULL, '']"], "ARRAY[hstore(words($n, 1), words($n, 10))]"),
        sort("int4range[]", list(To::Text), &["ARRAY['[1,2]'::int4range, 'empty']"], "ARRAY[int4range(0, 1 + u($n, 1, 999)::int)]"),
        sort("int4multirange[]", list(To::Text), &["ARRAY['{[1,2]}'::int4multirange, '{}']"], "ARRAY[int4multirange(int4range(0, 1 + u($n, 1, 999)::int))]"),
        sort("int2vector[]", list(To::Text), &["ARRAY['1 2'::int2vector]"], "ARRAY[(u($n, 1, 32767)::text)::int2vector]"),
        sort("point[]", list(To::Text), &["'{\"(1,2)\"}'"], "ARRAY[point(f8($n, 1), 0)]"),
        sort("integer[][]", list(list(To::Int32)), &["'{}'", "'{{1,NULL},{3,4}}'", "'{{1}}'"], "(ARRAY[[u($n, 1, 9)::int, NULL], [u($n, 2, 2147483647)::int, -1], [1, 2]])[1:u($n, 3, 4)][1:2]"),
        sort("text[][][]", list(list(list(To::Text))), &["'{{{a,NULL},{\"\",\"c,\"}}}'", "'{}'"], "ARRAY[[[words($n, 1)], [NULL]], [[words($n, 10)], ['x']]]"),
    ]
}
