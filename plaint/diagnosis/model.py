"""Whether the model's weights are whole, load, label a sentence that everybody would label alike, and how fast it is."""

import time
from collections.abc import Sequence

from classify.settings import ClassifySettings
from plaint.diagnosis.check import Check, checked
from plaint.diagnosis.finding import fail, failures, warn
from schemas.faults import Fault, FaultsFound

NAME = "model"
KNOWN = (
    "My router is dead for the third time this week and nobody answers my calls. I want my money back!",
    "complaint",
)
SLOW_POSTS_S = 20.0
SPEED_POSTS = 64
WORDS = "the parcel came late and broken but the driver was kind so I ask you where is my refund and when will it come"


def check(settings: ClassifySettings) -> Check:
    """Takes a second or two, and the model's memory for as long."""
    from models.loading import load_model, weights_fault  # costs the inference runtime
    from models.manifest import WeightsError

    try:
        began = time.monotonic()
        engine = load_model(settings.model, settings.models, settings.threads, remembered=0)
        loaded_s = time.monotonic() - began
    except WeightsError as error:
        return _unusable(settings, [weights_fault(error)])
    except FaultsFound as error:
        return _unusable(settings, error.faults)
    from schemas.labels import INTENTS

    scores = engine.score([KNOWN[0]])[0]
    intent = INTENTS[scores.intents.index(max(scores.intents))]
    speed = _posts_a_second(engine.score)
    found = []
    if intent != KNOWN[1]:
        what = f"{engine.version} takes a plain complaint for {intent} ({max(scores.intents):.2f})"
        mend = "measure it before it is used: `plaint evaluate FILE`; or leave classify.model out"
        found.append(fail("classify.model", what, mend))
    if speed < SLOW_POSTS_S:
        mend = "set classify.threads to the cores that it may use, or give it more; look what else runs here"
        found.append(warn("classify.threads", f"it labels {speed:.0f} posts a second only", mend))
    looked = f"{engine.version}: loaded in {loaded_s:.1f} s, labels {speed:.0f} posts a second, a complaint as {intent}"
    return checked(NAME, looked, found)


def _unusable(settings: ClassifySettings, faults: Sequence[Fault]) -> Check:
    named = settings.model.text if settings.model else "the model in use"
    return checked(NAME, named, failures(faults))


def _posts_a_second(score: object) -> float:
    """On posts of some twenty words, all different."""
    assert callable(score)
    texts = [f"{number} {WORDS}" for number in range(SPEED_POSTS)]
    began = time.perf_counter()
    score(texts)
    return SPEED_POSTS / (time.perf_counter() - began)
