"""Announcements in German: formal address, 24-hour clock ("zweiundzwanzig Uhr fünfzehn")."""

from __future__ import annotations

from num2words import num2words

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import german as words
from horizon_st.data.corpora.telephone.translator import Translator
from horizon_st.data.corpora.telephone.values import CalendarDay, Duration, TimeOfDay
from horizon_st.data.corpora.telephone.wording import Noun, Wording

_WORDING = Wording(
    words=words,
    conjunction="und",
    nouns={
        "dollar": Noun("Dollar", "Dollar", "masculine"),
        "hour": Noun("Stunde", "Stunden", "feminine"),
        "minute": Noun("Minute", "Minuten", "feminine"),
        "second": Noun("Sekunde", "Sekunden", "feminine"),
        "caller": Noun("Anrufer", "Anrufer", "masculine"),
        "user": Noun("Benutzer", "Benutzer", "masculine"),
    },
    key_signs={"*": "Sterntaste", "#": "Rautetaste"},
    relative_days={"today": "heute", "tomorrow": "morgen", "yesterday": "gestern"},
    senders={
        "extension": "von der Nebenstelle {digits}",
        "number": "von der Telefonnummer {digits}",
        "family": "von der Familie",
        "friends": "von Freunden",
        "work": "von der Arbeit",
        "unknown": "von einem unbekannten Anrufer",
    },
    message_numbered="Nachricht {number}",
    message_named={"first": "erste Nachricht", "last": "letzte Nachricht"},
    message_received="{message}{sender}, {moment} empfangen",
    folder_numbered="in Ordner {number}",
    folder_named={
        "new": "in den neuen Nachrichten",
        "old": "in den alten Nachrichten",
        "family": "in den Nachrichten der Familie",
        "friends": "in den Nachrichten der Freunde",
        "work": "in den beruflichen Nachrichten",
    },
    message_saved="Nachricht {number} wurde {folder} gespeichert",
    message_duration="diese Nachricht dauert {duration}",
    caller_number="Sie sind derzeit Anrufer Nummer {number} "
    "und warten auf ein Gespräch mit einem Mitarbeiter",
    callers_waiting="derzeit warten mehr als {callers} auf ein Gespräch mit einem Mitarbeiter",
    conference_entry="Sie betreten die Konferenz Nummer {digits}",
    users_will_join=(
        "{users} wird der Konferenz beitreten",
        "{users} werden der Konferenz beitreten",
    ),
    subjects={
        "extension": "die Nebenstelle",
        "person": "die Person an der Nebenstelle",
        "agent": "der Agent",
    },
    statuses={
        "on the phone": "ist am Telefon",
        "unavailable": "ist nicht verfügbar",
        "in use": "wird gerade benutzt",
        "present": "ist jetzt in der Konferenz",
        "joined": "ist der Konferenz beigetreten",
        "left": "hat die Konferenz verlassen",
    },
    numbers_given={
        "i have": "die Nummer, die ich habe, ist {digits}",
        "you entered": "Sie haben {digits} eingegeben",
        "last caller": "der letzte Anrufer war die Nummer {digits}",
        "your extension": "Ihre Nebenstelle ist {digits}",
        "your password": "Ihr Passwort ist {digits}",
        "your number": "Ihre Telefonnummer ist {digits}",
    },
    incoming_call="eingehender Anruf{sender}",
    incoming_call_unknown="Sie haben einen eingehenden Anruf{sender}",
    callings={
        "extension": "die Nebenstelle {digits} wird angerufen",
        "number": "die Nummer {digits} wird angerufen",
        "agent": "der Agent {digits} wird angerufen",
    },
    try_again="bitte versuchen Sie es {moment} noch einmal",
    forwarding_set="die Rufumleitung ist auf die Nummer {digits} eingestellt",
    speed_dial_set="die Kurzwahl {number} ist auf die Nummer {digits} eingestellt",
    balance="Sie haben {amounts}",
    actions={
        "leave conference": "die Konferenz zu verlassen",
        "exit menu": "das Menü zu verlassen",
        "lock conference": "die Konferenz zu sperren oder zu entsperren",
        "mute yourself": "Ihr Mikrofon stummzuschalten oder wieder einzuschalten",
        "remove last": "den zuletzt beigetretenen Teilnehmer aus der Konferenz zu entfernen",
        "louder others": "die Lautstärke der anderen Teilnehmer zu erhöhen",
        "quieter others": "die Lautstärke der anderen Teilnehmer zu verringern",
        "louder self": "Ihre Sprechlautstärke für die anderen Teilnehmer zu erhöhen",
        "quieter self": "Ihre Sprechlautstärke für die anderen Teilnehmer zu verringern",
        "reset others": "die Lautstärke der Konferenz auf den Standardwert zurückzusetzen",
        "reset self": "Ihre Sprechlautstärke auf den Standardwert zurückzusetzen",
        "listen": "sie anzuhören",
        "rerecord": "sie neu aufzunehmen",
        "call number": "diese Nummer anzurufen",
    },
    menu_key=("um {action}, drücken Sie die {key}", "drücken Sie die {key}, um {action}"),
    extension_key=(
        "für die Nebenstelle {digits} drücken Sie die {key}",
        "drücken Sie die {key} für die Nebenstelle {digits}",
    ),
)
_MESSAGES: dict[m.MessageKind, Noun] = {
    "any": Noun("Nachricht", "Nachrichten", "feminine"),
    "new": Noun("neue Nachricht", "neue Nachrichten", "feminine"),
    "old": Noun("alte Nachricht", "alte Nachrichten", "feminine"),
    "urgent": Noun("dringende Nachricht", "dringende Nachrichten", "feminine"),
    "saved": Noun("gespeicherte Nachricht", "gespeicherte Nachrichten", "feminine"),
}
# Before the last count the noun is left out: "eine neue".
_EARLIER: dict[m.MessageKind, Noun] = {
    "new": Noun("neue", "neue", "feminine"),
    "old": Noun("alte", "alte", "feminine"),
    "urgent": Noun("dringende", "dringende", "feminine"),
    "saved": Noun("gespeicherte", "gespeicherte", "feminine"),
}
_NO_MESSAGES: dict[m.MessageKind, str] = {
    "any": "keine Nachrichten",
    "new": "keine neuen Nachrichten",
    "old": "keine alten Nachrichten",
    "urgent": "keine dringenden Nachrichten",
    "saved": "keine gespeicherten Nachrichten",
}
_FEATURES: dict[a.Feature, str] = {
    "forwarding": "Rufumleitung",
    "on busy": "Rufumleitung bei Besetzt",
    "no answer": "Rufumleitung bei Nichtmelden",
    "unconditional": "bedingungslose Rufumleitung",
    "waiting": "Anklopfen",
    "do not disturb": "Ruhemodus",
}
_SWITCHES: dict[a.Switch, str] = {
    "activated": "aktiviert",
    "deactivated": "deaktiviert",
    "cancelled": "aufgehoben",
}


