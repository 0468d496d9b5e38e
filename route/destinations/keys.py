"""The signing keys of a destination while its process runs: read again when their file changes."""

import hmac
import logging

from route.destinations.settings import DestinationSettings

log = logging.getLogger(__name__)


class SigningKeys:
    """``current`` are the keys to sign with. A file that can't be used leaves the former ones in place, and is told once."""

    def __init__(self, settings: DestinationSettings) -> None:
        """Raises ValueError or OSError if the keys can't be read; neither holds a secret."""
        self._settings = settings
        self._seen = self._look()
        self.current = settings.signing_keys()
        self.mark = self._mark()
        """Changes with the address, the proxy and the first key; nothing can be told from it."""

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether other keys are in use now."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            keys = self._settings.signing_keys()
        except (OSError, ValueError) as error:
            log.warning("the signing secret has changed and can't be read, the former one stays in use: %s", error)
            return False
        if keys == self.current:
            return False
        self.current = keys
        self.mark = self._mark()
        log.info("the signing secret has changed: each request is signed with %d", len(keys))
        return True

    def _look(self) -> tuple[int, ...]:
        """What tells one state of the file from another; a mounted secret is replaced by turning a link."""
        file = self._settings.secret_file
        if file is None:
            return ()
        try:
            found = file.stat()
        except OSError as error:
            return (error.errno or 0,)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _mark(self) -> str:
        way = self._settings.url if self._settings.proxy is None else f"{self._settings.url} {self._settings.proxy}"
        return hmac.digest(self.current[0], way.encode(), "sha256").hex()[:16]
