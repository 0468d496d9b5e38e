"""Weights and a team's corrections to new weights beside them, measured before and after on posts that neither saw.

A folder of such weights holds what any other does, and in place of evaluation.json `corrections.json`: what they were made
of, in numbers and hashes, and the measures. No text of a correction is in any of it but the weights themselves.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers
from models.evaluation.record import labelled
from models.export import Chosen, choose, graph_of, hashes, logits_of
from models.manifest import FLOAT, MANIFEST, NETWORK, TOKENIZER, Corrected, Manifest, load_manifest, sha256
from models.outputs import Floats, probabilities
from models.tokens import Tokens
from models.training.comparison import Compared, compare, fallen, table
from models.training.corrections import LEAST_HELD_OUT, LEAST_LEARNED, RECIPE, learn, newest, share_out
from models.training.data import Example, data_folder, read_dev, read_written
from models.training.listener import Listener
from models.training.packed import load_packed, pack, unpack
from models.training.train import Recipe
from schemas.faults import Fault, FaultsFound

CARD = "README.md"
CORRECTIONS = "corrections.json"
CORRECTIONS_FILE = "corrections"
"""In the manifest's hashes of data; the file's own name may tell whose it was."""
MOST_FALLEN = 0.005
"""So much may macro-F1 and accuracy fall on our posts, as `fallen` has it; on the team's own they may not fall at all."""
KEPT = "kept from {}: there were no dev posts to choose it on, and corrections are no fair draw"
CHOSEN = "chosen on {} dev posts, as that of {} was"


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    base: Path
    """Folder of the weights to go on from."""
    posts: Sequence[LabelledPost]
    sha256: str
    """Of the file that they came from."""
    out: Path
    """Folder to be made; its name becomes the model's."""
    recipe: Recipe = RECIPE
    even_if_worse: bool = False


