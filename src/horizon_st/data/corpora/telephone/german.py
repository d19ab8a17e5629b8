"""Announcements in German: formal address, 24-hour clock ("zweiundzwanzig Uhr fünfzehn")."""

from __future__ import annotations

from num2words import num2words

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import german as words
from horizon_st.data.corpora.telephone.translator import Translator, month_name, weekday_name
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

# The stem takes -e after a number, -en after "keine".
_KINDS: dict[m.MessageKind, str] = {
    "any": "",
    "new": "neue",
    "old": "alte",
    "urgent": "dringende",
    "saved": "gespeicherte",
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
_ACTIONS: dict[a.Action, str] = {
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
}


def _count(value: int, singular: str, plural: str) -> str:
    return f"{words(value, 'feminine')} {singular if value == 1 else plural}"


def _digits(value: str) -> str:
    return " ".join(words(int(sign)) if sign.isdigit() else sign for sign in value)


def _key(key: str) -> str:
    name = {"*": "Sterntaste", "#": "Rautetaste"}.get(key) or words(int(key)).capitalize()
    return f"die {name}"


def _time(time: TimeOfDay) -> str:
    minute = f" {words(time.minute)}" if time.minute else ""
    return f"{words(time.hour, 'masculine')} Uhr{minute}"


def _day(day: Day) -> str:
    if not isinstance(day, CalendarDay):
        return {"today": "heute", "tomorrow": "morgen", "yesterday": "gestern"}[day]
    # num2words gives the nominative of the weak declension, "dritte": the dative adds -n.
    number = num2words(day.day, lang="de", to="ordinal") + "n"
    year = f" {num2words(day.year, lang='de', to='year')}" if day.year is not None else ""
    weekday, month = weekday_name("de", day.weekday), month_name("de", day.month)
    return f"am {weekday}, dem {number} {month}{year},"


def _moment(moment: Moment) -> str:
    return f"{_day(moment.day)} um {_time(moment.time)}"


def _duration(duration: Duration) -> str:
    parts = []
    if duration.minutes:
        parts.append(_count(duration.minutes, "Minute", "Minuten"))
    if duration.seconds:
        parts.append(_count(duration.seconds, "Sekunde", "Sekunden"))
    return " und ".join(parts)


def _sender(sender: Sender | None) -> str:
    if sender is None:
        return ""
    phrase = {
        "extension": "von der Nebenstelle",
        "number": "von der Telefonnummer",
        "family": "von der Familie",
        "friends": "von Freunden",
        "work": "von der Arbeit",
        "unknown": "von einem unbekannten Anrufer",
    }[sender.kind]
    return f" {phrase}" + (f" {_digits(sender.digits)}" if sender.digits else "")


class German(Translator):
    """Announcements in German."""

    language = "de"

    def message_count(self, said: m.MessageCount) -> str:
        """Returns "Sie haben eine neue und fünf alte Nachrichten von der Familie"."""
        if said.counts[0][0] == 0:
            kind = _KINDS[said.counts[0][1]]
            return f"Sie haben keine {kind + 'n ' if kind else ''}Nachrichten{_sender(said.sender)}"
        counts = [f"{words(n, 'feminine')} {_KINDS[kind]}".strip() for n, kind in said.counts]
        noun = "Nachricht" if said.counts[-1][0] == 1 else "Nachrichten"
        return f"Sie haben {' und '.join(counts)} {noun}{_sender(said.sender)}"

    def message_received(self, said: m.MessageReceived) -> str:
        """Returns "Nachricht sieben von der Familie, heute um zehn Uhr empfangen"."""
        if isinstance(said.which, int):
            message = f"Nachricht {words(said.which)}"
        else:
            message = {"first": "erste Nachricht", "last": "letzte Nachricht"}[said.which]
        return f"{message}{_sender(said.sender)}, {_moment(said.moment)} empfangen"

    def message_saved(self, said: m.MessageSaved) -> str:
        """Returns "Nachricht zwölf wurde in Ordner sieben gespeichert"."""
        if isinstance(said.folder, int):
            folder = f"in Ordner {words(said.folder)}"
        else:
            folder = {
                "new": "in den neuen Nachrichten",
                "old": "in den alten Nachrichten",
                "family": "in den Nachrichten der Familie",
                "friends": "in den Nachrichten der Freunde",
                "work": "in den beruflichen Nachrichten",
            }[said.folder]
        return f"Nachricht {words(said.number)} wurde {folder} gespeichert"

    def message_duration(self, said: m.MessageDuration) -> str:
        """Returns "diese Nachricht dauert drei Minuten und zwanzig Sekunden"."""
        return f"diese Nachricht dauert {_duration(said.duration)}"

    def caller_number(self, said: a.CallerNumber) -> str:
        """Returns "Sie sind derzeit Anrufer Nummer drei und warten auf ..."."""
        return (
            f"Sie sind derzeit Anrufer Nummer {words(said.number)} "
            "und warten auf ein Gespräch mit einem Mitarbeiter"
        )

    def hold_time(self, said: a.HoldTime) -> str:
        """Returns "die geschätzte Wartezeit beträgt derzeit drei Minuten"."""
        less_than = "weniger als " if said.less_than else ""
        return f"die geschätzte Wartezeit beträgt derzeit {less_than}{_duration(said.duration)}"

    def callers_waiting(self, said: a.CallersWaiting) -> str:
        """Returns "derzeit warten mehr als neun Anrufer auf ein Gespräch ..."."""
        callers = f"{words(said.number, 'masculine')} Anrufer"
        return f"derzeit warten mehr als {callers} auf ein Gespräch mit einem Mitarbeiter"

    def conference_entry(self, said: a.ConferenceEntry) -> str:
        """Returns "Sie betreten die Konferenz Nummer vier zwei"."""
        return f"Sie betreten die Konferenz Nummer {_digits(said.digits)}"

    def participants(self, said: a.Participants) -> str:
        """Returns "derzeit sind fünf weitere Teilnehmer in der Konferenz"."""
        if said.number == 1:
            return "derzeit ist ein weiterer Teilnehmer in der Konferenz"
        other = "weitere " if said.other else ""
        number = words(said.number, "masculine")
        return f"derzeit sind {number} {other}Teilnehmer in der Konferenz"

    def users_will_join(self, said: a.UsersWillJoin) -> str:
        """Returns "fünf Benutzer werden der Konferenz beitreten"."""
        verb = "wird" if said.number == 1 else "werden"
        return f"{words(said.number, 'masculine')} Benutzer {verb} der Konferenz beitreten"

    def subject_status(self, said: a.SubjectStatus) -> str:
        """Returns "die Nebenstelle zwei null ist am Telefon"."""
        subject = {
            "extension": "die Nebenstelle",
            "person": "die Person an der Nebenstelle",
            "agent": "der Agent",
        }[said.subject]
        status = {
            "on the phone": "ist am Telefon",
            "unavailable": "ist nicht verfügbar",
            "in use": "wird gerade benutzt",
            "present": "ist jetzt in der Konferenz",
            "joined": "ist der Konferenz beigetreten",
            "left": "hat die Konferenz verlassen",
        }[said.status]
        return f"{subject} {_digits(said.digits)} {status}"

    def number_given(self, said: a.NumberGiven) -> str:
        """Returns "die Nummer, die ich habe, ist fünf fünf"."""
        value = _digits(said.value)
        if said.intro == "you entered":
            return f"Sie haben {value} eingegeben"
        intro = {
            "i have": "die Nummer, die ich habe, ist",
            "last caller": "der letzte Anrufer war die Nummer",
            "your extension": "Ihre Nebenstelle ist",
            "your password": "Ihr Passwort ist",
            "your number": "Ihre Telefonnummer ist",
        }[said.intro]
        return f"{intro} {value}"

    def incoming_call(self, said: a.IncomingCall) -> str:
        """Returns "eingehender Anruf von der Nebenstelle zwei null"."""
        if said.sender.kind == "unknown":
            return "Sie haben einen eingehenden Anruf von einem unbekannten Anrufer"
        return f"eingehender Anruf{_sender(said.sender)}"

    def feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "Anklopfen für die Nebenstelle zwei null aktiviert"."""
        extension = f" für die Nebenstelle {_digits(said.extension)}" if said.extension else ""
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}"

    def number_set(self, said: a.NumberSet) -> str:
        """Returns "die Kurzwahl sieben ist auf die Nummer fünf fünf eingestellt"."""
        if said.speed_dial is None:
            subject = "die Rufumleitung"
        else:
            subject = f"die Kurzwahl {words(said.speed_dial)}"
        return f"{subject} ist auf die Nummer {_digits(said.digits)} eingestellt"

    def exact_time(self, said: a.ExactTime) -> str:
        """Returns "beim Signalton ist es genau zweiundzwanzig Uhr fünfzehn"."""
        seconds = f" und {_count(said.seconds, 'Sekunde', 'Sekunden')}" if said.seconds else ""
        return f"beim Signalton ist es genau {_time(said.time)}{seconds}"

    def try_again(self, said: a.TryAgain) -> str:
        """Returns "bitte versuchen Sie es morgen um neun Uhr noch einmal"."""
        return f"bitte versuchen Sie es {_moment(said.moment)} noch einmal"

    def menu_key(self, said: a.MenuKey) -> str:
        """Returns "um das Menü zu verlassen, drücken Sie die Vier" or the other order."""
        action, press = f"um {_ACTIONS[said.action]}", f"drücken Sie {_key(said.key)}"
        return f"{press}, {action}" if said.key_first else f"{action}, {press}"

    def extension_key(self, said: a.ExtensionKey) -> str:
        """Returns "drücken Sie die Vier für die Nebenstelle zwei null" or the other order."""
        target = f"für die Nebenstelle {_digits(said.digits)}"
        press = f"drücken Sie {_key(said.key)}"
        return f"{press} {target}" if said.key_first else f"{target} {press}"

    def balance(self, said: a.Balance) -> str:
        """Returns "Sie haben einen Dollar und einundzwanzig Minuten"."""
        parts = []
        for count, unit in said.amounts:
            if unit == "dollar":
                number = "einen" if count == 1 else words(count, "masculine")
                parts.append(f"{number} Dollar")
            else:
                noun = {"hour": "Stunde", "minute": "Minute"}[unit]
                parts.append(_count(count, noun, noun + "n"))
        return "Sie haben " + " und ".join(parts)

    def calling(self, said: a.Calling) -> str:
        """Returns "die Nebenstelle zwei null wird angerufen"."""
        callee = {"extension": "die Nebenstelle", "number": "die Nummer", "agent": "der Agent"}
        return f"{callee[said.callee]} {_digits(said.digits)} wird angerufen"