class German(Translator):
    """Announcements in German."""

    language = "de"
    wording = _WORDING

    def _count(self, count: int, noun: Noun) -> str:
        # One has an amount, in the accusative: of these nouns only the dollar shows it.
        if count == 1 and noun.singular == "Dollar":
            return "einen Dollar"
        return super()._count(count, noun)

    def _key(self, key: str) -> str:
        return super()._key(key).capitalize()

    def _time(self, time: TimeOfDay) -> str:
        minute = f" {words(time.minute)}" if time.minute else ""
        return f"{words(time.hour, 'masculine')} Uhr{minute}"

    def _at(self, time: TimeOfDay) -> str:
        return f"um {self._time(time)}"

    def _calendar_day(self, day: CalendarDay, weekday: str, month: str) -> str:
        # num2words gives the nominative of the weak declension, "dritte": the dative adds -n.
        number = num2words(day.day, lang="de", to="ordinal") + "n"
        year = f" {num2words(day.year, lang='de', to='year')}" if day.year is not None else ""
        return f"am {weekday}, dem {number} {month}{year},"

    def _message_count(self, said: m.MessageCount) -> str:
        """Returns "Sie haben eine neue und fünf alte Nachrichten von der Familie"."""
        *rest, (count, kind) = said.counts
        if count == 0:
            return f"Sie haben {_NO_MESSAGES[kind]}{self._sender(said.sender)}"
        counts = [*((count, _EARLIER[kind]) for count, kind in rest), (count, _MESSAGES[kind])]
        return f"Sie haben {self._counts(counts)}{self._sender(said.sender)}"

    def _hold_time(self, said: a.HoldTime) -> str:
        """Returns "die geschätzte Wartezeit beträgt derzeit weniger als drei Minuten"."""
        duration = ("weniger als " if said.less_than else "") + self._duration(said.duration)
        return f"die geschätzte Wartezeit beträgt derzeit {duration}"

    def _participants(self, said: a.Participants) -> str:
        """Returns "derzeit sind fünf weitere Teilnehmer in der Konferenz"."""
        if said.number == 1:
            return "derzeit ist ein weiterer Teilnehmer in der Konferenz"
        number = words(said.number, "masculine") + (" weitere" if said.other else "")
        return f"derzeit sind {number} Teilnehmer in der Konferenz"

    def _feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "Anklopfen für die Nebenstelle zwei null aktiviert"."""
        extension = f" für die Nebenstelle {self._digits(said.extension)}" if said.extension else ""
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}"

    def _exact_time(self, said: a.ExactTime) -> str:
        """Returns "beim Signalton ist es genau zweiundzwanzig Uhr fünfzehn"."""
        seconds = f" und {self._duration(Duration(0, said.seconds))}" if said.seconds else ""
        return f"beim Signalton ist es genau {self._time(said.time)}{seconds}"
