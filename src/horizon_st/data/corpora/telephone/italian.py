"""Announcements in Italian: formal address, 24-hour clock ("le ventidue e quindici")."""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import italian as words
from horizon_st.data.corpora.telephone.translator import Translator, month_name, weekday_name
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

# Before the noun and after it: singular, plural.
_BEFORE: dict[m.MessageKind, tuple[str, str]] = {
    "new": ("nuovo", "nuovi"),
    "old": ("vecchio", "vecchi"),
}
_AFTER: dict[m.MessageKind, tuple[str, str]] = {
    "urgent": ("urgente", "urgenti"),
    "saved": ("salvato", "salvati"),
}
_PLURALS = {
    "messaggio": "messaggi",
    "minuto": "minuti",
    "secondo": "secondi",
    "utente": "utenti",
    "partecipante": "partecipanti",
    "dollaro": "dollari",
    "ora": "ore",
    "persona": "persone",
}
_FEATURES: dict[a.Feature, str] = {
    "forwarding": "inoltro di chiamata",
    "on busy": "inoltro di chiamata su occupato",
    "no answer": "inoltro di chiamata in caso di mancata risposta",
    "unconditional": "inoltro di chiamata incondizionato",
    "waiting": "avviso di chiamata",
    "do not disturb": "modalità non disturbare",
}
_SWITCHES: dict[a.Switch, str] = {
    "activated": "attivat",
    "deactivated": "disattivat",
    "cancelled": "annullat",
}
_ACTIONS: dict[a.Action, str] = {
    "leave conference": "lasciare la conferenza",
    "exit menu": "uscire dal menu",
    "lock conference": "bloccare o sbloccare la conferenza",
    "mute yourself": "disattivare o riattivare la sua voce",
    "remove last": "rimuovere l'ultimo partecipante che si è unito alla conferenza",
    "louder others": "alzare il volume degli altri partecipanti",
    "quieter others": "abbassare il volume degli altri partecipanti",
    "louder self": "alzare il volume della sua voce per gli altri partecipanti",
    "quieter self": "abbassare il volume della sua voce per gli altri partecipanti",
    "reset others": "riportare il volume della conferenza al livello predefinito",
    "reset self": "riportare il volume della sua voce al livello predefinito",
    "listen": "ascoltarlo",
    "rerecord": "registrarlo di nuovo",
    "call number": "chiamare questo numero",
}


def _count(value: int, noun: str) -> str:
    number = words(value, "feminine" if noun.endswith("a") else "masculine")
    return f"{number} {noun if value == 1 else _PLURALS[noun]}"


def _digits(value: str) -> str:
    return " ".join(words(int(sign)) if sign.isdigit() else sign for sign in value)


def _key(key: str) -> str:
    return {"*": "asterisco", "#": "cancelletto"}.get(key) or words(int(key))


def _time(time: TimeOfDay, *, at: bool) -> str:
    minute = f" e {words(time.minute)}" if time.minute else ""
    if time.hour == 0:
        return ("a " if at else "") + f"mezzanotte{minute}"
    if time.hour == 1:
        return ("all'" if at else "l'") + f"una{minute}"
    return f"{'alle' if at else 'le'} {words(time.hour)}{minute}"


def _day(day: Day) -> str:
    if not isinstance(day, CalendarDay):
        return {"today": "oggi", "tomorrow": "domani", "yesterday": "ieri"}[day]
    number = "primo" if day.day == 1 else words(day.day)
    year = f" {words(day.year)}" if day.year is not None else ""
    return f"{weekday_name('it', day.weekday)} {number} {month_name('it', day.month)}{year}"


def _moment(moment: Moment) -> str:
    return f"{_day(moment.day)} {_time(moment.time, at=True)}"


def _duration(duration: Duration) -> str:
    parts = []
    if duration.minutes:
        parts.append(_count(duration.minutes, "minuto"))
    if duration.seconds:
        parts.append(_count(duration.seconds, "secondo"))
    return " e ".join(parts)


