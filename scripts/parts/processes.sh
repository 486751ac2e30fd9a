# Starting, watching and stopping one part's process.

# A process id alone may have been given to somebody else's process since (after a reboot, say); together with the time
# the process started it is ours for certain.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# run PART WORKING_DIRECTORY COMMAND…: leaves it running in a session of its own, so that Ctrl-C here does not reach it.
run() {
    local part=$1 directory=$2 pid
    shift 2
    cd "$directory"
    setsid "$@" >>"$STACK/log/$part.log" 2>&1 </dev/null 8>&- 9>&- &
    pid=$!
    cd "$ROOT"
    echo "$pid $(started_at "$pid")" >"$STACK/run/$part.pid"
}

alive() {
    local pid started
    read -r pid started 2>/dev/null <"$STACK/run/$1.pid" || return 1
    [[ -n $started && $(started_at "$pid") == "$started" ]]
}

wait_until_answers() {
    local part=$1 deadline=$((SECONDS + 120))
    until "${part}_answers" >/dev/null 2>"$STACK/log/$part.answer"; do
        alive "$part" || fail_with_log "$part" "$STACK/log/$part.log" "ended instead of starting"
        ((SECONDS < deadline)) || fail_with_log "$part" "$STACK/log/$part.log" \
            "runs but did not answer within 120 s ($(tail -n 1 "$STACK/log/$part.answer"))"
        sleep 0.1
    done
}

stop() {
    local part=$1 pid started deadline=$((SECONDS + 30))
    if ! alive "$part"; then
        rm -f "$STACK/run/$part.pid"
        return
    fi
    read -r pid started <"$STACK/run/$part.pid"
    kill -s "$(declare -F "${part}_stop_signal" >/dev/null && "${part}_stop_signal" || echo TERM)" "$pid"
    while alive "$part"; do
        if ((SECONDS >= deadline)); then
            say "$part did not end within 30 s, it is killed"
            kill -KILL "$pid"
            break
        fi
        sleep 0.1
    done
    rm -f "$STACK/run/$part.pid"
    say "$part stopped"
}

# Neither database server runs as root. Under root both run as the account that Debian's package brings, which must be
# able to reach its data: a checkout below /root is closed to it. So the databases always lie in a folder of their own
# (which keeps the socket's path short too), and a link in the stack's folder remembers where.
DATABASE_ACCOUNT=postgres

place_databases() {
    [[ ! -d $STACK/databases/ ]] || return 0
    local place
    place=$(mktemp -d /var/tmp/cdc-stack-XXXXXX)
    ((EUID != 0)) || chown "$DATABASE_ACCOUNT:" "$place"
    ln -sfn "$place" "$STACK/databases"
}

databases() { readlink "$STACK/databases"; }

# What turns a command into one of the databases' account. `setpriv` becomes the command, so its process id is the
# server's own.
AS_DATABASE=()
((EUID != 0)) || AS_DATABASE=(setpriv --reuid "$DATABASE_ACCOUNT" --regid "$DATABASE_ACCOUNT" --init-groups)
