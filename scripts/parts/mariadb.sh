# MariaDB, from Debian's package, with a data folder of our own.

mariadb_prepare() {
    local data
    data=$(databases)/mariadb
    [[ ! -f $data/complete ]] || return 0
    cd "$(databases)" && rm -rf "$data" || return
    # The same administrator as in the container image: `root` with a password, from any address.
    "${AS_DATABASE[@]}" tee mariadb.root.sql >/dev/null <<'SQL'
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY 'root';
CREATE USER root@'%' IDENTIFIED BY 'root';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
SQL
    "${AS_DATABASE[@]}" mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
        --skip-test-db --extra-file="$(databases)/mariadb.root.sql" &&
        "${AS_DATABASE[@]}" touch "$data/complete"
}

mariadb_start() {
    run mariadb "$(databases)" "${AS_DATABASE[@]}" mariadbd --no-defaults --datadir="$(databases)/mariadb" \
        --port="$MARIADB_PORT" --bind-address=127.0.0.1 --socket="$(databases)/mariadb.sock" \
        --pid-file="$(databases)/mariadb.pid" --skip-name-resolve \
        --server-id=1 --log-bin --binlog-format=ROW \
        --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci --max-connections=200
}

mariadb_client() {
    mariadb --no-defaults --protocol=tcp --connect-timeout=5 --default-character-set=utf8mb4 \
        -h 127.0.0.1 -P "$MARIADB_PORT" -u root -proot "$@"
}

mariadb_answers() { mariadb_client -e 'SELECT 1'; }

mariadb_ready() { mariadb_client <"$ROOT/schemas/roles/mariadb.sql"; }
