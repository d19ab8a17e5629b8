"""Which recordings Asterisk plays for numbers, digits, letters, dates and times in English."""

from __future__ import annotations

from typing import Literal

from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

_SCALES = ((1_000_000, "digits/million"), (1000, "digits/thousand"), (100, "digits/hundred"))


def number(value: int) -> list[str]:
    """Returns the recordings of a whole number below a thousand million, without "and"."""
    assert abs(value) < 1_000_000_000, value
    if value < 0:
        return ["digits/minus", *number(-value)]
    for scale, name in _SCALES:
        if value >= scale:
            rest = value % scale
            return [*number(value // scale), name, *(number(rest) if rest else [])]
    if value <= 20:
        return [f"digits/{value}"]
    unit = value % 10
    return [f"digits/{value - unit}", *([f"digits/{unit}"] if unit else [])]


def digits(value: str) -> list[str]:
    """Returns the recordings of digits one by one; ``*`` and ``#`` are keys too."""
    special = {"*": "digits/star", "#": "digits/pound"}
    return [special.get(digit, f"digits/{digit}") for digit in value]


def spelling(value: str, *, phonetic: bool) -> list[str]:
    """Returns the recordings of letters and digits one by one, "alpha" or "a"."""
    return [
        f"digits/{sign}"
        if sign.isdigit()
        else (f"phonetic/{sign.lower()}_p" if phonetic else f"letters/{sign.lower()}")
        for sign in value
    ]


def ordinal(value: int) -> list[str]:
    """Returns the recordings of an ordinal from first to thirty first."""
    assert 1 <= value <= 31, value
    if value <= 20 or value == 30:
        return [f"digits/h-{value}"]
    return [f"digits/{value - value % 10}", f"digits/h-{value % 10}"]


def year(value: int) -> list[str]:
    """Returns the recordings of a year from 1901 to 2099: "two thousand five", "twenty twelve"."""
    assert 1901 <= value <= 2099, value
    if 2000 <= value <= 2009:
        return number(value)
    rest = value % 100
    return [*number(value // 100), *(["digits/oh"] if rest < 10 else []), *number(rest)]


def time(value: TimeOfDay) -> list[str]:
    """Returns the recordings of a time on the 12-hour clock."""
    if value.minute == 0:
        minute = ["digits/oclock"]
    else:
        minute = [*(["digits/oh"] if value.minute < 10 else []), *number(value.minute)]
    half = "digits/a-m" if value.hour < 12 else "digits/p-m"
    return [*number((value.hour - 1) % 12 + 1), *minute, half]


def day(value: Day) -> list[str]:
    """Returns the recordings of a day: "today" or "monday january third [year]"."""
    if not isinstance(value, CalendarDay):
        return [f"digits/{value}"]
    return [
        f"digits/day-{(value.weekday + 1) % 7}",
        f"digits/mon-{value.month - 1}",
        *ordinal(value.day),
        *(year(value.year) if value.year is not None else []),
    ]


def moment(value: Moment) -> list[str]:
    """Returns the recordings of a day and a time: "... at ten fifteen a m"."""
    return [*day(value.day), "digits/at", *time(value.time)]


def duration(value: Duration, *, style: Literal["queue", "mailbox"]) -> list[str]:
    """Returns the recordings of minutes and seconds, those of zero left out."""
    minutes = {"queue": "queue-minutes", "mailbox": "vm-minutes"}[style]
    seconds = {"queue": "queue-seconds", "mailbox": "seconds"}[style]
    names: list[str] = []
    if value.minutes:
        names += [*number(value.minutes), "minute" if value.minutes == 1 else minutes]
    if value.seconds:
        names += [*number(value.seconds), "second" if value.seconds == 1 else seconds]
    return names


def sender(value: Sender | None) -> list[str]:
    """Returns the recordings of a sender, "from extension two zero"; none for no sender."""
    if value is None:
        return []
    if value.kind == "unknown":
        return ["vm-unknown-caller"]
    names = {
        "extension": "vm-extension",
        "number": "telephone-number",
        "family": "vm-Family",
        "friends": "vm-Friends",
        "work": "vm-Work",
    }
    return ["vm-from", names[value.kind], *digits(value.digits)]
