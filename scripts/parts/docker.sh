# The same parts by docker-compose.yml, for machines without Debian's packages.

docker_answers() { docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; }

# Each stack folder is a project of its own, so that two checkouts do not meet.
docker_compose() {
    local name
    name=cdc-$(printf %s "$STACK" | cksum | cut -d' ' -f1)
    [[ ! -f $STACK/ports ]] || load_ports
    KAFKA_PORT=${KAFKA_PORT:-} POSTGRES_PORT=${POSTGRES_PORT:-} MARIADB_PORT=${MARIADB_PORT:-} S3_PORT=${S3_PORT:-} \
        docker compose --project-name "$name" --file "$ROOT/docker-compose.yml" "$@" 9>&-
}

docker_up() {
    docker_answers || fail "no container engine answers: docker compose version && docker info"
    docker_compose up --detach --wait || fail "the containers did not come up; scripts/stack logs PART shows why"
    local part
    for part in "${PARTS[@]}"; do say "$(printf '%-9s up, %s' "$part" "$(address_of "$part")")"; done
}

docker_down() {
    if [[ ${1:-} == --purge ]]; then docker_compose down --volumes; else docker_compose down; fi
}
