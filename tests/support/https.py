"""What tests of TLS and of HTTP receivers share: a certificate that nobody vouches for, a server in a thread."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def self_signed(folder: Path, name: str) -> None:
    """Make ``folder``/cert and ``folder``/key for 127.0.0.1 and the host ``name``, valid for two days."""
    make = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ]
    make += [
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=IP:127.0.0.1,DNS:{name}",
        "-keyout",
        "key",
        "-out",
        "cert",
    ]
    subprocess.run(make, check=True, capture_output=True, cwd=folder)


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[ThreadingHTTPServer]:
    """A server on a port of its own that answers while the block runs; over TLS with a ``context``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # seconds until it sees that it is to end
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
