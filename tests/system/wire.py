"""What plaint's topics and tickets look like from outside. Written down once more on purpose, not imported: a test that
shared the program's own idea of a name or a key would not see it change.
"""

from hashlib import blake2b

POSTS = "plaint.posts"
TRIAGED = "plaint.triaged"
DEAD_LETTERS = "plaint.deadletters"
OWNER_KEY = b"_owner"
FINAL = ("done", "dead")


def tickets(destination: str) -> str:
    """The topic of tickets for ``destination``."""
    return f"plaint.tickets.{destination}"


def deliveries(destination: str) -> str:
    """The delivery log of ``destination``."""
    return f"plaint.deliveries.{destination}"


def ticket_key(post_id: str, destination: str) -> str:
    """Identity of the ticket for a post at a destination."""
    return blake2b(f"{post_id}\0{destination}".encode(), digest_size=16, person=b"plaint-ticket").hexdigest()


def webhook_id(key: str, revision: int) -> str:
    """The id that a ticket's webhook carries on every try."""
    return f"{key}-{revision}"
