"""Announcements in Spanish: formal address, 12-hour clock with the part of the day.

Midnight is "las doce de la noche", one to five are "de la madrugada", six to eleven "de la mañana",
twelve "del mediodía", one to seven "de la tarde", then "de la noche".
"""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import spanish as words
from horizon_st.data.corpora.telephone.translator import Translator, month_name, weekday_name
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Day,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

_KINDS: dict[m.MessageKind, tuple[str, str]] = {
    "any": ("", ""),
    "new": (" nuevo", " nuevos"),
    "old": (" antiguo", " antiguos"),
    "urgent": (" urgente", " urgentes"),
    "saved": (" guardado", " guardados"),
}
_FEATURES: dict[a.Feature, tuple[str, str]] = {
    "forwarding": ("desvío de llamadas", "o"),
    "on busy": ("desvío de llamadas si está ocupado", "o"),
    "no answer": ("desvío de llamadas si no hay respuesta", "o"),
    "unconditional": ("desvío de llamadas incondicional", "o"),
    "waiting": ("llamada en espera", "a"),
    "do not disturb": ("modo no molestar", "o"),
}
_SWITCHES: dict[a.Switch, str] = {
    "activated": "activad",
    "deactivated": "desactivad",
    "cancelled": "cancelad",
}
_ACTIONS: dict[a.Action, str] = {
    "leave conference": "salir de la conferencia",
    "exit menu": "salir del menú",
    "lock conference": "bloquear o desbloquear la conferencia",
    "mute yourself": "activar o desactivar el modo de silencio",
    "remove last": "expulsar al último participante que se unió a la conferencia",
    "louder others": "subir el volumen de los otros participantes",
    "quieter others": "bajar el volumen de los otros participantes",
    "louder self": "subir el volumen de su voz para los otros participantes",
    "quieter self": "bajar el volumen de su voz para los otros participantes",
    "reset others": "restablecer el volumen de la conferencia al nivel predeterminado",
    "reset self": "restablecer el volumen de su voz al nivel predeterminado",
    "listen": "escucharlo",
    "rerecord": "volver a grabarlo",
    "call number": "llamar a este número",
}


def _count(value: int, noun: str, form: str = "m") -> str:
    singular_a = noun.endswith("a")
    words_form = words(value, "feminine" if form == "f" or singular_a else "masculine")
    plural = noun + ("es" if noun.endswith("r") else "s")
    return f"{words_form} {noun if value == 1 else plural}"


def _digits(value: str) -> str:
    return " ".join(words(int(sign)) if sign.isdigit() else sign for sign in value)


def _key(key: str) -> str:
    return {"*": "asterisco", "#": "almohadilla"}.get(key) or words(int(key))


def _time(time: TimeOfDay) -> str:
    hour = (time.hour - 1) % 12 + 1
    minute = f" y {words(time.minute)}" if time.minute else ""
    if time.hour == 12:
        part = "del mediodía"
    else:
        parts = {0: "noche", 1: "madrugada", 6: "mañana", 12: "tarde", 20: "noche"}
        part = "de la " + next(parts[start] for start in sorted(parts)[::-1] if time.hour >= start)
    article = "la" if hour == 1 else "las"
    return f"{article} {words(hour, 'feminine')}{minute} {part}"


def _day(day: Day) -> str:
    if not isinstance(day, CalendarDay):
        return {"today": "hoy", "tomorrow": "mañana", "yesterday": "ayer"}[day]
    number = "primero" if day.day == 1 else words(day.day)
    year = f" de {words(day.year)}" if day.year is not None else ""
    return f"el {weekday_name('es', day.weekday)} {number} de {month_name('es', day.month)}{year}"


def _moment(moment: Moment) -> str:
    return f"{_day(moment.day)} a {_time(moment.time)}"


def _duration(duration: Duration) -> str:
    parts = []
    if duration.minutes:
        parts.append(_count(duration.minutes, "minuto"))
    if duration.seconds:
        parts.append(_count(duration.seconds, "segundo"))
    return " y ".join(parts)


