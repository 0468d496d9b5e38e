"""The model of ``plaint up``: that of its classify worker, which is told to load the one that is chosen now."""

from collections.abc import Callable

from classify.settings import ClassifySettings
from plaint.reloading.model_in_use import ModelInUse
from plaint.reloading.telling import Telling

ANSWER_S = 300.0


class RunModel(Telling[ModelInUse]):
    """Tells ``plaint reload`` what the classify worker said, whichever process that is by then."""

    def __init__(self, settings: ClassifySettings) -> None:
        named = settings.model.text if settings.model is not None else ""
        super().__init__(ModelInUse(role="up", version="", named=named, folder=settings.models.resolve()))

    async def follow(self, worker: Callable[[], int | None]) -> None:
        """Tell the worker whenever it is wanted, until cancelled; ``worker`` tells its process id."""
        while True:
            await self._next_wish()
            said = await self._answer(worker, ANSWER_S)
            changes: dict[str, object] = {"faults": (f"the classify worker did not answer within {ANSWER_S:g} s",)}
            if said is not None:
                changes = said.model_dump(include={"version", "place", "since", "before", "changed", "faults"})
            self._told = self._told.model_copy(update=changes | {"tries": self._told.tries + 1})
            self._told.announce()
