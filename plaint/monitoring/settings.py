"""What monitoring can be told."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.faults import Fault, FaultsFound

DEFAULT_PORT = 8322
ADDRESS_FILE_MEND = "name a file in a folder that this user can write to, or leave it out"


class AddressFileInvalid(FaultsFound):
    """The file for the address can't be written."""


class MonitoringSettings(BaseModel):
    """``monitoring:`` in the settings: where each process tells of itself, and what is done about one that stands still."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(
        default=True, description="Whether processes answer at /metrics, /healthz, /readyz and /state."
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Whoever reaches it reads numbers, states and errors, but no post.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None,
        description="Port; 0 for any free one, which is logged. Without it `plaint up`, which answers for all its "
        f"stages, takes {DEFAULT_PORT} if that is free, else any free one; a stage run alone takes any free one.",
    )
    address_file: Path | None = Field(
        default=None, description="File to write the address to, for whoever has to find a process on any free port."
    )
    stall_s: Annotated[float, Field(ge=1, le=86_400)] = Field(
        default=60.0,
        description="A stage is stalled when a record waits for it and nothing of that partition was acknowledged for "
        "this long, ingest when what has come in waits so long for Kafka's acknowledgement, or a thread hangs: /healthz "
        "answers 503 then. It must be longer than a batch takes.",
    )
    on_stall: Literal["end", "report", "ignore"] = Field(
        default="end",
        description="end: a stage that stays stalled for another stall_s ends with code 70, to be started again; "
        "ingest, which may hold what a pipe gave it, goes on while no broker answers anybody; report: it only says so; "
        "ignore: nobody looks.",
    )

    def note(self, address: str) -> None:
        """Write the address to its file, if one is named, whole or not at all. Raises AddressFileInvalid."""
        if self.address_file is None:
            return
        file = self.address_file.absolute()
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.write_text(address)
            draft.replace(file)
        except OSError as error:
            what = f"{file} can't be written: {error.strerror}"
            raise AddressFileInvalid([Fault("monitoring.address_file", what, ADDRESS_FILE_MEND)]) from None
