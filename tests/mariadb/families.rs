//! The types of MariaDB by family: what each becomes, values that have gone wrong somewhere before, and an expression
//! that makes a random one. `RAND()` is seeded by the test; each call is another number.

use cdc::model::ColumnType;

/// A type in a test's table.
pub struct Sort {
    /// As CREATE TABLE has it.
    pub name: &'static str,
    pub becomes: ColumnType,
    /// Values in SQL.
    pub listed: &'static [&'static str],
    pub random: String,
}

fn sort(
    name: &'static str,
    becomes: ColumnType,
    listed: &'static [&'static str],
    random: impl Into<String>,
) -> Sort {
    Sort {
        name,
        becomes,
        listed,
        random: random.into(),
    }
}

fn decimal(precision: u8, scale: u8) -> ColumnType {
    ColumnType::Decimal { precision, scale }
}

/// A whole number below `end`, which is at most 2³⁰.
fn below(end: u64) -> String {
    format!("FLOOR(RAND() * {end})")
}

/// 64 random bits.
fn bits() -> String {
    let part = format!("CAST({} AS UNSIGNED)", below(1 << 30));
    format!("({part} << 34 ^ {part} << 17 ^ {part})")
}

/// A whole number of any size up to so many bits.
fn magnitude(bits_at_most: u32) -> String {
    format!(
        "({} >> ({} + {}))",
        bits(),
        64 - bits_at_most,
        below(u64::from(bits_at_most))
    )
}

/// A signed one.
fn signed(bits_at_most: u32) -> String {
    format!(
        "IF(RAND() < 0.5, CAST({0} AS SIGNED), -1 - CAST({0} AS SIGNED))",
        magnitude(bits_at_most - 1)
    )
}

/// 1 to `most` decimal digits.
fn digits(most: u64) -> String {
    let nine = format!("LPAD({}, 9, '0')", below(1_000_000_000));
    format!(
        "LEFT(CONCAT({nine}, {nine}, {nine}, {nine}, {nine}), 1 + {})",
        below(most)
    )
}

/// A number with a point.
fn fixed(whole: u64, fraction: u64) -> String {
    format!(
        "CONCAT(IF(RAND() < 0.5, '-', ''), {}, '.', {})",
        digits(whole),
        digits(fraction)
    )
}

/// Every exponent is as likely as the other, subnormal numbers included.
fn double() -> String {
    format!(
        "(CASE {dice} WHEN 0 THEN 0 WHEN 1 THEN {small} * POW(2, -1074) WHEN 2 THEN {small} / 1e3 ELSE \
         IF(RAND() < 0.5, -1e0, 1e0) * (1 + {small} * POW(2, -30) + {small} * POW(2, -52)) * POW(2, {exponent} - 1022) END)",
        dice = below(40),
        small = below(1 << 22),
        exponent = below(2045),
    )
}

fn single() -> String {
    format!(
        "(CASE {dice} WHEN 0 THEN 0 WHEN 1 THEN {small} * POW(2, -149) ELSE \
         IF(RAND() < 0.5, -1e0, 1e0) * (1 + {small} * POW(2, -23)) * POW(2, {exponent} - 126) END)",
        dice = below(40),
        small = below(1 << 23),
        exponent = below(253),
    )
}

fn padded(end: u64, width: u32) -> String {
    format!("LPAD({}, {width}, '0')", below(end))
}

fn day() -> String {
    format!(
        "CONCAT({}, '-', LPAD(1 + {}, 2, '0'), '-', LPAD(1 + {}, 2, '0'))",
        padded(10_000, 4),
        below(12),
        below(28)
    )
}

fn reading() -> String {
    format!(
        "CONCAT({}, ' ', {}, ':', {}, ':', {}, '.', {})",
        day(),
        padded(24, 2),
        padded(60, 2),
        padded(60, 2),
        padded(1_000_000, 6)
    )
}

fn instant() -> String {
    format!(
        "FROM_UNIXTIME(CAST(CONCAT(1 + FLOOR(RAND() * 2147483645), '.', {}) AS DECIMAL(17,6)))",
        padded(1_000_000, 6)
    )
}

fn time_of_day() -> String {
    format!(
        "CONCAT(IF(RAND() < 0.5, '-', ''), {}, ':', {}, ':', {}, '.', {})",
        padded(838, 3),
        padded(60, 2),
        padded(60, 2),
        padded(1_000_000, 6)
    )
}

