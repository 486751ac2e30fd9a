# What the stack says: progress and errors on stderr, so that stdout carries only what was asked for.

say() { printf '%s\n' "$*" >&2; }

fail() { say "error: $*"; exit 1; }

fail_with_log() {
    local part=$1 log=$2 what=$3
    say "error: $part $what; the last lines of $log:"
    tail -n 25 "$log" | sed 's/^/    /' >&2
    exit 1
}

show_log() {
    local part=$1
    [[ " ${PARTS[*]} " == *" $part "* ]] || fail "no part is called \`$part\`; the parts are: ${PARTS[*]}"
    if [[ $ENGINE == docker ]]; then
        docker_compose logs --tail 200 "$part"
    else
        [[ -f $STACK/log/$part.log ]] || fail "$part was never started here"
        tail -n 250 "$STACK/log/$part.log"
    fi
}

seconds_since() { awk -v began="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - began }'; }
