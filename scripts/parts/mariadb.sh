# MariaDB, from Debian's package, with a data folder of our own.

mariadb_prepare() {
    local data
    data=$(databases)/mariadb
    place_certificates_for_databases && place_mariadb_plugin || return
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

# Debian keeps this plugin in the package that also sets up a service of the system's own; where that is not installed,
# scripts/parts/downloads.sh has taken the one file out of it.
mariadb_plugins() {
    local place
    for place in /usr/lib/mysql/plugin "$MARIADB_PLUGIN_HOME"; do
        [[ ! -f $place/auth_ed25519.so ]] || { echo "$place"; return; }
    done
}

# The cache may lie where the server's own user cannot read, below /root for one.
place_mariadb_plugin() {
    local from
    from=$(mariadb_plugins)/auth_ed25519.so
    "${AS_DATABASE[@]}" bash -c "mkdir -p '$(databases)/plugins' && cat >'$(databases)/plugins/auth_ed25519.so'" <"$from"
}

mariadb_start() {
    run mariadb "$(databases)" "${AS_DATABASE[@]}" mariadbd --no-defaults --datadir="$(databases)/mariadb" \
        --port="$MARIADB_PORT" --bind-address=127.0.0.1,127.0.0.2 --socket="$(databases)/mariadb.sock" \
        --pid-file="$(databases)/mariadb.pid" --skip-name-resolve \
        --ssl-ca="$(databases)/ca.pem" --ssl-cert="$(databases)/server.pem" --ssl-key="$(databases)/server.key" \
        --plugin-dir="$(databases)/plugins" --plugin-load-add=auth_ed25519 \
        --server-id=1 --log-bin --binlog-format=ROW \
        --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci --max-connections=200
}

mariadb_client() {
    mariadb --no-defaults --protocol=tcp --connect-timeout=5 --default-character-set=utf8mb4 \
        -h 127.0.0.1 -P "$MARIADB_PORT" -u root -proot "$@"
}

mariadb_answers() { mariadb_client -e 'SELECT 1'; }

# Beside the product's own account three that show what a server can ask of the connection itself.
mariadb_ready() {
    mariadb_client <"$ROOT/schemas/roles/mariadb.sql" && mariadb_client <<'SQL'
CREATE USER IF NOT EXISTS cdc_encrypted@'%' IDENTIFIED BY 'cdc' REQUIRE SSL;
CREATE USER IF NOT EXISTS cdc_certificate@'%' IDENTIFIED BY 'cdc' REQUIRE X509;
CREATE USER IF NOT EXISTS cdc_ed25519@'%' IDENTIFIED VIA ed25519 USING PASSWORD('cdc');
GRANT PROCESS ON *.* TO cdc_encrypted@'%', cdc_certificate@'%', cdc_ed25519@'%';
SQL
}
