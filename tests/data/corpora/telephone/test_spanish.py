"""Reviewed Spanish sentences: agreement, apocope, article of the hour, part of the day, order."""

import pytest

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.number_words import spanish
from horizon_st.data.corpora.telephone.spanish import Spanish
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

REVIEWED = [
    (m.MessageCount(((1, "new"),)), "Tiene un mensaje nuevo."),
    (m.MessageCount(((21, "new"),)), "Tiene veintiún mensajes nuevos."),
    (m.MessageCount(((31, "urgent"),)), "Tiene treinta y un mensajes urgentes."),
    (m.MessageCount(((0, "old"),)), "No tiene mensajes antiguos."),
    (m.MessageCount(((0, "any"),)), "No tiene mensajes."),
    (m.MessageCount(((1, "saved"),)), "Tiene un mensaje guardado."),
    (
        m.MessageCount(((16, "new"), (1, "old"))),
        "Tiene dieciséis mensajes nuevos y uno antiguo.",
    ),
    (
        m.MessageCount(((1, "urgent"), (22, "saved")), Sender("extension", "2041")),
        "Tiene un mensaje urgente y veintidós guardados de la extensión dos cero cuatro uno.",
    ),
    (
        m.MessageCount(((3, "any"),), Sender("friends")),
        "Tiene tres mensajes de amigos.",
    ),
    (
        m.MessageReceived(
            7, Moment(CalendarDay(0, 1, 1, 2005), TimeOfDay(13, 1)), Sender("family")
        ),
        "Mensaje siete de la familia recibido el lunes primero de enero de dos mil cinco "
        "a la una y uno de la tarde.",
    ),
    (
        m.MessageReceived("last", Moment("yesterday", TimeOfDay(0, 0))),
        "Último mensaje recibido ayer a las doce de la noche.",
    ),
    (
        m.MessageReceived(
            "first", Moment(CalendarDay(2, 9, 21, 1999), TimeOfDay(12, 30)), Sender("unknown")
        ),
        "Primer mensaje de una persona desconocida recibido el miércoles veintiuno de septiembre "
        "de mil novecientos noventa y nueve a las doce y treinta del mediodía.",
    ),
    (m.MessageSaved(21, 7), "El mensaje veintiuno se ha guardado en la carpeta siete."),
    (m.MessageSaved(12, "work"), "El mensaje doce se ha guardado en los mensajes del trabajo."),
    (m.MessageDuration(Duration(1, 1)), "Este mensaje dura un minuto y un segundo."),
    (
        m.MessageDuration(Duration(21, 41)),
        "Este mensaje dura veintiún minutos y cuarenta y un segundos.",
    ),
    (
        a.CallerNumber(21),
        "Usted es actualmente la persona número veintiuno en espera de hablar con un "
        "representante.",
    ),
    (
        a.HoldTime(Duration(3), less_than=True),
        "El tiempo de espera estimado es actualmente de menos de tres minutos.",
    ),
    (
        a.CallersWaiting(21),
        "Actualmente hay más de veintiuna personas en espera de hablar con un representante.",
    ),
    (
        a.CallersWaiting(531),
        "Actualmente hay más de quinientas treinta y una personas en espera de hablar con un "
        "representante.",
    ),
    (
        a.CallersWaiting(100),
        "Actualmente hay más de cien personas en espera de hablar con un representante.",
    ),
    (a.ConferenceEntry("4021"), "Está entrando en la conferencia número cuatro cero dos uno."),
    (a.Participants(1), "Actualmente hay otro participante en la conferencia."),
    (a.Participants(51), "Actualmente hay otros cincuenta y un participantes en la conferencia."),
    (a.Participants(3, other=False), "Actualmente hay tres participantes en la conferencia."),
    (a.UsersWillJoin(1), "Un usuario se unirá a la conferencia."),
    (a.UsersWillJoin(61), "Sesenta y un usuarios se unirán a la conferencia."),
    (
        a.SubjectStatus("person", "204", "left"),
        "La persona de la extensión dos cero cuatro ha salido de la conferencia.",
    ),
    (a.SubjectStatus("agent", "17", "unavailable"), "El agente uno siete no está disponible."),
    (a.NumberGiven("you entered", "5501"), "Ha introducido cinco cinco cero uno."),
    (a.NumberGiven("your password", "QX7", phonetic=True), "Su contraseña es Q X siete."),
    (a.IncomingCall(Sender("number", "12")), "Llamada entrante del número de teléfono uno dos."),
    (
        a.FeatureSwitched("waiting", "deactivated", "20"),
        "Llamada en espera para la extensión dos cero desactivada.",
    ),
    (a.FeatureSwitched("forwarding", "activated"), "Desvío de llamadas activado."),
    (
        a.NumberSet("55", speed_dial=21),
        "La marcación rápida veintiuno está configurada con el número cinco cinco.",
    ),
    (
        a.ExactTime(TimeOfDay(22, 15), seconds=1),
        "Al oír la señal serán exactamente las diez y quince de la noche con un segundo.",
    ),
    (
        a.ExactTime(TimeOfDay(1, 5)),
        "Al oír la señal será exactamente la una y cinco de la madrugada.",
    ),
    (
        a.TryAgain(Moment("tomorrow", TimeOfDay(9, 0))),
        "Por favor, inténtelo de nuevo mañana a las nueve de la mañana.",
    ),
    (a.MenuKey("*", "leave conference"), "Para salir de la conferencia, pulse asterisco."),
    (a.MenuKey("1", "listen", key_first=True), "Pulse uno para escucharlo."),
    (a.ExtensionKey("4", "20"), "Para la extensión dos cero, pulse cuatro."),
    (
        a.Balance(((21, "dollar"), (1, "minute"))),
        "Tiene veintiún dólares y un minuto.",
    ),
    (a.Balance(((21, "hour"), (31, "minute"))), "Tiene veintiuna horas y treinta y un minutos."),
    (a.Balance(((1, "dollar"),)), "Tiene un dólar."),
    (a.Calling("number", "555"), "Llamando al número cinco cinco cinco."),
    (a.Prompt("queue-thankyou"), "Gracias por su paciencia."),
]


@pytest.mark.parametrize(("said", "sentence"), REVIEWED, ids=lambda value: str(value)[:40])
def test_reviewed_sentences(said, sentence):
    assert Spanish().translate(said) == sentence


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1, "masculine", "un"),
        (21_000, "bare", "veintiún mil"),
        (31_000, "masculine", "treinta y un mil"),
        (101, "feminine", "ciento una"),
        (201, "feminine", "doscientas una"),
        (500, "feminine", "quinientas"),
        (701, "masculine", "setecientos un"),
        (123_456, "bare", "ciento veintitrés mil cuatrocientos cincuenta y seis"),
    ],
)
def test_numbers(value, form, expected):
    assert spanish(value, form) == expected
