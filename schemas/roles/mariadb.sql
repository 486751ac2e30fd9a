-- What an administrator runs once on the tills' server: the database, and the account that `cdc` logs in with.
-- Nothing here lets `cdc` write. Running it again changes nothing.

CREATE DATABASE IF NOT EXISTS tills CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE USER IF NOT EXISTS cdc@'%' IDENTIFIED BY 'cdc';
GRANT SELECT ON tills.* TO cdc@'%';
-- To see the transactions that are open: only then is it certain that no late row can still appear.
GRANT PROCESS ON *.* TO cdc@'%';
