"""Images of single digits -> rows of them, the same as a string, and the number in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from num2words import num2words
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

LANGUAGE = "fr"
MAX_DIGITS = 5
SIDE = 8
"""Pixels of an image."""
PAD_ID, EOS_ID = 0, 1
_FIRST_ID = 2
NUM_DIGIT_IDS = _FIRST_ID + 10
_BRIGHTEST = 16


def words_of(number: int) -> list[str]:
    """The number as people say it, word by word: 80 is quatre, vingts."""
    words: list[str] = num2words(number, lang=LANGUAGE).replace("-", " ").split()
    return words


WORDS = sorted({word for number in (*range(1000), 2000, 80_000) for word in words_of(number)})
"""All that occur: above a thousand only `mille` is new, but for its neighbours' forms."""
WORD_IDS = {word: at for at, word in enumerate(WORDS, _FIRST_ID)}
NUM_WORD_IDS = _FIRST_ID + len(WORDS)


class Digits(NamedTuple):
    """Images of single digits, and which digits they are.

    Attributes:
        images: [N, SIDE, SIDE], from 0 to 1.
        labels: [N].
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Some rows of digits.

    Attributes:
        pixels: [B, SIDE, W], black beyond the last digit.
        lengths: [B], digits of each row.
        digits: [B, S], ids of the digits and of the end, padded: the second view.
        target: [B, L], ids of the words and of the end, padded.
    """

    pixels: Tensor
    lengths: Tensor
    digits: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: Tensor) -> Rows:
        return Rows(*(part[index] for part in vars(self).values()))


def split_digits(num_train: int, num_dev: int) -> tuple[Digits, Digits, Digits]:
    """The images that scikit-learn ships, in three parts: no image is in two of them."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    bounds = [num_train, num_train + num_dev]
    parts = [
        Digits((found.images[part] / _BRIGHTEST).astype(np.float32), found.target[part])
        for part in np.split(order, bounds)
    ]
    return parts[0], parts[1], parts[2]


def make_rows(source: Digits, num_rows: int, seed: int) -> Rows:
    """Rows of one to MAX_DIGITS digits, drawn from the images; numbers do not begin with 0."""
    rng = np.random.default_rng(seed)
    images_of = [np.flatnonzero(source.labels == digit) for digit in range(10)]
    pixels = torch.zeros(num_rows, SIDE, SIDE * MAX_DIGITS)
    digit_rows: list[list[int]] = []
    word_rows: list[list[int]] = []
    for row in range(num_rows):
        length = int(rng.integers(1, MAX_DIGITS + 1))
        digits = [int(rng.integers(1 if length > 1 and at == 0 else 0, 10)) for at in range(length)]
        chosen = source.images[[rng.choice(images_of[digit]) for digit in digits]]
        pixels[row, :, : SIDE * length] = torch.from_numpy(np.concatenate([*chosen], axis=1))
        digit_rows.append([_FIRST_ID + digit for digit in digits])
        number = int("".join(map(str, digits)))
        word_rows.append([WORD_IDS[word] for word in words_of(number)])
    lengths = torch.tensor([len(digits) for digits in digit_rows])
    return Rows(pixels, lengths, _padded(digit_rows), _padded(word_rows))


def spell(ids: Sequence[int]) -> str:
    """The words up to the end."""
    words = []
    for at in ids:
        if at in (EOS_ID, PAD_ID):
            break
        words.append(WORDS[at - _FIRST_ID])
    return " ".join(words)


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    width = max(map(len, rows)) + 1
    return torch.tensor([[*row, EOS_ID, *[PAD_ID] * (width - len(row) - 1)] for row in rows])
