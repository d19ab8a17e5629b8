"""What the documents name exists: files, recipe keys, commands, and lines of data to copy."""

import json
import re
from pathlib import Path

import pytest

from horizon_st.cli import app
from horizon_st.config import describe_config
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text_pairs import read_text_pairs
from horizon_st.training.stages import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
KEYS = {row[0] for row in describe_config(Recipe)}
SECTIONS = {key[: at.start()] for key in KEYS for at in re.finditer(r"\.", key)}


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request):
    return request.param


def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    relative = [
        link.partition("#")[0] for link in links if not re.match(r"https?:|mailto:|#", link)
    ]
    missing = [link for link in relative if not (page.parent / link).exists()]
    assert not missing
    paths = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]+)`", text)
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_recipe_keys_exist(page):
    sections = "|".join(sorted({key.partition(".")[0] for key in KEYS if "." in key}))
    named = re.findall(
        rf"`((?:{sections})\.[\w.*]+)(?:[:= ][^`]*)?`", page.read_text(encoding="utf-8")
    )
    unknown = [key for key in named if "*" not in key and key not in KEYS | SECTIONS]
    assert not unknown


def test_commands_exist(page):
    commands = {command.callback.__name__ for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^ *(?:\$ )?|`)horizon-st ([a-z]+)", text, re.MULTILINE))
    named |= set(re.findall(r"-m horizon_st ([a-z]+)", text))
    assert named <= commands


PLACEHOLDERS = ("MEASURED", "NOTES", "MODELDESC", "VADSPEED", "TODO", "TBD", "FIXME", "XXX")
EMPTY_TABLE = re.compile(r"<!-- ([^>]+) -->\s*<!-- end -->")


def test_nothing_is_left_to_fill_in(page):
    text = page.read_text(encoding="utf-8")
    assert EMPTY_TABLE.findall(text) == []
    assert re.findall(rf"\b(?:{'|'.join(PLACEHOLDERS)})\b", text) == []


def test_what_is_left_to_fill_in_is_found():
    assert EMPTY_TABLE.findall("<!-- live -->\n\n<!-- end -->\n") == ["live"]
    assert EMPTY_TABLE.findall("<!-- live -->\n| a |\n<!-- end -->\n") == []


def test_the_patterns_find_something():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for sample in ("](docs/", "`objective.", "horizon-st train", "`stages.st"):
        assert sample in text


def test_the_lines_of_data_to_copy_are_read(tmp_path):
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    rest = "".join(re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).strip()
    values = []
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    [utterance] = [value for value in values if "recording" in value]
    [pair] = [value for value in values if "recording" not in value]
    for source in utterance["recording"]["sources"]:
        audio = tmp_path / source["source"]
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.touch()
    for name, value in (("cuts", utterance), ("pairs", pair)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(value) + "\n", encoding="utf-8")
    [cut] = read_manifest(tmp_path / "cuts.jsonl")
    assert transcript_of(cut)
    assert translation_of(cut)
    assert [*read_text_pairs(tmp_path / "pairs.jsonl")] == [(pair["source"], pair["target"])]
