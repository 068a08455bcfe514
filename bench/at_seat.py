"""What a workstation does, run inside a seat's network namespace: only the standard library.

``python at_seat.py handshakes NAME COUNT`` writes the seconds of each TLS handshake, its connection included.
``python at_seat.py visit SECONDS NAME…`` fetches a page of each name in turn, each on a connection of its own, and
writes begin (seconds from the start), seconds, and what was wrong (empty: nothing), of each.
"""

import json
import socket
import ssl
import sys
import time

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE

TIMEOUT = 10.0


def handshake(name: str, address: str) -> tuple[float, ssl.SSLSocket]:
    """Its seconds, and the connection."""
    begun = time.perf_counter()
    connection = socket.create_connection((address, 443), TIMEOUT)
    secured = CONTEXT.wrap_socket(connection, server_hostname=name)
    return time.perf_counter() - begun, secured


def handshakes(name: str, count: int) -> list[float]:
    address, times = socket.gethostbyname(name), []
    for _number in range(count):
        seconds, connection = handshake(name, address)
        connection.close()
        times.append(seconds)
    return times


def visit(seconds: float, names: list[str]) -> list[tuple[float, float, str]]:
    """As a browser that opens a site: its name, a connection, a page."""
    start = time.perf_counter()
    visits: list[tuple[float, float, str]] = []
    while time.perf_counter() - start < seconds:
        name = names[len(visits) % len(names)]
        begun, fault = time.perf_counter(), ""
        try:
            _seconds, connection = handshake(name, socket.gethostbyname(name))
            with connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                if not (head := connection.recv(4096)).startswith(b"HTTP/1.1 200"):
                    fault = repr(head[:40])
        except OSError as error:
            fault = f"{name}: {error!r}"
        visits.append((begun - start, time.perf_counter() - begun, fault))
        time.sleep(0.05)
    return visits


if __name__ == "__main__":
    what, first, *rest = sys.argv[1:]
    json.dump(handshakes(first, int(rest[0])) if what == "handshakes" else visit(float(first), rest), sys.stdout)
