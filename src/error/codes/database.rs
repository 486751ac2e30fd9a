//! 02: databases, and what is read from them.

codes! {
    DATABASE_UNREACHABLE = 201 Unavailable "a database does not answer"
        cause "The server is down, restarting, or this machine does not reach it. Its tables are `waiting` from the second failure on; those of other databases go on."
        remedy "Start it; check host and port of the source's `url`. It is tried again by itself, and followed on from where it stood."
        example "error[CDC-0201]: ec: connecting to PostgreSQL at db.example.com:5432: error connecting to server: connection refused";
    DATABASE_CREDENTIALS = 202 Permission "a database refuses the login"
        cause "User or password of the `url` is wrong or has changed, or the server admits this account only in another way."
        remedy "Correct the variable or file that the `url` refers to and restart the worker: references are read at its start. On MariaDB check the host part of the account, and whether it REQUIREs SSL."
        example "error[CDC-0202]: ec: connecting to PostgreSQL at db:5432: password authentication failed for user \"cdc\" (SQLSTATE 28P01)\n  next: wrong credentials: check user and password of the url";
    ACCOUNT_LOCKED = 203 Permission "a database's account is locked or expired"
        cause "MariaDB refuses the login although the password may be right: the account is locked, or its password has expired."
        remedy "Unlock it or set a new password; it is tried again every 20 s and used without a restart."
        example "error[CDC-0203]: pos: connecting: error 4151 (HY000): access denied, this account is locked\n  next: the account is locked or its password has expired: set a new one";
    GRANT_MISSING = 204 Permission "a grant on a table is missing"
        cause "The account may log in, but not read this table, one of its columns, or its schema; or row security would hide rows from it, which is never a filter in silence."
        remedy "Run the `GRANT` that stands behind `next:`; a table with row security needs `ALTER ROLE … BYPASSRLS`. It is looked for again every 30 s."
        example "error[CDC-0204]: ec.orders: describing the table: role `cdc` may not read column `total`\n  next: GRANT SELECT ON public.orders TO cdc\nerror[CDC-0204]: pos.sales: reading rows: error 1142 (42000): SELECT command denied to user 'cdc'@'%' for table `sales`\n  next: GRANT SELECT on the table to the account of the source's `url`\nerror[CDC-0204]: ec.orders: reading rows: query would be affected by row-level security policy for table \"orders\" (SQLSTATE 42501)\n  next: grant what is missing to the role, e.g. GRANT SELECT ON the table; a table with row security needs ALTER ROLE … BYPASSRLS";
    NO_SUCH_TABLE = 205 Config "there is no such table"
        cause "The name or schema is wrong, the table was dropped or renamed, or the account cannot see it for want of a grant."
        remedy "Correct the name; `cdc plan` shows what the configuration means. The list of tables is asked for every 60 s."
        example "error[CDC-0205]: ec.odrers: there is no such table, or the role cannot see it";
    NO_SUCH_DATABASE = 206 Config "there is no such database"
        cause "The server answers, but has no database of the name at the end of the `url`."
        remedy "Correct the name behind the last `/` of the `url`."
        example "error[CDC-0206]: ec: connecting to PostgreSQL at db:5432: database \"shoop\" does not exist (SQLSTATE 3D000)\n  next: check the database's name at the end of the url";
    LOCKED_TABLE = 207 Unavailable "another session holds a lock on the table"
        cause "An `ALTER TABLE` waits or runs, or somebody locked the table and did not end."
        remedy "End that session, or wait for it; it is tried again by itself."
        example "error[CDC-0207]: ec.orders: reading rows: canceling statement due to lock timeout (SQLSTATE 55P03)\n  next: another session holds a lock on the table for longer than the lock time-out";
    NO_ANSWER = 208 Unavailable "what is sent is swallowed on the way"
        cause "The connection is open, but nothing comes back: the server hangs, or a proxy, firewall or load balancer swallows packets without closing the connection. It is found out after 20 to 60 s by asking over another connection."
        remedy "Look at what stands between this machine and the server. New connections are used by themselves."
        example "error[CDC-0208]: ec.orders: reading rows: no answer came";
    NO_FREE_CONNECTION = 209 Unavailable "the server admits no more connections"
        cause "More clients than `max_connections`, together with those of other programs."
        remedy "Lower `connections` of the source, or raise the server's limit."
        example "error[CDC-0209]: ec: connecting to PostgreSQL at db:5432: sorry, too many clients already (SQLSTATE 53300)\n  next: the server has no free connection: raise max_connections or lower `connections`";
    OTHER_TABLE = 210 Config "this is another table than the one followed so far"
        cause "The database was restored or failed over to another server, or the table was dropped and made anew under its name. Reading on could miss or repeat rows."
        remedy "If it is meant: `cdc snapshot --again TABLE`, which begins a new copy beside nothing of the old one."
        example "error[CDC-0210]: ec.orders: this is not the table that was followed so far";
    TABLE_CHANGED = 211 Config "the table's columns have changed in a way that cannot be followed"
        cause "A column is gone, or has another type. What was written stays right; nothing more is read."
        remedy "Undo the change, or `cdc snapshot --again TABLE`. A column more is followed by itself."
        example "error[CDC-0211]: ec.orders: the table has changed: column `note` is gone";
    VALUE_NOT_EXACT = 212 Data "a value has no exact form in the lake"
        cause "E.g. `infinity` in a timestamp, a zero date, or more digits than the column's decimal has. The column, the row's key and the sort of value are named, never the value."
        remedy "Correct the row, or say with `on_value` what becomes of such values: stop, reject, null, text."
        example "error[CDC-0212]: ec.orders: reading rows: column `shipped_at` (timestamp with time zone) holds a timestamp of infinity, which cannot be carried exactly, in the row with key order_id=7";
    ROW_TOO_LARGE = 213 Data "a row is larger than a record may be"
        cause "16 MiB is the most a record may have. It was found before anything was sent."
        remedy "Leave out the column that the message names by `columns: { drop: [NAME] }`, or make the value smaller."
        example "error[CDC-0213]: ec.orders: writing records: the row with key 7 has 20971520 bytes as a record, and at most 16777216 are allowed; its largest column is `photo` with 20971000 bytes";
    UNSAFE_GUARD = 214 Config "rows could be missed here without a trace"
        cause "Ids or timestamps do not come in order here, so that a row could appear behind the cursor and never be seen."
        remedy "Use another mode, or make the column what the mode needs, as docs/guarantees.md says; `allow_unsafe: true` reads all the same."
        example "error[CDC-0214]: ec.orders: rows could be missed here without a trace: ids are given by the application";
    CERTIFICATE = 215 Config "a certificate is not accepted"
        cause "The peer's certificate is not signed by an authority that is trusted here, is for another host, or has expired; or the peer wants one of ours."
        remedy "Name the authority (`sslrootcert`, `ssl.ca.location`, `ca_file`), use the name the certificate is for, or give a certificate of your own."
        example "error[CDC-0215]: ec: connecting: the certificate is signed by an authority that is not trusted here";
    CURSOR_COLUMN = 216 Config "the cursor column cannot be found"
        cause "The configuration does not name it and none or several look like it, or the one it names cannot serve."
        remedy "Name one of the candidates by `timestamp:` or `incrementing:`, or take mode `bulk`."
        example "error[CDC-0216]: ec.orders: `timestamp` is not stated, and several columns could be meant: `updated_at`, `made_at`\n  next: write one of `updated_at`, `made_at`, e.g. `timestamp: updated_at`";
    NO_SUCH_COLUMN = 217 Config "the configuration names a column that there is not"
        cause "`columns`, `on_value`, `decimal` or `partition_by` names a column that the table does not have, or a MariaDB grant hides it."
        remedy "Correct the name; the message has the nearest one."
        example "error[CDC-0217]: ec.orders: `on_value` names a column `nte`, which there is not\n  next: did you mean `note`?";
    COLUMN_NEEDED = 218 Config "`columns` leaves out a column that is needed"
        cause "Columns of the primary key, the cursor, and those that `partition_by` cuts by cannot be left out."
        remedy "Keep the column, or change what needs it."
        example "error[CDC-0218]: ec.orders: `columns` leaves out `order_id`, which is part of the key";
    CONDITION_REFUSED = 219 Config "the database does not take the condition of `where`"
        cause "It is one condition, but the database does not understand it: a name, a type or a function is wrong."
        remedy "Try it by hand: `SELECT 1 FROM table WHERE (…) LIMIT 1`."
        example "error[CDC-0219]: ec.orders: the database does not take the condition `statuss = 'paid'` of `where`";
    SOURCE_CHANGED = 220 Config "the server is not the one that is meant"
        cause "It is too old, offers no TLS although the `url` asks for it, or is not the database the `url` says."
        remedy "Use PostgreSQL 12 or MariaDB 10.3 or later; configure a certificate there, or say `sslmode=disable` if the network is trusted."
        example "error[CDC-0220]: ec: connecting to PostgreSQL at db:5432: the server offers no TLS";
    BOUND_HELD_BACK = 221 Unavailable "an open transaction holds the cursor back"
        cause "A transaction has been open for more than a minute, and rows of it could still appear behind the cursor. Rows go out, the cursor waits; nothing is lost."
        remedy "End that session; the log names it. The cursor goes on by itself when it ends."
        example "WARN ec.orders: the safe bound is held back";
}
