"""Chooses the posts of the public sets that a student reads without labels, and writes their rows to
`models/data/unlabelled/SOURCE.csv`: `python -m models.training.choose_unlabelled`.

In each set those whose digests come first, so that the choice hangs on nothing but the texts. Left out is what is labelled,
what is in no measured language, and what nearly repeats a test or dev post.
"""

import csv

from models.language import Languages
from models.text import normalise
from models.training.add_posts import tested_texts, without_repeats
from models.training.data import ADDED, REAL_FILES, data_folder, public_texts, read_added, read_examples, text_digest

WANTED = {
    "cfpb_2020": 350,
    "cfpb_kaiburr": 450,
    "clinc150": 1200,
    "crisislex_t26": 3000,
    "goemotions": 7000,
    "multidogo": 2200,
    "nlupp": 1200,
    "sms_spam": 1200,
}
"""How many of each set at the most. All of them state terms that allow it."""
SHORTEST = 12
"""Characters."""
COLUMNS = ("row", "digest")


def choose(source: str, wanted: int, labelled: set[str]) -> list[dict[str, object]]:
    """Rows of a public set, with their texts."""
    languages, found = Languages(("en",)), dict[str, dict[str, object]]()
    for row, text in enumerate(public_texts(data_folder(), source)):
        if len(text) >= SHORTEST and _same(text) not in labelled and languages.of(text, "").measured:
            found.setdefault(_same(text), {"row": row, "text": text, "digest": text_digest(text), "source": source})
    return sorted(found.values(), key=lambda one: str(one["digest"]))[:wanted]


def _same(text: str) -> str:
    return " ".join(normalise(text).lower().split())


def main() -> None:
    folder = data_folder()
    labelled = {_same(one.text) for one in [*read_examples(folder, REAL_FILES), *read_added(folder)]}
    rows = [row for source, wanted in WANTED.items() for row in choose(source, wanted, labelled)]
    kept = without_repeats(rows, tested_texts(folder))
    print(f"{len(rows) - len(kept)} of {len(rows)} posts nearly repeat a test or dev post and are left out")
    (ADDED / "unlabelled").mkdir(exist_ok=True)
    for source in WANTED:
        mine = sorted((row for row in kept if row["source"] == source), key=lambda row: row["row"])
        with (ADDED / "unlabelled" / f"{source}.csv").open("w", encoding="ascii", newline="") as out:
            writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(mine)
        print(f"{source}: {len(mine)}")


if __name__ == "__main__":
    main()