def _sender(sender: Sender | None) -> str:
    if sender is None:
        return ""
    phrase = {
        "extension": "dall'interno",
        "number": "dal numero di telefono",
        "family": "dalla famiglia",
        "friends": "da amici",
        "work": "dal lavoro",
        "unknown": "da un chiamante sconosciuto",
    }[sender.kind]
    return f" {phrase}" + (f" {_digits(sender.digits)}" if sender.digits else "")


def _messages(kind: m.MessageKind, *, plural: bool) -> str:
    before = f"{_BEFORE[kind][plural]} " if kind in _BEFORE else ""
    after = f" {_AFTER[kind][plural]}" if kind in _AFTER else ""
    return f"{before}{'messaggi' if plural else 'messaggio'}{after}"


class Italian(Translator):
    """Announcements in Italian."""

    language = "it"

    def message_count(self, said: m.MessageCount) -> str:
        """Returns "ha un nuovo messaggio e cinque vecchi dalla famiglia"."""
        (count, kind), *rest = said.counts
        if count == 0:
            return f"non ha {_messages(kind, plural=True)}{_sender(said.sender)}"
        clause = f"ha {words(count, 'masculine')} {_messages(kind, plural=count != 1)}"
        for count, kind in rest:
            clause += f" e {words(count)} {(_BEFORE | _AFTER)[kind][count != 1]}"
        return clause + _sender(said.sender)

    def message_received(self, said: m.MessageReceived) -> str:
        """Returns "messaggio sette dalla famiglia ricevuto oggi alle dieci"."""
        if isinstance(said.which, int):
            message = f"messaggio {words(said.which)}"
        else:
            message = {"first": "primo messaggio", "last": "ultimo messaggio"}[said.which]
        return f"{message}{_sender(said.sender)} ricevuto {_moment(said.moment)}"

    def message_saved(self, said: m.MessageSaved) -> str:
        """Returns "il messaggio dodici è stato salvato nella cartella sette"."""
        if isinstance(said.folder, int):
            folder = f"nella cartella {words(said.folder)}"
        else:
            folder = {
                "new": "nei nuovi messaggi",
                "old": "nei vecchi messaggi",
                "family": "nei messaggi della famiglia",
                "friends": "nei messaggi degli amici",
                "work": "nei messaggi del lavoro",
            }[said.folder]
        return f"il messaggio {words(said.number)} è stato salvato {folder}"

    def message_duration(self, said: m.MessageDuration) -> str:
        """Returns "questo messaggio dura tre minuti e venti secondi"."""
        return f"questo messaggio dura {_duration(said.duration)}"

    def caller_number(self, said: a.CallerNumber) -> str:
        """Returns "attualmente è il chiamante numero tre in attesa ..."."""
        return (
            f"attualmente è il chiamante numero {words(said.number)} "
            "in attesa di parlare con un operatore"
        )

    def hold_time(self, said: a.HoldTime) -> str:
        """Returns "il tempo di attesa stimato è attualmente di tre minuti"."""
        less_than = "meno di " if said.less_than else ""
        return f"il tempo di attesa stimato è attualmente di {less_than}{_duration(said.duration)}"

    def callers_waiting(self, said: a.CallersWaiting) -> str:
        """Returns "attualmente ci sono più di ventuno persone in attesa ..."."""
        people = _count(said.number, "persona")
        return f"attualmente ci sono più di {people} in attesa di parlare con un operatore"

    def conference_entry(self, said: a.ConferenceEntry) -> str:
        """Returns "sta entrando nella conferenza numero quattro due"."""
        return f"sta entrando nella conferenza numero {_digits(said.digits)}"

    def participants(self, said: a.Participants) -> str:
        """Returns "attualmente ci sono altri cinque partecipanti nella conferenza"."""
        if said.number == 1:
            return "attualmente c'è un altro partecipante nella conferenza"
        people = ("altri " if said.other else "") + _count(said.number, "partecipante")
        return f"attualmente ci sono {people} nella conferenza"

    def users_will_join(self, said: a.UsersWillJoin) -> str:
        """Returns "cinque utenti si uniranno alla conferenza"."""
        verb = "si unirà" if said.number == 1 else "si uniranno"
        return f"{_count(said.number, 'utente')} {verb} alla conferenza"

    def subject_status(self, said: a.SubjectStatus) -> str:
        """Returns "l'interno due zero è al telefono"."""
        subject = {
            "extension": "l'interno",
            "person": "la persona all'interno",
            "agent": "l'operatore",
        }[said.subject]
        status = {
            "on the phone": "è al telefono",
            "unavailable": "non è disponibile",
            "in use": "è in uso",
            "present": "è ora nella conferenza",
            "joined": f"si è {'unita' if said.subject == 'person' else 'unito'} alla conferenza",
            "left": "ha lasciato la conferenza",
        }[said.status]
        return f"{subject} {_digits(said.digits)} {status}"

    def number_given(self, said: a.NumberGiven) -> str:
        """Returns "il numero che ho è cinque cinque"."""
        intro = {
            "i have": "il numero che ho è",
            "you entered": "ha inserito",
            "last caller": "l'ultimo chiamante era il numero",
            "your extension": "il suo interno è",
            "your password": "la sua password è",
            "your number": "il suo numero di telefono è",
        }[said.intro]
        return f"{intro} {_digits(said.value)}"

    def incoming_call(self, said: a.IncomingCall) -> str:
        """Returns "chiamata in arrivo dall'interno due zero"."""
        if said.sender.kind == "unknown":
            return "ha una chiamata in arrivo da un chiamante sconosciuto"
        return f"chiamata in arrivo{_sender(said.sender)}"

    def feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "avviso di chiamata per l'interno due zero attivato"."""
        extension = f" per l'interno {_digits(said.extension)}" if said.extension else ""
        ending = "a" if said.feature == "do not disturb" else "o"
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}{ending}"

    def number_set(self, said: a.NumberSet) -> str:
        """Returns "la composizione rapida sette è impostata sul numero cinque cinque"."""
        if said.speed_dial is None:
            subject = "l'inoltro di chiamata è impostato"
        else:
            subject = f"la composizione rapida {words(said.speed_dial)} è impostata"
        return f"{subject} sul numero {_digits(said.digits)}"

    def exact_time(self, said: a.ExactTime) -> str:
        """Returns "al segnale acustico saranno esattamente le ventidue e quindici"."""
        verb = "sarà" if said.time.hour < 2 else "saranno"
        # After "e" the seconds would be heard as minutes: "le quattordici e quaranta ...".
        seconds = f", più {_count(said.seconds, 'secondo')}" if said.seconds else ""
        return f"al segnale acustico {verb} esattamente {_time(said.time, at=False)}{seconds}"

    def try_again(self, said: a.TryAgain) -> str:
        """Returns "la preghiamo di riprovare domani alle nove"."""
        return f"la preghiamo di riprovare {_moment(said.moment)}"

    def menu_key(self, said: a.MenuKey) -> str:
        """Returns "per uscire dal menu, prema quattro" or "prema quattro per uscire dal menu"."""
        action, press = f"per {_ACTIONS[said.action]}", f"prema {_key(said.key)}"
        return f"{press} {action}" if said.key_first else f"{action}, {press}"

    def extension_key(self, said: a.ExtensionKey) -> str:
        """Returns "prema quattro per l'interno due zero" or the other order."""
        target, press = f"per l'interno {_digits(said.digits)}", f"prema {_key(said.key)}"
        return f"{press} {target}" if said.key_first else f"{target}, {press}"

    def balance(self, said: a.Balance) -> str:
        """Returns "ha ventuno dollari e un minuto"."""
        nouns = {"dollar": "dollaro", "hour": "ora", "minute": "minuto"}
        return "ha " + " e ".join(_count(n, nouns[unit]) for n, unit in said.amounts)

    def calling(self, said: a.Calling) -> str:
        """Returns "chiamata all'interno due zero"."""
        callee = {"extension": "all'interno", "number": "al numero", "agent": "all'operatore"}
        return f"chiamata {callee[said.callee]} {_digits(said.digits)}"
