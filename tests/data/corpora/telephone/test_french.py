"""Reviewed French sentences: adjective order, -s of vingt and cent, elision, 24-hour clock."""

import pytest

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.french import French
from horizon_st.data.corpora.telephone.number_words import french
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

REVIEWED = [
    (m.MessageCount(((1, "new"),)), "Vous avez un nouveau message."),
    (m.MessageCount(((21, "new"),)), "Vous avez vingt et un nouveaux messages."),
    (m.MessageCount(((80, "old"),)), "Vous avez quatre-vingts anciens messages."),
    (m.MessageCount(((81, "urgent"),)), "Vous avez quatre-vingt-un messages urgents."),
    (m.MessageCount(((71, "saved"),)), "Vous avez soixante et onze messages sauvegardés."),
    (m.MessageCount(((0, "new"),)), "Vous n'avez aucun nouveau message."),
    (m.MessageCount(((0, "any"),)), "Vous n'avez aucun message."),
    (m.MessageCount(((1, "urgent"), (1, "old"))), "Vous avez un message urgent et un ancien."),
    (
        m.MessageCount(((3, "new"), (5, "old")), Sender("extension", "2041")),
        "Vous avez trois nouveaux messages et cinq anciens du poste deux zéro quatre un.",
    ),
    (
        m.MessageReceived(
            80, Moment(CalendarDay(0, 1, 1, 1980), TimeOfDay(22, 15)), Sender("friends")
        ),
        "Message quatre-vingt d'amis reçu le lundi premier janvier mille neuf cent quatre-vingt "
        "à vingt-deux heures quinze.",
    ),
    (
        m.MessageReceived("last", Moment("yesterday", TimeOfDay(1, 1))),
        "Dernier message reçu hier à une heure une.",
    ),
    (
        m.MessageReceived("first", Moment("today", TimeOfDay(0, 5)), Sender("unknown")),
        "Premier message d'un appelant inconnu reçu aujourd'hui à zéro heure cinq.",
    ),
    (m.MessageSaved(12, 7), "Le message douze a été sauvegardé dans le dossier sept."),
    (
        m.MessageSaved(1, "old"),
        "Le message un a été sauvegardé dans les anciens messages.",
    ),
    (
        m.MessageDuration(Duration(21, 31)),
        "Ce message dure vingt et une minutes et trente et une secondes.",
    ),
    (
        a.CallerNumber(80),
        "Vous êtes actuellement l'appelant numéro quatre-vingt en attente de parler à un "
        "représentant.",
    ),
    (
        a.HoldTime(Duration(1)),
        "Le temps d'attente estimé est actuellement d'une minute.",
    ),
    (
        a.HoldTime(Duration(1), less_than=True),
        "Le temps d'attente estimé est actuellement de moins d'une minute.",
    ),
    (
        a.HoldTime(Duration(11, 8)),
        "Le temps d'attente estimé est actuellement de onze minutes et huit secondes.",
    ),
    (
        a.CallersWaiting(200),
        "Il y a actuellement plus de deux cents appelants en attente de parler à un représentant.",
    ),
    (
        a.CallersWaiting(280),
        "Il y a actuellement plus de deux cent quatre-vingts appelants en attente de parler à un "
        "représentant.",
    ),
    (a.ConferenceEntry("401"), "Vous entrez dans la conférence numéro quatre zéro un."),
    (a.Participants(1), "Il y a actuellement un autre participant dans la conférence."),
    (
        a.Participants(21),
        "Il y a actuellement vingt et un autres participants dans la conférence.",
    ),
    (a.UsersWillJoin(1), "Un utilisateur rejoindra la conférence."),
    (a.UsersWillJoin(91), "Quatre-vingt-onze utilisateurs rejoindront la conférence."),
    (
        a.SubjectStatus("agent", "20", "joined"),
        "L'agent deux zéro a rejoint la conférence.",
    ),
    (
        a.SubjectStatus("person", "20", "unavailable"),
        "La personne au poste deux zéro n'est pas disponible.",
    ),
    (a.NumberGiven("i have", "55"), "Le numéro que j'ai est le cinq cinq."),
    (a.NumberGiven("your password", "AB0"), "Votre mot de passe est A B zéro."),
    (a.IncomingCall(Sender("work")), "Appel entrant du travail."),
    (
        a.FeatureSwitched("no answer", "cancelled", "20"),
        "Renvoi d'appel sur non-réponse pour le poste deux zéro annulé.",
    ),
    (
        a.NumberSet("55"),
        "Le renvoi d'appel est réglé sur le numéro cinq cinq.",
    ),
    (
        a.NumberSet("55", speed_dial=80),
        "La numérotation abrégée quatre-vingt est réglée sur le numéro cinq cinq.",
    ),
    (
        a.ExactTime(TimeOfDay(21, 21), seconds=1),
        "Au signal sonore, il sera exactement vingt et une heures vingt et une et une seconde.",
    ),
    (
        a.TryAgain(Moment(CalendarDay(5, 8, 31), TimeOfDay(9, 0))),
        "Veuillez réessayer le samedi trente et un août à neuf heures.",
    ),
    (a.MenuKey("1", "listen"), "Pour l'écouter, appuyez sur un."),
    (
        a.MenuKey("#", "exit menu", key_first=True),
        "Appuyez sur dièse pour quitter le menu.",
    ),
    (a.ExtensionKey("4", "20", key_first=True), "Appuyez sur quatre pour le poste deux zéro."),
    (a.Balance(((80, "dollar"), (1, "minute"))), "Vous avez quatre-vingts dollars et une minute."),
    (a.Balance(((1, "dollar"),)), "Vous avez un dollar."),
    (a.Balance(((21, "hour"),)), "Vous avez vingt et une heures."),
    (a.Calling("agent", "20"), "Appel de l'agent deux zéro."),
    (a.Prompt("one-moment-please"), "Un moment, s'il vous plaît."),
]


@pytest.mark.parametrize(("said", "sentence"), REVIEWED, ids=lambda value: str(value)[:40])
def test_reviewed_sentences(said, sentence):
    assert French().translate(said) == sentence


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (61, "feminine", "soixante et une"),
        (71, "feminine", "soixante et onze"),
        (81, "feminine", "quatre-vingt-une"),
        (91, "feminine", "quatre-vingt-onze"),
        (200, "masculine", "deux cents"),
        (200, "bare", "deux cent"),
        (201, "masculine", "deux cent un"),
        (3, "bare", "trois"),
        (80_000, "masculine", "quatre-vingt mille"),
        (2_000, "bare", "deux mille"),
    ],
)
def test_numbers(value, form, expected):
    assert french(value, form) == expected
