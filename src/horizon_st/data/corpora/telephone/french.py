"""Announcements in French: formal address, 24-hour clock ("vingt-deux heures quinze")."""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import french as words
from horizon_st.data.corpora.telephone.translator import Translator
from horizon_st.data.corpora.telephone.values import CalendarDay, Duration, TimeOfDay
from horizon_st.data.corpora.telephone.wording import Noun, Wording

_WORDING = Wording(
    words=words,
    conjunction="et",
    nouns={
        "dollar": Noun("dollar", "dollars", "masculine"),
        "hour": Noun("heure", "heures", "feminine"),
        "minute": Noun("minute", "minutes", "feminine"),
        "second": Noun("seconde", "secondes", "feminine"),
        "caller": Noun("appelant", "appelants", "masculine"),
        "user": Noun("utilisateur", "utilisateurs", "masculine"),
    },
    key_signs={"*": "étoile", "#": "dièse"},
    relative_days={"today": "aujourd'hui", "tomorrow": "demain", "yesterday": "hier"},
    senders={
        "extension": "du poste {digits}",
        "number": "du numéro de téléphone {digits}",
        "family": "de la famille",
        "friends": "d'amis",
        "work": "du travail",
        "unknown": "d'un appelant inconnu",
    },
    message_numbered="message {number}",
    message_named={"first": "premier message", "last": "dernier message"},
    message_received="{message}{sender} reçu {moment}",
    folder_numbered="le dossier {number}",
    folder_named={
        "new": "les nouveaux messages",
        "old": "les anciens messages",
        "family": "les messages de la famille",
        "friends": "les messages des amis",
        "work": "les messages du travail",
    },
    message_saved="le message {number} a été sauvegardé dans {folder}",
    message_duration="ce message dure {duration}",
    caller_number="vous êtes actuellement l'appelant numéro {number} "
    "en attente de parler à un représentant",
    callers_waiting="il y a actuellement plus de {callers} en attente de parler à un représentant",
    conference_entry="vous entrez dans la conférence numéro {digits}",
    users_will_join=(
        "{users} rejoindra la conférence",
        "{users} rejoindront la conférence",
    ),
    subjects={
        "extension": "le poste",
        "person": "la personne au poste",
        "agent": "l'agent",
    },
    statuses={
        "on the phone": "est au téléphone",
        "unavailable": "n'est pas disponible",
        "in use": "est en cours d'utilisation",
        "present": "est maintenant dans la conférence",
        "joined": "a rejoint la conférence",
        "left": "a quitté la conférence",
    },
    numbers_given={
        "i have": "le numéro que j'ai est le {digits}",
        "you entered": "vous avez saisi {digits}",
        "last caller": "le dernier appelant était le numéro {digits}",
        "your extension": "votre poste est le {digits}",
        "your password": "votre mot de passe est {digits}",
        "your number": "votre numéro de téléphone est le {digits}",
    },
    incoming_call="appel entrant{sender}",
    incoming_call_unknown="vous avez un appel entrant{sender}",
    callings={
        "extension": "appel du poste {digits}",
        "number": "appel du numéro {digits}",
        "agent": "appel de l'agent {digits}",
    },
    try_again="veuillez réessayer {moment}",
    forwarding_set="le renvoi d'appel est réglé sur le numéro {digits}",
    speed_dial_set="la numérotation abrégée {number} est réglée sur le numéro {digits}",
    balance="vous avez {amounts}",
    actions={
        "leave conference": "quitter la conférence",
        "exit menu": "quitter le menu",
        "lock conference": "verrouiller ou déverrouiller la conférence",
        "mute yourself": "activer ou désactiver le mode silencieux",
        "remove last": "exclure le dernier participant à avoir rejoint la conférence",
        "louder others": "augmenter le volume des autres participants",
        "quieter others": "diminuer le volume des autres participants",
        "louder self": "augmenter le volume de votre voix pour les autres participants",
        "quieter self": "diminuer le volume de votre voix pour les autres participants",
        "reset others": "rétablir le volume de la conférence au niveau par défaut",
        "reset self": "rétablir le volume de votre voix au niveau par défaut",
        "listen": "l'écouter",
        "rerecord": "le réenregistrer",
        "call number": "appeler ce numéro",
    },
    menu_key=("pour {action}, appuyez sur {key}", "appuyez sur {key} pour {action}"),
    extension_key=(
        "pour le poste {digits}, appuyez sur {key}",
        "appuyez sur {key} pour le poste {digits}",
    ),
)
_MESSAGES: dict[m.MessageKind, Noun] = {
    "any": Noun("message", "messages", "masculine"),
    "new": Noun("nouveau message", "nouveaux messages", "masculine"),
    "old": Noun("ancien message", "anciens messages", "masculine"),
    "urgent": Noun("message urgent", "messages urgents", "masculine"),
    "saved": Noun("message sauvegardé", "messages sauvegardés", "masculine"),
}
# After the first count the noun is left out: "un sauvegardé".
_FURTHER: dict[m.MessageKind, Noun] = {
    "new": Noun("nouveau", "nouveaux", "masculine"),
    "old": Noun("ancien", "anciens", "masculine"),
    "urgent": Noun("urgent", "urgents", "masculine"),
    "saved": Noun("sauvegardé", "sauvegardés", "masculine"),
}
_FEATURES: dict[a.Feature, str] = {
    "forwarding": "renvoi d'appel",
    "on busy": "renvoi d'appel sur occupation",
    "no answer": "renvoi d'appel sur non-réponse",
    "unconditional": "renvoi d'appel inconditionnel",
    "waiting": "appel en attente",
    "do not disturb": "mode ne pas déranger",
}
_SWITCHES: dict[a.Switch, str] = {
    "activated": "activé",
    "deactivated": "désactivé",
    "cancelled": "annulé",
}


