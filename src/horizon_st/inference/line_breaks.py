"""A text -> blocks of at most two lines, broken where phrases end.

Widths are columns: a letter takes one, an ideograph two, an accent on its own none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len

MOST_COLUMNS = 42
"""Of a line, and ..."""

MOST_LINES = 2
"""... of a subtitle: what broadcasters allow (BBC, Netflix: 37 to 42 columns)."""

_SENTENCE_END, _CLAUSE_END, _PHRASE_START, _ANYWHERE = 0.0, 1.0, 2.5, 4.0
"""What a break costs after a sentence, after a clause, before a small word, and elsewhere."""

_BEFORE_CLOSING_MARK = 100.0
"""And before a mark that closes but stands alone, as in French, or after one that opens."""

_AFTER_SMALL_WORD = 3.0
"""What it costs more after a small word, which belongs to what follows."""

_PER_BLOCK, _PER_LINE = 3.0, 1.0
_BLOCK_BREAK_WEIGHT = 2.0
_SHORT_BLOCK = 4.0
"""What a block costs that is almost empty; less with the square of what its line lacks."""

_IMBALANCE = 8.0
"""What two lines cost where one is empty; less with the square of their difference."""

_WIDEST_ATOM = 36
"""In columns: leaves room for what a first line is indented by."""

_UNSPACED = (
    "\u2e80-\u2fff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
"""Scripts that put no spaces between words: Han, Kana, Thai, Lao, Burmese, Khmer."""

_IDEOGRAPHIC = re.compile(
    "[\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f"
    "\U00020000-\U0003ffff]"
)
"""Han, Kana and their punctuation, which have no spaces between sentences either."""

_LEADS = "([{（［｛「『【〈《“‘¿¡เแโใไເແໂໃໄ"
"""Never last on a line: opening brackets, and vowels of Thai and Lao written before a letter."""

_ATOM = re.compile(
    # One letter of such a script with its marks, or a run of others, and what closes it.
    rf"[{re.escape(_LEADS)}]*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)"
    r"[\u0300-\u036f\u0e30-\u0e3a\u0e45-\u0e4e\u0eb0-\u0ebc\u0ec6-\u0ecd\u102b-\u103e\u17b4-\u17d3"
    r"\u3005\u309d\u309e\u30fc\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087"
    r"\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7"
    r"、。，．！？；：…‥・）］｝」』】〉》”’]*|\S"
)
_ENDS_SENTENCE = re.compile(r"[.!?…。！？।؟]+[\"'”’»)\]」』）]*$")
_ENDS_CLAUSE = re.compile(r"[,;:–—、，；：،؛]+[\"'”’»)\]」』）]*$")

# Conjunctions, relatives, prepositions and articles.
_ENGLISH = """and or but that which who because if when while with without for in on at to of from
    by as the an"""
_SPANISH = """y e o u pero que porque si cuando mientras con sin para por en de del a al desde hasta
    como el la los las un una"""
_FRENCH = """et ou mais que qui parce quand pendant avec sans pour dans sur de du des à au aux
    depuis comme le la les un une"""
_ITALIAN = """e ed o od ma che perché se quando mentre con senza per in nel nella su di da dal dalla
    come il lo la i gli le un uno una"""
_GERMAN = """und oder aber dass weil wenn während mit ohne für in auf an zu zum zur von vom bei nach
    als der die das den dem ein eine einen"""
_SMALL_WORDS = frozenset(" ".join((_ENGLISH, _SPANISH, _FRENCH, _ITALIAN, _GERMAN)).split())

_CLOSES = re.compile(r"[!?:;»›%…)\]}”’]+[.,]?|[.,]+")
_OPENS = re.compile(r"[«‹¿¡(\[{“‘]+")

_SPACED_LETTER = re.compile(rf"[^\W{_UNSPACED}]|[\u200c\u200d]")
"""Or a joiner, as in Persian: it stands between letters of one word."""


def is_word_border(before: str, after: str) -> bool:
    """Whether a word may end between two texts: not between letters of a script with spaces."""
    return not (_SPACED_LETTER.match(before[-1:]) and _SPACED_LETTER.match(after[:1]))


def join_texts(texts: Iterable[str]) -> str:
    """The texts one after the other, with a space between them where their scripts have spaces."""
    joined = ""
    for text in texts:
        is_close = _IDEOGRAPHIC.match(joined[-1:]) and _IDEOGRAPHIC.match(text[:1])
        joined += text if is_close or not joined or not text else f" {text}"
    return joined


@dataclass(frozen=True)
class _Atom:
    """What no break divides.

    Attributes:
        column: where it begins in the whole text on one line.
        width: in columns.
        has_space: whether a space follows.
        break_cost: of a break after it.
    """

    text: str
    column: int
    width: int
    has_space: bool
    break_cost: float


def break_text(text: str, *, first_indent: int = 0) -> list[tuple[str, ...]]:
    """The text as blocks of one or two lines of at most 42 columns, none for no text.

    Blocks and their first lines end with a sentence or a clause or before a small word where that
    takes no more than a block more; elsewhere lines are balanced.

    Args:
        text: on one line or several.
        first_indent: columns of the first line of each block that are taken already.
    """
    atoms = _atoms(text)
    best = [0.0] + [math.inf] * len(atoms)
    edges_of: list[tuple[int, ...]] = [()] * (len(atoms) + 1)
    for start in range(len(atoms)):
        for end in range(start + 1, len(atoms) + 1):
            found = _lay_out(atoms, start, end, first_indent)
            if found is None:
                break
            layout_cost, edges = found
            is_last = end == len(atoms)
            break_cost = 0.0 if is_last else _BLOCK_BREAK_WEIGHT * atoms[end - 1].break_cost
            lacking = max(0.0, 1 - _width(atoms, start, end) / MOST_COLUMNS)
            block_cost = _PER_BLOCK + _SHORT_BLOCK * lacking**2
            cost = best[start] + block_cost + layout_cost + break_cost
            if cost < best[end]:
                best[end], edges_of[end] = cost, edges
    blocks = []
    end = len(atoms)
    while end:
        edges = edges_of[end]
        blocks.append(tuple(_join(atoms[i:j]) for i, j in pairwise(edges)))
        end = edges[0]
    return blocks[::-1]


def _lay_out(
    atoms: list[_Atom], start: int, end: int, first_indent: int
) -> tuple[float, tuple[int, ...]] | None:
    """The cost of the best lines of a block, and their edges; None where it does not fit."""
    if first_indent + _width(atoms, start, end) <= MOST_COLUMNS:
        return 0.0, (start, end)
    best: tuple[float, tuple[int, ...]] | None = None
    for middle in range(end - 1, start, -1):
        first = first_indent + _width(atoms, start, middle)
        second = _width(atoms, middle, end)
        if second > MOST_COLUMNS:
            break
        if first > MOST_COLUMNS:
            continue
        imbalance = _IMBALANCE * ((first - second) / (first + second)) ** 2
        cost = _PER_LINE + atoms[middle - 1].break_cost + imbalance
        if best is None or cost < best[0]:
            best = cost, (start, middle, end)
    return best


def _width(atoms: list[_Atom], start: int, end: int) -> int:
    last = atoms[end - 1]
    return last.column + last.width - atoms[start].column


def _join(atoms: list[_Atom]) -> str:
    return "".join(atom.text + " " * atom.has_space for atom in atoms).rstrip()


def _atoms(text: str) -> list[_Atom]:
    pieces = [piece for word in text.split() for piece in _pieces_of(word)]
    atoms: list[_Atom] = []
    column = 0
    for (piece, has_space), (following, _) in zip(pieces, [*pieces, ("", False)][1:], strict=True):
        width = cell_len(piece)
        atoms.append(_Atom(piece, column, width, has_space, _break_cost(piece, following)))
        column += width + has_space
    return atoms


def _pieces_of(word: str) -> Iterator[tuple[str, bool]]:
    """The (piece, is last) between which a word may be broken."""
    pieces = []
    for atom in _ATOM.findall(word):
        # An address or the like is broken anywhere, or it would not fit.
        size = len(atom) if cell_len(atom) <= _WIDEST_ATOM else _WIDEST_ATOM // 2
        pieces += [atom[start : start + size] for start in range(0, len(atom), size)]
    for number, piece in enumerate(pieces, start=1):
        yield piece, number == len(pieces)


def _break_cost(piece: str, following: str) -> float:
    if _CLOSES.fullmatch(following) or _OPENS.fullmatch(piece):
        return _BEFORE_CLOSING_MARK
    if _ENDS_SENTENCE.search(piece):
        return _SENTENCE_END
    if _ENDS_CLAUSE.search(piece):
        return _CLAUSE_END
    after_small = _AFTER_SMALL_WORD if piece.lower() in _SMALL_WORDS else 0.0
    return after_small + (_PHRASE_START if following.lower() in _SMALL_WORDS else _ANYWHERE)
