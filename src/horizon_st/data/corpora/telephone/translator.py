"""What a target language has to know: its wording, and the sentences that need grammar."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cache

from babel import Locale

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.prompts import PROMPTS
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)
from horizon_st.data.corpora.telephone.wording import Noun, Wording


@cache
def _weekday_name(language: str, weekday: int) -> str:
    """The name in running text (CLDR); 0 is Monday."""
    return str(Locale.parse(language).days["format"]["wide"][weekday])


@cache
def _month_name(language: str, month: int) -> str:
    """The name in running text (CLDR); 1 is January."""
    return str(Locale.parse(language).months["format"]["wide"][month])


@cache
def _method_name(announcement: type[a.Announcement]) -> str:
    """``MessageCount`` is translated by ``_message_count``."""
    return re.sub("([A-Z])", r"_\1", announcement.__name__).lower()


class Translator(ABC):
    """Translates announcements; a leaf per language has the wording and writes what is abstract.

    Every announcement has the method that is named like it; a language whose grammar asks for more
    than its wording can say overrides it. The methods return clauses without capital and full stop:
    :meth:`translate` adds both. Digits of extensions and telephone numbers are read one by one;
    spelt letters, phonetic or not, are capitals between spaces ("A B siete"), since every language
    has another spelling alphabet.
    """

    language: str
    wording: Wording

    def translate(self, announcement: a.Announcement) -> str:
        """Returns the announcement as one or more sentences, numbers in words."""
        clause: str = getattr(self, _method_name(type(announcement)))(announcement)
        return clause[0].upper() + clause[1:] + ("" if clause.endswith((".", "?")) else ".")

    @abstractmethod
    def _time(self, time: TimeOfDay) -> str:
        """Returns the time by itself, "las diez de la mañana"."""

    @abstractmethod
    def _at(self, time: TimeOfDay) -> str:
        """Returns the time at which something happens, "a las diez de la mañana"."""

    @abstractmethod
    def _calendar_day(self, day: CalendarDay, weekday: str, month: str) -> str:
        """Returns the day on which something happens, "el lunes primero de mayo"."""

    @abstractmethod
    def _message_count(self, said: m.MessageCount) -> str: ...

    @abstractmethod
    def _hold_time(self, said: a.HoldTime) -> str: ...

    @abstractmethod
    def _participants(self, said: a.Participants) -> str: ...

    @abstractmethod
    def _feature_switched(self, said: a.FeatureSwitched) -> str: ...

    @abstractmethod
    def _exact_time(self, said: a.ExactTime) -> str: ...

    def _is_plural(self, count: int) -> bool:
        return count != 1

    def _count(self, count: int, noun: Noun) -> str:
        name = noun.plural if self._is_plural(count) else noun.singular
        return f"{self.wording.words(count, noun.form)} {name}"

    def _counts(self, counts: Iterable[tuple[int, Noun]]) -> str:
        return f" {self.wording.conjunction} ".join(self._count(*counted) for counted in counts)

    def _duration(self, duration: Duration) -> str:
        nouns = self.wording.nouns
        counts = (duration.minutes, nouns["minute"]), (duration.seconds, nouns["second"])
        return self._counts((count, noun) for count, noun in counts if count)

    def _digits(self, value: str) -> str:
        words = self.wording.words
        return " ".join(words(int(sign)) if sign.isdigit() else sign for sign in value)

    def _key(self, key: str) -> str:
        return self.wording.key_signs.get(key) or self.wording.words(int(key))

    def _day(self, day: Day) -> str:
        if not isinstance(day, CalendarDay):
            return self.wording.relative_days[day]
        weekday = _weekday_name(self.language, day.weekday)
        return self._calendar_day(day, weekday, _month_name(self.language, day.month))

    def _moment(self, moment: Moment) -> str:
        return f"{self._day(moment.day)} {self._at(moment.time)}"

    def _sender(self, sender: Sender | None) -> str:
        if sender is None:
            return ""
        return " " + self.wording.senders[sender.kind].format(digits=self._digits(sender.digits))

    def _prompt(self, said: a.Prompt) -> str:
        return PROMPTS[said.name][self.language]

    def _message_received(self, said: m.MessageReceived) -> str:
        if isinstance(said.which, int):
            number = self.wording.words(said.which)
            message = self.wording.message_numbered.format(number=number)
        else:
            message = self.wording.message_named[said.which]
        sender, moment = self._sender(said.sender), self._moment(said.moment)
        return self.wording.message_received.format(message=message, sender=sender, moment=moment)

    def _message_saved(self, said: m.MessageSaved) -> str:
        if isinstance(said.folder, int):
            number = self.wording.words(said.folder)
            folder = self.wording.folder_numbered.format(number=number)
        else:
            folder = self.wording.folder_named[said.folder]
        number = self.wording.words(said.number)
        return self.wording.message_saved.format(number=number, folder=folder)

    def _message_duration(self, said: m.MessageDuration) -> str:
        return self.wording.message_duration.format(duration=self._duration(said.duration))

    def _caller_number(self, said: a.CallerNumber) -> str:
        return self.wording.caller_number.format(number=self.wording.words(said.number))

    def _callers_waiting(self, said: a.CallersWaiting) -> str:
        callers = self._count(said.number, self.wording.nouns["caller"])
        return self.wording.callers_waiting.format(callers=callers)

    def _conference_entry(self, said: a.ConferenceEntry) -> str:
        return self.wording.conference_entry.format(digits=self._digits(said.digits))

    def _users_will_join(self, said: a.UsersWillJoin) -> str:
        users = self._count(said.number, self.wording.nouns["user"])
        return self.wording.users_will_join[self._is_plural(said.number)].format(users=users)

    def _subject_status(self, said: a.SubjectStatus) -> str:
        subject, status = self.wording.subjects[said.subject], self.wording.statuses[said.status]
        return f"{subject} {self._digits(said.digits)} {status}"

    def _number_given(self, said: a.NumberGiven) -> str:
        return self.wording.numbers_given[said.intro].format(digits=self._digits(said.value))

    def _incoming_call(self, said: a.IncomingCall) -> str:
        unknown = said.sender.kind == "unknown"
        clause = self.wording.incoming_call_unknown if unknown else self.wording.incoming_call
        return clause.format(sender=self._sender(said.sender))

    def _calling(self, said: a.Calling) -> str:
        return self.wording.callings[said.callee].format(digits=self._digits(said.digits))

    def _try_again(self, said: a.TryAgain) -> str:
        return self.wording.try_again.format(moment=self._moment(said.moment))

    def _number_set(self, said: a.NumberSet) -> str:
        digits = self._digits(said.digits)
        if said.speed_dial is None:
            return self.wording.forwarding_set.format(digits=digits)
        number = self.wording.words(said.speed_dial)
        return self.wording.speed_dial_set.format(number=number, digits=digits)

    def _balance(self, said: a.Balance) -> str:
        amounts = self._counts((count, self.wording.nouns[unit]) for count, unit in said.amounts)
        return self.wording.balance.format(amounts=amounts)

    def _menu_key(self, said: a.MenuKey) -> str:
        clause, action = self.wording.menu_key[said.key_first], self.wording.actions[said.action]
        return clause.format(key=self._key(said.key), action=action)

    def _extension_key(self, said: a.ExtensionKey) -> str:
        clause, digits = self.wording.extension_key[said.key_first], self._digits(said.digits)
        return clause.format(key=self._key(said.key), digits=digits)
