"""Real posts that nobody labelled, of the public sets that are trained on: a student learns from them what its teachers say."""

from collections.abc import Sequence
from pathlib import Path

import numpy
from sklearn.feature_extraction.text import TfidfVectorizer

from models.language import Languages
from models.text import normalise
from models.training.data import ENGLISH, Example, Parts, labelled_sources, public_texts, text_digest
from models.training.split import GRAMS, SAME_POST_COSINE

MOST, MOST_A_LABELLED = 12_000, 3
"""Of one set, and for each of its posts that are labelled, so that none drowns the rest."""
LEAST_CHARS = 8


def read_unlabelled(folder: Path, parts: Parts, clear: bool = False) -> list[Example]:
    """Those in English that are neither labelled nor nearly repeat a post that is tested on; the same for the same files.

    With `clear` none of the sources whose terms are unclear. Half a minute.
    """
    tested = [example.text for example in (*parts.dev, *parts.test)]
    taken = {_plain(text) for text in (*tested, *(example.text for example in (*parts.train, *parts.check)))}
    english, found = Languages([ENGLISH]), []
    for source in labelled_sources(clear):
        texts, of_source = public_texts(folder, source), 0
        most = min(MOST, MOST_A_LABELLED * sum(example.source == source for example in parts.train))
        for row in sorted(range(len(texts)), key=lambda row: text_digest(texts[row])):
            plain = _plain(texts[row])
            if of_source == most:
                break
            if len(plain) < LEAST_CHARS or plain in taken or not english.of(texts[row]).measured:
                continue
            taken.add(plain)
            of_source += 1
            found.append(Example(f"{source}:{row}", source, texts[row], 0, 0, 0, sure=False, annotated=False))
    return _without_repeats(found, tested) if found else []


def _without_repeats(examples: Sequence[Example], tested: Sequence[str]) -> list[Example]:
    """Those that are like none of the texts."""
    grams = TfidfVectorizer(**GRAMS)
    matrix = grams.fit_transform([_plain(text) for text in (*tested, *(example.text for example in examples))]).tocsr()
    others, ours = matrix[: len(tested)].T.tocsc(), matrix[len(tested) :]
    kept = []
    for start in range(0, len(examples), 2000):
        nearest = numpy.asarray((ours[start : start + 2000] @ others).max(axis=1).todense()).ravel()
        part = zip(examples[start : start + 2000], nearest, strict=True)
        kept += [example for example, cosine in part if cosine < SAME_POST_COSINE]
    return kept


def _plain(text: str) -> str:
    return normalise(text).lower()
