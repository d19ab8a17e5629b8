"""All benchmarks one after the other -> their tables in docs/performance.md, and JSON beside it.

    python benchmarks/all.py [--decode MODEL MANIFEST] [--only NAME ...]

NAME is one of small, paper, profile, growth, processes, padding, scale, decoding, runtimes, live,
recording_length, long_recording. A machine that does nothing else takes about half an hour for the
first seven. Each table replaces what stands between `<!-- NAME -->` and `<!-- end -->` in the page,
with spaces in the name, and the JSON goes to benchmarks/results/NAME.json. The last five need a
trained model and a manifest to decode, and are left as they were without them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
COMMANDS = {
    "small": ["training_step.py", "small"],
    "paper": ["training_step.py", "paper", "--rounds", "3"],
    "profile": ["step_profile.py", "small"],
    "growth": ["growth.py"],
    "processes": ["processes.py"],
    "padding": ["padding.py"],
    "scale": ["scale.py"],
    "decoding": ["decoding.py"],
    "runtimes": ["runtimes.py"],
    "live": ["live.py"],
    "recording_length": ["recording_length.py"],
    "long_recording": ["long_recording.py", "--recordings", "5"],
}
DECODING = ("decoding", "runtimes", "live", "recording_length", "long_recording")


def main() -> None:
    """Runs the chosen benchmarks and writes what they print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--decode", nargs=2, metavar=("MODEL", "MANIFEST"))
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args()
    chosen = {name: COMMANDS[name] for name in options.only}
    for name in DECODING:
        if name in chosen and options.decode is None:
            print(f"{name}: needs --decode MODEL MANIFEST", file=sys.stderr)
            del chosen[name]
    for name in chosen:
        find_place(PAGE, name)
    for name, (script, *arguments) in chosen.items():
        if name in DECODING:
            arguments += options.decode
        print(f"{name} ...", file=sys.stderr)
        out = FOLDER / "results" / f"{name}.json"
        out.parent.mkdir(exist_ok=True)
        command = [sys.executable, str(FOLDER / script), *arguments, "--out", str(out)]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        put_table(PAGE, name, result.stdout)


def put_table(page: Path, name: str, table: str) -> None:
    """Replaces the table of that name in the page."""
    start, end = find_place(page, name)
    text = page.read_text(encoding="utf-8")
    page.write_text(text[:start] + table + text[end:], encoding="utf-8")


def find_place(page: Path, name: str) -> tuple[int, int]:
    """Where in the page the table of that name starts and ends; ends the program if nowhere."""
    name = name.replace("_", " ")
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n((?:(?!<!--).)*)<!-- end -->", text, re.DOTALL)
    if found is None:
        sys.exit(f"{page}: no place for {name}, <!-- {name} --> and below it <!-- end -->")
    return found.span(1)


if __name__ == "__main__":
    main()
