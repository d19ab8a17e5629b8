"""The words and sentences of a target language that :class:`Translator` fills in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone.number_words import Form, NumberWords
from horizon_st.data.corpora.telephone.values import RelativeDay, SenderKind


class Noun(NamedTuple):
    """A noun, or an adjective in place of one, and the form that number words have before it."""

    singular: str
    plural: str
    form: Form


@dataclass(frozen=True)
class Wording:
    """What a language says where no grammar is needed but that of its nouns.

    Names in braces are filled in: ``{digits}`` are read one by one, ``{number}`` is a number in
    words. ``{sender}`` brings the space before it, since there may be none.
    """

    words: NumberWords
    conjunction: str
    nouns: dict[Literal["dollar", "hour", "minute", "second", "caller", "user"], Noun]
    key_signs: dict[str, str]  # of "*" and "#"
    relative_days: dict[RelativeDay, str]
    senders: dict[SenderKind, str]  # {digits}

    message_numbered: str  # {number}
    message_named: dict[Literal["first", "last"], str]
    message_received: str  # {message}{sender} {moment}
    folder_numbered: str  # {number}
    folder_named: dict[Literal["new", "old", "family", "friends", "work"], str]
    message_saved: str  # {number} {folder}
    message_duration: str  # {duration}

    caller_number: str  # {number}
    callers_waiting: str  # {callers}

    conference_entry: str  # {digits}
    users_will_join: tuple[str, str]  # {users}; one user, several

    subjects: dict[a.Subject, str]
    statuses: dict[a.Status, str]
    numbers_given: dict[a.NumberIntro, str]  # {digits}
    incoming_call: str  # {sender}
    incoming_call_unknown: str  # {sender}
    callings: dict[a.Callee, str]  # {digits}
    try_again: str  # {moment}

    forwarding_set: str  # {digits}
    speed_dial_set: str  # {number} {digits}
    balance: str  # {amounts}

    actions: dict[a.Action, str]
    menu_key: tuple[str, str]  # {key} {action}; action first, key first
    extension_key: tuple[str, str]  # {key} {digits}; extension first, key first