def _sender(sender: Sender | None) -> str:
    if sender is None:
        return ""
    phrase = {
        "extension": "de la extensión",
        "number": "del número de teléfono",
        "family": "de la familia",
        "friends": "de amigos",
        "work": "del trabajo",
        "unknown": "de una persona desconocida",
    }[sender.kind]
    return f" {phrase}" + (f" {_digits(sender.digits)}" if sender.digits else "")


class Spanish(Translator):
    """Announcements in Spanish."""

    language = "es"

    def message_count(self, said: m.MessageCount) -> str:
        """Returns "tiene un mensaje nuevo y cinco antiguos de la familia"."""
        (count, kind), *rest = said.counts
        if count == 0:
            return f"no tiene mensajes{_KINDS[kind][1]}{_sender(said.sender)}"
        clause = f"tiene {_count(count, 'mensaje')}{_KINDS[kind][count != 1]}"
        for count, kind in rest:
            number = "uno" if count == 1 else words(count)
            clause += f" y {number}{_KINDS[kind][count != 1]}"
        return clause + _sender(said.sender)

    def message_received(self, said: m.MessageReceived) -> str:
        """Returns "mensaje siete de la familia recibido hoy a las diez de la mañana"."""
        if isinstance(said.which, int):
            message = f"mensaje {words(said.which)}"
        else:
            message = {"first": "primer mensaje", "last": "último mensaje"}[said.which]
        return f"{message}{_sender(said.sender)} recibido {_moment(said.moment)}"

    def message_saved(self, said: m.MessageSaved) -> str:
        """Returns "el mensaje doce se ha guardado en la carpeta siete"."""
        if isinstance(said.folder, int):
            folder = f"la carpeta {words(said.folder)}"
        else:
            folder = {
                "new": "los mensajes nuevos",
                "old": "los mensajes antiguos",
                "family": "los mensajes de la familia",
                "friends": "los mensajes de los amigos",
                "work": "los mensajes del trabajo",
            }[said.folder]
        return f"el mensaje {words(said.number)} se ha guardado en {folder}"

    def message_duration(self, said: m.MessageDuration) -> str:
        """Returns "este mensaje dura tres minutos y veinte segundos"."""
        return f"este mensaje dura {_duration(said.duration)}"

    def caller_number(self, said: a.CallerNumber) -> str:
        """Returns "usted es actualmente la persona número tres en espera ..."."""
        return (
            f"usted es actualmente la persona número {words(said.number)} "
            "en espera de hablar con un representante"
        )

    def hold_time(self, said: a.HoldTime) -> str:
        """Returns "el tiempo de espera estimado es actualmente de tres minutos"."""
        less_than = "menos de " if said.less_than else ""
        duration = _duration(said.duration)
        return f"el tiempo de espera estimado es actualmente de {less_than}{duration}"

    def callers_waiting(self, said: a.CallersWaiting) -> str:
        """Returns "actualmente hay más de veintiuna personas en espera ..."."""
        people = _count(said.number, "persona")
        return f"actualmente hay más de {people} en espera de hablar con un representante"

    def conference_entry(self, said: a.ConferenceEntry) -> str:
        """Returns "está entrando en la conferencia número cuatro dos"."""
        return f"está entrando en la conferencia número {_digits(said.digits)}"

    def participants(self, said: a.Participants) -> str:
        """Returns "actualmente hay otros cinco participantes en la conferencia"."""
        if said.number == 1:
            people = "otro participante"
        else:
            people = ("otros " if said.other else "") + _count(said.number, "participante")
        return f"actualmente hay {people} en la conferencia"

    def users_will_join(self, said: a.UsersWillJoin) -> str:
        """Returns "cinco usuarios se unirán a la conferencia"."""
        verb = "se unirá" if said.number == 1 else "se unirán"
        return f"{_count(said.number, 'usuario')} {verb} a la conferencia"

    def subject_status(self, said: a.SubjectStatus) -> str:
        """Returns "la extensión dos cero está al teléfono"."""
        subject = {
            "extension": "la extensión",
            "person": "la persona de la extensión",
            "agent": "el agente",
        }[said.subject]
        status = {
            "on the phone": "está al teléfono",
            "unavailable": "no está disponible",
            "in use": "está en uso",
            "present": "está ahora en la conferencia",
            "joined": "se ha unido a la conferencia",
            "left": "ha salido de la conferencia",
        }[said.status]
        return f"{subject} {_digits(said.digits)} {status}"

    def number_given(self, said: a.NumberGiven) -> str:
        """Returns "el número que tengo es cinco cinco"."""
        intro = {
            "i have": "el número que tengo es",
            "you entered": "ha introducido",
            "last caller": "la última llamada fue del número",
            "your extension": "su extensión es",
            "your password": "su contraseña es",
            "your number": "su número de teléfono es",
        }[said.intro]
        return f"{intro} {_digits(said.value)}"

    def incoming_call(self, said: a.IncomingCall) -> str:
        """Returns "llamada entrante de la extensión dos cero"."""
        if said.sender.kind == "unknown":
            return "tiene una llamada entrante de una persona desconocida"
        return f"llamada entrante{_sender(said.sender)}"

    def feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "llamada en espera para la extensión dos cero activada"."""
        feature, ending = _FEATURES[said.feature]
        extension = f" para la extensión {_digits(said.extension)}" if said.extension else ""
        return f"{feature}{extension} {_SWITCHES[said.switch]}{ending}"

    def number_set(self, said: a.NumberSet) -> str:
        """Returns "la marcación rápida siete está configurada con el número cinco cinco"."""
        if said.speed_dial is None:
            subject = "el desvío de llamadas está configurado"
        else:
            subject = f"la marcación rápida {words(said.speed_dial)} está configurada"
        return f"{subject} con el número {_digits(said.digits)}"

    def exact_time(self, said: a.ExactTime) -> str:
        """Returns "al oír la señal serán exactamente las diez y quince de la noche"."""
        verb = "será" if said.time.hour % 12 == 1 else "serán"
        seconds = f" con {_count(said.seconds, 'segundo')}" if said.seconds else ""
        return f"al oír la señal {verb} exactamente {_time(said.time)}{seconds}"

    def try_again(self, said: a.TryAgain) -> str:
        """Returns "por favor, inténtelo de nuevo mañana a las nueve de la mañana"."""
        return f"por favor, inténtelo de nuevo {_moment(said.moment)}"

    def menu_key(self, said: a.MenuKey) -> str:
        """Returns "para salir del menú, pulse cuatro" or "pulse cuatro para salir del menú"."""
        action, press = f"para {_ACTIONS[said.action]}", f"pulse {_key(said.key)}"
        return f"{press} {action}" if said.key_first else f"{action}, {press}"

    def extension_key(self, said: a.ExtensionKey) -> str:
        """Returns "pulse cuatro para la extensión dos cero" or the other order."""
        target, press = f"para la extensión {_digits(said.digits)}", f"pulse {_key(said.key)}"
        return f"{press} {target}" if said.key_first else f"{target}, {press}"

    def balance(self, said: a.Balance) -> str:
        """Returns "tiene veintiún dólares y una hora"."""
        nouns = {"dollar": ("dólar", "m"), "hour": ("hora", "f"), "minute": ("minuto", "m")}
        return "tiene " + " y ".join(_count(n, *nouns[unit]) for n, unit in said.amounts)

    def calling(self, said: a.Calling) -> str:
        """Returns "llamando a la extensión dos cero"."""
        callee = {"extension": "a la extensión", "number": "al número", "agent": "al agente"}
        return f"llamando {callee[said.callee]} {_digits(said.digits)}"
