# TLS in front of parts that have none (the S3 server), or not with the certificate that a test needs (an expired one).

tls_prepare() { :; }

tls_start() {
    run tls "$STACK" python3 "$ROOT/scripts/parts/tls.py" "$STACK/certificates" \
        "server:plain:$TLS_PORT:$S3_PORT" \
        "expired:plain:$TLS_EXPIRED_S3_PORT:$S3_PORT" \
        "expired:postgres:$TLS_EXPIRED_POSTGRES_PORT:$POSTGRES_PORT" \
        "expired:mariadb:$TLS_EXPIRED_MARIADB_PORT:$MARIADB_PORT"
}

# The last port is listened on last.
tls_answers() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)' "$TLS_EXPIRED_MARIADB_PORT"; }

tls_ready() { :; }
