"""Announcements in Italian: formal address, 24-hour clock ("le ventidue e quindici")."""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import italian as words
from horizon_st.data.corpora.telephone.translator import Translator
from horizon_st.data.corpora.telephone.values import CalendarDay, Duration, TimeOfDay
from horizon_st.data.corpora.telephone.wording import Noun, Wording

_WORDING = Wording(
    words=words,
    conjunction="e",
    nouns={
        "dollar": Noun("dollaro", "dollari", "masculine"),
        "hour": Noun("ora", "ore", "feminine"),
        "minute": Noun("minuto", "minuti", "masculine"),
        "second": Noun("secondo", "secondi", "masculine"),
        "caller": Noun("persona", "persone", "feminine"),
        "user": Noun("utente", "utenti", "masculine"),
    },
    key_signs={"*": "asterisco", "#": "cancelletto"},
    relative_days={"today": "oggi", "tomorrow": "domani", "yesterday": "ieri"},
    senders={
        "extension": "dall'interno {digits}",
        "number": "dal numero di telefono {digits}",
        "family": "dalla famiglia",
        "friends": "da amici",
        "work": "dal lavoro",
        "unknown": "da un chiamante sconosciuto",
    },
    message_numbered="messaggio {number}",
    message_named={"first": "primo messaggio", "last": "ultimo messaggio"},
    message_received="{message}{sender} ricevuto {moment}",
    folder_numbered="nella cartella {number}",
    folder_named={
        "new": "nei nuovi messaggi",
        "old": "nei vecchi messaggi",
        "family": "nei messaggi della famiglia",
        "friends": "nei messaggi degli amici",
        "work": "nei messaggi del lavoro",
    },
    message_saved="il messaggio {number} è stato salvato {folder}",
    message_duration="questo messaggio dura {duration}",
    caller_number="attualmente è il chiamante numero {number} "
    "in attesa di parlare con un operatore",
    callers_waiting="attualmente ci sono più di {callers} in attesa di parlare con un operatore",
    conference_entry="sta entrando nella conferenza numero {digits}",
    users_will_join=(
        "{users} si unirà alla conferenza",
        "{users} si uniranno alla conferenza",
    ),
    subjects={
        "extension": "l'interno",
        "person": "la persona all'interno",
        "agent": "l'operatore",
    },
    statuses={
        "on the phone": "è al telefono",
        "unavailable": "non è disponibile",
        "in use": "è in uso",
        "present": "è ora nella conferenza",
        "joined": "si è unito alla conferenza",
        "left": "ha lasciato la conferenza",
    },
    numbers_given={
        "i have": "il numero che ho è {digits}",
        "you entered": "ha inserito {digits}",
        "last caller": "l'ultimo chiamante era il numero {digits}",
        "your extension": "il suo interno è {digits}",
        "your password": "la sua password è {digits}",
        "your number": "il suo numero di telefono è {digits}",
    },
    incoming_call="chiamata in arrivo{sender}",
    incoming_call_unknown="ha una chiamata in arrivo{sender}",
    callings={
        "extension": "chiamata all'interno {digits}",
        "number": "chiamata al numero {digits}",
        "agent": "chiamata all'operatore {digits}",
    },
    try_again="la preghiamo di riprovare {moment}",
    forwarding_set="l'inoltro di chiamata è impostato sul numero {digits}",
    speed_dial_set="la composizione rapida {number} è impostata sul numero {digits}",
    balance="ha {amounts}",
    actions={
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
    },
    menu_key=("per {action}, prema {key}", "prema {key} per {action}"),
    extension_key=(
        "per l'interno {digits}, prema {key}",
        "prema {key} per l'interno {digits}",
    ),
)
_MESSAGES: dict[m.MessageKind, Noun] = {
    "any": Noun("messaggio", "messaggi", "masculine"),
    "new": Noun("nuovo messaggio", "nuovi messaggi", "masculine"),
    "old": Noun("vecchio messaggio", "vecchi messaggi", "masculine"),
    "urgent": Noun("messaggio urgente", "messaggi urgenti", "masculine"),
    "saved": Noun("messaggio salvato", "messaggi salvati", "masculine"),
}
# After the first count the noun is left out: "uno salvato".
_FURTHER: dict[m.MessageKind, Noun] = {
    "new": Noun("nuovo", "nuovi", "bare"),
    "old": Noun("vecchio", "vecchi", "bare"),
    "urgent": Noun("urgente", "urgenti", "bare"),
    "saved": Noun("salvato", "salvati", "bare"),
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


class Italian(Translator):
    """Announcements in Italian."""

    language = "it"
    wording = _WORDING

    def _time(self, time: TimeOfDay) -> str:
        minute = f" e {words(time.minute)}" if time.minute else ""
        if time.hour == 0:
            return f"mezzanotte{minute}"
        if time.hour == 1:
            return f"l'una{minute}"
        return f"le {words(time.hour)}{minute}"

    def _at(self, time: TimeOfDay) -> str:
        # The preposition melts into the article, "alle" and "all'una"; midnight has none.
        return ("al" if time.hour else "a ") + self._time(time)

    def _calendar_day(self, day: CalendarDay, weekday: str, month: str) -> str:
        number = "primo" if day.day == 1 else words(day.day)
        year = f" {words(day.year)}" if day.year is not None else ""
        return f"{weekday} {number} {month}{year}"

    def _message_count(self, said: m.MessageCount) -> str:
        """Returns "ha un nuovo messaggio e cinque vecchi dalla famiglia"."""
        (count, kind), *rest = said.counts
        if count == 0:
            return f"non ha {_MESSAGES[kind].plural}{self._sender(said.sender)}"
        counts = [(count, _MESSAGES[kind]), *((count, _FURTHER[kind]) for count, kind in rest)]
        return f"ha {self._counts(counts)}{self._sender(said.sender)}"

    def _hold_time(self, said: a.HoldTime) -> str:
        """Returns "il tempo di attesa stimato è attualmente di meno di tre minuti"."""
        duration = ("meno di " if said.less_than else "") + self._duration(said.duration)
        return f"il tempo di attesa stimato è attualmente di {duration}"

    def _participants(self, said: a.Participants) -> str:
        """Returns "attualmente ci sono altri cinque partecipanti nella conferenza"."""
        if said.number == 1:
            return "attualmente c'è un altro partecipante nella conferenza"
        number = ("altri " if said.other else "") + words(said.number, "masculine")
        return f"attualmente ci sono {number} partecipanti nella conferenza"

    def _subject_status(self, said: a.SubjectStatus) -> str:
        """Returns "la persona all'interno due zero si è unita alla conferenza"."""
        clause = super()._subject_status(said)
        return clause.replace("si è unito", "si è unita") if said.subject == "person" else clause

    def _feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "avviso di chiamata per l'interno due zero attivato"."""
        extension = f" per l'interno {self._digits(said.extension)}" if said.extension else ""
        ending = "a" if said.feature == "do not disturb" else "o"
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}{ending}"

    def _exact_time(self, said: a.ExactTime) -> str:
        """Returns "al segnale acustico saranno esattamente le ventidue e quindici"."""
        verb = "sarà" if said.time.hour < 2 else "saranno"
        # After "e" the seconds would be heard as minutes: "le quattordici e quaranta ...".
        seconds = f", più {self._duration(Duration(0, said.seconds))}" if said.seconds else ""
        return f"al segnale acustico {verb} esattamente {self._time(said.time)}{seconds}"