class Outcome(BaseModel):
    """`corrections.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    made_of: Corrected
    epoch: int
    """The one whose weights these are."""
    learned: int
    watched: int
    """Corrections that training was ended by."""
    held_out: int
    calibration: str
    theirs: Compared
    ours: Compared
    worse: list[str]
    """What fell by more than is allowed."""


def go_on(order: Order, listener: Listener) -> Outcome | None:
    """Learns, measures, and saves the new weights unless they are worse; None where nothing was learned, and so nothing saved:
    no epoch was better on the corrections that training stops by. The same order gives the same weights.

    Raises:
        WeightsError: the weights can't be read, or have no float network to go on from.
        FaultsFound: there are too few corrections, or the folder is there already.
    """
    if order.out.exists():
        raise FaultsFound([Fault(f"--out {order.out}", "is there already", "name a folder that isn't")])
    manifest = load_manifest(order.base)
    packed, tokens = load_packed(order.base, manifest), Tokens(order.base / TOKENIZER, manifest.max_tokens)
    before, check = read_written()
    parts = _parts(newest(order.posts), before)
    listener.say(
        f"{len(parts.learned)} corrections to learn from, {len(parts.watched)} to stop by, {len(parts.held_out)} held out"
    )
    learned = learn(packed.network, tokens, parts.learned, parts.watched, before, listener, order.recipe)
    if not learned.epoch:
        return None

    draft = order.out.with_name(f".{order.out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        shutil.copyfile(order.base / TOKENIZER, draft / TOKENIZER)
        (draft / FLOAT).write_bytes(pack(learned.network, packed.activations))
        (draft / NETWORK).write_bytes(graph_of(unpack(draft / FLOAT)))
        listener.say("measuring before and after")
        outcome = _measured(order, manifest, draft, learned.epoch, tokens, parts, check)
        if not outcome.worse or order.even_if_worse:
            (draft / CORRECTIONS).write_text(outcome.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (draft / CARD).write_text(card(outcome), encoding="utf-8")
            draft.rename(order.out)
        return outcome
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Parts:
    learned: list[LabelledPost]
    watched: list[LabelledPost]
    held_out: list[LabelledPost]


def _parts(posts: Sequence[LabelledPost], before: Sequence[Example]) -> _Parts:
    """Raises FaultsFound where there are too few."""
    shares = share_out([post.text for post in posts], [example.text for example in before])
    if len(shares.learned) < LEAST_LEARNED:
        what = f"{len(posts)} different posts are too few: {LEAST_HELD_OUT} are held out to measure on"
        mend = f"give {LEAST_HELD_OUT + LEAST_LEARNED} at the least, such that not all say nearly the same"
        raise FaultsFound([Fault("the corrections", what, mend)])
    return _Parts(*([posts[place] for place in part] for part in (shares.learned, shares.watched, shares.held_out)))


def _measured(
    order: Order,
    manifest: Manifest,
    draft: Path,
    epoch: int,
    tokens: Tokens,
    parts: _Parts,
    check: Sequence[Example],
) -> Outcome:
    """Both models as they serve; writes the manifest of the new one."""
    dev = read_dev(data_folder())
    old = Chosen(manifest.calibration, manifest.urgent_threshold, manifest.unsure_below)
    new = choose(dev, logits_of(draft / NETWORK, labelled(dev), tokens), manifest.seed) if dev else old
    made_of = Corrected(
        model=manifest.name,
        manifest=sha256((order.base / MANIFEST).read_bytes()),
        corrections=len(order.posts),
        sha256=order.sha256,
    )
    about = {"name": order.out.name, "corrected": made_of, "files": hashes(draft), **asdict(new)}
    about["data"] = {**manifest.data, CORRECTIONS_FILE: order.sha256}
    made = Manifest.model_validate({**manifest.model_dump(), **about})
    (draft / MANIFEST).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def compared(what: str, posts: Sequence[LabelledPost]) -> Compared:
        before = _answers(logits_of(order.base / NETWORK, posts, tokens), old)
        return compare(what, posts, before, _answers(logits_of(draft / NETWORK, posts, tokens), new), new.unsure_below)

    theirs = compared("your held-out corrections", parts.held_out)
    ours = compared("our check posts", labelled([*check, *dev]))
    return Outcome(
        name=made.name,
        made_of=made_of,
        epoch=epoch,
        learned=len(parts.learned),
        watched=len(parts.watched),
        held_out=len(parts.held_out),
        calibration=CHOSEN.format(f"{len(dev):,}", manifest.name) if dev else KEPT.format(manifest.name),
        theirs=theirs,
        ours=ours,
        worse=fallen(theirs, allowed=0.0) + fallen(ours, allowed=MOST_FALLEN),
    )


def _answers(logits: Floats, chosen: Chosen) -> Answers:
    return Answers.of(probabilities(logits, chosen.calibration), chosen.urgent_threshold)


def card(outcome: Outcome) -> str:
    """In Markdown; written from the outcome alone, so it can hold no text of a correction."""
    made_of = outcome.made_of
    told = "\n\n".join(f"{one.title}.\n\n{one.markdown()}" for one in (table(outcome.theirs), table(outcome.ours)))
    worse = "".join(f"- {line}\n" for line in outcome.worse)
    warning = f"\n**Saved although it is worse:**\n\n{worse}" if worse else ""
    return f"""# {outcome.name}

{made_of.model} (manifest {made_of.manifest[:12]}), gone on with {made_of.corrections:,} corrections of a team (file
{made_of.sha256[:12]}): {outcome.learned:,} were learned from, {outcome.watched:,} ended the training, and
{outcome.held_out:,} were held out. The weights are those of epoch {outcome.epoch}. The card of {made_of.model} says what else
it was made of and what it can't do.
{warning}
## Before and after

As int8, in brackets the 95% bootstrap interval. "Gained" is over the same draws: an interval that holds 0 says that these
posts don't tell. Corrections are mostly what was wrong before, so on them "before" says nothing of posts at large.

{told}

Calibration and thresholds: {outcome.calibration}.
"""
