"""Reviewed Italian sentences: accents, elided numbers, articles of the hour, agreement."""

import pytest

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.italian import Italian
from horizon_st.data.corpora.telephone.number_words import italian
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

REVIEWED = [
    (m.MessageCount(((1, "new"),)), "Ha un nuovo messaggio."),
    (m.MessageCount(((21, "new"),)), "Ha ventuno nuovi messaggi."),
    (m.MessageCount(((23, "old"),)), "Ha ventitré vecchi messaggi."),
    (m.MessageCount(((28, "urgent"),)), "Ha ventotto messaggi urgenti."),
    (m.MessageCount(((1, "saved"),)), "Ha un messaggio salvato."),
    (m.MessageCount(((0, "new"),)), "Non ha nuovi messaggi."),
    (m.MessageCount(((0, "any"),)), "Non ha messaggi."),
    (m.MessageCount(((3, "new"), (1, "old"))), "Ha tre nuovi messaggi e uno vecchio."),
    (
        m.MessageCount(((1, "urgent"), (38, "saved")), Sender("extension", "2041")),
        "Ha un messaggio urgente e trentotto salvati dall'interno due zero quattro uno.",
    ),
    (
        m.MessageReceived(
            7, Moment(CalendarDay(0, 1, 1, 2003), TimeOfDay(13, 1)), Sender("friends")
        ),
        "Messaggio sette da amici ricevuto lunedì primo gennaio duemilatré alle tredici e uno.",
    ),
    (
        m.MessageReceived("last", Moment("yesterday", TimeOfDay(1, 5))),
        "Ultimo messaggio ricevuto ieri all'una e cinque.",
    ),
    (
        m.MessageReceived("first", Moment("today", TimeOfDay(0, 0)), Sender("unknown")),
        "Primo messaggio da un chiamante sconosciuto ricevuto oggi a mezzanotte.",
    ),
    (
        m.MessageReceived(3, Moment(CalendarDay(4, 8, 28), TimeOfDay(18, 45))),
        "Messaggio tre ricevuto venerdì ventotto agosto alle diciotto e quarantacinque.",
    ),
    (m.MessageSaved(12, 7), "Il messaggio dodici è stato salvato nella cartella sette."),
    (
        m.MessageSaved(88, "friends"),
        "Il messaggio ottantotto è stato salvato nei messaggi degli amici.",
    ),
    (m.MessageDuration(Duration(1, 21)), "Questo messaggio dura un minuto e ventuno secondi."),
    (
        a.CallerNumber(123),
        "Attualmente è il chiamante numero centoventitré in attesa di parlare con un operatore.",
    ),
    (
        a.HoldTime(Duration(0, 33), less_than=True),
        "Il tempo di attesa stimato è attualmente di meno di trentatré secondi.",
    ),
    (
        a.CallersWaiting(180),
        "Attualmente ci sono più di centottanta persone in attesa di parlare con un operatore.",
    ),
    (a.ConferenceEntry("401"), "Sta entrando nella conferenza numero quattro zero uno."),
    (a.Participants(1), "Attualmente c'è un altro partecipante nella conferenza."),
    (a.Participants(31), "Attualmente ci sono altri trentuno partecipanti nella conferenza."),
    (a.UsersWillJoin(1), "Un utente si unirà alla conferenza."),
    (a.UsersWillJoin(8), "Otto utenti si uniranno alla conferenza."),
    (
        a.SubjectStatus("person", "20", "joined"),
        "La persona all'interno due zero si è unita alla conferenza.",
    ),
    (a.SubjectStatus("agent", "20", "joined"), "L'operatore due zero si è unito alla conferenza."),
    (a.SubjectStatus("extension", "20", "in use"), "L'interno due zero è in uso."),
    (a.NumberGiven("your number", "55"), "Il suo numero di telefono è cinque cinque."),
    (a.NumberGiven("your password", "ZW9"), "La sua password è Z W nove."),
    (a.IncomingCall(Sender("family")), "Chiamata in arrivo dalla famiglia."),
    (
        a.FeatureSwitched("do not disturb", "activated", "20"),
        "Modalità non disturbare per l'interno due zero attivata.",
    ),
    (
        a.FeatureSwitched("waiting", "cancelled", "20"),
        "Avviso di chiamata per l'interno due zero annullato.",
    ),
    (
        a.NumberSet("55", speed_dial=3),
        "La composizione rapida tre è impostata sul numero cinque cinque.",
    ),
    (
        a.ExactTime(TimeOfDay(1, 0)),
        "Al segnale acustico sarà esattamente l'una.",
    ),
    (
        a.ExactTime(TimeOfDay(0, 5)),
        "Al segnale acustico sarà esattamente mezzanotte e cinque.",
    ),
    (
        a.ExactTime(TimeOfDay(22, 15), seconds=1),
        "Al segnale acustico saranno esattamente le ventidue e quindici, più un secondo.",
    ),
    (
        a.ExactTime(TimeOfDay(14, 0), seconds=40),
        "Al segnale acustico saranno esattamente le quattordici, più quaranta secondi.",
    ),
    (
        a.TryAgain(Moment("tomorrow", TimeOfDay(9, 0))),
        "La preghiamo di riprovare domani alle nove.",
    ),
    (a.MenuKey("4", "exit menu"), "Per uscire dal menu, prema quattro."),
    (
        a.ExtensionKey("#", "20", key_first=True),
        "Prema cancelletto per l'interno due zero.",
    ),
    (a.Balance(((1, "dollar"), (43, "minute"))), "Ha un dollaro e quarantatré minuti."),
    (a.Balance(((8, "hour"),)), "Ha otto ore."),
    (a.Calling("agent", "20"), "Chiamata all'operatore due zero."),
    (a.Prompt("vm-msgsaved"), "Il suo messaggio è stato salvato."),
]


@pytest.mark.parametrize(("said", "sentence"), REVIEWED, ids=lambda value: str(value)[:40])
def test_reviewed_sentences(said, sentence):
    assert Italian().translate(said) == sentence


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1, "feminine", "una"),
        (3, "bare", "tre"),
        (23, "bare", "ventitré"),
        (28, "masculine", "ventotto"),
        (103, "bare", "centotré"),
        (123, "masculine", "centoventitré"),
        (2_000, "bare", "duemila"),
        (1_999, "bare", "millenovecentonovantanove"),
    ],
)
def test_numbers(value, form, expected):
    assert italian(value, form) == expected