/// What has to be escaped somewhere, the edges of UTF-8, and any character there is.
fn words(most: u32) -> String {
    let any = format!(
        "CONVERT(CHAR(IF(RAND() < 0.5, {}, 57344 + {}) USING utf32) USING utf8mb4)",
        below(55_296),
        below(1_056_768)
    );
    let part = format!(
        "COALESCE(ELT(1 + {}, x'00', x'01', x'08', x'09', x'0a', x'0b', x'0c', x'0d', x'0d0a', x'1a', x'1b', x'1f', x'7f', '\"', '''', '\\\\', \
         '\\\\\\\\', '\\\\u0000', '\\\\N', 'NULL', '{{', '}}', ',', '|', '`', '$', '%', '<a>', '&', ' ', '   ', 'a', 'Z', '0', x'c280', x'dfbf', x'e0a080', \
         x'ed9fbf', x'ee8080', x'efbbbf', x'efbfbd', x'efbfbf', x'f0908080', x'f48fbfbf', '주문', '☕', '😀', 'é', 'ß', \
         'a quite long text, longer than what a word of eight bytes holds', {any}), '')",
        below(90)
    );
    format!("LEFT(CONVERT(CONCAT({part}, {part}, {part}) USING utf8mb4), {most})")
}

/// Characters of the basic plane.
fn plane(character_set: &str, from: u64, count: u64) -> String {
    let one = format!("CHAR({from} + {} USING ucs2)", below(count));
    format!("CONVERT(CONCAT({one}, {one}, {one}) USING {character_set})")
}

/// A character of two bytes.
fn double_byte(character_set: &str, lead: u64, leads: u64, trail: u64, trails: u64) -> String {
    format!(
        "CONVERT(UNHEX(CONCAT(HEX({lead} + {}), HEX({trail} + {}))) USING {character_set})",
        below(leads),
        below(trails)
    )
}

fn some_bytes(most: u64) -> String {
    format!("LEFT(UNHEX(MD5(RAND())), {})", below(most + 1))
}

use ColumnType as To;

#[rustfmt::skip]
pub fn numbers() -> Vec<Sort> {
    vec![
        sort("tinyint", To::Int8, &["-128", "127", "0"], signed(8)),
        sort("tinyint(1)", To::Int8, &["0", "1", "-1"], below(2)),
        sort("boolean", To::Int8, &["true", "false"], below(2)),
        sort("tinyint unsigned", To::UInt8, &["0", "255"], magnitude(8)),
        sort("smallint", To::Int16, &["-32768", "32767"], signed(16)),
        sort("smallint unsigned", To::UInt16, &["0", "65535"], magnitude(16)),
        sort("mediumint", To::Int32, &["-8388608", "8388607"], signed(24)),
        sort("mediumint unsigned", To::UInt32, &["0", "16777215"], magnitude(24)),
        sort("int", To::Int32, &["-2147483648", "2147483647"], signed(32)),
        sort("int unsigned zerofill", To::UInt32, &["7", "4294967295"], magnitude(32)),
        sort("int(5) zerofill", To::UInt32, &["7"], magnitude(32)),
        sort("bigint", To::Int64, &["-9223372036854775808", "9223372036854775807", "9007199254740993"], signed(64)),
        sort("bigint unsigned", To::UInt64, &["0", "18446744073709551615"], magnitude(64)),
        sort("bigint unsigned zerofill", To::UInt64, &["18446744073709551615"], magnitude(64)),
        sort("decimal", decimal(10, 0), &["9999999999", "-1"], format!("CONCAT(IF(RAND() < 0.5, '-', ''), {})", digits(10))),
        sort("decimal(12,2)", decimal(12, 2), &["0", "-0.01", "9999999999.99"], fixed(10, 2)),
        sort("decimal(8,2) unsigned zerofill", decimal(8, 2), &["1.5"], format!("CONCAT({}, '.', {})", digits(6), digits(2))),
        sort("decimal(38,38)", decimal(38, 38), &["0.12345678901234567890123456789012345678", "-0.5"], format!("CONCAT(IF(RAND() < 0.5, '-', ''), '0.', {})", digits(38))),
        sort("decimal(38,30)", decimal(38, 30), &["-12345678.000000000000000000000000000001"], fixed(8, 30)),
        sort("decimal(38,0)", decimal(38, 0), &["99999999999999999999999999999999999999"], digits(38)),
        sort("decimal(39,0)", To::Text, &["-999999999999999999999999999999999999999"], digits(39)),
        sort("decimal(65,30)", To::Text, &["-12345678901234567890123456789012345.123456789012345678901234567890"], fixed(35, 30)),
        sort("decimal(65,30)", decimal(38, 9), &["1.1", "-12345678901234567890123456789.123456789"], fixed(29, 9)),
        sort("float", To::Float32, &["1.5", "-3.4e38", "0.1", "-0.0", "1e-45", "16777217"], single()),
        sort("float(7,3)", To::Float32, &["1234.567"], format!("{} / 1000", below(9_000_000))),
        sort("double", To::Float64, &["0.1", "1.7976931348623157e308", "-2.2250738585072014e-308", "5e-324", "-0e0", "9007199254740993"], double()),
        sort("double(20,5) unsigned", To::Float64, &["123456789012.34567"], format!("{} / 1e5", below(1 << 30))),
        sort("year", To::Int16, &["1901", "2155", "0"], format!("IF(RAND() < 0.1, 0, 1901 + {})", below(255))),
    ]
}

