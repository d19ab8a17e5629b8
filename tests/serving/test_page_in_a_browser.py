"""The page as people use it, in a real browser: with a mouse, a keyboard, a microphone, a phone."""

import re
import shutil
import time
from threading import Event, Semaphore

import httpx2
import pytest
import soundfile
import srt
import webvtt
from playwright.sync_api import expect, sync_playwright

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.inference.formats import TranslatedRecording, to_text
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig
from horizon_st.serving.keys import Keys

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install Debian's package chromium to test the page"
)
PATIENCE_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


class StepwiseReplica:
    """Translates a segment for each `step` that is released, or all of them once `go` is set."""

    config = DecodingConfig(beam_size=1, max_tokens=12, batch_size=1)
    segmenter = SegmenterConfig(longest_s=5)

    def __init__(self):
        self.go = Event()
        self.step = Semaphore(0)
        self.num_translated = 0

    def translate_segments(self, segments):
        while not (self.step.acquire(timeout=0.05) or self.go.is_set()):
            pass
        self.num_translated += len(segments)
        return [
            TranslatedSegment(
                one.start_s, one.end_s, f"What is said at {one.start_s:.2f}.", -0.1, 9
            )
            for one in segments
        ]


@pytest.fixture
def stepwise():
    return StepwiseReplica()


@pytest.fixture
def ready(stepwise):
    stepwise.go.set()
    return stepwise


@pytest.fixture(scope="module")
def browser(recordings):
    """A browser, with a microphone that hears a recording."""
    arguments = [
        "--no-sandbox",  # root has none
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recordings[0]}",
    ]
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, live, tmp_path, monkeypatch):
    """A function: (replica, settings of application, browser and limits) -> its page, loaded.

    At the end, nothing was asked of another server, and no script had failed.
    """
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    addresses, contexts, requests, failures = [], [], [], []

    def load(replica, *, app=None, device=None, **limits):
        addresses.append(live(replica, app={"page": True} | (app or {}), **limits))
        context = browser.new_context(**device or {})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: requests.append(request.url))
        context.on("weberror", lambda error: failures.append(error.error))
        page = context.new_page()
        page.goto(addresses[-1])
        return page

    yield load
    for context in contexts:
        context.close()
    assert failures == []
    assert requests
    own = tuple(f"{kind}{address}" for address in addresses for kind in ("", "blob:"))
    assert [url for url in requests if not url.startswith((*own, "data:"))] == []


def give(page, path):
    page.get_by_label("Choose a file").set_input_files(path)


def items_of(page):
    return page.get_by_role("listitem").get_by_role("button")


def wait_until_done(page):
    expect(page.get_by_role("link", name="SRT subtitles")).to_be_visible()


def downloaded(page, name):
    with page.expect_download() as download:
        page.get_by_role("link", name=name).click()
    return download.value


def play_slowly(page):
    """So that a slow machine sees what is shown while something plays."""
    page.evaluate("document.querySelector('audio').playbackRate = 0.1")


def played(page):
    """The first and the last time that is played, of what plays now."""
    return page.evaluate(
        """async () => {
            const audio = document.querySelector("audio");
            const first = audio.currentTime;
            audio.playbackRate = 1;
            while (!audio.paused) await new Promise(requestAnimationFrame);
            return [first, audio.currentTime];
        }"""
    )


def has_place(page):
    """Whether the server, which takes one recording at a time, would take another one."""
    address = "/".join(page.url.split("/")[:3])
    return httpx2.get(f"{address}/readyz").status_code == 200


def wait_until(condition, *, every_s=0.05):
    until = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        assert time.monotonic() < until, "the server still works for somebody who has gone"
        time.sleep(every_s)


def test_a_file_becomes_text_and_subtitles_and_its_segments_play(visit, translator, talk):
    segments = [*translator.translate_recording(talk)]
    count = len(segments)
    whole = TranslatedRecording(talk.name, soundfile.info(talk).duration, segments)
    page = visit(translator)
    give(page, talk)
    wait_until_done(page)
    expect(page.locator(".status")).to_have_text(f"{count} segments, {count} unsure")
    items = items_of(page)
    assert [text.split("\n")[1:] for text in items.all_inner_texts()] == [
        [*filter(None, [one.text]), f"unsure, {100 * one.confidence:.0f} %"] for one in segments
    ]

    file = downloaded(page, "SRT subtitles")
    assert file.suggested_filename == "talk.srt"
    text = file.path().read_text(encoding="utf-8")
    assert text == to_text(whole, "srt")
    assert len([*srt.parse(text)]) == len(whole.cues) > 0
    assert len(webvtt.read(downloaded(page, "VTT subtitles").path())) == len(whole.cues)
    text = downloaded(page, "Text").path().read_text(encoding="utf-8")
    assert text == to_text(whole, "txt")

    regions = page.locator(".regions div")
    expect(regions).to_have_count(count)
    for part in (items.nth(1), regions.nth(1)):
        play_slowly(page)
        part.click()
        expect(items.nth(1)).to_have_class("unsure now")
        first, last = played(page)
        assert segments[1].start_s - 0.1 < first < segments[1].end_s
        assert segments[1].end_s <= last < segments[2].end_s


