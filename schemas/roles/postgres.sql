-- What an administrator runs once on the shop's server: the database, and the account that `cdc` logs in with.
-- Nothing here lets `cdc` write. Running it again changes nothing.

SELECT 'CREATE DATABASE shop' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'shop') \gexec
SELECT 'CREATE ROLE cdc LOGIN PASSWORD ''cdc''' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cdc') \gexec

-- To see since when other sessions' transactions run: only then is it certain that no late row can still appear.
GRANT pg_read_all_stats TO cdc;

GRANT CONNECT ON DATABASE shop TO cdc;

\connect shop
GRANT USAGE ON SCHEMA public TO cdc;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cdc;
-- Tables created later, too.
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT SELECT ON TABLES TO cdc;
