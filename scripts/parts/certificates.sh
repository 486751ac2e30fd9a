# The stack's own certificate authority and what it signs, so that encrypted connections are tried with everything that
# can be wrong about them. Made once, by openssl, in about a second.
#
#   ca            signs all below that have no other authority
#   server        for localhost, 127.0.0.1 and ::1: the servers also listen on 127.0.0.2, which it does not name
#   expired       the same, but its time is over
#   client        proves to a server that its holder is `cdc_certificate`
#   other-ca      an authority that signed no server; it signs `stranger`, a client that no server knows
#
# NAME.pem is the certificate, NAME.key its private key, NAME.both both in one file.

certificates_are_here() { [[ -f $STACK/certificates/complete ]]; }

make_certificates() {
    local place=$STACK/certificates
    ! certificates_are_here || return 0
    rm -rf "$place" && mkdir -p "$place" && certificate_settings >"$place/settings" && touch "$place/index" || return
    authority ca "The stack's authority" && authority other-ca "Another authority" &&
        certificate server ca localhost servers && certificate expired ca localhost servers 20200101000000Z 20200201000000Z &&
        certificate client ca cdc_certificate clients && certificate stranger other-ca cdc_certificate clients &&
        touch "$place/complete"
}

certificate_settings() {
    cat <<TEXT
[req]
distinguished_name = names
prompt = no
[names]
CN = unnamed
[ca]
default_ca = signing
[signing]
database = $STACK/certificates/index
new_certs_dir = $STACK/certificates
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[authorities]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[servers]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[clients]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
TEXT
}

# authority NAME SUBJECT
authority() {
    local at=$STACK/certificates/$1
    private_key "$at.key" &&
        openssl req -x509 -new -config "$STACK/certificates/settings" -extensions authorities -days 3650 \
            -subj "/CN=$2" -key "$at.key" -out "$at.pem"
}

# certificate NAME AUTHORITY SUBJECT KIND [BEGIN END]
certificate() {
    local at=$STACK/certificates/$1 by=$STACK/certificates/$2 time=(-days 3650)
    [[ -z ${5:-} ]] || time=(-startdate "$5" -enddate "$6")
    private_key "$at.key" &&
        openssl req -new -config "$STACK/certificates/settings" -subj "/CN=$3" -key "$at.key" -out "$at.request" &&
        openssl ca -batch -notext -config "$STACK/certificates/settings" -cert "$by.pem" -keyfile "$by.key" -extensions "$4" \
            "${time[@]}" -in "$at.request" -out "$at.pem" &&
        cat "$at.key" "$at.pem" >"$at.both"
}

private_key() { (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"); }

# Where the databases' account can read them; a server refuses a key that others may read.
place_certificates_for_databases() {
    local name
    for name in ca.pem server.pem server.key; do
        "${AS_DATABASE[@]}" bash -c "umask 077 && cat >'$(databases)/$name'" <"$STACK/certificates/$name" || return
    done
}
