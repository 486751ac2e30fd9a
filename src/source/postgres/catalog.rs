//! The questions asked of the catalog. Values are bound, never spliced; `search_path` is empty, so that every
//! name without a schema is `pg_catalog`'s.

/// Every relation outside the system's schemas, and whether the role can read it. Partitions are read through their
/// table.
pub(super) const RELATIONS: &str = "
    SELECT n.nspname::text, c.relname::text, c.relkind::text,
           CASE WHEN c.relkind <> 'p' THEN c.reltuples::float8
                ELSE (SELECT sum(greatest(l.reltuples, 0))::float8 FROM pg_partition_tree(c.oid) t
                      JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) END,
           has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1, 2";

/// One relation by its exact name: `$1` schema, `$2` name.
pub(super) const RELATION: &str = "
    SELECT c.oid, c.relkind::text, has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid),
           CASE WHEN c.relkind <> 'p' THEN c.reltuples::float8
                ELSE (SELECT sum(greatest(l.reltuples, 0))::float8 FROM pg_partition_tree(c.oid) t
                      JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) END,
           pg_is_in_recovery(), current_database()::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// The columns of relations `$1`, each with its type and its element's type; domains are replaced by what they
/// stand on, whose modifier is the domain's. The dimensions are those that were declared (0 in a view). Last the
/// relation.
pub(super) const COLUMNS: &str = "
    WITH RECURSIVE base AS (
        SELECT a.attrelid, a.attnum, a.atttypid AS type, a.atttypmod AS modifier, a.attndims::int AS dimensions
        FROM pg_attribute a WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
        SELECT base.attrelid, base.attnum, t.typbasetype, t.typtypmod, greatest(base.dimensions, t.typndims::int)
        FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype = 'd'),
    kind AS (
        SELECT base.attrelid, base.attnum, base.modifier, base.dimensions, t.typname, t.typtype, t.typnamespace,
               CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.typname NOT IN ('int2vector', 'oidvector')
                    THEN nullif(t.typelem, 0) END AS element
        FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype <> 'd'),
    inner_base AS (
        SELECT kind.attrelid, kind.attnum, kind.element AS type, kind.modifier, false AS is_domain
        FROM kind WHERE kind.element IS NOT NULL
      UNION ALL
        SELECT i.attrelid, i.attnum, t.typbasetype, t.typtypmod, true
        FROM inner_base i JOIN pg_type t ON t.oid = i.type WHERE t.typtype = 'd')
    SELECT a.attnum, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
           kind.typname::text, kind.typnamespace = 'pg_catalog'::regnamespace, kind.typtype::text, kind.modifier,
           e.typname::text, e.typnamespace = 'pg_catalog'::regnamespace, e.typtype::text, i.modifier, i.is_domain,
           coalesce(e.typcategory = 'A' AND e.typlen = -1, false), kind.dimensions,
           (SELECT l.collname::text FROM pg_collation l WHERE l.oid = a.attcollation), a.attrelid
    FROM pg_attribute a
    JOIN kind ON kind.attrelid = a.attrelid AND kind.attnum = a.attnum
    LEFT JOIN (inner_base i JOIN pg_type e ON e.oid = i.type AND e.typtype <> 'd')
           ON i.attrelid = a.attrelid AND i.attnum = a.attnum
    WHERE a.attrelid = ANY ($1)
    ORDER BY a.attrelid, a.attnum";

/// The indexes of relations `$1` that hold every row: whether it is the primary key, its columns' numbers
/// (0 for an expression), and the relation.
pub(super) const INDEXES: &str = "
    SELECT i.indisprimary, (i.indkey::int2[])[0:i.indnkeyatts - 1], i.indrelid
    FROM pg_index i WHERE i.indrelid = ANY ($1) AND i.indisvalid AND i.indpred IS NULL";

/// The sequences that the columns of relations `$1` draw from: identity, serial, or a default that names one. Last
/// the relation.
pub(super) const SEQUENCES: &str = "
    SELECT d.refobjsubid::int2, s.seqcache, s.seqincrement, s.seqcycle, s.seqrelid::regclass::text,
           n.nspname::text, c.relname::text,
           has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), d.refobjid
    FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
    JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = ANY ($1) AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  UNION
    SELECT f.adnum, s.seqcache, s.seqincrement, s.seqcycle, s.seqrelid::regclass::text,
           n.nspname::text, c.relname::text,
           has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), f.adrelid
    FROM pg_attrdef f
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_sequence s ON s.seqrelid = d.refobjid
    JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE f.adrelid = ANY ($1)
  ORDER BY 1";

/// Every relation outside the system's schemas with its size and what the statistics count of its changes. The size
/// of a table that somebody has locked is left out: asking for it would wait. Then what a guard can rest on: rows by
/// logical replication, a standby, and whether other sessions can be seen.
pub(super) const OUTLINES: &str = "
    WITH locked AS MATERIALIZED (
        SELECT relation FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock'
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, has_schema_privilege(n.oid, 'USAGE'),
           row_security_active(c.oid),
           CASE WHEN c.relkind <> 'p' THEN c.reltuples::float8 ELSE part.rows END,
           part.bytes::int8, part.inserted::int8, part.updated::int8, part.deleted::int8,
           EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid),
           pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT sum(greatest(l.reltuples, 0))::float8 AS rows,
               sum(CASE WHEN l.oid NOT IN (SELECT relation FROM locked) THEN pg_total_relation_size(l.oid) END) AS bytes,
               sum(pg_stat_get_tuples_inserted(l.oid)) AS inserted, sum(pg_stat_get_tuples_updated(l.oid)) AS updated,
               sum(pg_stat_get_tuples_deleted(l.oid)) AS deleted
        FROM (SELECT c.oid AS relid WHERE c.relkind <> 'p'
              UNION ALL SELECT t.relid FROM pg_partition_tree(c.oid) t WHERE c.relkind = 'p' AND t.isleaf) leaf
        JOIN pg_class l ON l.oid = leaf.relid) part
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 2, 3";

/// What the catalog says of how a row of each relation reads, and the file of each table and partition below it:
/// `$1` schemas, `$2` names. A row of the catalog that was changed has another `xmin`. `pg_partition_tree` would
/// wait for locks.
pub(super) const LOOK: &str = "
    SELECT q.n::int4,
           concat_ws(' ', c.oid, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
               (SELECT md5(string_agg(a.attnum || ' ' || a.xmin::text, ',' ORDER BY a.attnum))
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
               (SELECT i.indexrelid || ' ' || i.indkey::text
                FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)),
           (WITH RECURSIVE tree(oid) AS (
                SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
            SELECT array_agg(l.oid || '=' || l.relfilenode) FROM tree JOIN pg_class l ON l.oid = tree.oid
            WHERE l.relkind = 'r')
    FROM unnest($1, $2) WITH ORDINALITY AS q(schema, name, n)
    JOIN pg_namespace n ON n.nspname = q.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = q.name";

/// The present name of relation `$1`.
pub(super) const WHEREABOUTS: &str = "
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = $1::oid";

/// The system's identifier.
pub(super) const SYSTEM: &str = "SELECT system_identifier::text FROM pg_control_system()";

/// The timeline. On a primary from the name of the log file that is written now: the control file still tells
/// the old one for a while after a promotion.
pub(super) const TIMELINE: &str = "
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(upper(to_hex(timeline_id)), 8, '0') FROM pg_control_checkpoint())
                ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END";
