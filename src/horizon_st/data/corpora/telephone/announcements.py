"""The announcements of an exchange, each with the recordings that Asterisk plays for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from horizon_st.data.corpora.telephone import english
from horizon_st.data.corpora.telephone.values import Duration, Moment, Sender, TimeOfDay

Subject = Literal["extension", "person", "agent"]
Status = Literal["on the phone", "unavailable", "in use", "present", "joined", "left"]
NumberIntro = Literal[
    "i have", "you entered", "last caller", "your extension", "your password", "your number"
]
Feature = Literal[
    "forwarding", "on busy", "no answer", "unconditional", "waiting", "do not disturb"
]
Switch = Literal["activated", "deactivated", "cancelled"]
Unit = Literal["dollar", "hour", "minute"]
Callee = Literal["extension", "number", "agent"]
Action = Literal[
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
    "listen",
    "rerecord",
    "call number",
]

_ACTIONS: dict[Action, tuple[str, str]] = {
    "leave conference": ("confbridge-leave-in", "confbridge-leave-out"),
    "exit menu": ("confbridge-menu-exit-in", "confbridge-menu-exit-out"),
    "lock conference": ("confbridge-lock-in", "confbridge-lock-out"),
    "mute yourself": ("confbridge-mute-in", "confbridge-mute-out"),
    "remove last": ("confbridge-remove-last-in", "confbridge-remove-last-out"),
    "louder others": ("confbridge-inc-list-vol-in", "confbridge-inc-list-vol-out"),
    "quieter others": ("confbridge-dec-list-vol-in", "confbridge-dec-list-vol-out"),
    "louder self": ("confbridge-inc-talk-vol-in", "confbridge-inc-talk-vol-out"),
    "quieter self": ("confbridge-dec-talk-vol-in", "confbridge-dec-talk-vol-out"),
    "reset others": ("confbridge-rest-list-vol-in", "confbridge-rest-list-vol-out"),
    "reset self": ("confbridge-rest-talk-vol-in", "confbridge-rest-talk-vol-out"),
    "listen": ("to-listen-to-it", "to-listen-to-it"),
    "rerecord": ("to-rerecord-it", "to-rerecord-it"),
    "call number": ("to-call-this-number", "to-call-this-number"),
}

_FEATURES: dict[Feature, str] = {
    "forwarding": "call-forwarding",
    "on busy": "call-fwd-on-busy",
    "no answer": "call-fwd-no-ans",
    "unconditional": "call-fwd-unconditional",
    "waiting": "call-waiting",
    "do not disturb": "do-not-disturb",
}


class Announcement(ABC):
    """One clause that an exchange plays; its fields are all that a translation needs."""

    @abstractmethod
    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""


@dataclass(frozen=True)
class Prompt(Announcement):
    """A fixed recording that is a sentence by itself."""

    name: str

    def recordings(self) -> list[str]:
        """Returns the one name."""
        return [self.name]


@dataclass(frozen=True)
class CallerNumber(Announcement):
    """Says "you are currently caller number three waiting to speak with a representative"."""

    number: int

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        return ["queue-thereare", *english.number(self.number), "queue-callswaiting"]


@dataclass(frozen=True)
class HoldTime(Announcement):
    """Says "the estimated hold time is currently less than three minutes"."""

    duration: Duration
    less_than: bool = False

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        less_than = ["queue-less-than"] if self.less_than else []
        return ["queue-holdtime", *less_than, *english.duration(self.duration, style="queue")]


@dataclass(frozen=True)
class CallersWaiting(Announcement):
    """Says "currently there are more than nine callers waiting to speak with a representative"."""

    number: int

    def __post_init__(self) -> None:
        assert self.number >= 2, self

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        return ["queue-quantity1", *english.number(self.number), "queue-quantity2"]


@dataclass(frozen=True)
class ConferenceEntry(Announcement):
    """Says "you are entering conference number four zero two"."""

    digits: str

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        return ["conf-enteringno", *english.digits(self.digits)]


@dataclass(frozen=True)
class Participants(Announcement):
    """Says "there are currently five [other] participants in the conference"; one is other."""

    number: int
    other: bool = True

    def __post_init__(self) -> None:
        assert self.number >= (1 if self.other else 2), self

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        if self.number == 1:
            return ["conf-onlyone"]
        end = "conf-otherinparty" if self.other else "confbridge-participants"
        return ["conf-thereare", *english.number(self.number), end]


@dataclass(frozen=True)
class UsersWillJoin(Announcement):
    """Says "five users will join the conference"."""

    number: int

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        end = "conf-userwilljoin" if self.number == 1 else "conf-userswilljoin"
        return [*english.number(self.number), end]


@dataclass(frozen=True)
class SubjectStatus(Announcement):
    """Says "the person at extension two zero four is on the phone"."""

    subject: Subject
    digits: str
    status: Status

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        subjects = {"extension": "vm-extension", "person": "vm-theperson", "agent": "spy-agent"}
        statuses = {
            "on the phone": "vm-isonphone",
            "unavailable": "vm-isunavail",
            "in use": "is-in-use",
            "present": "conf-hasjoin",
            "joined": "confbridge-has-joined",
            "left": "conf-hasleft",
        }
        return [subjects[self.subject], *english.digits(self.digits), statuses[self.status]]


@dataclass(frozen=True)
class NumberGiven(Announcement):
    """Says "the number i have is ..."; letters in ``value`` are spelt, by name or phonetically."""

    intro: NumberIntro
    value: str
    phonetic: bool = False

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        intros: dict[NumberIntro, list[str]] = {
            "i have": ["vm-num-i-have"],
            "you entered": ["you-entered"],
            "last caller": ["privacy-to-blacklist-last-caller", "number"],
            "your extension": ["your", "vm-extension", "is"],
            "your password": ["your", "vm-password", "is"],
            "your number": ["your", "telephone-number", "is"],
        }
        return [*intros[self.intro], *english.spelling(self.value, phonetic=self.phonetic)]


@dataclass(frozen=True)
class IncomingCall(Announcement):
    """Says "incoming call from extension two zero four"."""

    sender: Sender

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        if self.sender.kind == "unknown":
            return ["followme/no-recording", "vm-unknown-caller"]
        return ["followme/call-from", *english.sender(self.sender)[1:]]


@dataclass(frozen=True)
class FeatureSwitched(Announcement):
    """Says "call forwarding on busy for extension two zero four activated"."""

    feature: Feature
    switch: Switch
    extension: str = ""

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        switches = {"deactivated": "de-activated"}
        extension = ["vm-for", "vm-extension", *english.digits(self.extension)]
        return [
            _FEATURES[self.feature],
            *(extension if self.extension else []),
            switches.get(self.switch, self.switch),
        ]


@dataclass(frozen=True)
class NumberSet(Announcement):
    """Says "speed dial seven is set to number ..."; ``speed_dial`` None is call forwarding."""

    digits: str
    speed_dial: int | None = None

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        if self.speed_dial is None:
            subject = ["call-forwarding"]
        else:
            subject = ["speed-dial", *english.number(self.speed_dial)]
        return [*subject, "is-set-to", "number", *english.digits(self.digits)]


@dataclass(frozen=True)
class ExactTime(Announcement):
    """Says "at the sound of the tone the time will be exactly ten fifteen p m and two seconds"."""

    time: TimeOfDay
    seconds: int = 0

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        unit = "second" if self.seconds == 1 else "seconds"
        seconds = ["vm-and", *english.number(self.seconds), unit] if self.seconds else []
        return ["at-tone-time-exactly", *english.time(self.time), *seconds]


@dataclass(frozen=True)
class TryAgain(Announcement):
    """Says "please try again tomorrow at nine o'clock a m"."""

    moment: Moment

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        return ["please-try-again", *english.moment(self.moment)]


@dataclass(frozen=True)
class MenuKey(Announcement):
    """Says "to leave the conference press four" or, ``key_first``, "press four to leave ..."."""

    key: str
    action: Action
    key_first: bool = False

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        press = ["vm-press", *english.digits(self.key)]
        before, after = _ACTIONS[self.action]
        return [*press, after] if self.key_first else [before, *press]


@dataclass(frozen=True)
class ExtensionKey(Announcement):
    """Says "for extension two press four" or, ``key_first``, "press four for extension ..."."""

    key: str
    digits: str
    key_first: bool = False

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        press = ["vm-press", *english.digits(self.key)]
        target = ["vm-for", "vm-extension", *english.digits(self.digits)]
        return [*press, *target] if self.key_first else [*target, *press]


@dataclass(frozen=True)
class Balance(Announcement):
    """Says "you have twenty dollars and five minutes"; there is no recording of "hour"."""

    amounts: tuple[tuple[int, Unit], ...]

    def __post_init__(self) -> None:
        assert all(n >= (2 if unit == "hour" else 1) for n, unit in self.amounts), self

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        units = {"dollar": ("letters/dollar", "digits/dollars"), "hour": ("", "hours")}
        units |= {"minute": ("minute", "minutes")}
        names = ["vm-youhave"]
        for position, (count, unit) in enumerate(self.amounts):
            names += ["vm-and"] if position else []
            names += [*english.number(count), units[unit][count != 1]]
        return names


@dataclass(frozen=True)
class Calling(Announcement):
    """Says "calling extension two zero four"."""

    callee: Callee
    digits: str

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        callees = {"extension": "vm-extension", "number": "number", "agent": "spy-agent"}
        return ["calling", callees[self.callee], *english.digits(self.digits)]
