# What must be on the machine before anything is downloaded: all that is missing is said in one list, then installed.

# One line per need: what it is for, the Debian package that brings it, and the test that it is there.
needs() {
    if [[ $ENGINE == packages ]]; then
        echo "Maven to fetch Kafka|maven|command -v mvn"
        echo "PostgreSQL server|postgresql|postgres_is_installed"
        echo "PostgreSQL client|postgresql-client|command -v psql"
        # The -core packages hold the programs alone: no service of the system's own is set up beside ours.
        echo "MariaDB server|mariadb-server-core|command -v mariadbd && command -v mariadb-install-db"
        echo "MariaDB client|mariadb-client-core|command -v mariadb"
        echo "a C compiler and make|build-essential|command -v gcc && command -v g++ && command -v make"
        echo "Perl to build OpenSSL|perl|command -v perl"
        echo "flock and setpriv|util-linux|command -v flock && command -v setpriv"
        echo "openssl to make certificates|openssl|command -v openssl"
        echo "groff to read the manual's pages|groff-base|command -v groff"
    fi
    echo "Java to run Kafka and Spark|default-jre-headless|command -v java"
    echo "Python with venv|python3-venv|python3 -c 'import venv, ensurepip'"
    echo "the Rust toolchain|rustup|command -v cargo"
}

require_packages() {
    local what package test missing=() packages=()
    while IFS='|' read -r what package test; do
        eval "$test" >/dev/null 2>&1 && continue
        missing+=("  $what ($package)")
        packages+=("$package")
    done < <(needs)
    ((${#missing[@]} > 0)) || return 0
    say "missing on this machine:"
    say "$(printf '%s\n' "${missing[@]}")"
    if [[ " ${packages[*]} " == *" rustup "* ]]; then
        fail "install the Rust toolchain first (https://rustup.rs); the rest is installed by the next run"
    fi

    local root=()
    ((EUID == 0)) || root=(sudo)
    if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! sudo -n true 2>/dev/null; }; then
        fail "install them, then run this again. On Debian: sudo apt-get install --no-install-recommends ${packages[*]}"
    fi
    say "installing them: apt-get install ${packages[*]}"
    {
        "${root[@]}" apt-get update &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    } >"$STACK/log/packages.log" 2>&1 9>&- </dev/null || fail_with_log "apt-get" "$STACK/log/packages.log" "could not install them"
}
