"""Announcements in Spanish: formal address, 12-hour clock with the part of the day.

Midnight is "las doce de la noche", one to five are "de la madrugada", six to eleven "de la mañana",
twelve "del mediodía", one to seven "de la tarde", then "de la noche".
"""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import spanish as words
from horizon_st.data.corpora.telephone.translator import Translator
from horizon_st.data.corpora.telephone.values import CalendarDay, Duration, TimeOfDay
from horizon_st.data.corpora.telephone.wording import Noun, Wording

_WORDING = Wording(
    words=words,
    conjunction="y",
    nouns={
        "dollar": Noun("dólar", "dólares", "masculine"),
        "hour": Noun("hora", "horas", "feminine"),
        "minute": Noun("minuto", "minutos", "masculine"),
        "second": Noun("segundo", "segundos", "masculine"),
        "caller": Noun("persona", "personas", "feminine"),
        "user": Noun("usuario", "usuarios", "masculine"),
    },
    key_signs={"*": "asterisco", "#": "almohadilla"},
    relative_days={"today": "hoy", "tomorrow": "mañana", "yesterday": "ayer"},
    senders={
        "extension": "de la extensión {digits}",
        "number": "del número de teléfono {digits}",
        "family": "de la familia",
        "friends": "de amigos",
        "work": "del trabajo",
        "unknown": "de una persona desconocida",
    },
    message_numbered="mensaje {number}",
    message_named={"first": "primer mensaje", "last": "último mensaje"},
    message_received="{message}{sender} recibido {moment}",
    folder_numbered="la carpeta {number}",
    folder_named={
        "new": "los mensajes nuevos",
        "old": "los mensajes antiguos",
        "family": "los mensajes de la familia",
        "friends": "los mensajes de los amigos",
        "work": "los mensajes del trabajo",
    },
    message_saved="el mensaje {number} se ha guardado en {folder}",
    message_duration="este mensaje dura {duration}",
    caller_number="usted es actualmente la persona número {number} "
    "en espera de hablar con un representante",
    callers_waiting="actualmente hay más de {callers} en espera de hablar con un representante",
    conference_entry="está entrando en la conferencia número {digits}",
    users_will_join=(
        "{users} se unirá a la conferencia",
        "{users} se unirán a la conferencia",
    ),
    subjects={
        "extension": "la extensión",
        "person": "la persona de la extensión",
        "agent": "el agente",
    },
    statuses={
        "on the phone": "está al teléfono",
        "unavailable": "no está disponible",
        "in use": "está en uso",
        "present": "está ahora en la conferencia",
        "joined": "se ha unido a la conferencia",
        "left": "ha salido de la conferencia",
    },
    numbers_given={
        "i have": "el número que tengo es {digits}",
        "you entered": "ha introducido {digits}",
        "last caller": "la última llamada fue del número {digits}",
        "your extension": "su extensión es {digits}",
        "your password": "su contraseña es {digits}",
        "your number": "su número de teléfono es {digits}",
    },
    incoming_call="llamada entrante{sender}",
    incoming_call_unknown="tiene una llamada entrante{sender}",
    callings={
        "extension": "llamando a la extensión {digits}",
        "number": "llamando al número {digits}",
        "agent": "llamando al agente {digits}",
    },
    try_again="por favor, inténtelo de nuevo {moment}",
    forwarding_set="el desvío de llamadas está configurado con el número {digits}",
    speed_dial_set="la marcación rápida {number} está configurada con el número {digits}",
    balance="tiene {amounts}",
    actions={
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
    },
    menu_key=("para {action}, pulse {key}", "pulse {key} para {action}"),
    extension_key=(
        "para la extensión {digits}, pulse {key}",
        "pulse {key} para la extensión {digits}",
    ),
)
_MESSAGES: dict[m.MessageKind, Noun] = {
    "any": Noun("mensaje", "mensajes", "masculine"),
    "new": Noun("mensaje nuevo", "mensajes nuevos", "masculine"),
    "old": Noun("mensaje antiguo", "mensajes antiguos", "masculine"),
    "urgent": Noun("mensaje urgente", "mensajes urgentes", "masculine"),
    "saved": Noun("mensaje guardado", "mensajes guardados", "masculine"),
}
# After the first count the noun is left out: "uno guardado".
_FURTHER: dict[m.MessageKind, Noun] = {
    "new": Noun("nuevo", "nuevos", "bare"),
    "old": Noun("antiguo", "antiguos", "bare"),
    "urgent": Noun("urgente", "urgentes", "bare"),
    "saved": Noun("guardado", "guardados", "bare"),
}
# With the ending of the switch.
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


class Spanish(Translator):
    """Announcements in Spanish."""

    language = "es"
    wording = _WORDING

    def _time(self, time: TimeOfDay) -> str:
        hour = (time.hour - 1) % 12 + 1
        minute = f" y {words(time.minute)}" if time.minute else ""
        if time.hour == 12:
            part = "del mediodía"
        else:
            parts = {0: "noche", 1: "madrugada", 6: "mañana", 12: "tarde", 20: "noche"}
            start = max(start for start in parts if time.hour >= start)
            part = f"de la {parts[start]}"
        article = "la" if hour == 1 else "las"
        return f"{article} {words(hour, 'feminine')}{minute} {part}"

    def _at(self, time: TimeOfDay) -> str:
        return f"a {self._time(time)}"

    def _calendar_day(self, day: CalendarDay, weekday: str, month: str) -> str:
        number = "primero" if day.day == 1 else words(day.day)
        year = f" de {words(day.year)}" if day.year is not None else ""
        return f"el {weekday} {number} de {month}{year}"

    def _message_count(self, said: m.MessageCount) -> str:
        """Returns "tiene un mensaje nuevo y cinco antiguos de la familia"."""
        (count, kind), *rest = said.counts
        if count == 0:
            return f"no tiene {_MESSAGES[kind].plural}{self._sender(said.sender)}"
        counts = [(count, _MESSAGES[kind]), *((count, _FURTHER[kind]) for count, kind in rest)]
        return f"tiene {self._counts(counts)}{self._sender(said.sender)}"

    def _hold_time(self, said: a.HoldTime) -> str:
        """Returns "el tiempo de espera estimado es actualmente de menos de tres minutos"."""
        duration = ("menos de " if said.less_than else "") + self._duration(said.duration)
        return f"el tiempo de espera estimado es actualmente de {duration}"

    def _participants(self, said: a.Participants) -> str:
        """Returns "actualmente hay otros cinco participantes en la conferencia"."""
        if said.number == 1:
            return "actualmente hay otro participante en la conferencia"
        number = ("otros " if said.other else "") + words(said.number, "masculine")
        return f"actualmente hay {number} participantes en la conferencia"

    def _feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "llamada en espera para la extensión dos cero activada"."""
        feature, ending = _FEATURES[said.feature]
        extension = f" para la extensión {self._digits(said.extension)}" if said.extension else ""
        return f"{feature}{extension} {_SWITCHES[said.switch]}{ending}"

    def _exact_time(self, said: a.ExactTime) -> str:
        """Returns "al oír la señal serán exactamente las diez y quince de la noche"."""
        verb = "será" if said.time.hour % 12 == 1 else "serán"
        seconds = f" con {self._duration(Duration(0, said.seconds))}" if said.seconds else ""
        return f"al oír la señal {verb} exactamente {self._time(said.time)}{seconds}"
