# Apache Kafka, one node that is broker and controller (KRaft).

kafka_prepare() {
    mkdir -p "$STACK/kafka"
    # Written at each start, because a port may have changed.
    cat >"$STACK/kafka/server.properties" <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=$(kafka_doors),CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=$(kafka_doors)
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,ELSEWHERE:SASL_SSL,EXPIRED:SASL_SSL

# Encrypted: with a log-in, with a client's certificate, under an address that the certificate does not name, and with a
# certificate whose time is over.
ssl.keystore.type=PEM
ssl.keystore.location=$STACK/certificates/server.both
ssl.truststore.type=PEM
ssl.truststore.location=$STACK/certificates/ca.pem
ssl.principal.mapping.rules=RULE:^CN=(.*)\$/\$1/
listener.name.mutual.ssl.client.auth=required
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location=$STACK/certificates/expired.both
sasl.enabled.mechanisms=SCRAM-SHA-512
$(for door in sasl elsewhere expired; do
    echo "listener.name.$door.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
done)

# Who comes in plainly may do everything. \`cdc\` and \`cdc_certificate\` may do what they are granted, which is nothing at first.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:admin
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
        java -cp "$KAFKA_HOME/lib/*" kafka.tools.StorageTool format -t "$(new_cluster_id)" -c "$STACK/kafka/server.properties" \
            --add-scram 'SCRAM-SHA-512=[name=cdc,password=cdc-sasl]' --add-scram 'SCRAM-SHA-512=[name=admin,password=admin]' &&
            touch "$STACK/kafka/users"
    fi
}

# Where clients come in, as NAME://ADDRESS.
kafka_doors() {
    printf %s "PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL://127.0.0.1:$KAFKA_SASL_PORT,MUTUAL://127.0.0.1:$KAFKA_MUTUAL_PORT,"
    printf %s "ELSEWHERE://127.0.0.2:$KAFKA_ELSEWHERE_PORT,EXPIRED://127.0.0.1:$KAFKA_EXPIRED_PORT"
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

# A log that was made before there were users is given them once.
kafka_ready() {
    [[ ! -f $STACK/kafka/users ]] || return 0
    local user
    for user in cdc:cdc-sasl admin:admin; do
        java -cp "$KAFKA_HOME/lib/*" kafka.admin.ConfigCommand --bootstrap-server "127.0.0.1:$KAFKA_PORT" --alter \
            --entity-type users --entity-name "${user%%:*}" --add-config "SCRAM-SHA-512=[password=${user#*:}]" || return
    done
    touch "$STACK/kafka/users"
}