def _of(phrase: str) -> str:
    """Elides before "un" and "une", but not before "onze" and "huit"."""
    return f"d'{phrase}" if phrase.split()[0] in ("un", "une") else f"de {phrase}"


class French(Translator):
    """Announcements in French."""

    language = "fr"
    wording = _WORDING

    def _is_plural(self, count: int) -> bool:
        return count > 1

    def _time(self, time: TimeOfDay) -> str:
        minute = f" {words(time.minute, 'feminine')}" if time.minute else ""
        return self._count(time.hour, self.wording.nouns["hour"]) + minute

    def _at(self, time: TimeOfDay) -> str:
        return f"à {self._time(time)}"

    def _calendar_day(self, day: CalendarDay, weekday: str, month: str) -> str:
        number = "premier" if day.day == 1 else words(day.day)
        year = f" {words(day.year)}" if day.year is not None else ""
        return f"le {weekday} {number} {month}{year}"

    def _message_count(self, said: m.MessageCount) -> str:
        """Returns "vous avez un nouveau message et cinq anciens de la famille"."""
        (count, kind), *rest = said.counts
        if count == 0:
            return f"vous n'avez aucun {_MESSAGES[kind].singular}{self._sender(said.sender)}"
        counts = [(count, _MESSAGES[kind]), *((count, _FURTHER[kind]) for count, kind in rest)]
        return f"vous avez {self._counts(counts)}{self._sender(said.sender)}"

    def _hold_time(self, said: a.HoldTime) -> str:
        """Returns "le temps d'attente estimé est actuellement de moins d'une minute"."""
        duration = ("de moins " if said.less_than else "") + _of(self._duration(said.duration))
        return f"le temps d'attente estimé est actuellement {duration}"

    def _participants(self, said: a.Participants) -> str:
        """Returns "il y a actuellement cinq autres participants dans la conférence"."""
        if said.number == 1:
            return "il y a actuellement un autre participant dans la conférence"
        number = words(said.number, "masculine") + (" autres" if said.other else "")
        return f"il y a actuellement {number} participants dans la conférence"

    def _feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "appel en attente pour le poste deux zéro activé"."""
        extension = f" pour le poste {self._digits(said.extension)}" if said.extension else ""
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}"

    def _exact_time(self, said: a.ExactTime) -> str:
        """Returns "au signal sonore, il sera exactement vingt-deux heures quinze"."""
        seconds = f" et {self._duration(Duration(0, said.seconds))}" if said.seconds else ""
        return f"au signal sonore, il sera exactement {self._time(said.time)}{seconds}"
