"""The model of a running classify worker, loaded again on demand: one that can't label is refused, and the old one goes on.

The new one is loaded beside the old, in another thread than posts are labelled in, and they change places between two
batches. So posts wait for nothing but the processor, a batch is labelled by one model, and the old one's memory is given
back as soon as nobody labels with it. For that moment both are there.
"""

import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from datetime import UTC, datetime
from typing import NamedTuple

from classify.batch import Classifier
from classify.load import chosen_weights, load_classifier
from classify.settings import ClassifySettings
from models.choice import ModelChoice
from models.loading import KEY, Model, Weights, weights_fault
from models.manifest import WeightsError
from models.store import ModelInvalid
from plaint.heap import give_back
from plaint.monitoring.triaging import TriageMeter
from plaint.reloading.model_in_use import ModelInUse
from schemas.faults import Fault
from schemas.post import Post
from schemas.triage import Triage

log = logging.getLogger(__name__)

SOUND = Post(id="canary", text="My order has not arrived.", language="en")
"""With its language, since what detects it is for one thread at a time."""
OTHER = "choose one that labels: `plaint models rollback`, or `plaint models use NAME`"


class WorkerModel:
    """The model of a classify worker; ``meter`` labels with it, whichever it is."""

    def __init__(self, settings: ClassifySettings, between: Callable[[Callable[[], None]], "Future[None]"]) -> None:
        """Load it. ``between`` runs what it is given between two batches. Raises ModelInvalid or WeightsError."""
        self._settings = settings
        self._between = between
        self._loading = threading.Lock()
        self._is_ended = False
        weights = chosen_weights(settings)
        found = _load(settings, weights)
        self._identity = weights.identity
        self.meter = TriageMeter(found.classifier, found.model, found.model.runs_on)
        self._told = ModelInUse(
            role="classify",
            version=found.model.version,
            place=weights.place,
            named=settings.model.text if settings.model is not None else "",
            folder=settings.models.resolve(),
        )
        log.info("model: %s on %s", found.model.version, found.model.runs_on)

    def announce(self) -> None:
        """Let ``plaint reload`` find this process."""
        self._told.announce()

    def end(self) -> None:
        """This process labels no more: wait for what is being loaded, which can't be cut off, and load nothing again."""
        self._is_ended = True
        with self._loading:
            self._told.retract()

    def reload(self) -> bool:
        """Label with the model that is chosen now, if it can be loaded and labels; whether that went well. Blocks.

        Not from the thread of the batches.
        """
        with self._loading:
            if self._is_ended:
                return False
            before, changed, faults = self._told.version, False, tuple[str, ...]()
            try:
                changed = self._take()
            except WeightsError as error:
                faults = (str(weights_fault(error)),)
            except ModelInvalid as error:
                faults = tuple(map(str, error.faults))
            except OSError as error:
                what = f"can't be read: {error.strerror or error}"
                faults = (str(Fault(str(self._settings.models), what, "let this user read all of it")),)
            except CancelledError:
                log.info("model: %s stays in use, this process ends", before)
                return False
            self._tell(before, changed, faults)
            return not faults

    def _take(self) -> bool:
        """Whether it is another. Raises ModelInvalid or WeightsError, or CancelledError if no batch comes any more."""
        weights = chosen_weights(self._settings)
        if weights.identity == self._identity:
            return False
        found = _tried(_pinned(self._settings, weights), weights)
        self._swap(found)
        give_back()
        self._identity = weights.identity
        update = {"version": found.model.version, "place": weights.place, "since": datetime.now(UTC)}
        self._told = self._told.model_copy(update=update)
        return True

    def _swap(self, found: "_Loaded") -> None:
        runs_on = found.model.runs_on
        try:
            swapped = self._between(lambda: self.meter.use(found.classifier, found.model, runs_on))
        except RuntimeError as error:  # what a pool that was shut down says
            raise CancelledError from error
        swapped.result()

    def _tell(self, before: str, changed: bool, faults: tuple[str, ...]) -> None:
        """To the log, to those who ask this process, and to ``plaint reload``."""
        if faults:
            for fault in faults:
                log.error("model: %s", fault)
            log.error("model: the one that is chosen was refused, %s stays in use", before)
        elif changed:
            log.info("model: %s on %s from now on, was %s", self.meter.version, self.meter.engine, before)
        else:
            log.info("model: %s is unchanged", before)
        self.meter.refused = faults
        told = {"tries": self._told.tries + 1, "faults": faults, "before": before, "changed": changed}
        self._told = self._told.model_copy(update=told)
        self._told.announce()


class _Loaded(NamedTuple):
    classifier: Classifier
    model: Model


def _load(settings: ClassifySettings, weights: Weights) -> _Loaded:
    return _Loaded(*load_classifier(_pinned(settings, weights)))


def _pinned(settings: ClassifySettings, weights: Weights) -> ClassifySettings:
    """The same, whatever is chosen from now on."""
    if settings.model is not None and settings.model.hugging_face:
        return settings
    return settings.model_copy(update={"model": ModelChoice(name=weights.place)})


def _tried(settings: ClassifySettings, weights: Weights) -> _Loaded:
    """Load it and have it label. Raises ModelInvalid or WeightsError, whatever it fails with."""
    try:
        found = _load(settings, weights)
        (triage,) = found.classifier.triage([SOUND])
    except (WeightsError, ModelInvalid):
        raise
    except Exception as error:  # the old one labels, and nothing that a new one does may end that
        what = f"fails on a plain post: {type(error).__name__}: {error}"
        raise ModelInvalid([Fault(f"{KEY}, {weights.place}", what, OTHER)]) from error
    if not _is_sound(triage):
        raise ModelInvalid([Fault(f"{KEY}, {weights.place}", "gives a plain post no probabilities", OTHER)])
    return found


def _is_sound(triage: Triage) -> bool:
    said = (triage.intents, triage.sentiments, triage.urgencies)
    return all(math.isclose(sum(one.values()), 1.0, abs_tol=0.01) for one in said)
