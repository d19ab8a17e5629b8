"""What the service takes on, and how it says no."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from horizon_st.errors import UserError

MEGABYTE = 1_000_000


class BusyError(Exception):
    """The service has all it can take.

    Args:
        retry_after_s: when to come back.
    """

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            f"The server translates as much as it can. Try again in {retry_after_s:.0f} s."
        )


class FullError(Exception):
    """As much lies on the server's disk as may.

    Args:
        retry_after_s: when some of it will be gone.
    """

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            "The server keeps as much as it can of what was uploaded within the last hour. "
            f"Try again in {math.ceil(retry_after_s / 60)} minutes."
        )


class OutOfTimeError(Exception):
    """A recording was not translated within the time that one may take."""

    def __init__(self) -> None:
        super().__init__("The server did not get this done in time. Try again, or send less.")


class LostReplicaError(Exception):
    """The process that translated a batch died; it is started again."""

    def __init__(self) -> None:
        super().__init__("The process that translated this died. It starts again: try once more.")


@dataclass(frozen=True)
class Limits:
    """How much one caller may ask for, and all of them together."""

    most_mb: float = field(default=200.0, metadata={"help": "Size of a request, in megabytes."})
    most_minutes: float = field(default=180.0, metadata={"help": "Length of a recording."})
    most_wait_s: float = field(
        default=1800.0, metadata={"help": "From the start of a request to its answer, in seconds."}
    )
    most_idle_s: float = field(
        default=30.0, metadata={"help": "Between two pieces of a request, in seconds."}
    )
    queue: int = field(default=64, metadata={"help": "Requests accepted and not answered yet."})

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("most_mb", "most_minutes", "most_wait_s", "most_idle_s", "queue"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(
                    f"limits.{name}",
                    expected="more than 0, and finite",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )

    @property
    def most_bytes(self) -> int:
        """Of a request."""
        return int(self.most_mb * MEGABYTE)

    @property
    def most_kept_bytes(self) -> int:
        """Of what was sent to the page within an hour, and its sound."""
        return self.queue * self.most_bytes

    @property
    def most_s(self) -> float:
        """Of sound in a recording."""
        return 60 * self.most_minutes
