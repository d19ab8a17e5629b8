"""Pictures of the web page for the docs: a desktop's and a phone's width, a translation on it.

    python scripts/screenshots.py MODEL MANIFEST [--recordings 7] [--name telephone-es]
        [--out docs/figures]

Starts `horizon-st serve`, gives the page some of the manifest's recordings behind one another, and
waits until they are translated. Takes an installed Chromium, and the extras `serve` and `dev`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from horizon_st.data.audio import SAMPLING_RATE, load_cut
from horizon_st.data.shar import open_cuts

PAUSE_S = 1.5
PATIENCE_MS = 600_000
DEVICES: dict[str, dict[str, Any]] = {
    "page_desktop": {"viewport": {"width": 1280, "height": 860}},
    "page_phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 1.5,
        "is_mobile": True,
        "has_touch": True,
    },
}
WHOLE_PAGE = {"page_phone"}
NUM_COLOURS = 256


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--recordings", type=int, default=7)
    parser.add_argument("--name", default="telephone-es", help="what the page calls the model")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium: install Debian's package chromium.")
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "announcements.wav"
        soundfile.write(recording, join(options.manifest, options.recordings), SAMPLING_RATE)
        with served(options.model, options.name) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name in DEVICES:
                take(browser, address, recording, name, options.out / f"{name}.png")
                print(options.out / f"{name}.png")
            browser.close()


def join(manifest: Path, num_recordings: int) -> np.ndarray[Any, Any]:
    """The first recordings of a manifest, with silence between them."""
    silence = np.zeros(int(PAUSE_S * SAMPLING_RATE), np.float32)
    cuts = islice(open_cuts(manifest), num_recordings)
    return np.concatenate([part for cut in cuts for part in (load_cut(cut), silence)])


@contextmanager
def served(model: str, name: str) -> Iterator[str]:
    """The address of a server, which ends with the context."""
    command = [sys.executable, "-m", "horizon_st", "serve", model]
    command += ["--port", "0", "--name", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        [address] = re.findall(r"^Serving \S+ at (\S+)/v1", process.stdout.readline())
        try:
            yield address
        finally:
            process.send_signal(signal.SIGTERM)


def take(browser: Browser, address: str, recording: Path, name: str, out: Path) -> None:
    """One picture, of the page when it has translated the recording."""
    context = browser.new_context(color_scheme="light", **DEVICES[name])
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("Choose a file").set_input_files(recording)
    page.get_by_role("link", name="SRT subtitles").wait_for()
    page.screenshot(path=out, full_page=name in WHOLE_PAGE)
    context.close()
    with Image.open(out) as picture:
        small = picture.convert("RGB").quantize(NUM_COLOURS)
    small.save(out, optimize=True)


if __name__ == "__main__":
    main()
