# What comes from the registries, through their own clients, into the cache: Kafka's jars, the S3 server, the readers, a plugin.
# Each is complete once its mark lies there, so an interrupted download is simply made again.

KAFKA_VERSION=4.3.1
S3_VERSION=0.14.1
KAFKA_HOME=$CACHE/kafka-$KAFKA_VERSION
S3_HOME=$CACHE/s3s-fs-$S3_VERSION
MARIADB_PLUGIN_HOME=$CACHE/mariadb-plugin

download_all() {
    exec 8>"$CACHE/lock"            # another checkout may be downloading the same
    flock 8
    local name pids=() failed=0
    for name in python $([[ $ENGINE == packages ]] && echo kafka s3 mariadb_plugin); do
        download "$name" 8>&- 9>&- &
        pids+=($!)
    done
    for name in "${pids[@]}"; do wait "$name" || failed=1; done
    exec 8>&-
    ((failed == 0)) || exit 1
}

download() {
    local name=$1 log=$STACK/log/$1.download began=$EPOCHREALTIME
    "${name}_is_here" && return
    say "$name: fetching $("${name}_download_is")"
    "download_$name" >"$log" 2>&1 </dev/null || fail_with_log "$name" "$log" "could not be fetched"
    say "$name: fetched in $(seconds_since "$began") s"
}

kafka_is_here() { [[ -f $KAFKA_HOME/complete ]]; }
kafka_download_is() { echo "Apache Kafka $KAFKA_VERSION from Maven Central (43 MB)"; }
download_kafka() {
    rm -rf "$KAFKA_HOME" && mkdir -p "$KAFKA_HOME"
    cat >"$KAFKA_HOME/pom.xml" <<XML
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>cdc</groupId> <artifactId>stack</artifactId> <version>1</version> <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId> <artifactId>kafka_2.13</artifactId> <version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId> <artifactId>slf4j-simple</artifactId> <version>1.7.36</version></dependency>
  </dependencies>
</project>
XML
    mvn -B -ntp -f "$KAFKA_HOME/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$KAFKA_HOME/lib" &&
        touch "$KAFKA_HOME/complete"
}

s3_is_here() { [[ -x $S3_HOME/bin/s3s-fs ]]; }
s3_download_is() { echo "the S3 server s3s-fs $S3_VERSION from the Rust registry (built once, 2 to 5 minutes)"; }
download_s3() {
    CARGO_TARGET_DIR=$S3_HOME/target nice cargo install s3s-fs --version "$S3_VERSION" --features binary --locked --root "$S3_HOME" &&
        rm -rf "$S3_HOME/target"
}

mariadb_plugin_is_here() { [[ -n $(mariadb_plugins) ]]; }
mariadb_plugin_download_is() { echo "MariaDB's ed25519 log-in, one file of Debian's mariadb-server"; }
download_mariadb_plugin() {
    local place=$MARIADB_PLUGIN_HOME.new
    rm -rf "$place" && mkdir -p "$place" && cd "$place" &&
        apt-get download "mariadb-server=$(dpkg-query -W -f '${Version}' mariadb-server-core)" && dpkg-deb -x ./*.deb . &&
        rm -rf "$MARIADB_PLUGIN_HOME" && mkdir "$MARIADB_PLUGIN_HOME" &&
        mv usr/lib/mysql/plugin/auth_ed25519.so "$MARIADB_PLUGIN_HOME" && cd / && rm -rf "$place"
}

python_is_here() { cmp -s "$ROOT/scripts/requirements.txt" "$CACHE/python/requirements.txt"; }
python_download_is() { echo "DuckDB, pyarrow, pandas, Polars and Spark from PyPI (600 MB)"; }
download_python() {
    python3 -m venv --clear "$CACHE/python" &&
        "$PYTHON" -m pip install --quiet --disable-pip-version-check -r "$ROOT/scripts/requirements.txt" &&
        cp "$ROOT/scripts/requirements.txt" "$CACHE/python/requirements.txt"
}
