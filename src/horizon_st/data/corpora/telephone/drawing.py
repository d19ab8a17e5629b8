"""Random announcements: which are said, in which company, and with which numbers and times.

Only :class:`random.Random` methods whose results Python keeps stable are used, so that one seed
gives the same sentences everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random
from typing import TypeVar

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    RelativeDay,
    Sender,
    TimeOfDay,
)

T = TypeVar("T")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_DAY = date(1990, 1, 1)
_NUM_DAYS = 50 * 365


def _pick(rng: Random, values: Sequence[T]) -> T:
    return values[int(rng.random() * len(values))]


def _between(rng: Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _digits(rng: Random, low: int, high: int) -> str:
    return "".join(_pick(rng, "0123456789") for _ in range(_between(rng, low, high)))


def _extension(rng: Random) -> str:
    return _digits(rng, 3, 4)


def _phone_number(rng: Random) -> str:
    return _digits(rng, 7, 7)


def _few(rng: Random, low: int, high: int) -> int:
    """Small numbers are the likelier ones, as they are in mailboxes and queues."""
    return min(_between(rng, low, high), _between(rng, low, high))


def _time(rng: Random) -> TimeOfDay:
    hour = _between(rng, 0, 23) if rng.random() < 0.3 else _between(rng, 7, 22)
    minute = 15 * _between(rng, 0, 3) if rng.random() < 0.4 else _between(rng, 0, 59)
    return TimeOfDay(hour, minute)


def _moment(rng: Random, relative: tuple[RelativeDay, ...]) -> Moment:
    day: Day
    if rng.random() < 0.3:
        day = _pick(rng, relative)
    else:
        drawn = _FIRST_DAY + timedelta(days=_between(rng, 0, _NUM_DAYS))
        year = drawn.year if rng.random() < 0.25 else None
        day = CalendarDay(drawn.weekday(), drawn.month, drawn.day, year)
    return Moment(day, _time(rng))


def _duration(rng: Random) -> Duration:
    if rng.random() < 0.15:
        return Duration(0, _between(rng, 2, 59))
    return Duration(_few(rng, 1, 59), _between(rng, 1, 59) if rng.random() < 0.6 else 0)


def _sender(rng: Random) -> Sender:
    choice = rng.random()
    if choice < 0.5:
        return Sender("extension", _extension(rng))
    if choice < 0.7:
        return Sender("number", _phone_number(rng))
    return Sender(_pick(rng, ("family", "friends", "work", "unknown")))


def _perhaps_sender(rng: Random) -> Sender | None:
    return _sender(rng) if rng.random() < 0.5 else None


def _message_count(rng: Random) -> m.MessageCount:
    first: m.MessageKind = _pick(rng, ("any", "new", "new", "old", "urgent", "saved"))
    count = _few(rng, 1, 99)
    if first == "any" or rng.random() < 0.5:
        none = rng.random() < 0.05
        return m.MessageCount(((0 if none else count, first),), _perhaps_sender(rng))
    others: tuple[m.MessageKind, ...] = ("new", "old", "urgent", "saved")
    second = _pick(rng, tuple(kind for kind in others if kind != first))
    return m.MessageCount(((count, first), (_few(rng, 1, 99), second)), _perhaps_sender(rng))


def _message_received(rng: Random) -> m.MessageReceived:
    choice = rng.random()
    which: m.WhichMessage = _few(rng, 1, 99)
    if choice < 0.25:
        which = "first" if choice < 0.12 else "last"
    return m.MessageReceived(which, _moment(rng, ("today", "yesterday")), _perhaps_sender(rng))


def _message_saved(rng: Random) -> m.MessageSaved:
    folders: tuple[m.Folder, ...] = (5, 6, 7, 8, 9, "new", "old", "family", "friends", "work")
    return m.MessageSaved(_few(rng, 1, 99), _pick(rng, folders))


def _message_duration(rng: Random) -> m.MessageDuration:
    return m.MessageDuration(_duration(rng))


def _caller_number(rng: Random) -> a.CallerNumber:
    return a.CallerNumber(_few(rng, 2, 199))


def _hold_time(rng: Random) -> a.HoldTime:
    return a.HoldTime(_duration(rng), less_than=rng.random() < 0.4)


def _callers_waiting(rng: Random) -> a.CallersWaiting:
    number = _few(rng, 2, 400)
    # German has no settled form of "hundred and one callers".
    return a.CallersWaiting(number + 1 if number % 100 == 1 else number)


def _conference_entry(rng: Random) -> a.ConferenceEntry:
    return a.ConferenceEntry(_digits(rng, 3, 5))


def _participants(rng: Random) -> a.Participants:
    number = _few(rng, 1, 99)
    return a.Participants(number, other=number == 1 or rng.random() < 0.6)


def _users_will_join(rng: Random) -> a.UsersWillJoin:
    return a.UsersWillJoin(_few(rng, 1, 99))


def _in_conference(rng: Random) -> a.SubjectStatus:
    subject: a.Subject = _pick(rng, ("extension", "person", "agent"))
    status: a.Status = _pick(rng, ("present", "joined", "left"))
    return a.SubjectStatus(subject, _extension(rng), status)


def _on_extension(rng: Random) -> a.SubjectStatus:
    subject: a.Subject = _pick(rng, ("extension", "person", "person", "agent"))
    statuses: tuple[a.Status, ...] = ("on the phone", "unavailable")
    if subject == "extension":
        statuses = ("on the phone", "unavailable", "in use")
    return a.SubjectStatus(subject, _extension(rng), _pick(rng, statuses))


def _number_given(rng: Random) -> a.NumberGiven:
    intros: tuple[a.NumberIntro, ...] = ("i have", "you entered", "last caller", "your number")
    return a.NumberGiven(_pick(rng, intros), _phone_number(rng))


def _own_number(rng: Random) -> a.NumberGiven:
    if rng.random() < 0.5:
        return a.NumberGiven("your extension", _extension(rng))
    if rng.random() < 0.4:
        return a.NumberGiven("your password", _digits(rng, 4, 6))
    letters = "".join(_pick(rng, _LETTERS) for _ in range(_between(rng, 2, 4)))
    return a.NumberGiven("your password", letters + _digits(rng, 0, 2), phonetic=rng.random() < 0.7)


def _incoming_call(rng: Random) -> a.IncomingCall:
    return a.IncomingCall(_sender(rng))


def _feature_switched(rng: Random) -> a.FeatureSwitched:
    features: tuple[a.Feature, ...] = (
        "forwarding",
        "on busy",
        "no answer",
        "unconditional",
        "waiting",
        "do not disturb",
    )
    switches: tuple[a.Switch, ...] = ("activated", "deactivated", "cancelled")
    extension = _extension(rng) if rng.random() < 0.8 else ""
    return a.FeatureSwitched(_pick(rng, features), _pick(rng, switches), extension)


def _number_set(rng: Random) -> a.NumberSet:
    return a.NumberSet(_phone_number(rng), _few(rng, 1, 99) if rng.random() < 0.6 else None)


def _exact_time(rng: Random) -> a.ExactTime:
    return a.ExactTime(_time(rng), _between(rng, 1, 59) if rng.random() < 0.5 else 0)


def _try_again(rng: Random) -> a.TryAgain:
    return a.TryAgain(_moment(rng, ("today", "tomorrow")))


def _key(rng: Random) -> str:
    return _pick(rng, "0123456789*#")


def _mailbox_key(rng: Random) -> a.MenuKey:
    actions: tuple[a.Action, ...] = ("listen", "rerecord", "call number", "exit menu")
    return a.MenuKey(_key(rng), _pick(rng, actions), key_first=rng.random() < 0.5)


def _conference_key(rng: Random) -> a.MenuKey:
    actions: tuple[a.Action, ...] = (
        "leave conference",
        "exit menu",
        "lock conference",
        "mute yourself",
        "remove last",
        "louder others",
        "quieter others",
        "louder self",
        "quieter self",
        "reset others",
        "reset self",
    )
    return a.MenuKey(_key(rng), _pick(rng, actions), key_first=rng.random() < 0.5)


def _extension_key(rng: Random) -> a.ExtensionKey:
    return a.ExtensionKey(_key(rng), _extension(rng), key_first=rng.random() < 0.5)


def _balance(rng: Random) -> a.Balance:
    amounts: list[tuple[int, a.Unit]] = []
    if rng.random() < 0.6:
        dollars = _between(rng, 1, 999)
        amounts.append((dollars + 1 if dollars > 1 and dollars % 100 == 1 else dollars, "dollar"))
    if not amounts and rng.random() < 0.7:
        amounts.append((_between(rng, 2, 48), "hour"))
    if not amounts or rng.random() < 0.6:
        amounts.append((_between(rng, 1, 59), "minute"))
    return a.Balance(tuple(amounts))


def _calling(rng: Random) -> a.Calling:
    callee: a.Callee = _pick(rng, ("extension", "extension", "number", "agent"))
    digits = _phone_number(rng) if callee == "number" else _extension(rng)
    return a.Calling(callee, digits)


Draw = Callable[[Random], a.Announcement]
_TOPICS: dict[str, tuple[tuple[Draw, ...], tuple[str, ...], tuple[str, ...]]] = {
    "mailbox": (
        (
            _message_count,
            _message_count,
            _message_received,
            _message_received,
            _message_saved,
            _message_duration,
            _mailbox_key,
        ),
        (),
        (
            "vm-msgsaved",
            "vm-delete",
            "vm-repeat",
            "vm-next",
            "vm-prev",
            "vm-toreply",
            "vm-advopts",
            "vm-helpexit",
            "vm-goodbye",
        ),
    ),
    "queue": (
        (_caller_number, _hold_time, _hold_time, _callers_waiting, _exact_time),
        ("queue-thankyou", "one-moment-please", "vm-nobodyavail"),
        ("queue-thankyou", "vm-reachoper", "please-try-call-later", "vm-leavemsg"),
    ),
    "conference": (
        (_conference_entry, _participants, _users_will_join, _in_conference, _conference_key),
        ("one-moment-please", "auth-thankyou"),
        (
            "conf-placeintoconf",
            "conf-lockednow",
            "conf-waitforleader",
            "conf-now-recording",
            "confbridge-conf-begin",
        ),
    ),
    "call": (
        (_on_extension, _on_extension, _incoming_call, _calling, _extension_key, _try_again),
        ("im-sorry", "number-not-answering", "all-circuits-busy-now", "vm-nobodyavail"),
        (
            "transfer",
            "pls-hold-while-try",
            "please-try-call-later",
            "vm-leavemsg",
            "vm-whichbox",
            "vm-reachoper",
        ),
    ),
    "service": (
        (_number_given, _own_number, _feature_switched, _number_set, _balance, _exact_time),
        ("auth-thankyou", "one-moment-please"),
        ("check-number-dial-again", "auth-thankyou", "vm-goodbye"),
    ),
}


def draw_utterance(rng: Random) -> tuple[a.Announcement, ...]:
    """Returns one to four announcements of one topic, as an exchange would play them in one go."""
    draws, openings, closings = _TOPICS[_pick(rng, tuple(_TOPICS))]
    said: list[a.Announcement] = []
    if openings and rng.random() < 0.15:
        said.append(a.Prompt(_pick(rng, openings)))
    said.append(_pick(rng, draws)(rng))
    if rng.random() < 0.2:
        second = _pick(rng, draws)(rng)
        said += [second] if type(second) is not type(said[-1]) else []
    if rng.random() < 0.3:
        closing = a.Prompt(_pick(rng, closings))
        said += [closing] if closing not in said else []
    return tuple(said)
