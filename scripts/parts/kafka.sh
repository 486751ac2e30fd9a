# Apache Kafka, one node that is broker and controller (KRaft).

kafka_prepare() {
    mkdir -p "$STACK/kafka"
    # Written at each start, because a port may have changed.
    cat >"$STACK/kafka/server.properties" <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$STACK/kafka/data

# A topic exists because somebody created it, with the settings it needs, and never by a slip of the pen.
auto.create.topics.enable=false

# One record may hold 16 MiB (a large JSON column), and its batch a little more.
message.max.bytes=17825792
replica.fetch.max.bytes=17825792

# One node: one copy of the internal topics, and few partitions, so that it starts quickly.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
TEXT
    if [[ ! -f $STACK/kafka/data/meta.properties ]]; then
        java -cp "$KAFKA_HOME/lib/*" kafka.tools.StorageTool format -t "$(new_cluster_id)" -c "$STACK/kafka/server.properties"
    fi
}

# 16 random bytes in URL-safe base64, without a leading dash, which would be read as an option.
new_cluster_id() {
    python3 -c 'import base64, os; print("c" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:22])'
}

kafka_start() {
    run kafka "$STACK/kafka" java -Xms128m -Xmx512m -Dorg.slf4j.simpleLogger.showDateTime=true \
        -cp "$KAFKA_HOME/lib/*" kafka.Kafka "$STACK/kafka/server.properties"
}

# A Metadata request (key 3, version 1, all topics) whose answer names at least one broker: the node takes part.
kafka_answers() {
    python3 - "$KAFKA_PORT" <<'PYTHON'
import socket, struct, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as connection:
    request = struct.pack(">hhih", 3, 1, 1, 5) + b"stack" + struct.pack(">i", -1)
    connection.sendall(struct.pack(">i", len(request)) + request)
    answer = connection.makefile("rb").read(12)
    if len(answer) < 12 or struct.unpack(">iii", answer)[2] < 1:
        sys.exit("no broker is registered yet")
PYTHON
}

kafka_ready() { :; }
