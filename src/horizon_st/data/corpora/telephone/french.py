"""Announcements in French: formal address, 24-hour clock ("vingt-deux heures quinze")."""

from __future__ import annotations

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import french as words
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
    "new": ("nouveau", "nouveaux"),
    "old": ("ancien", "anciens"),
}
_AFTER: dict[m.MessageKind, tuple[str, str]] = {
    "urgent": ("urgent", "urgents"),
    "saved": ("sauvegardé", "sauvegardés"),
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
_ACTIONS: dict[a.Action, str] = {
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
}


def _count(value: int, noun: str) -> str:
    feminine = noun in ("minute", "seconde", "heure")
    number = words(value, "feminine" if feminine else "masculine")
    return f"{number} {noun}" + ("s" if value >= 2 else "")


def _digits(value: str) -> str:
    return " ".join(words(int(sign)) if sign.isdigit() else sign for sign in value)


def _key(key: str) -> str:
    return {"*": "étoile", "#": "dièse"}.get(key) or words(int(key))


def _of(phrase: str) -> str:
    """Elides before "un" and "une", but not before "onze" and "huit"."""
    return f"d'{phrase}" if phrase.split()[0] in ("un", "une") else f"de {phrase}"


def _time(time: TimeOfDay) -> str:
    minute = f" {words(time.minute, 'feminine')}" if time.minute else ""
    return _count(time.hour, "heure") + minute


def _day(day: Day) -> str:
    if not isinstance(day, CalendarDay):
        return {"today": "aujourd'hui", "tomorrow": "demain", "yesterday": "hier"}[day]
    number = "premier" if day.day == 1 else words(day.day)
    year = f" {words(day.year)}" if day.year is not None else ""
    return f"le {weekday_name('fr', day.weekday)} {number} {month_name('fr', day.month)}{year}"


def _moment(moment: Moment) -> str:
    return f"{_day(moment.day)} à {_time(moment.time)}"


def _duration(duration: Duration) -> str:
    parts = []
    if duration.minutes:
        parts.append(_count(duration.minutes, "minute"))
    if duration.seconds:
        parts.append(_count(duration.seconds, "seconde"))
    return " et ".join(parts)


def _sender(sender: Sender | None) -> str:
    if sender is None:
        return ""
    phrase = {
        "extension": "du poste",
        "number": "du numéro de téléphone",
        "family": "de la famille",
        "friends": "d'amis",
        "work": "du travail",
        "unknown": "d'un appelant inconnu",
    }[sender.kind]
    return f" {phrase}" + (f" {_digits(sender.digits)}" if sender.digits else "")


def _messages(number: str, kind: m.MessageKind, *, plural: bool) -> str:
    before = f"{_BEFORE[kind][plural]} " if kind in _BEFORE else ""
    after = f" {_AFTER[kind][plural]}" if kind in _AFTER else ""
    return f"{number} {before}message{'s' if plural else ''}{after}"


class French(Translator):
    """Announcements in French."""

    language = "fr"

    def message_count(self, said: m.MessageCount) -> str:
        """Returns "vous avez un nouveau message et cinq anciens de la famille"."""
        (count, kind), *rest = said.counts
        if count == 0:
            message = _messages("aucun", kind, plural=False)
            return f"vous n'avez {message}{_sender(said.sender)}"
        clause = f"vous avez {_messages(words(count, 'masculine'), kind, plural=count > 1)}"
        for count, kind in rest:
            clause += f" et {words(count, 'masculine')} {(_BEFORE | _AFTER)[kind][count > 1]}"
        return clause + _sender(said.sender)

    def message_received(self, said: m.MessageReceived) -> str:
        """Returns "message sept de la famille reçu aujourd'hui à dix heures"."""
        if isinstance(said.which, int):
            message = f"message {words(said.which)}"
        else:
            message = {"first": "premier message", "last": "dernier message"}[said.which]
        return f"{message}{_sender(said.sender)} reçu {_moment(said.moment)}"

    def message_saved(self, said: m.MessageSaved) -> str:
        """Returns "le message douze a été sauvegardé dans le dossier sept"."""
        if isinstance(said.folder, int):
            folder = f"le dossier {words(said.folder)}"
        else:
            folder = {
                "new": "les nouveaux messages",
                "old": "les anciens messages",
                "family": "les messages de la famille",
                "friends": "les messages des amis",
                "work": "les messages du travail",
            }[said.folder]
        return f"le message {words(said.number)} a été sauvegardé dans {folder}"

    def message_duration(self, said: m.MessageDuration) -> str:
        """Returns "ce message dure trois minutes et vingt secondes"."""
        return f"ce message dure {_duration(said.duration)}"

    def caller_number(self, said: a.CallerNumber) -> str:
        """Returns "vous êtes actuellement l'appelant numéro quatre-vingt en attente ..."."""
        return (
            f"vous êtes actuellement l'appelant numéro {words(said.number)} "
            "en attente de parler à un représentant"
        )

    def hold_time(self, said: a.HoldTime) -> str:
        """Returns "le temps d'attente estimé est actuellement de trois minutes"."""
        duration = _of(_duration(said.duration))
        if said.less_than:
            duration = f"de moins {duration}"
        return f"le temps d'attente estimé est actuellement {duration}"

    def callers_waiting(self, said: a.CallersWaiting) -> str:
        """Returns "il y a actuellement plus de vingt et un appelants en attente ..."."""
        callers = _count(said.number, "appelant")
        return f"il y a actuellement plus de {callers} en attente de parler à un représentant"

    def conference_entry(self, said: a.ConferenceEntry) -> str:
        """Returns "vous entrez dans la conférence numéro quatre deux"."""
        return f"vous entrez dans la conférence numéro {_digits(said.digits)}"

    def participants(self, said: a.Participants) -> str:
        """Returns "il y a actuellement cinq autres participants dans la conférence"."""
        if said.number == 1:
            people = "un autre participant"
        else:
            other = "autres " if said.other else ""
            people = f"{words(said.number, 'masculine')} {other}participants"
        return f"il y a actuellement {people} dans la conférence"

    def users_will_join(self, said: a.UsersWillJoin) -> str:
        """Returns "cinq utilisateurs rejoindront la conférence"."""
        verb = "rejoindra" if said.number == 1 else "rejoindront"
        return f"{_count(said.number, 'utilisateur')} {verb} la conférence"

    def subject_status(self, said: a.SubjectStatus) -> str:
        """Returns "le poste deux zéro est au téléphone"."""
        subject = {
            "extension": "le poste",
            "person": "la personne au poste",
            "agent": "l'agent",
        }[said.subject]
        status = {
            "on the phone": "est au téléphone",
            "unavailable": "n'est pas disponible",
            "in use": "est en cours d'utilisation",
            "present": "est maintenant dans la conférence",
            "joined": "a rejoint la conférence",
            "left": "a quitté la conférence",
        }[said.status]
        return f"{subject} {_digits(said.digits)} {status}"

    def number_given(self, said: a.NumberGiven) -> str:
        """Returns "le numéro que j'ai est le cinq cinq"."""
        intro = {
            "i have": "le numéro que j'ai est le",
            "you entered": "vous avez saisi",
            "last caller": "le dernier appelant était le numéro",
            "your extension": "votre poste est le",
            "your password": "votre mot de passe est",
            "your number": "votre numéro de téléphone est le",
        }[said.intro]
        return f"{intro} {_digits(said.value)}"

    def incoming_call(self, said: a.IncomingCall) -> str:
        """Returns "appel entrant du poste deux zéro"."""
        if said.sender.kind == "unknown":
            return "vous avez un appel entrant d'un appelant inconnu"
        return f"appel entrant{_sender(said.sender)}"

    def feature_switched(self, said: a.FeatureSwitched) -> str:
        """Returns "appel en attente pour le poste deux zéro activé"."""
        extension = f" pour le poste {_digits(said.extension)}" if said.extension else ""
        return f"{_FEATURES[said.feature]}{extension} {_SWITCHES[said.switch]}"

    def number_set(self, said: a.NumberSet) -> str:
        """Returns "la numérotation abrégée sept est réglée sur le numéro cinq cinq"."""
        if said.speed_dial is None:
            subject = "le renvoi d'appel est réglé"
        else:
            subject = f"la numérotation abrégée {words(said.speed_dial)} est réglée"
        return f"{subject} sur le numéro {_digits(said.digits)}"

    def exact_time(self, said: a.ExactTime) -> str:
        """Returns "au signal sonore, il sera exactement vingt-deux heures quinze"."""
        seconds = f" et {_count(said.seconds, 'seconde')}" if said.seconds else ""
        return f"au signal sonore, il sera exactement {_time(said.time)}{seconds}"

    def try_again(self, said: a.TryAgain) -> str:
        """Returns "veuillez réessayer demain à neuf heures"."""
        return f"veuillez réessayer {_moment(said.moment)}"

    def menu_key(self, said: a.MenuKey) -> str:
        """Returns "pour quitter le menu, appuyez sur quatre" or the other order."""
        action, press = f"pour {_ACTIONS[said.action]}", f"appuyez sur {_key(said.key)}"
        return f"{press} {action}" if said.key_first else f"{action}, {press}"

    def extension_key(self, said: a.ExtensionKey) -> str:
        """Returns "appuyez sur quatre pour le poste deux zéro" or the other order."""
        target, press = f"pour le poste {_digits(said.digits)}", f"appuyez sur {_key(said.key)}"
        return f"{press} {target}" if said.key_first else f"{target}, {press}"

    def balance(self, said: a.Balance) -> str:
        """Returns "vous avez vingt et un dollars et une minute"."""
        nouns = {"dollar": "dollar", "hour": "heure", "minute": "minute"}
        return "vous avez " + " et ".join(_count(n, nouns[unit]) for n, unit in said.amounts)

    def calling(self, said: a.Calling) -> str:
        """Returns "appel du poste deux zéro"."""
        callee = {"extension": "du poste", "number": "du numéro", "agent": "de l'agent"}
        return f"appel {callee[said.callee]} {_digits(said.digits)}"
