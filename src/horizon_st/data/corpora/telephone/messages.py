"""The announcements of a mailbox: how many messages, from whom, when, how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from horizon_st.data.corpora.telephone import english
from horizon_st.data.corpora.telephone.announcements import Announcement
from horizon_st.data.corpora.telephone.values import Duration, Moment, Sender

MessageKind = Literal["any", "new", "old", "urgent", "saved"]
WhichMessage = int | Literal["first", "last"]
Folder = Literal["new", "old", "family", "friends", "work"] | int

_KINDS: dict[MessageKind, list[str]] = {
    "any": [],
    "new": ["vm-INBOX"],
    "old": ["vm-Old"],
    "urgent": ["vm-Urgent"],
    "saved": ["vm-saved"],
}


@dataclass(frozen=True)
class MessageCount(Announcement):
    """Says "you have three new and five old messages from extension two zero"; 0 is said "no"."""

    counts: tuple[tuple[int, MessageKind], ...]
    sender: Sender | None = None

    def __post_init__(self) -> None:
        assert len(self.counts) == 1 or all(n and kind != "any" for n, kind in self.counts), self

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        names = ["vm-youhave"]
        for position, (count, kind) in enumerate(self.counts):
            names += ["vm-and"] if position else []
            names += [*(english.number(count) if count else ["vm-no"]), *_KINDS[kind]]
        names.append("vm-message" if self.counts[-1][0] == 1 else "vm-messages")
        return [*names, *english.sender(self.sender)]


@dataclass(frozen=True)
class MessageReceived(Announcement):
    """Says "message seven from family received today at ten fifteen p m"."""

    which: WhichMessage
    moment: Moment
    sender: Sender | None = None

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        if isinstance(self.which, int):
            names = ["vm-message", *english.number(self.which)]
        else:
            names = [f"vm-{self.which}", "vm-message"]
        return [*names, *english.sender(self.sender), "vm-received", *english.moment(self.moment)]


@dataclass(frozen=True)
class MessageSaved(Announcement):
    """Says "message twelve saved to folder seven", "... to family messages"; folders 5 to 9."""

    number: int
    folder: Folder

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        names = {"new": "vm-INBOX", "old": "vm-Old", "family": "vm-Family"}
        names |= {"friends": "vm-Friends", "work": "vm-Work"}
        if isinstance(self.folder, int):
            assert 5 <= self.folder <= 9, self
            folder = [f"vm-Cust{self.folder - 4}"]
        else:
            folder = [names[self.folder], "vm-messages"]
        return ["vm-message", *english.number(self.number), "vm-savedto", *folder]


@dataclass(frozen=True)
class MessageDuration(Announcement):
    """Says "this message lasts three minutes twenty seconds"."""

    duration: Duration

    def recordings(self) -> list[str]:
        """Returns the names of the recordings, in order."""
        return ["vm-duration", *english.duration(self.duration, style="mailbox")]
