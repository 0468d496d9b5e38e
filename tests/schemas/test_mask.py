"""What is secret is masked however a text writes it, and the rest of the text stays."""

import json
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.mask import MASK, Mask, tokens

WHSEC = "whsec_" + "c2VjcmV0IG9mIHRoZSBoZWxwZGVzaywgMzI="
SECRET = "a/b&c=d+e 'f\"g\\h<é😀%"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"secret {WHSEC}!", f"secret {MASK}!"),
        ("webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= x", f"webhook-signature: {MASK} x"),
        ("webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN\\/H\\/pI4= x", f"webhook-signature: {MASK} x"),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MASK}"),
        ("{'authorization': 'bearer abcdef'}", f"{{'authorization': 'bearer {MASK}'}}"),
        ("Authorization: Basic cGxhaW50Omh1bnRlcjI=", f"Authorization: Basic {MASK}"),
        ("Basic usage: see docs", "Basic usage: see docs"),
        ("v1,short", "v1,short"),
    ],
)
def test_what_looks_like_a_secret_is_masked_whoever_wrote_it(text: str, left: str) -> None:
    assert Mask().masked(text) == left


@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_a_hidden_secret_is_gone_from_every_text(secret: str, before: str, behind: str) -> None:
    mask = Mask()
    mask.hide([secret])
    assert secret not in mask.masked(f"{before}{secret}{behind}").replace(MASK, "") or secret in before + behind


def test_of_two_secrets_the_longer_goes_first() -> None:
    mask = Mask()
    mask.hide(["abcd", "abcdefgh"])
    assert mask.masked("abcdefgh abcd") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        quote(SECRET, safe="").replace("%20", "+"),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        SECRET.replace("&", "\\u0026").replace("=", "\\u003d").replace("<", "\\u003C"),
        json.dumps(json.dumps(SECRET, ensure_ascii=False))[3:-3],
        escape(SECRET),
        SECRET.replace("&", "&amp;").replace("'", "&#039;").replace("/", "&#x2F;").replace("=", "&#61;"),
        repr(SECRET)[1:-1],
    ],
)
def test_a_secret_is_masked_however_it_is_written(written: str) -> None:
    assert Mask([SECRET]).masked(f"token {written}, unknown") == f"token {MASK}, unknown"


def test_what_an_address_spells_in_its_own_way_is_masked_in_every_other() -> None:
    mask = Mask(tokens("https://desk.example/hooks/T0K3N%2Din-path%20x?auth=S3CR3T+in%2Fquery"))
    assert mask.masked("T0K3N-in-path x, T0K3N%2Din-path%20x; S3CR3T in/query, S3CR3T in\\/query") == (
        f"{MASK}, {MASK}; {MASK}, {MASK}"
    )


def test_of_an_address_path_query_and_each_long_part_are_tokens() -> None:
    assert set(tokens("https://desk.example/hooks/T0K3N-in-path?team=7&auth=S3CR3T/half/and-a-longer-half")) == {
        "/hooks/T0K3N-in-path?team=7&auth=S3CR3T/half/and-a-longer-half",
        "/hooks/T0K3N-in-path",
        "hooks/T0K3N-in-path",
        "T0K3N-in-path",
        "team=7&auth=S3CR3T/half/and-a-longer-half",
        "auth=S3CR3T/half/and-a-longer-half",
        "S3CR3T/half/and-a-longer-half",
        "and-a-longer-half",
    }
    assert list(tokens("https://desk.example/hook?v=1")) == []
