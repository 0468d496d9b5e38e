"""The certificate that plaint shows to brokers that ask who is there: its files, whom it names and when it ends.

Its name is read by hand: Java, and so Kafka, spells some parts of it as their bytes (RFC 2253, 2.4), which neither the standard
library nor ``cryptography`` hands out. OpenSSL has accepted the file before.
"""

import base64
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.faults import Fault, FaultsFound

CERTFILE, KEYFILE = "kafka.ssl_certfile", "kafka.ssl_keyfile"
_MEND = "give a file that this user can read, with a certificate in PEM (-----BEGIN CERTIFICATE-----)"
_KEY_MEND = "give a file that this user can read, with the certificate's key in PEM (-----BEGIN PRIVATE KEY-----)"
_NO_FIT = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's words for a key of another certificate; the last one is said where they are of different kinds."""
_REFUSED = re.compile(r"ALERT_\w*CERTIFICATE|ALERT_UNKNOWN_CA")
"""What OpenSSL says when the other end has ended the connection for the certificate of this one."""

_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_VERSION, _UTC_TIME, _TEXTS = 0xA0, 0x17, (0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1E)
"""Tags of X.690. The texts are those that Java shows as they are."""
_KEYWORDS = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}


class TlsUnusable(FaultsFound):
    """The files that TLS is spoken with: the authorities that vouch for the brokers, and the certificate of this client."""


def load(context: ssl.SSLContext, certfile: Path, keyfile: Path | None, password: str) -> list[Fault]:
    """Have ``context`` show this certificate; what keeps it from that. The key stands in the certificate's file if it has none
    of its own.
    """
    faults = _without_certificate(certfile)
    if keyfile is not None:
        try:
            keyfile.open("rb").close()
        except OSError as error:
            faults.append(Fault(KEYFILE, f"{keyfile.absolute()} can't be read: {error.strerror}", _KEY_MEND))
    return faults or _pair(context, certfile, keyfile, password)


def _without_certificate(certfile: Path) -> list[Fault]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certfile)
    except OSError as error:
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else f"can't be read: {error.strerror}"
        return [Fault(CERTFILE, f"{certfile.absolute()} {why}", _MEND)]
    return []


def _pair(context: ssl.SSLContext, certfile: Path, keyfile: Path | None, password: str) -> list[Fault]:
    asked = False

    def ask() -> str:
        """Given always: without it OpenSSL would ask on the terminal."""
        nonlocal asked
        asked = True
        return password

    key = (keyfile or certfile).absolute()
    try:
        context.load_cert_chain(certfile, keyfile, ask)
    except (ssl.SSLError, ValueError) as error:  # ValueError: no password can be as this one is
        reason = getattr(error, "reason", None)
        if reason in _NO_FIT:
            mend = "give the key that this certificate was made for; its certificate comes first in ssl_certfile"
            return [Fault(KEYFILE, f"{key} does not fit the certificate in {certfile.absolute()}", mend)]
        if asked and password:
            return [
                Fault(
                    "kafka.ssl_keyfile_password",
                    f"does not decrypt {key}",
                    "give the password that this key was encrypted with",
                )
            ]
        if asked:
            mend = "give its password in ssl_keyfile_password_file, or in PLAINT_KAFKA__SSL_KEYFILE_PASSWORD"
            return [Fault("kafka.ssl_keyfile_password", f"is missing, and {key} is encrypted", mend)]
        if reason not in (None, "PEM_LIB"):
            return [Fault(CERTFILE, f"{certfile.absolute()} is refused by OpenSSL: {reason}", "have another one made")]
        mend = _KEY_MEND if keyfile else "put the certificate's key into it, or name the key's file as ssl_keyfile"
        return [Fault(KEYFILE if keyfile else CERTFILE, f"{key} holds no private key", mend)]
    return []


def is_refused(error: object) -> bool:
    """Whether this error says that the broker did not take the certificate of this client, or that it wants one."""
    return _REFUSED.search(str(error)) is not None


@dataclass(frozen=True, slots=True)
class Certificate:
    """``subject`` is the name that Kafka makes a user of: as RFC 2253 and Java write it."""

    subject: str
    ends: datetime


def read(certfile: Path) -> Certificate:
    """The first one of the file, which is the client's. Raises TlsUnusable."""
    faults = _without_certificate(certfile)
    found = _PEM.search(certfile.read_bytes()) if not faults else None
    if found is None:
        raise TlsUnusable(faults or [Fault(CERTFILE, f"{certfile.absolute()} holds no certificate", _MEND)])
    _, whole, _ = next(_elements(base64.b64decode(found[1])))
    _, signed, _ = next(_elements(whole))
    _, _, _, validity, subject, *_ = [content for tag, content, _ in _elements(signed) if tag != _VERSION]
    _, (tag, end, _) = _elements(validity)
    ends = datetime.strptime(end.decode("ascii"), "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ")
    names = ["+".join(_attribute(one) for _, one, _ in _elements(several)) for _, several, _ in _elements(subject)]
    return Certificate(",".join(reversed(names)), ends.replace(tzinfo=UTC))


def _elements(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Those of X.690 that stand here one after another: tag, content, and the whole."""
    while der:
        size, begin = der[1], 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(der[2:begin], "big")
        yield der[0], der[begin : begin + size], der[: begin + size]
        der = der[begin + size :]


def _attribute(pair: bytes) -> str:
    (_, kind, _), (tag, value, whole) = _elements(pair)
    name = _dotted(kind)
    if name not in _KEYWORDS or tag not in _TEXTS:
        return f"{_KEYWORDS.get(name, name)}=#{whole.hex()}"
    text = re.sub(r'[,=+<>#;"\\]', r"\\\g<0>", value.decode("utf-8", "replace"))
    inner = text.strip(" \r")
    before, _, after = text.partition(inner) if inner else (text, "", "")
    return f"{_KEYWORDS[name]}={_spaces(before)}{inner}{_spaces(after)}"


def _spaces(text: str) -> str:
    return "".join(f"\\{space}" for space in text)


def _dotted(kind: bytes) -> str:
    """An object identifier as numbers."""
    numbers, number = [], 0
    for byte in kind:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