def test_segments_come_one_by_one_and_who_leaves_gives_back_the_place(
    visit, stepwise, talk, held_texts
):
    page = visit(stepwise, queue=1)
    give(page, talk)
    items = items_of(page)
    for number in (1, 2):
        stepwise.step.release()
        expect(items).to_have_count(number)
    expect(page.locator(".status")).to_contain_text("Translating: 0:")
    expect(page.locator(".regions div")).to_have_count(2)
    expect(page.get_by_role("link", name="SRT subtitles")).to_be_hidden()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".status")).to_have_text("Stopped.")
    wait_until(lambda: has_place(page))

    give(page, talk)
    stepwise.step.release(2)  # one for what was being translated
    expect(items).to_have_count(1)
    another = page.context.new_page()
    another.goto(page.url)
    page.close()
    num_before = stepwise.num_translated

    def has_place_after_a_step():
        stepwise.step.release()  # Gradio looks for who has gone when there is something to send
        return has_place(another)

    wait_until(has_place_after_a_step, every_s=0.5)
    assert stepwise.num_translated - num_before < len(held_texts(talk)) - 1
    stepwise.go.set()
    give(another, talk)
    wait_until_done(another)
    assert items_of(another).count() > 3


def test_the_keyboard_suffices(visit, ready, talk):
    page = visit(ready)
    page.on("filechooser", lambda _: None)  # so that the browser is told in time to open none
    page.wait_for_load_state("networkidle")  # what loads late may take the focus
    page.get_by_label("Choose a file").wait_for()
    keyboard = page.keyboard
    keyboard.press("Tab")
    label = page.locator("label[for=hst-file]")
    assert label.evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(talk)
    wait_until_done(page)
    play_slowly(page)
    reached = []
    while "SRT subtitles" not in reached[-1:]:
        keyboard.press("Tab")
        focused = page.locator(":focus")
        reached.append(focused.inner_text().split("\n")[-1].removeprefix("↓ "))
        assert focused.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
        if reached[-1].startswith("What is said at 0."):
            keyboard.press("Enter")
            expect(focused).to_have_class("now")
            expect(page.get_by_role("button", name="Pause")).to_be_visible()
            keyboard.press("Enter")
            expect(page.get_by_role("button", name="Play")).to_be_visible()
    sentences = [text.split("\n")[-1] for text in items_of(page).all_inner_texts()]
    assert reached == ["Record", "Play", *sentences, "SRT subtitles"]
    with page.expect_download() as download:
        keyboard.press("Enter")
    assert [*srt.parse(download.value.path().read_text(encoding="utf-8"))]


def test_what_is_wrong_is_said_and_the_next_file_is_taken(visit, ready, talk, tmp_path):
    page = visit(ready, most_mb=1)
    alert = page.locator(".error")
    expect(alert).to_be_hidden()
    bad = tmp_path / "<b>notes.mp3"
    bad.write_text("no sound at all", encoding="utf-8")
    give(page, bad)
    expect(alert).to_contain_text("<b>notes.mp3: expected whole audio")
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(1_000_001))
    give(page, large)
    expect(alert).to_have_text("large.wav is larger than the 1 MB that this server takes.")
    give(page, talk)
    wait_until_done(page)
    expect(alert).to_be_hidden()


def test_the_microphone(visit, ready):
    page = visit(ready)
    page.get_by_role("button", name="Record").wait_for()
    page.evaluate(
        """() => {
            const { mediaDevices } = navigator, open = mediaDevices.getUserMedia.bind(mediaDevices);
            window.opened = 0;
            mediaDevices.getUserMedia = async (asked) => {
                window.opened += 1;
                await new Promise((resolve) => setTimeout(resolve, 200)); // as people think it over
                return open(asked);
            };
            const record = document.querySelector(".record");
            record.click();
            record.click();
        }"""
    )
    some_seconds = re.compile(r"Stop and translate \(0:(0[2-9]|[1-9]\d)\)")
    expect(page.get_by_role("button", name=some_seconds)).to_be_focused()
    assert page.evaluate("window.opened") == 1
    page.get_by_role("button", name="Stop and translate").click()
    wait_until_done(page)
    expect(page.get_by_role("heading", name="recording.webm")).to_be_visible()
    expect(items_of(page).first).to_contain_text("What is said at")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(visit, ready, talk, scheme):
    page = visit(ready, device=PHONE | {"color_scheme": scheme})
    give(page, talk)
    wait_until_done(page)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["viewport"]["width"]
    for part in page.locator(".hst button:visible, .hst .button:visible").all():
        box = part.bounding_box()
        assert box["height"] >= 44
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    text, paper = page.evaluate(
        """["color", "backgroundColor"].map((part) => {
            const style = getComputedStyle(document.querySelector(".record"))[part];
            return style.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3;
        })"""
    )
    assert (text < 80 and paper > 200) if scheme == "light" else (text > 200 and paper < 80)


def test_a_server_with_keys_asks_for_one(visit, ready, talk):
    page = visit(ready, app={"keys": Keys(["open-sesame"])})
    for key in ("sesame", "open-sesame"):
        page.get_by_label("username").fill("me")
        page.get_by_label("password").fill(key)
        page.get_by_role("button", name="Login").click()
        if key == "sesame":
            expect(page.get_by_text("Incorrect")).to_be_visible()
    give(page, talk)
    wait_until_done(page)
