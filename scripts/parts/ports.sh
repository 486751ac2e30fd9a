# Which ports the parts listen on: free ones chosen at the first `up`, remembered in one file, chosen anew when taken.

port_names() {
    echo KAFKA_PORT KAFKA_CONTROLLER_PORT KAFKA_SASL_PORT KAFKA_MUTUAL_PORT KAFKA_ELSEWHERE_PORT KAFKA_EXPIRED_PORT
    echo POSTGRES_PORT MARIADB_PORT S3_PORT
    echo TLS_PORT TLS_EXPIRED_S3_PORT TLS_EXPIRED_POSTGRES_PORT TLS_EXPIRED_MARIADB_PORT
}

# shellcheck source=/dev/null
load_ports() { source "$STACK/ports"; }

choose_ports() {
    local name part
    [[ ! -f $STACK/ports ]] || load_ports
    for name in $(port_names); do
        part=$(tr '[:upper:]' '[:lower:]' <<<"${name%%_*}")
        if [[ -z ${!name:-} ]]; then
            printf -v "$name" %s "$(free_port)"
        elif [[ $ENGINE == packages ]] && ! alive "$part" && ! is_free "${!name}"; then
            say "$part: port ${!name} was taken by another program meanwhile, using another one"
            printf -v "$name" %s "$(free_port)"
        fi
    done
    for name in $(port_names); do echo "$name=${!name}"; done >"$STACK/ports.new"
    mv "$STACK/ports.new" "$STACK/ports"
}

is_free() { python3 -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null; }

# Whether a part has this port already, which need not listen yet.
is_chosen() {
    local name
    for name in $(port_names); do
        if [[ ${!name:-} == "$1" ]]; then return 0; fi
    done
    return 1
}

# Below the range that outgoing connections take theirs from, so that none of them sits on the port at the next `up`.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! is_chosen "$port" && is_free "$port"; then
            echo "$port"
            return
        fi
    done
}

address_of() {
    local name
    name=$(tr '[:lower:]' '[:upper:]' <<<"$1")_PORT
    echo "127.0.0.1:${!name}"
}