#[rustfmt::skip]
pub fn times() -> Vec<Sort> {
    let (naive, utc) = (To::Timestamp { utc: false }, To::Timestamp { utc: true });
    vec![
        sort("date", To::Date, &["'1000-01-01'", "'2024-02-29'", "'9999-12-31'", "'0000-01-01'", "'0001-01-01'"], day()),
        sort("datetime", naive.clone(), &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'0000-01-01 00:00:00'"], reading()),
        sort("datetime(3)", naive.clone(), &["'2026-03-29 02:30:00.123'"], reading()),
        sort("datetime(6)", naive, &["'1969-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.000001'", "'9999-12-31 23:59:59.999999'"], reading()),
        sort("timestamp", utc.clone(), &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"], instant()),
        sort("timestamp(6)", utc, &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'", "'2026-10-25 01:30:00.5'"], instant()),
        sort("time", To::Text, &["'838:59:59'", "'-838:59:59'", "'00:00:00'", "'-00:00:01'"], time_of_day()),
        sort("time(3)", To::Text, &["'-12:01:02.5'", "'00:00:00.007'"], time_of_day()),
        sort("time(6)", To::Text, &["'-00:00:00.000001'", "'100:00:00.120000'", "'838:59:59.999999'", "'-838:59:59.999999'"], time_of_day()),
    ]
}

#[rustfmt::skip]
pub fn texts() -> Vec<Sort> {
    vec![
        sort("char(5)", To::Text, &["'a'", "'한국어'", "''", "'a  '", "'🛒'"], words(5)),
        sort("varchar(40)", To::Text, &["'🛒 cart'", "'\\0'", "'a  '", "'?'"], words(40)),
        sort("varchar(40) character set utf8mb4 collate utf8mb4_bin", To::Text, &["'Ä'", "''"], words(40)),
        sort("varchar(9) character set utf8mb3", To::Text, &["'한국어 é'"], plane("utf8mb3", 1, 55_295)),
        sort("varchar(9) character set latin1", To::Text, &["'café €'", "''", "_latin1 x'8190ff00'"], "CONVERT(LEFT(UNHEX(MD5(RAND())), 9) USING latin1)".to_owned()),
        sort("varchar(9) character set ascii", To::Text, &["'plain?'"], format!("CONVERT(CHAR({}) USING ascii)", below(128))),
        sort("varchar(9) character set euckr", To::Text, &["'가나다?'", "'똠방각하'", "''"], plane("euckr", 44_032, 11_172)),
        sort("char(9) character set euckr", To::Text, &["'펲시'"], plane("euckr", 44_032, 11_172)),
        sort("varchar(9) character set ucs2", To::Text, &["'한é'"], plane("ucs2", 1, 55_295)),
        sort("varchar(9) character set utf16", To::Text, &["'😀한'"], plane("utf16", 1, 55_295)),
        sort("varchar(9) character set utf32", To::Text, &["'😀한'"], plane("utf32", 1, 55_295)),
        sort("varchar(9) character set sjis", To::Text, &["'かなカナ'"], plane("sjis", 12_353, 80)),
        sort("varchar(9) character set cp932", To::Text, &["'①髙'"], plane("cp932", 12_353, 80)),
        sort("varchar(9) character set big5", To::Text, &["'繁體'"], double_byte("big5", 0xa4, 34, 0x40, 63)),
        sort("varchar(9) character set gbk", To::Text, &["'简体'"], double_byte("gbk", 0xb0, 38, 0xa1, 94)),
        sort("varchar(9) character set cp1251", To::Text, &["'Привет'"], plane("cp1251", 1_040, 64)),
        sort("varchar(9) character set latin2", To::Text, &["'žluť'"], plane("latin2", 32, 90)),
        sort("tinytext", To::Text, &["'t'"], words(60)),
        sort("text", To::Text, &["repeat('x', 65535)", "''"], words(80)),
        sort("mediumtext", To::Text, &["repeat('가😀\\\"', 20000)"], words(80)),
        sort("longtext character set euckr", To::Text, &["repeat('똠?', 2000)"], plane("euckr", 44_032, 11_172)),
        sort("json", To::Text, &["'{\"a\": [1, 2.50, null]}'", "'\"\"'", "' {\"a\":  1.10, \"a\": 2}'"], format!("JSON_OBJECT('k', {}, 'n', {})", below(1 << 30), fixed(20, 10))),
        sort("enum('small','lar,ge','it''s','큰','')", To::Text, &["'small'", "'lar,ge'", "'it''s'", "'큰'", "''"], format!("1 + {}", below(5))),
        sort("enum('가','똠') character set euckr", To::Text, &["'똠'"], format!("1 + {}", below(2))),
        sort("set('a','b c','it''s','\"','큰')", To::Text, &["'a,b c'", "''", "'a,b c,it''s,\",큰'"], below(32)),
    ]
}

#[rustfmt::skip]
pub fn bytes() -> Vec<Sort> {
    let bit = |name, count| sort(name, To::UInt64, &["b'0'", "b'1'"], format!("({} >> {})", bits(), 64 - count));
    vec![
        bit("bit(1)", 1), bit("bit(2)", 2), bit("bit(7)", 7), bit("bit(8)", 8), bit("bit(9)", 9), bit("bit(31)", 31), bit("bit(32)", 32), bit("bit(33)", 33), bit("bit(63)", 63),
        sort("bit(64)", To::UInt64, &["b'1111111111111111111111111111111111111111111111111111111111111111'", "b'101'"], bits()),
        sort("binary(4)", To::Binary, &["x'00ff'", "x'01020304'", "x'20202020'"], some_bytes(4)),
        sort("varbinary(9)", To::Binary, &["x''", "x'00ff80'", "x'2020'"], some_bytes(9)),
        sort("varchar(9) character set binary", To::Binary, &["x'ff'"], some_bytes(9)),
        sort("tinyblob", To::Binary, &["x'00'"], some_bytes(16)),
        sort("blob", To::Binary, &["x'fffe'", "x''"], some_bytes(16)),
        sort("mediumblob", To::Binary, &["repeat(x'80', 70000)"], some_bytes(16)),
        sort("longblob", To::Binary, &["x'c328'"], some_bytes(16)),
        sort("uuid", To::Text, &["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"], "INSERT(INSERT(MD5(RAND()), 13, 1, ELT(1 + FLOOR(RAND() * 3), '1', '4', '7')), 17, 1, 'a')"),
        sort("inet4", To::Text, &["'10.0.0.1'", "'255.255.255.255'"], "INET_NTOA(FLOOR(RAND() * 4294967296))"),
        sort("inet6", To::Text, &["'2001:db8::ff00:42:8329'", "'::1'", "'::ffff:1.2.3.4'", "'::'"],
             "INET6_NTOA(UNHEX(CONCAT(IF(RAND() < 0.5, '0000000000000000', LEFT(MD5(RAND()), 16)), IF(RAND() < 0.5, '00000000', LEFT(MD5(RAND()), 8)), LEFT(MD5(RAND()), 8))))"),
        sort("geometry", To::Binary, &["point(1, 2)"], "POINT(RAND(), RAND())"),
        sort("point", To::Binary, &["point(-1.5, 2)"], format!("POINT({}, RAND())", double())),
        sort("linestring", To::Binary, &["linestring(point(0, 0), point(1, 1))"], "LINESTRING(POINT(RAND(), 1), POINT(2, RAND()))"),
        sort("polygon", To::Binary, &["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)"], "POLYGON(LINESTRING(POINT(0, 0), POINT(RAND(), 0), POINT(1, 1), POINT(0, 0)))"),
        sort("multipoint", To::Binary, &["multipoint(point(0, 0))"], "MULTIPOINT(POINT(RAND(), 0))"),
        sort("multilinestring", To::Binary, &["multilinestring(linestring(point(0, 0), point(1, 1)))"], "MULTILINESTRING(LINESTRING(POINT(RAND(), 0), POINT(1, 1)))"),
        sort("multipolygon", To::Binary, &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"], "MULTIPOLYGON(POLYGON(LINESTRING(POINT(0, 0), POINT(RAND(), 0), POINT(1, 1), POINT(0, 0))))"),
        sort("geometrycollection", To::Binary, &["geometrycollection(point(1, 2))"], "GEOMETRYCOLLECTION(POINT(RAND(), 2))"),
    ]
}
