"""Which models are on this machine, and which one labels posts: the work of ``plaint models``."""

from collections.abc import Sequence

from pydantic import BaseModel

from classify.settings import ClassifySettings
from models.choice import ModelChoice
from models.evaluation.report import Figure
from models.store import Known, ModelInvalid, Origin, Store
from plaint.diagnosis import model as diagnosis
from plaint.local.running import find_running
from plaint.reloading.model_in_use import ModelInUse
from schemas.faults import Fault

KEY = "classify.model"


class ModelShown(BaseModel):
    """A model as `plaint models list` shows it. Scores are those of its test part, None where they weren't measured."""

    name: str
    in_use: bool
    origin: Origin
    folder: str
    version: str
    """What its triages carry."""
    languages: tuple[str, ...]
    bytes: int
    layers: int | None
    unsure_below: float | None
    intent_macro_f1: float | None = None
    sentiment_macro_f1: float | None = None
    urgency_kappa: float | None = None
    urgent_recall: float | None = None
    urgent_precision: float | None = None
    fault: str = ""
    """Why it can't be used."""


def models_here(settings: ClassifySettings) -> list[ModelShown]:
    """All of them; none is in use where the settings name another. Raises ModelInvalid."""
    store = Store(settings.models)
    used = named(settings) or store.name_in_use()
    return [_shown(one, one.name == used) for one in store.models()]


def named(settings: ClassifySettings) -> str:
    """The model that the settings name, which wins over any choice; empty if they name none."""
    return settings.model.text if settings.model is not None else ""


def choose(settings: ClassifySettings, name: str) -> str:
    """Use a model from the next start or ``plaint reload`` on, once it has loaded and labelled; what was seen of it.

    Raises ModelInvalid if it can't be used, or if the settings name another.
    """
    _refuse_if_named(settings)
    store = Store(settings.models)
    looked = _tried(settings, store, name)
    store.use(name)
    return looked


def go_back(settings: ClassifySettings) -> tuple[str, str]:
    """Use the model from before the last choice again; its name, and what was seen of it. Raises ModelInvalid."""
    _refuse_if_named(settings)
    store = Store(settings.models)
    name = store.before()
    looked = _tried(settings, store, name)
    store.rollback()
    return name, looked


def taken_by(settings: ClassifySettings) -> list[str]:
    """What has the processes take what was chosen, a line each; processes of this user on this machine are named."""
    running = find_running()
    found = ModelInUse.all()
    if running is not None:
        found = [one for one in found if one.pid == running.pid]
    elsewhere = "" if running is not None else "; elsewhere send SIGHUP to each `plaint run classify`"
    lines = [_not_taken(one) for one in found if not one.takes_choices_of(settings.models)]
    who = [_who(one) for one in found if one.takes_choices_of(settings.models)]
    if who:
        lines.append(f"`plaint reload` has {', '.join(who)} take it now{elsewhere}")
    elif running is None:
        lines.append(f"`plaint run classify` takes it when it starts{elsewhere}")
    elif not found:
        lines.append(f"`plaint up` (process {running.pid}) is just starting or ending: `plaint reload` once it runs")
    return lines


def _who(one: ModelInUse) -> str:
    return f"`plaint {'up' if one.role == 'up' else 'run classify'}` (process {one.pid})"


def _not_taken(one: ModelInUse) -> str:
    if one.named:
        return f"{_who(one)} does not take it: its settings name {one.named}, which wins"
    return f"{_who(one)} does not take it: its classify.models is {one.folder}"


def _refuse_if_named(settings: ClassifySettings) -> None:
    if wanted := named(settings):
        what = f"the settings name {wanted}, which wins over what is chosen here"
        raise ModelInvalid([Fault(KEY, what, "take it out of the settings first, or change it there")])


def _tried(settings: ClassifySettings, store: Store, name: str) -> str:
    """Load it and have it label."""
    found = diagnosis.check(settings.model_copy(update={"model": ModelChoice(name=str(store.find(name)))}))
    faults = [Fault(name, one.what, one.mend) for one in found.findings if one.severity == "fail"]
    if faults:
        raise ModelInvalid(faults)
    return found.looked


def _shown(known: Known, in_use: bool) -> ModelShown:
    manifest = known.manifest
    return ModelShown(
        name=known.name,
        in_use=in_use,
        origin=known.origin,
        folder=str(known.folder),
        version=manifest.name if manifest else "",
        languages=manifest.languages if manifest else (),
        bytes=known.bytes,
        layers=manifest.layers if manifest else None,
        unsure_below=manifest.unsure_below if manifest else None,
        fault=known.fault,
        **_scores(known),
    )


def _scores(known: Known) -> dict[str, float]:
    if known.evaluation is None:
        return {}
    measured = known.evaluation.test.measures
    figures: dict[str, Figure | None] = {}
    if measured.intent is not None:
        figures["intent_macro_f1"] = measured.intent.macro_f1
    if measured.sentiment is not None:
        figures["sentiment_macro_f1"] = measured.sentiment.macro_f1
    if measured.urgency is not None:
        figures["urgency_kappa"] = measured.urgency.kappa
    if measured.urgent is not None:
        figures |= {"urgent_recall": measured.urgent.recall, "urgent_precision": measured.urgent.precision}
    return {name: figure.value for name, figure in figures.items() if figure is not None}


def lines(found: Sequence[ModelShown], settings: ClassifySettings) -> list[str]:
    """As a table for people; the one in use has a star."""
    head = ("", "NAME", "FROM", "LANGUAGES", "SIZE", "INTENT F1", "SENTIMENT F1", "URGENT RECALL", "AT PRECISION")
    rows = [head, *(_row(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    told = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    told += [f"! {one.name} can't be used: {one.fault}" for one in found if one.fault]
    if not any(one.in_use for one in found):
        used = named(settings) or f"{Store(settings.models).name_in_use()}, which isn't there"
        told.append(f"in use: {used}{' (classify.model in the settings)' if named(settings) else ''}")
    return told


def _row(one: ModelShown) -> tuple[str, ...]:
    scores = (one.intent_macro_f1, one.sentiment_macro_f1, one.urgent_recall, one.urgent_precision)
    return (
        "*" if one.in_use else "!" if one.fault else "",
        one.name,
        one.origin,
        " ".join(one.languages) or "-",
        f"{one.bytes / 1e6:.1f} MB",
        *("-" if score is None else f"{score:.3f}" for score in scores),
    )
