# PostgreSQL, from Debian's package, with a data folder of our own.

# The newest installed version; Debian keeps the server's programs outside PATH.
postgres_programs() { printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

postgres_is_installed() {
    [[ -x $(postgres_programs)/postgres ]] && { ((EUID != 0)) || id "$DATABASE_ACCOUNT" >/dev/null; }
}

postgres_prepare() {
    local data
    data=$(databases)/postgres
    place_certificates_for_databases && postgres_admission | "${AS_DATABASE[@]}" tee "$(databases)/postgres.admission" >/dev/null || return
    [[ ! -f $data/PG_VERSION ]] || return 0
    cd "$(databases)" &&
        "${AS_DATABASE[@]}" bash -c 'umask 077 && echo postgres >postgres.password' &&
        "${AS_DATABASE[@]}" "$(postgres_programs)/initdb" -D "$data" -U postgres -A scram-sha-256 --pwfile=postgres.password \
            -E UTF8 --locale=C.UTF-8 &&
        rm postgres.password
}

# Who may come how. Everybody with a password; two roles show what a server can ask of the connection itself.
postgres_admission() {
    cat <<'TEXT'
hostssl   all         cdc_certificate 127.0.0.0/8 cert
hostnossl all         cdc_certificate 127.0.0.0/8 reject
hostssl   all         cdc_encrypted   127.0.0.0/8 scram-sha-256
hostnossl all         cdc_encrypted   127.0.0.0/8 reject
local     all         all                         scram-sha-256
host      all         all             127.0.0.0/8 scram-sha-256
host      replication all             127.0.0.0/8 scram-sha-256
TEXT
}

# The server's defaults, except where it listens, TLS beside plain connections, and how many may connect and prepare (the
# tests do both).
postgres_start() {
    run postgres "$(databases)" "${AS_DATABASE[@]}" "$(postgres_programs)/postgres" -D "$(databases)/postgres" -p "$POSTGRES_PORT" \
        -c listen_addresses=127.0.0.1,127.0.0.2 -c unix_socket_directories="$(databases)" \
        -c hba_file="$(databases)/postgres.admission" -c ssl=on -c ssl_ca_file="$(databases)/ca.pem" \
        -c ssl_cert_file="$(databases)/server.pem" -c ssl_key_file="$(databases)/server.key" \
        -c wal_level=logical -c max_connections=200 -c max_prepared_transactions=20
}

postgres_stop_signal() { echo INT; }    # "fast": ends sessions instead of waiting for them

postgres_client() {
    PGPASSWORD=postgres PGCONNECT_TIMEOUT=5 psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres "$@"
}

postgres_answers() { postgres_client -c 'SELECT 1'; }

postgres_ready() {
    postgres_client -f "$ROOT/schemas/roles/postgres.sql" && postgres_client <<'SQL'
SELECT 'CREATE ROLE cdc_encrypted LOGIN PASSWORD ''cdc''' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cdc_encrypted') \gexec
SELECT 'CREATE ROLE cdc_certificate LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cdc_certificate') \gexec
GRANT cdc TO cdc_encrypted, cdc_certificate;
SQL
}
