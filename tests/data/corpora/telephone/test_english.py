"""What is heard: the recordings that Asterisk plays, and their words."""

import pytest

from horizon_st.data.corpora.telephone import announcements as a
from horizon_st.data.corpora.telephone import english
from horizon_st.data.corpora.telephone import messages as m
from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.corpora.telephone.values import (
    CalendarDay,
    Duration,
    Moment,
    Sender,
    TimeOfDay,
)

RECORDINGS = Recordings()
REVIEWED = [
    (
        m.MessageCount(((23, "new"),), Sender("extension", "204")),
        "you have twenty three new messages from extension two zero four",
    ),
    (m.MessageCount(((3, "new"), (1, "old"))), "you have three new and one old message"),
    (m.MessageCount(((0, "urgent"),)), "you have no urgent messages"),
    (
        m.MessageReceived(
            7, Moment(CalendarDay(0, 1, 3, 2005), TimeOfDay(22, 15)), Sender("family")
        ),
        "message seven from family received monday january third two thousand five at ten fifteen "
        "p m",
    ),
    (
        m.MessageReceived("last", Moment("today", TimeOfDay(0, 5)), Sender("unknown")),
        "last message from an unknown caller received today at twelve oh five a m",
    ),
    (m.MessageSaved(12, 7), "message twelve saved to folder seven"),
    (m.MessageSaved(12, "work"), "message twelve saved to work messages"),
    (m.MessageDuration(Duration(1, 20)), "this message lasts one minute twenty seconds"),
    (
        a.CallerNumber(100),
        "you are currently caller number one hundred waiting to speak with a representative",
    ),
    (
        a.HoldTime(Duration(2, 1), less_than=True),
        "the estimated hold time is currently less than two minutes one second",
    ),
    (
        a.CallersWaiting(9),
        "currently there are more than nine callers waiting to speak with a representative",
    ),
    (a.ConferenceEntry("40"), "you are entering conference number four zero"),
    (a.Participants(1), "there is currently one other participant in the conference"),
    (a.Participants(2, other=False), "there are currently two participants in the conference"),
    (a.UsersWillJoin(1), "one user will join the conference"),
    (
        a.SubjectStatus("person", "20", "present"),
        "the person at extension two zero is now in the conference",
    ),
    (a.NumberGiven("your password", "AX7", phonetic=True), "your password is alpha xray seven"),
    (a.NumberGiven("your password", "AX7"), "your password is a x seven"),
    (a.NumberGiven("last caller", "55"), "the last caller was number five five"),
    (a.IncomingCall(Sender("number", "5")), "incoming call from telephone number five"),
    (
        a.FeatureSwitched("on busy", "deactivated", "20"),
        "call forward on busy for extension two zero deactivated",
    ),
    (a.NumberSet("5", speed_dial=7), "speed dial seven is set to number five"),
    (
        a.ExactTime(TimeOfDay(12, 0), seconds=1),
        "at the sound of the tone the time will be exactly twelve o'clock p m and one second",
    ),
    (
        a.TryAgain(Moment("tomorrow", TimeOfDay(9, 30))),
        "please try again tomorrow at nine thirty a m",
    ),
    (a.MenuKey("#", "rerecord"), "to rerecord it press pound"),
    (a.MenuKey("4", "exit menu", key_first=True), "press four to exit the menu"),
    (a.ExtensionKey("4", "20"), "for extension two zero press four"),
    (a.Balance(((1, "dollar"), (5, "minute"))), "you have one dollar and five minutes"),
    (a.Calling("agent", "20"), "calling agent two zero"),
    (a.Prompt("vm-delete"), "press seven to delete this message"),
]


@pytest.mark.parametrize(("said", "words"), REVIEWED, ids=lambda value: str(value)[:40])
def test_transcripts_are_what_the_recordings_say(said, words):
    assert RECORDINGS.transcript(tuple(said.recordings())) == words


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (english.number(-7), "minus seven"),
        (english.number(20), "twenty"),
        (english.number(1_234_567), "one million two hundred thirty four thousand five hundred "
         "sixty seven"),
        (english.number(80_001), "eighty thousand one"),
        (english.ordinal(31), "thirty first"),
        (english.ordinal(20), "twentieth"),
        (english.ordinal(30), "thirtieth"),
        (english.year(1999), "nineteen ninety nine"),
        (english.year(1905), "nineteen oh five"),
        (english.year(2000), "two thousand"),
        (english.year(2012), "twenty twelve"),
        (english.time(TimeOfDay(0, 0)), "twelve o'clock a m"),
        (english.time(TimeOfDay(13, 5)), "one oh five p m"),
        (english.digits("1*0#"), "one star zero pound"),
        (english.day(CalendarDay(6, 12, 21)), "sunday december twenty first"),
    ],
)  # fmt: skip
def test_numbers_dates_and_times(names, words):
    assert RECORDINGS.transcript(tuple(names)) == words
