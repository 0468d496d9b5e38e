"""What tickets are known by. It stands in topics and at receivers, so another version must come to the same."""

from schemas.ticket import message_id, ticket_key, ticket_partition

KEY = "c60b63757e96f908d471cd549701ff07"


def test_the_key_of_a_ticket_and_its_partition_are_those_of_every_version() -> None:
    assert ticket_key("x:1", "helpdesk") == KEY
    assert ticket_key("x:1h", "elpdesk") != KEY
    assert [ticket_partition(KEY, count) for count in (4, 12)] == [1, 5]


def test_so_is_the_id_of_its_message() -> None:
    assert [message_id(KEY, 3, generation) for generation in (0, 1)] == [f"{KEY}-3", f"{KEY}-3-1"]
