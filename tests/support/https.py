"""What tests of TLS and of HTTP receivers share: certificates, those that nobody vouches for too, a server in a thread."""

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


def signed(folder: Path, subject: str, authority: Path, name: str) -> None:
    """Make ``folder``/``name``.pem and ``name``.key for ``subject``; ``authority`` is a folder of ``self_signed``."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    ask = ["openssl", "req", "-new", "-nodes", "-utf8", *curve, "-subj", subject, "-keyout", f"{name}.key"]
    asked = subprocess.run(ask, check=True, capture_output=True, cwd=folder).stdout
    by = ["-CA", str(authority / "cert"), "-CAkey", str(authority / "key"), "-set_serial", "7"]
    sign = ["openssl", "x509", "-req", "-days", "2", *by, "-out", f"{name}.pem"]
    subprocess.run(sign, input=asked, check=True, capture_output=True, cwd=folder)


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
