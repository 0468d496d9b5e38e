"""A source named in one short text or in a map, and what is told when it can't be."""

import os
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import SourceSettings


def test_a_path_is_enough() -> None:
    settings = SourceSettings.model_validate("file:posts.jsonl")
    assert (settings.path, settings.is_csv, settings.rate, settings.loop) == ("posts.jsonl", False, None, False)


@pytest.mark.parametrize(
    "text", ["stdin", "file:-", "file:/dev/stdin", "file:/dev/fd/0,format=csv", "file:/proc/self/fd/0"]
)
def test_standard_input_is_one_source_by_whatever_name(text: str) -> None:
    assert SourceSettings.model_validate(text).path == "-"


def test_what_was_taken_from_a_pipe_or_standard_input_cannot_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    paths = ("-", "/dev/null", tmp_path / "pipe", tmp_path / "file", tmp_path / "none")
    sources = [SourceSettings.model_validate({"path": str(path)}) for path in paths]
    assert [source.is_stream for source in sources] == [True, True, True, False, False]


def test_options_follow_after_commas() -> None:
    text = "file:a:b=c.csv.gz,name=tweets,columns.id=id,columns.author.handle=user,constants.network=x,rate=2.5,loop"
    settings = SourceSettings.model_validate(text)
    assert settings.path == "a:b=c.csv.gz"
    assert settings.columns == {"id": "id", "author.handle": "user"}
    assert settings.constants == {"network": "x"}
    assert (settings.rate, settings.loop, settings.name, settings.format) == (2.5, True, "tweets", "auto")


def test_columns_may_be_one_text_too() -> None:
    given = {"path": "a", "format": "csv", "columns": "id=tweet_id, text=body", "constants": "network=x"}
    settings = SourceSettings.model_validate(given)
    assert (settings.columns, settings.constants) == ({"id": "tweet_id", "text": "body"}, {"network": "x"})


def test_a_text_in_a_list_of_settings_is_the_same_as_its_map() -> None:
    settings = SourceSettings.model_validate("file:a.csv,columns.id=n,columns.text=t,rate=3")
    assert SourceSettings.model_validate(settings.model_dump(exclude_unset=True)) == settings


@pytest.mark.parametrize(
    ("path", "options", "is_csv"),
    [
        ("a.CSV", {}, True),
        ("a.csv.gz", {}, True),
        ("a.jsonl.gz", {}, False),
        ("-", {}, False),
        ("-", {"columns": {"id": "n"}}, True),
        ("a.csv", {"format": "jsonl"}, False),
        ("a.txt", {"format": "csv"}, True),
    ],
)
def test_the_format_follows_from_name_and_columns(path: str, options: dict[str, Any], is_csv: bool) -> None:
    assert SourceSettings.model_validate({"path": path, **options}).is_csv == is_csv


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("posts.jsonl", "names no source; it takes file:PATH, file:- or stdin"),
        ("kafka:x", "names no source"),
        ("file:", "path"),
        ("file:a.jsonl,fast", "'fast' is no option"),
        ("file:a.jsonl,speed=3", "speed"),
        ("file:a.jsonl,rate=0", "rate"),
        ("file:a.jsonl,rate=many", "rate"),
        ("file:a.jsonl,loop=perhaps", "loop"),
        ("file:a.csv,columns.handle=user", "handle is no field of a post; it takes id, text"),
        ("file:a.csv,columns.id=", "id has no value; write id=VALUE"),
        ("file:a.csv,constants.id=1", "id can't be the same for all posts"),
        ("file:a.csv,columns.id=a,columns.text=b,constants.text=c", "text: is both a column and a constant"),
        ("file:a.jsonl,format=jsonl,columns.id=a", "JSON Lines have no columns"),
        ("stdin,loop", "can't be read again"),
    ],
)
def test_what_is_wrong_is_told_with_its_mend(text: str, told: str) -> None:
    with pytest.raises(ValueError) as error:
        SourceSettings.model_validate(text)
    assert told in str(error.value)
