"""Ends TLS and passes on what was inside. Arguments: the folder of certificates, then CERTIFICATE:PROTOCOL:PORT:TO each.

`plain` begins TLS at once; `postgres` and `mariadb` begin it as these protocols do, in the middle of a connection.
Listens on 127.0.0.1 and on 127.0.0.2, a name that no certificate of the stack carries.
"""

import select
import socket
import ssl
import struct
import sys
import threading


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the peer went away")
        data += more
    return data


def packet(connection):
    """One packet of MariaDB's protocol: three bytes of length, one of sequence, the rest."""
    head = exactly(connection, 4)
    return head + exactly(connection, int.from_bytes(head[:3], "little"))


def begin(protocol, client, server, context):
    """The two ends once TLS has begun. Nothing is read beyond what comes before TLS, which may follow at once."""
    if protocol == "postgres":
        # An SSLRequest; the server behind is then spoken to in clear.
        if struct.unpack(">ii", exactly(client, 8)) != (8, 80877103):
            raise ConnectionError("no TLS was asked for")
        client.sendall(b"S")
    elif protocol == "mariadb":
        # Packets are numbered on through the beginning of TLS, so that the server behind must begin it too.
        client.sendall(packet(server))
        server.sendall(packet(client))
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        server = unchecked.wrap_socket(server)
    return context.wrap_socket(client, server_side=True), server


def send(connection, data):
    while data:
        try:
            data = data[connection.send(data):]
        except (BlockingIOError, ssl.SSLWantWriteError):
            select.select([], [connection], [])
        except ssl.SSLWantReadError:
            select.select([connection], [], [])


def pass_on(client, server):
    to = {client: server, server: client}
    for connection in to:
        connection.setblocking(False)
    while True:
        held = [one for one in to if isinstance(one, ssl.SSLSocket) and one.pending()]
        for connection in held or select.select(list(to), [], [])[0]:
            try:
                data = connection.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not data:
                return
            send(to[connection], data)


def serve(client, protocol, port, context):
    server = None
    try:
        server = socket.create_connection(("127.0.0.1", port))
        for connection in (client, server):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client, server = begin(protocol, client, server, context)
        pass_on(client, server)
    except OSError as error:
        print(f"{protocol} to {port}: {error}", flush=True)
    finally:
        for connection in (client, server):
            if connection is not None:
                connection.close()


def listen(address, certificates, certificate, protocol, port, to):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates}/{certificate}.pem", f"{certificates}/{certificate}.key")
    listener = socket.create_server((address, int(port)), backlog=128)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, protocol, int(to), context), daemon=True).start()


def main():
    certificates, *doors = sys.argv[1:]
    listening = [
        threading.Thread(target=listen, args=(address, certificates, *door.split(":")))
        for door in doors for address in ("127.0.0.2", "127.0.0.1")
    ]
    for thread in listening:
        thread.start()


main()
