"""The page as people use it, in a real browser: with a mouse, a keyboard, a microphone, a phone."""

import shutil

import pytest
import soundfile
import srt
import webvtt
from playwright.sync_api import expect, sync_playwright

from horizon_st.inference.formats import TranslatedRecording, to_text

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install Debian's package chromium to test the page"
)
PATIENCE_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


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
    contexts, requests, failures = [], [], []
    addresses = []

    def load(replica, *, app=None, device=None, **limits):
        addresses.append(live(replica, app={"page": True} | (app or {}), **limits))
        contexts.append(browser.new_context(**device or {}))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(error))
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
    page.locator("input[type=file]").set_input_files(path)


def downloaded(page, name):
    with page.expect_download() as download:
        page.get_by_role("link", name=name).click()
    return download.value


def test_a_file_becomes_text_and_subtitles_and_its_segments_play(visit, translator, talk):
    segments = [*translator.translate_recording(talk)]
    whole = TranslatedRecording(talk.name, soundfile.info(talk).duration, segments)
    page = visit(translator)
    give(page, talk)
    links = page.get_by_role("group", name="Download").get_by_role("link")
    expect(links).to_have_count(3)
    expect(page.locator("p.status")).to_have_text(
        f"{len(segments)} segments, {len(segments)} unsure"
    )
    items = page.get_by_role("listitem").get_by_role("button")
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

    second = segments[1]
    for part in (items.nth(1), page.locator(".regions div").nth(1)):
        page.evaluate("document.querySelector('audio').currentTime = 0")
        part.click()
        expect(items.nth(1)).to_have_class("unsure now")
        times = page.evaluate(
            """async () => {
                const audio = document.querySelector("audio"), times = [];
                while (!audio.paused) {
                    times.push(audio.currentTime);
                    await new Promise(requestAnimationFrame);
                }
                return [...times, audio.currentTime];
            }"""
        )
        assert second.start_s - 0.1 < times[0] < second.end_s
        assert second.end_s <= times[-1] < second.end_s + 0.3
