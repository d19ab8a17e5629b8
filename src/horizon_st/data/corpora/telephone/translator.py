"""What a target language has to know: one sentence for every kind of announcement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache

from babel import Locale

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.prompts import PROMPTS


@cache
def weekday_name(language: str, weekday: int) -> str:
    """Returns the name of a day in running text (CLDR); 0 is Monday."""
    return str(Locale.parse(language).days["format"]["wide"][weekday])


@cache
def month_name(language: str, month: int) -> str:
    """Returns the name of a month in running text (CLDR); 1 is January."""
    return str(Locale.parse(language).months["format"]["wide"][month])


class Translator(ABC):
    """Translates announcements; a leaf per language writes the clauses.

    Clauses come without capital and full stop: :meth:`translate` adds both. Digits of extensions
    and telephone numbers are read one by one; spelt letters, phonetic or not, are capitals between
    spaces ("A B siete"), since every language has another spelling alphabet.
    """

    language: str

    def translate(self, announcement: a.Announcement) -> str:
        """Returns the announcement as one or more sentences, numbers in words."""
        clause = self._clause(announcement)
        return clause[0].upper() + clause[1:] + ("" if clause.endswith((".", "?")) else ".")

    def _clause(self, announcement: a.Announcement) -> str:
        match announcement:
            case a.Prompt():
                return PROMPTS[announcement.name][self.language]
            case m.MessageCount():
                return self.message_count(announcement)
            case m.MessageReceived():
                return self.message_received(announcement)
            case m.MessageSaved():
                return self.message_saved(announcement)
            case m.MessageDuration():
                return self.message_duration(announcement)
            case a.CallerNumber():
                return self.caller_number(announcement)
            case a.HoldTime():
                return self.hold_time(announcement)
            case a.CallersWaiting():
                return self.callers_waiting(announcement)
            case a.ConferenceEntry():
                return self.conference_entry(announcement)
            case a.Participants():
                return self.participants(announcement)
            case a.UsersWillJoin():
                return self.users_will_join(announcement)
            case a.SubjectStatus():
                return self.subject_status(announcement)
            case a.NumberGiven():
                return self.number_given(announcement)
            case a.IncomingCall():
                return self.incoming_call(announcement)
            case a.FeatureSwitched():
                return self.feature_switched(announcement)
            case a.NumberSet():
                return self.number_set(announcement)
            case a.ExactTime():
                return self.exact_time(announcement)
            case a.TryAgain():
                return self.try_again(announcement)
            case a.MenuKey():
                return self.menu_key(announcement)
            case a.ExtensionKey():
                return self.extension_key(announcement)
            case a.Balance():
                return self.balance(announcement)
            case a.Calling():
                return self.calling(announcement)
        raise AssertionError(f"no translation for {type(announcement).__name__}")

    @abstractmethod
    def message_count(self, said: m.MessageCount) -> str:
        """Returns the clause."""

    @abstractmethod
    def message_received(self, said: m.MessageReceived) -> str:
        """Returns the clause."""

    @abstractmethod
    def message_saved(self, said: m.MessageSaved) -> str:
        """Returns the clause."""

    @abstractmethod
    def message_duration(self, said: m.MessageDuration) -> str:
        """Returns the clause."""

    @abstractmethod
    def caller_number(self, said: a.CallerNumber) -> str:
        """Returns the clause."""

    @abstractmethod
    def hold_time(self, said: a.HoldTime) -> str:
        """Returns the clause."""

    @abstractmethod
    def callers_waiting(self, said: a.CallersWaiting) -> str:
        """Returns the clause."""

    @abstractmethod
    def conference_entry(self, said: a.ConferenceEntry) -> str:
        """Returns the clause."""

    @abstractmethod
    def participants(self, said: a.Participants) -> str:
        """Returns the clause."""

    @abstractmethod
    def users_will_join(self, said: a.UsersWillJoin) -> str:
        """Returns the clause."""

    @abstractmethod
    def subject_status(self, said: a.SubjectStatus) -> str:
        """Returns the clause."""

    @abstractmethod
    def number_given(self, said: a.NumberGiven) -> str:
        """Returns the clause."""

    @abstractmethod
    def incoming_call(self, said: a.IncomingCall) -> str:
        """Returns the clause."""

    @abstractmethod
    def feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns the clause."""

    @abstractmethod
    def number_set(self, said: a.NumberSet) -> str:
        """Returns the clause."""

    @abstractmethod
    def exact_time(self, said: a.ExactTime) -> str:
        """Returns the clause."""

    @abstractmethod
    def try_again(self, said: a.TryAgain) -> str:
        """Returns the clause."""

    @abstractmethod
    def menu_key(self, said: a.MenuKey) -> str:
        """Returns the clause."""

    @abstractmethod
    def extension_key(self, said: a.ExtensionKey) -> str:
        """Returns the clause."""

    @abstractmethod
    def balance(self, said: a.Balance) -> str:
        """Returns the clause."""

    @abstractmethod
    def calling(self, said: a.Calling) -> str:
        """Returns the clause."""
