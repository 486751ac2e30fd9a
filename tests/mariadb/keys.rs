//! Pages by key: the order is the database's own, whatever its type and collation.

use mysql_async::prelude::Queryable;

use crate::database::Database;
use crate::way::{WORDS, copied};

#[tokio::test]
async fn a_copy_by_any_key_has_every_row_once() {
    let database = Database::new().await;
    let source = database.source();
    let mut admin = database.admin().await;
    let words: Vec<String> = WORDS
        .split(", ")
        .map(|word| format!("SELECT {word} AS word"))
        .collect();
    // The first column of a UNION decides the collation: bytes, so that none is taken for another.
    let words = format!(
        "(SELECT word COLLATE utf8mb4_nopad_bin AS word FROM ({}) AS all_words) AS words",
        words.join(" UNION ALL ")
    );
    let numbers = "(SELECT CAST(seq AS SIGNED) AS i FROM seq_1_to_20) AS numbers";
    for (number, (key, value, from)) in [
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "word", words.as_str()),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "word", &words),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "word", &words),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", "word", &words),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_nopad_ci", "word", &words),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_german2_ci", "word", &words),
        ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci", "word", &words),
        ("varchar(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "word", &words),
        ("varchar(20) CHARACTER SET euckr", "word", &words),
        ("varchar(20) CHARACTER SET ucs2", "word", &words),
        ("char(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "word", &words),
        ("varbinary(20)", "word", &words),
        ("binary(16)", "unhex(md5(i))", numbers),
        ("uuid", "CONCAT(LEFT(md5(i), 8), '-', SUBSTR(md5(i), 9, 4), '-', SUBSTR(md5(i), 13, 4), '-', SUBSTR(md5(i), 17, 4), '-', RIGHT(md5(i), 12))", numbers),
        ("inet6", "CONCAT('::', hex(i * 1000))", numbers),
        ("inet4", "CONCAT('10.0.0.', i)", numbers),
        ("decimal(38,10)", "(i - 10) * 1234567890123456789.0123456789", numbers),
        ("decimal(65,3)", "(i - 10) * 12345678901234567890123456789012345678901234567.123", numbers),
        ("decimal(10,0) unsigned", "i * 1000", numbers),
        ("bigint unsigned", "18446744073709551615 - i", numbers),
        ("tinyint", "i - 10", numbers),
        ("date", "CAST('2026-01-01' AS DATE) + INTERVAL i DAY", numbers),
        ("datetime(6)", "CAST('2026-01-01' AS DATETIME(6)) + INTERVAL i MICROSECOND", numbers),
        ("datetime", "CAST('2026-01-01' AS DATETIME(6)) + INTERVAL i HOUR", numbers),
        ("timestamp(3)", "CAST('2026-01-01' AS DATETIME(6)) + INTERVAL i SECOND", numbers),
        ("time(3)", "SEC_TO_TIME((i - 10) * 86400)", numbers),
        ("year", "2000 + i", numbers),
        ("bit(8)", "i * 5", numbers),
        ("bit(1)", "i % 2", "(SELECT CAST(seq AS SIGNED) AS i FROM seq_1_to_2) AS numbers"),
        ("enum('small','middle','large','9','10')", "ELT(i, 'small', 'middle', 'large', '9', '10')", "(SELECT CAST(seq AS SIGNED) AS i FROM seq_1_to_5) AS numbers"),
        ("double", "i / 3", numbers),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{number}");
        admin
            .query_drop(format!("CREATE TABLE {name} (n int NOT NULL, at timestamp(6) NULL, k {key} PRIMARY KEY)"))
            .await
            .unwrap();
        // Texts that are equal in this collation, or not in this character set, come once or not at all.
        let at = "IF(rand() < 0.8, '2020-01-01', NULL)";
        admin
            .query_drop(format!(
                "INSERT IGNORE INTO {name} SELECT row_number() OVER (), {at}, {value} FROM {from}"
            ))
            .await
            .unwrap();
        let mut wanted: Vec<i32> = admin.query(format!("SELECT n FROM {name}")).await.unwrap();
        wanted.sort_unstable();
        assert!(wanted.len() > 1, "{key}");
        let mut copied = copied(&source, &database.table(&name)).await;
        copied.sort_unstable();
        assert_eq!(copied, wanted, "{key}");
    }
}

#[tokio::test]
async fn an_index_that_admits_null_is_no_key() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop(
            "CREATE TABLE a (id int UNIQUE, name text); CREATE TABLE b (id int NOT NULL UNIQUE)",
        )
        .await
        .unwrap();
    for name in ["a", "b"] {
        let described = database
            .source()
            .describe(&database.table(name))
            .await
            .unwrap();
        assert!(described.schema.key.is_empty(), "{name}");
    }
}
