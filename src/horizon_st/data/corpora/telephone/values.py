"""What announcements speak of: times, days, durations, senders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RelativeDay = Literal["today", "tomorrow", "yesterday"]
SenderKind = Literal["extension", "number", "family", "friends", "work", "unknown"]


@dataclass(frozen=True)
class TimeOfDay:
    """Hour 0 to 23 and minute 0 to 59."""

    hour: int
    minute: int

    def __post_init__(self) -> None:
        assert 0 <= self.hour < 24, self
        assert 0 <= self.minute < 60, self


@dataclass(frozen=True)
class CalendarDay:
    """A day of the calendar; ``weekday`` 0 is Monday, ``month`` 1 is January, year may be open."""

    weekday: int
    month: int
    day: int
    year: int | None = None

    def __post_init__(self) -> None:
        assert 0 <= self.weekday < 7, self
        assert 1 <= self.month <= 12, self
        assert 1 <= self.day <= 31, self


Day = CalendarDay | RelativeDay


@dataclass(frozen=True)
class Moment:
    """A time on a day."""

    day: Day
    time: TimeOfDay


@dataclass(frozen=True)
class Duration:
    """Minutes and seconds, not both zero."""

    minutes: int
    seconds: int = 0

    def __post_init__(self) -> None:
        assert min(self.minutes, self.seconds) >= 0, self
        assert self.minutes + self.seconds > 0, self


@dataclass(frozen=True)
class Sender:
    """Whom a message or call is from; ``digits`` for an extension and a number only."""

    kind: SenderKind
    digits: str = ""

    def __post_init__(self) -> None:
        assert bool(self.digits) == (self.kind in ("extension", "number")), self
