r"""Writes the compact telephone recordings that the package ships, from Debian packages.

The source is the Debian packages ``asterisk-core-sounds-en-wav`` (the recordings) and
``asterisk-core-sounds-{en,es,fr,it}`` (the transcript and its official translations), version
1.6.1. Unpack them into one folder and name that folder::

    for package in *.deb; do dpkg-deb --extract "$package" unpacked; done
    python scripts/make_telephone_recordings.py unpacked \
        src/horizon_st/data/corpora/telephone/recordings

Written are ``recordings.opus`` (all prompts behind one another), ``index.json`` (where each one
lies and what is said), ``LICENSE.txt`` and ``CREDITS.md``. The samples of the Opus file are the
same in every run of one version of libopus; its bytes are not: Ogg streams carry a random serial.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

LANGUAGES = ("en", "es", "fr", "it")
SAMPLE_RATE = 8000
FRAME_SAMPLES = SAMPLE_RATE // 100
# Speech peaks near -10 dB per frame and the gated pauses lie below -75 dB: 50 dB under the loudest
# frame keeps the weakest final fricatives, the margin keeps their attack and decay.
SILENCE_BELOW_PEAK_DB = 50.0
MARGIN_FRAMES = 3
# Zeros between prompts, so that the codec smears nothing from one into the next.
GAP_SAMPLES = SAMPLE_RATE // 20
# libsndfile maps 0..1 to 256..6 kbit/s; this is 16 kbit/s, the best rate at which libopus still
# chooses its speech codec for 8 kHz (waveform SNR 23 dB; above it the other codec starts at 19 dB).
OPUS_COMPRESSION_LEVEL = 0.96

NOT_SPEECH = re.compile(
    r"silence/.*|beep|beeperr|(a|de)scending-2tone|confbridge-(join|leave)|tt-monkeys"
)

# Where the official lists are wrong: a text beside its recording, characters lost in a conversion,
# two entries run together, misspellings. None: the entry is no translation. Spanish accents, which
# the official list mostly lacks, are left as they are.
CORRECTIONS: dict[str, dict[str, str | None]] = {
    "en": {
        "digits/h-40": "fortieth",
        "letters/exclaimation-point": "exclamation point",
        "conf-adminmenu-menu8": (
            "Press 1 to list users currently in the conference, 2 to kick all non-administrator "
            "users, 3 to mute or unmute all non-administrator users, 4 to record this conference, "
            "or 8 to exit this menu and return to the conference."
        ),
        "queue-periodic-announce": (
            "All of our representatives are currently busy. Please stay on the line and your call "
            "will be answered by the next available representative."
        ),
        "unidentified-no-callback": "Unidentified or withheld and therefore cannot be called back.",
        "vm-onefor-full": "Press 1 to listen to",
    },
    "es": {
        "digits/0": "cero",
        "digits/10": "diez",
        "digits/hundred": "cien",
        "vm-Family": "familia",
        "followme/options": "Presione 1 para aceptar la llamada o 2 para rechazarla.",
    },
    "fr": {
        "demo-moreinfo": None,
        "spy-iax2": None,
        "digits/h-16": "seizième",
        "digits/h-80": "quatre-vingtième",
        "agent-incorrect": (
            "Échec à l'ouverture de session. "
            "Veuillez recomposer votre numéro d'agent suivi du dièse."
        ),
        "agent-alreadyon": (
            "Cet agent est présentement en ligne. Composez votre numéro d'agent suivi du dièse."
        ),
        "vm-record-prepend": (
            "À la tonalité, veuillez enregistrer une introduction pour le message transféré, "
            "lorsque terminé, appuyez sur dièse."
        ),
    },
    "it": {
        "is": "è",
        "is-in-use": "È in uso.",
        "is-set-to": "È impostato per.",
        "digits/hundred": "cento",
        "at-tone-time-exactly": "Al segnale acustico, il tempo sarà esattamente",
        "cannot-complete-as-dialed": "La chiamata non può essere completata così come composta.",
        "conf-full": "La conferenza è piena.",
        "confbridge-mute-extended": (
            "per disattivare o riattivare la propria voce. Quando la tua voce è disattivata non "
            "puoi mandare audio agli altri partecipanti. Però senti ancora l'audio degli altri "
            "partecipanti attivi."
        ),
        "feature-not-avail-line": "Quella funzione non è attiva su questa linea.",
        "if-correct-press": "Se questo è corretto, premi",
        "num-was-successfully": "Il numero è stato con successo",
        "pm-invalid-option": "Quella opzione è invalida. Perpiacere prova ancora.",
        "something-terribly-wrong": "Qualcosa è terribilmente sbagliato!",
        "speed-dial-empty": "La composizione rapida alla quale hai avuto accesso è vuota.",
        "unidentified-no-callback": "Non identificato, quindi non può essere richiamato.",
        "vm-tempremoved": "Il tuo messaggio provvisorio di saluto è stato eliminato",
        "vm-then-pound": "quindi premere cancelletto",
    },
}

NUMBER_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_WORDS = dict(
    zip(
        "0123456789",
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)
ONE_WORD = {"re-record": "rerecord", "de-activated": "deactivated", "re-enter": "reenter"}

CREDITS = """\
# Credits of the telephone recordings

