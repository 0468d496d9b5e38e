"""Posts for the HTTP door."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping


def answer_of(door: str, body: object, headers: Mapping[str, str] | None = None) -> int:
    """The status with which the door at ``door`` answers this. Raises OSError if it doesn't."""
    kind = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{door}/v1/posts", json.dumps(body).encode(), kind)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
