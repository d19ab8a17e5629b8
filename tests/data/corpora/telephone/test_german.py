"""Reviewed German sentences: capitals of nouns, inflected ordinals, cases, the verb at the end."""

import pytest

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.german import German
from horizon_st.data.corpora.telephone.number_words import german
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

REVIEWED = [
    (m.MessageCount(((1, "new"),)), "Sie haben eine neue Nachricht."),
    (m.MessageCount(((23, "new"),)), "Sie haben dreiundzwanzig neue Nachrichten."),
    (m.MessageCount(((1, "any"),)), "Sie haben eine Nachricht."),
    (m.MessageCount(((0, "urgent"),)), "Sie haben keine dringenden Nachrichten."),
    (m.MessageCount(((0, "any"),)), "Sie haben keine Nachrichten."),
    (
        m.MessageCount(((3, "new"), (1, "old"))),
        "Sie haben drei neue und eine alte Nachricht.",
    ),
    (
        m.MessageCount(((1, "saved"), (17, "urgent")), Sender("extension", "2041")),
        "Sie haben eine gespeicherte und siebzehn dringende Nachrichten "
        "von der Nebenstelle zwei null vier eins.",
    ),
    (
        m.MessageCount(((30, "old"),), Sender("friends")),
        "Sie haben dreißig alte Nachrichten von Freunden.",
    ),
    (
        m.MessageReceived(
            7, Moment(CalendarDay(0, 1, 3, 1999), TimeOfDay(22, 15)), Sender("family")
        ),
        "Nachricht sieben von der Familie, am Montag, dem dritten Januar "
        "neunzehnhundertneunundneunzig, um zweiundzwanzig Uhr fünfzehn empfangen.",
    ),
    (
        m.MessageReceived("first", Moment("yesterday", TimeOfDay(1, 0))),
        "Erste Nachricht, gestern um ein Uhr empfangen.",
    ),
    (
        m.MessageReceived("last", Moment(CalendarDay(5, 3, 31, 2012), TimeOfDay(0, 1))),
        "Letzte Nachricht, am Samstag, dem einunddreißigsten März zweitausendzwölf, "
        "um null Uhr eins empfangen.",
    ),
    (
        m.MessageReceived(1, Moment(CalendarDay(3, 10, 1), TimeOfDay(21, 30)), Sender("unknown")),
        "Nachricht eins von einem unbekannten Anrufer, am Donnerstag, dem ersten "
        "Oktober, um einundzwanzig Uhr dreißig empfangen.",
    ),
    (m.MessageSaved(12, 7), "Nachricht zwölf wurde in Ordner sieben gespeichert."),
    (m.MessageSaved(1, "new"), "Nachricht eins wurde in den neuen Nachrichten gespeichert."),
    (
        m.MessageDuration(Duration(1, 1)),
        "Diese Nachricht dauert eine Minute und eine Sekunde.",
    ),
    (
        a.CallerNumber(101),
        "Sie sind derzeit Anrufer Nummer einhunderteins und warten auf ein Gespräch mit einem "
        "Mitarbeiter.",
    ),
    (
        a.HoldTime(Duration(1, 16), less_than=True),
        "Die geschätzte Wartezeit beträgt derzeit weniger als eine Minute und sechzehn Sekunden.",
    ),
    (
        a.CallersWaiting(21),
        "Derzeit warten mehr als einundzwanzig Anrufer auf ein Gespräch mit einem Mitarbeiter.",
    ),
    (a.ConferenceEntry("401"), "Sie betreten die Konferenz Nummer vier null eins."),
    (a.Participants(1), "Derzeit ist ein weiterer Teilnehmer in der Konferenz."),
    (a.Participants(5), "Derzeit sind fünf weitere Teilnehmer in der Konferenz."),
    (a.Participants(66, other=False), "Derzeit sind sechsundsechzig Teilnehmer in der Konferenz."),
    (a.UsersWillJoin(1), "Ein Benutzer wird der Konferenz beitreten."),
    (a.UsersWillJoin(2), "Zwei Benutzer werden der Konferenz beitreten."),
    (
        a.SubjectStatus("person", "20", "joined"),
        "Die Person an der Nebenstelle zwei null ist der Konferenz beigetreten.",
    ),
    (a.SubjectStatus("agent", "71", "on the phone"), "Der Agent sieben eins ist am Telefon."),
    (a.NumberGiven("you entered", "501"), "Sie haben fünf null eins eingegeben."),
    (a.NumberGiven("i have", "55"), "Die Nummer, die ich habe, ist fünf fünf."),
    (a.NumberGiven("your password", "AB1"), "Ihr Passwort ist A B eins."),
    (a.IncomingCall(Sender("number", "12")), "Eingehender Anruf von der Telefonnummer eins zwei."),
    (
        a.FeatureSwitched("on busy", "deactivated", "20"),
        "Rufumleitung bei Besetzt für die Nebenstelle zwei null deaktiviert.",
    ),
    (
        a.NumberSet("55", speed_dial=12),
        "Die Kurzwahl zwölf ist auf die Nummer fünf fünf eingestellt.",
    ),
    (
        a.ExactTime(TimeOfDay(13, 0), seconds=1),
        "Beim Signalton ist es genau dreizehn Uhr und eine Sekunde.",
    ),
    (
        a.TryAgain(Moment("tomorrow", TimeOfDay(9, 0))),
        "Bitte versuchen Sie es morgen um neun Uhr noch einmal.",
    ),
    (
        a.TryAgain(Moment(CalendarDay(1, 5, 7), TimeOfDay(8, 5))),
        "Bitte versuchen Sie es am Dienstag, dem siebten Mai, um acht Uhr fünf noch einmal.",
    ),
    (
        a.MenuKey("4", "leave conference"),
        "Um die Konferenz zu verlassen, drücken Sie die Vier.",
    ),
    (
        a.MenuKey("*", "listen", key_first=True),
        "Drücken Sie die Sterntaste, um sie anzuhören.",
    ),
    (a.ExtensionKey("1", "20"), "Für die Nebenstelle zwei null drücken Sie die Eins."),
    (
        a.Balance(((1, "dollar"), (21, "minute"))),
        "Sie haben einen Dollar und einundzwanzig Minuten.",
    ),
    (a.Balance(((2, "hour"), (1, "minute"))), "Sie haben zwei Stunden und eine Minute."),
    (a.Calling("agent", "20"), "Der Agent zwei null wird angerufen."),
    (a.Prompt("vm-goodbye"), "Auf Wiederhören."),
    (
        a.Prompt("vm-helpexit"),
        "Drücken Sie die Sterntaste für Hilfe oder die Rautetaste zum Beenden.",
    ),
]


@pytest.mark.parametrize(("said", "sentence"), REVIEWED, ids=lambda value: str(value)[:40])
def test_reviewed_sentences(said, sentence):
    assert German().translate(said) == sentence


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1, "bare", "eins"),
        (1, "masculine", "ein"),
        (1, "feminine", "eine"),
        (21, "feminine", "einundzwanzig"),
        (17, "bare", "siebzehn"),
        (101, "bare", "einhunderteins"),
    ],
)
def test_numbers(value, form, expected):
    assert german(value, form) == expected