The recordings and texts in this folder come from the core sounds of the Asterisk project,
version 1.6.1 (<http://downloads.asterisk.org/pub/telephony/asterisk/>), as packaged by Debian.

| part | who | licence |
|---|---|---|
| English recordings and texts | recorded by Allison Smith (<http://www.theivrvoice.com>), 2003-2010 | CC BY-SA 3.0 |
| Spanish texts | the Asterisk project, Allison Smith | CC BY-SA 3.0 |
| French texts | translated by Clod Patry, Kristopher Lalletti and June Wallack (<http://www.junewallack.com>), 2006-2008 | CC BY-SA 3.0 |
| Italian texts | translated by Silvia Petrin for Carlo Flora (<http://www.carloflora.com>, <http://www.segreterietelefoniche.it>), 2012 | CC BY 3.0 |

Financial contributions by Digium, Inc. (<http://www.digium.com>), Unlimitel
(<http://www.unlimitel.ca>) and BGM Informatique (<http://www.bgm.qc.ca>).

## Changes

The original works have been modified. Tones, silences and other prompts without speech were left
out; silence was cut from both ends of every recording; the recordings were joined into one file and
re-encoded as Ogg Opus; obvious errors of the texts were corrected (the table `CORRECTIONS` of
`scripts/make_telephone_recordings.py`). None of the people and companies above endorses this use.

The licences stand in `LICENSE.txt`. Audio and text derived from these recordings, such as the
corpus that Horizon-ST builds from them, are under CC BY-SA 3.0
(<https://creativecommons.org/licenses/by-sa/3.0/>) as well.
"""  # noqa: E501

NOTICE = """\
The recordings and their English, Spanish and French texts in this folder are licensed under the
Creative Commons Attribution-ShareAlike 3.0 licence,
    https://creativecommons.org/licenses/by-sa/3.0/
and the Italian texts under the Creative Commons Attribution 3.0 licence,
    https://creativecommons.org/licenses/by/3.0/
Both follow in full. The authors and the changes made to their works stand in CREDITS.md.
The code of Horizon-ST is not under these licences.
"""


def read_texts(path: Path) -> dict[str, str]:
    """Returns name -> official text, as it stands in a ``core-sounds-XX.txt.gz``."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith(";"))
    return {name.strip(): text.strip() for name, text in pairs}


def clean_text(text: str) -> str:
    """Returns the text without remarks, brackets, quotes around it and marks of continuation."""
    text = re.sub(r"\([^)]*\)|\[\W*\]", " ", text)
    text = re.sub(r"[\[\]“”]", "", text.replace("’", "'"))
    text = re.sub(r"\s+", " ", text).strip()
    if text.count('"') % 2:
        text = text.replace('"', "")
    return re.sub(r"^(\.\.+|…)\s*|\s*(\.\.+|…|:+|,)\s*$", "", text).strip()


def spoken_words(text: str) -> str | None:
    """Returns the words as heard, lower case, no punctuation; None where digits leave it open."""
    text = text.lower().replace("*", " star ").replace("#", " pound ")
    for written, word in ONE_WORD.items():
        text = text.replace(written, word)
    text = re.sub(r"(?<![\w.])\d(?![\w.]*\d)\b", lambda digit: DIGIT_WORDS[digit.group()], text)
    text = re.sub(r"[^\w']+", " ", text).strip()
    return None if re.search(r"\d|www", text) else text


def speech_limits(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Returns first and end sample of the speech, margin included."""
    num_frames = len(samples) // FRAME_SAMPLES
    frames = samples[: num_frames * FRAME_SAMPLES].reshape(num_frames, FRAME_SAMPLES)
    level_db = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    loud = np.flatnonzero(level_db > level_db.max() - SILENCE_BELOW_PEAK_DB)
    first = max(0, int(loud[0]) - MARGIN_FRAMES) * FRAME_SAMPLES
    end = min(len(samples), (int(loud[-1]) + 1 + MARGIN_FRAMES) * FRAME_SAMPLES)
    return first, end


def collect(source: Path) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Returns all speech behind one another, and the entries of the index."""
    documents = source / "usr/share/doc"
    texts = {
        language: read_texts(
            documents / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
        )
        for language in LANGUAGES
    }
    folder = source / "usr/share/asterisk/sounds/en_US_f_Allison"
    pieces: list[NDArray[np.float32]] = []
    entries: list[dict[str, Any]] = []
    position = 0
    for path in sorted(folder.rglob("*.wav")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if NOT_SPEECH.fullmatch(name) or name not in texts["en"]:
            continue
        samples, sample_rate = soundfile.read(path, dtype="float32")
        assert (sample_rate, samples.ndim) == (SAMPLE_RATE, 1), path
        first, end = speech_limits(samples)
        cleaned = {
            language: CORRECTIONS[language].get(name, clean_text(texts[language].get(name, "")))
            for language in LANGUAGES
        }
        spoken = spoken_words(cleaned["en"] or "")
        entries.append(
            {
                "name": name,
                "start_samples": position,
                "num_samples": end - first,
                "trimmed_samples": [first, len(samples) - end],
                "spoken": spoken,
                "texts": {language: text for language, text in cleaned.items() if text},
            }
        )
        pieces += [samples[first:end], np.zeros(GAP_SAMPLES, dtype=np.float32)]
        position += end - first + GAP_SAMPLES
    return np.concatenate(pieces), entries


def licence_texts(copyright_path: Path) -> str:
    """Returns both licences in full, from a Debian copyright file."""
    paragraphs = copyright_path.read_text(encoding="utf-8").split("\n\n")
    found = [NOTICE]
    for licence in ("CC-BY-SA-3.0", "CC-BY-3.0"):
        body = next(p for p in paragraphs if p.startswith(f"License: {licence}\n"))
        lines = [line[1:] if line.startswith(" ") else line for line in body.splitlines()]
        found.append("\n".join("" if line.strip() == "." else line.rstrip() for line in lines))
    return "\n\n\n".join(found) + "\n"


def main() -> None:
    """Writes the four files of the recordings folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of the unpacked Debian packages")
    parser.add_argument("destination", type=Path, help="folder to write")
    arguments = parser.parse_args()
    samples, entries = collect(arguments.source)
    arguments.destination.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(
        arguments.destination / "recordings.opus",
        "w",
        samplerate=SAMPLE_RATE,
        channels=1,
        format="OGG",
        subtype="OPUS",
        compression_level=OPUS_COMPRESSION_LEVEL,
    ) as file:
        file.write(samples)
    index = {"sample_rate": SAMPLE_RATE, "num_samples": len(samples)}
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = json.dumps(index)[:-1]
    (arguments.destination / "index.json").write_text(
        f'{head}, "recordings": [\n{rows}\n]}}\n', encoding="utf-8"
    )
    copyright_path = arguments.source / "usr/share/doc/asterisk-core-sounds-en/copyright"
    (arguments.destination / "LICENSE.txt").write_text(
        licence_texts(copyright_path), encoding="utf-8"
    )
    (arguments.destination / "CREDITS.md").write_text(CREDITS, encoding="utf-8")
    print(f"{len(entries)} recordings, {len(samples) / SAMPLE_RATE / 60:.1f} minutes")


if __name__ == "__main__":
    main()
