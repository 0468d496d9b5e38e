"""Posts as sources send them, back to what their authors wrote."""

import time

import pytest

from models.source_text import MOST_READ, as_written, plain_unicode
from models.text import normalise

WRITTEN = "@northrail your app can't log me in & nobody answers. Third day!"


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        pytest.param("fish &amp; chips &lt;3 &#39;ere", "fish & chips <3 'ere", id="entities"),
        pytest.param("can&amp;#039;t log in &amp;amp; nobody cares", "can't log in & nobody cares", id="escaped twice"),
        pytest.param("first<br>second<br />third", "first\nsecond\nthird", id="line breaks"),
        pytest.param("&lt;p&gt;it is &lt;b&gt;dead&lt;/b&gt;&lt;/p&gt;", "\nit is dead\n", id="escaped HTML"),
        pytest.param(
            '<p><span class="h-card"><a href="https://s.example/@nr" class="mention">@<span>nr</span></a></span> why?</p>',
            "\n@nr why?\n",
            id="mention of Mastodon",
        ),
        pytest.param(
            '<p>see <a href="https://x.example/a"><span class="invisible">https://</span><span>x.example/a</span></a></p>',
            "\nsee https://x.example/a\n",
            id="link of Mastodon",
        ),
        pytest.param("My parcel is gone.\n\n-- \nJo Miller\nNorvik Ltd", "My parcel is gone.\n", id="signature"),
        pytest.param("My parcel is gone.\n\nSent from my iPhone\n", "My parcel is gone.\n", id="sent from a telephone"),
        pytest.param("Gone.\nGet Outlook for iOS<https://aka.example/o0>", "Gone.", id="advert of a mail program"),
        pytest.param(
            "Still gone!\n\nOn Mon, 3 Nov 2025 at 10:12, Norvik <help@norvik.example>\nwrote:\n> We are sorry.\n> Norvik",
            "Still gone!\n",
            id="answered message below",
        ),
        pytest.param(
            "Gone.\n-----Original Message-----\nFrom: Norvik\n\nSorry", "Gone.", id="answered message of Outlook"
        ),
        pytest.param(
            "Gone!\n\nSent from my iPhone\n\n> On 3 Nov 2025, at 10:12, Norvik <help@norvik.example> wrote:\n> \n> Sorry.",
            "Gone!\n",
            id="answered message below an advert",
        ),
        pytest.param(
            "<html><body><!-- SC_OFF --><p>Gone!</p></body></html>", "\n\n\nGone!\n\n\n", id="whole page with comments"
        ),
        pytest.param("\ud83d\ude00 hi \ud800", "😀 hi ", id="surrogates"),
    ],
)
def test_what_a_source_puts_around_a_post_is_taken_off(sent: str, written: str) -> None:
    assert as_written(sent) == written


@pytest.mark.parametrize(
    "advert",
    [
        "Sent from my iPad",
        "sent from my phone",
        "Sent from my iPhone 12 Pro",
        "Sent from my Samsung Galaxy smartphone.",
        "Sent from my Verizon, Samsung Galaxy S8+ device",
        "Sent from my Xperia™ by Sony smartphone",
        "Sent from my BlackBerry 10 smartphone.",
        "Sent from my Android device with K-9 Mail. Please excuse my brevity.",
        "Sent from Mail<https://go.example/550986> for Windows",
        "Sent from Yahoo Mail on Android",
        "Get Outlook for Android [https://aka.example/o0]",
    ],
)
def test_adverts_of_mail_programs_are_taken_off(advert: str) -> None:
    assert as_written(f"Gone.\n\n{advert}\n") == "Gone.\n"


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "use <b> for bold",
        "<user> told <name> about <url>",
        "money sent from my account\nwas sent twice",
        "On Monday she wrote:\nnothing",
        "My money is gone.\nSent from my Norvik account on 3 May, it never came",
        "Where is it?\nSent from my phone and nobody answered",
        "No answer.\nsent from outlook to your address three times",
        "It broke.\nGet Outlook for my laptop working again",
        "Hi,\n\nOn Mon, 3 Nov 2025 at 10:12, Norvik <help@norvik.example> wrote:\n> It is late.\n\nNo, it is lost!",
        "I asked twice.\nOn Monday your agent wrote:\n> we will pay\nThey never did.",
        "one thing\n--\nanother thing",
        "\n-- \nJo Miller",
        "\nSent from my iPhone",
        "> quoted\nmy answer",
        "R&D, AT&T, Q&A",
    ],
)
def test_what_the_author_may_have_written_stays(text: str) -> None:
    assert as_written(text) == text


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("\ufeff{}", id="byte order mark"),
        pytest.param("<p>{}</p>", id="paragraph"),
        pytest.param("<div>{}</div>\n\n-- \nJo", id="paragraph and signature"),
        pytest.param("{}\n\nSent from my iPad", id="sent from a tablet"),
    ],
)
def test_a_post_in_another_shape_reads_the_same_to_the_network(sent: str) -> None:
    assert normalise(sent.format(WRITTEN)) == normalise(WRITTEN)


def test_what_nobody_sees_within_words_does_not_part_them() -> None:
    assert plain_unicode("un\u00adbe\u200bliev\ufeffable") == "unbelievable"
    assert normalise("@North\u00adRail the parce\u200bl #Never\u200bAgain") == normalise(
        "@NorthRail the parcel #NeverAgain"
    )


def test_a_run_of_handles_is_shortened_behind_what_nobody_sees_too() -> None:
    handles = "@a @b @c @d @e stop"
    assert normalise(f"\n {handles}") == normalise(f"\u200b{handles}") == normalise(handles) == "@a @b @c stop"


@pytest.mark.parametrize("hidden", ["<user>", "<USER>", "[mention]", "{{username}}", "__user__", "@[handle]", "@USER"])
def test_hidden_handles_read_alike(hidden: str) -> None:
    assert normalise(f"{hidden} why?").lower() == "@user why?"


@pytest.mark.parametrize(
    "hidden", ["<url>", "[URL]", "{link}", "{{url}}", "__url__", "pic.twitter.com/aB1", "https://x.example"]
)
def test_hidden_links_and_pictures_read_as_links(hidden: str) -> None:
    assert normalise(f"see {hidden} now") == "see http now"


@pytest.mark.parametrize(
    "hostile",
    [
        "&#" + "9" * 1_000_000 + ";",
        "&amp;" * 200_000,
        "<a " * 300_000,
        "<a" + " " * 1_000_000,
        "<br>" * 250_000,
        "\nOn " + "a" * 1_000_000,
        ("\nOn " + "a" * 296) * 3000,
        "\nOn someone wrote:" + "\n" * 1_000_000,
        "\nOn " + "a" * 100 + " " * 90 + "wrote:" + "\n" * 1_000_000 + "x",
        "\nOn someone wrote:\n>" + "\n>" * 500_000 + "\nx",
        "\nSent from my" + "\n" * 1_000_000 + "x",
        "\n-- " * 250_000,
        "\ud800" * 1_000_000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_hostile_text_costs_milliseconds(hostile: str) -> None:
    started = time.thread_time()
    written = as_written(hostile)
    assert time.thread_time() - started < 0.5
    assert len(written) <= MOST_READ + 1
