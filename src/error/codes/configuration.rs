//! 01: the configuration file. Each problem of a file has its own code; the error as a whole has it too where all
//! problems are of one sort.

codes! {
    CONFIGURATION = 100 Config "the configuration has problems of several sorts"
        cause "The file was read to its end, and every problem in it is listed with its line and column. Nothing was started."
        remedy "Mend all of them; each line ends with a code of its own that `cdc explain` knows."
        example "error[CDC-0100]: the configuration has 2 problems";
    CONFIGURATION_UNREADABLE = 101 Config "the configuration file cannot be read"
        cause "There is no such file, the user that runs `cdc` may not read it, or it is not UTF-8 text."
        remedy "Begin with the least file in docs/configuration.md, or name the right one by `--config FILE` or `CDC_CONFIG`."
        example "error[CDC-0101]: `cdc.yaml`: reading the configuration: No such file or directory (os error 2)";
    NOT_YAML = 102 Config "the file is not valid YAML"
        cause "The reading stopped at this place, so that whatever follows is not known yet. Tabs as indentation, a quote that is never closed, uneven indentation and an unquoted `${…}` inside braces are the usual reasons."
        remedy "Mend this place and run the command again. Indent with blanks; put text with `: `, ` #`, `{` or `*` in quotes."
        example "cdc.yaml:2:2: this is not valid YAML: tabs disallowed within this context (block indentation); indent with blanks instead of tabs [CDC-0102]";
    UNKNOWN_KEY = 103 Config "a key that there is not"
        cause "The file is strict: a key that nobody reads would be a setting that silently does nothing."
        remedy "Write the key that was meant; the message names the nearest one, or all that are allowed here."
        example "cdc.yaml:6:17: `mdoe` is no key of `sources.ec.tables.orders`; did you mean `mode`? [CDC-0103]";
    KEY_TWICE = 104 Config "a key stands twice in one block"
        cause "YAML would keep one of the two and forget the other without a word."
        remedy "Remove one, or join the two blocks."
        example "cdc.yaml:9:1: `lake` stands here already, in line 1; keep one of the two [CDC-0104]";
    KEY_MISSING = 105 Config "a key is missing that has no default"
        cause "Where the rows come from, where they go and how a table is read cannot be guessed."
        remedy "Add the key; the message shows how it is written."
        example "cdc.yaml:6:7: `sources.ec.tables.orders` has no `mode`; there are bulk (the whole table by a schedule), incrementing (a growing id), timestamp (a time of last change), timestamp+incrementing (both) [CDC-0105]";
    NOT_THERE_YET = 106 Config "a key or value that this version does not have yet"
        cause "It is a word of the product, but nothing behind it is built in this version. It is refused, so that nobody relies on it."
        remedy "Remove it; the message says what happens in its stead."
        example "cdc.yaml:12:1: `listen` is not there yet: no server is built in; `cdc status` says how the tables fare [CDC-0106]";
    KEY_REFUSED = 107 Config "a key that stands in the wrong place"
        cause "There is such a key, but not here: it belongs to one table, to `defaults`, or to another block."
        remedy "Move it to where the message says."
        example "cdc.yaml:5:5: `sources.ec.mode` cannot be set: it belongs into `defaults` or to a table [CDC-0107]";
    WRONG_SHAPE = 108 Config "a block, a list or a single value where another is needed"
        cause "The key is right, but what stands under it has another form, or nothing stands there at all."
        remedy "A block is `key: value` lines below, or `{ key: value }`; a list is `[a, b]`; a single value stands behind the colon."
        example "cdc.yaml:7:28: `sources.ec.tables.items.exclude` must be a list, e.g. `[a, b]`, but is a single value [CDC-0108]";
    UNKNOWN_WORD = 109 Config "a word that is none of the allowed ones"
        cause "The key takes one of a few words, written exactly so, in lower case."
        remedy "Write one of the words that the message lists."
        example "cdc.yaml:6:23: `sources.ec.tables.orders.mode`: `incremental` is not known; did you mean `incrementing`? allowed are bulk, incrementing, timestamp, timestamp+incrementing [CDC-0109]";
    WRONG_NUMBER = 110 Config "no whole number, or one out of range"
        cause "The key counts something; fractions, thousands separators and words are no counts."
        remedy "Write a whole number within the range that the message gives."
        example "cdc.yaml:4:25: `kafka.topics.partitions`: `0` is not a whole number from 1 to 10000 [CDC-0110]";
    WRONG_DURATION = 111 Config "no duration"
        cause "A duration is a whole number with its unit, without a blank: a bare number could be seconds or milliseconds."
        remedy "Write e.g. `250ms`, `5s`, `10m`, `2h`, `7d`."
        example "cdc.yaml:6:36: `sources.ec.tables.a.every`: `5` has no unit; write a whole number with its unit, e.g. `250ms`, `5s`, `10m`, `2h`, `7d` [CDC-0111]";
    WRONG_SIZE = 112 Config "no size"
        cause "A size is a whole number with its unit: `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, `kB`, `MB`, `GB`, `TB` powers of 1000."
        remedy "Write e.g. `256MiB` or `1GB`."
        example "cdc.yaml:9:35: `lake.files.size`: `256M` is no size; write a whole number with its unit, e.g. `256MiB`, `1GB` [CDC-0112]";
    WRONG_TIME_ZONE = 113 Config "no time zone"
        cause "Zones are named as the IANA database does. Abbreviations (`KST`) and offsets (`+09:00`) say nothing about daylight saving."
        remedy "Write e.g. `Asia/Seoul`, `Europe/Berlin` or `UTC`."
        example "cdc.yaml:4:30: `lake.day_in`: `Asia/Seul` is no time zone; did you mean `Asia/Seoul`? [CDC-0113]";
    WRONG_SCHEDULE = 114 Config "no schedule"
        cause "A schedule is a cron expression of exactly five fields, and a time zone behind them if it is not UTC."
        remedy "Write minute, hour, day of the month, month, weekday: `\"30 2 * * * Asia/Seoul\"` is half past two every night in Seoul."
        example "cdc.yaml:6:34: `sources.ec.tables.a.schedule`: `30 2 * *` has 4 fields; write minute, hour, day, month, weekday and, if it is not UTC, a time zone: `30 2 * * * Asia/Seoul` [CDC-0114]";
    WRONG_NAME = 115 Config "a name with characters that it cannot have, or none"
        cause "Names become parts of topics, groups and paths; what these cannot carry is refused rather than bent."
        remedy "Use letters, digits, `_` and `-`; topics may have `.` too."
        example "cdc.yaml:2:11: `pipeline`: `retail shop` is no name; it may hold letters, digits, `_` and `-` only [CDC-0115]";
    WRONG_DATABASE_URL = 116 Config "no URL of a database"
        cause "The URL cannot be taken apart, names another database, or asks for less TLS than it seems to. No part of it is shown, since any part may be the password."
        remedy "Write `postgres://user@host:port/database` or `mariadb://…`; percent-encode `/ ? # @ % :` in a password, or take it from a reference."
        example "cdc.yaml:4:13: `sources.b.url`: the value says `sslmode=prefer`, which falls back to no encryption without a word; write `disable` to accept that, else `verify-full` [CDC-0116]";
    WRONG_ADDRESS = 117 Config "no address of a lake, a store or a broker"
        cause "A lake is a bucket or a directory, a store an `http(s)://` address, a broker `host:port`."
        remedy "Write `s3://bucket/prefix`, `/path` or `./path` for the lake; `https://host:port` for `endpoint`; `host:9092,host:9092` for `brokers`."
        example "cdc.yaml:1:14: `lake.url`: `lake` is no place; write `s3://bucket/prefix`, or a directory as `/path` or `./path` [CDC-0117]";
    WRONG_REFERENCE = 118 Config "a reference that leads nowhere"
        cause "`${env:NAME}` is not set or empty, `${file:/path}` cannot be read or is empty, or the reference is written in another way."
        remedy "Set the variable where `cdc` runs, or let its user read the file. `$${` stands for `${` itself."
        example "cdc.yaml:1:11: `${env:PIPELINE}` is not set; set this environment variable where `cdc` runs [CDC-0118]";
    YAML_EXTRAS = 119 Config "an alias, a tag, a merge key or a second document"
        cause "They make a file say things that cannot be seen where they act, so they are not followed."
        remedy "Write the value out, or say it once for all tables in `defaults`."
        example "cdc.yaml:7:14: aliases (`*name`) are not followed; write the value out, or say it once in `defaults` [CDC-0119]";
    KEYS_DO_NOT_FIT = 120 Config "keys that do not fit each other"
        cause "Each key is right by itself, but beside another one it would do nothing or contradict it."
        remedy "Keep the one that is meant, as the message says."
        example "cdc.yaml:7:47: `sources.ec.tables.items.timestamp` does not fit mode `incrementing`: it belongs to timestamp and timestamp+incrementing [CDC-0120]";
    WRONG_PARTITION = 121 Config "a partition that cannot be cut"
        cause "`partition_by` is `name: function(column)`: a directory's name, and how its value is made of a column."
        remedy "Write e.g. `partition_by: { dt: day(ordered_at) }`; functions are `year`, `month`, `day`, `hour`, `bucket(n, column)`, or the column itself."
        example "cdc.yaml:6:44: `sources.ec.tables.a.partition_by.dt`: `days` is no partition function; there are year, month, day, hour, bucket [CDC-0121]";
    WRONG_CONDITION = 122 Config "a `where` that is not one condition"
        cause "The condition is put in parentheses into every statement of the table; what could reach beyond them is refused."
        remedy "Write one condition without `;`, comments and placeholders, with all quotes and parentheses closed."
        example "cdc.yaml:6:31: `sources.ec.tables.a.where`: `status = 'paid'; drop table a` holds `;` outside quotes; it must be one condition [CDC-0122]";
    CLIENT_PROPERTY = 123 Config "a property of the Kafka client that the protocol rests on"
        cause "Group, offsets, isolation, idempotence, transactions, the partitioner and sizes are set by `cdc`; other values would lose or double rows."
        remedy "Remove the property; the message says what would go wrong."
        example "cdc.yaml:14:5: `acks` cannot be set in `kafka.client`: rows would be lost, doubled or reordered [CDC-0123]";
    KAFKA_LOGIN = 124 Config "a login to Kafka that is not built in, or not complete"
        cause "Kerberos and OAuth are not built in, and a login by SASL needs its mechanism."
        remedy "Write `security.protocol: sasl_ssl`, `sasl.mechanism` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), `sasl.username` and `sasl.password`."
        example "cdc.yaml:3:58: `kafka.client.sasl.mechanism`: `GSSAPI` is not built in; allowed are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 [CDC-0124]";
    CONNECT_NAME = 125 Config "a name of Kafka Connect"
        cause "The key is one of Kafka Connect's JDBC source or S3 sink; here it has another name."
        remedy "Write what the message says; docs/kafka-connect.md has all of them side by side."
        example "cdc.yaml:5:5: `table.whitelist` is Kafka Connect's name; here it is `sources.NAME.tables` [CDC-0125]";
    CONFIGURATION_TOO_LARGE = 126 Config "the file is larger than a configuration"
        cause "More than 4 MiB: most likely `--config` names a dump or a log."
        remedy "Name the right file. Thousands of tables fit in a file of this size; globs make it short."
        example "error[CDC-0126]: `orders.sql`: reading the configuration: it has 10485760 bytes, and at most 4194304 are read";
    WRONG_PATTERN = 127 Config "a name or glob that no table can have"
        cause "The pattern is empty, misses the schema or the table beside its dot, or uses signs that mean nothing here."
        remedy "Write `name`, `schema.name`, or a glob of `*` (any characters) and `?` (exactly one)."
        example "cdc.yaml:7:7: `sources.ec.tables.orders.`: `orders.` is no table; write `name` or `schema.name`, `*` for any characters and `?` for one [CDC-0127]";
    WRONG_DIGITS = 128 Config "no digits of a decimal"
        cause "`decimal` says how many digits a column has in all, 1 to 38, and how many of them stand behind the point."
        remedy "Write e.g. `decimal: { price: [38, 9] }`."
        example "cdc.yaml:9:11: `sources.ec.tables.orders.decimal.total`: `[39, 2]` is out of range: a decimal has 1 to 38 digits in all [CDC-0128]";
    WRONG_BOOLEAN = 129 Config "neither `true` nor `false`"
        cause "YAML's other spellings (`yes`, `on`, `True`) are text here, so that a table called `no` stays one."
        remedy "Write `true` or `false`."
        example "cdc.yaml:6:43: `sources.ec.tables.orders.allow_unsafe`: `yes` is neither `true` nor `false` [CDC-0129]";
    WRONG_VERSION = 130 Config "a version of the file that this program does not know"
        cause "The file was written for another version of `cdc`."
        remedy "Use the `cdc` it was written for, or write `version: 1` after comparing it with docs/configuration.md."
        example "cdc.yaml:1:10: `version`: `2` is no version this `cdc` knows; it knows 1 [CDC-0130]";
}
