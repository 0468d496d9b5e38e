"""The policy's words in posts as sources send them: the shape of a text neither hides them nor brings some in."""

import pytest

from classify.policy_match import kinds_in


def kinds(text: str) -> list[str]:
    """Names of the kinds of words in a text."""
    return [kind.name for kind, _ in kinds_in(text)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("the driver is\nasleep at the\nwheel", "safety", id="broken lines"),
        pytest.param("two unauthorised\u00a0payments on my statement", "fraud", id="no-break space"),
        pytest.param("no  water for two\tdays now", "outage", id="more than one space"),
        pytest.param("a charge that I don&#39;t recognise", "fraud", id="entity"),
        pytest.param("a charge that I don´t recognise", "fraud", id="accent as apostrophe"),
        pytest.param("my account was hac\u00adked", "fraud", id="soft hyphen"),
        pytest.param("my account was hac\u200bked", "fraud", id="zero width"),
        pytest.param("ｍｙ ａｃｃｏｕｎｔ ｗａｓ ｈａｃｋｅｄ", "fraud", id="full width"),
        pytest.param("<p>nobody <b>answers</b></p>", "repeated contact", id="HTML"),
    ],
)
def test_words_are_found_in_whatever_shape_the_source_sends_them(text: str, kind: str) -> None:
    assert kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("your slogan says &quot;no one answers faster&quot;", id="quotes as entities"),
        pytest.param("My parcel is late.\n\n-- \nUnauthorized access to this mail is an offence.", id="signature"),
        pytest.param('<p>see <a href="https://fjordline.example/no response">this</a></p>', id="address of a link"),
    ],
)
def test_what_stands_around_a_post_does_not_count(text: str) -> None:
    assert kinds(text) == []
