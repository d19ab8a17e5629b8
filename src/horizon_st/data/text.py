"""Sentences -> a shared subword vocabulary -> token ids."""

from __future__ import annotations

import difflib
import io
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, cast

import sentencepiece
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers.models import Unigram
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from horizon_st.data.unspaced import SOUTHEAST_ASIAN
from horizon_st.errors import UserError, reason_of

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
"""Ids 0 to 3 of every vocabulary made here."""

_NORMALIZER = normalizers.Sequence(
    [
        # Control characters; zero-width spaces but for those between letters of Thai or Khmer.
        normalizers.Replace(
            Regex(
                r"[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufeff]"
                rf"|\u200b+(?![{SOUTHEAST_ASIAN}\u200b])|(?<![{SOUTHEAST_ASIAN}\u200b])\u200b+"
            ),
            "",
        ),
        normalizers.NFC(),
        # The mark of a space in pieces, and what stands for bytes that were no text.
        normalizers.Replace(Regex(r"[\s\u2581\ufffd]+"), " "),
        normalizers.Strip(),
    ]
)
"""Applied before training and before encoding alike.

The model writes translations as this leaves them, and references are not changed. So all that is
seen stays, as compatible characters (NFKC) would not: full-width punctuation, fractions, ordinals,
joiners.
"""


def train_tokenizer(
    sentences: Iterable[str], vocab_size: int, *, character_coverage: float = 1.0
) -> PreTrainedTokenizerFast:
    """A unigram subword tokenizer (Kudo 2018) trained on source and target sentences together.

    It appends ``</s>``, and `decode` gives detokenised text. Training is deterministic.

    Raises:
        UserError: there is no text, or too little of it for so many pieces.
    """
    return _to_fast_tokenizer(_train_pieces(sentences, vocab_size, character_coverage))


def most_pieces(sentences: Iterable[str], limit: int) -> int:
    """The size of the largest vocabulary that the sentences can fill, up to a limit."""
    model = _train_pieces(sentences, limit, character_coverage=1.0, may_be_smaller=True)
    return len(sentencepiece.SentencePieceProcessor(model_proto=model))


def spelt_characters(texts: Iterable[str]) -> set[str]:
    """The characters that a vocabulary needs to spell the texts, spaces among them."""
    return set().union(*map(_NORMALIZER.normalize_str, texts))


def least_pieces(characters: Collection[str]) -> int:
    """The size of the smallest vocabulary that spells texts of these characters, spaces aside."""
    return len(SPECIAL_TOKENS) + len({*characters, "\N{LOWER ONE EIGHTH BLOCK}"} - {" "})


def _train_pieces(
    sentences: Iterable[str],
    vocab_size: int,
    character_coverage: float,
    *,
    may_be_smaller: bool = False,
) -> bytes:
    """The model of sentencepiece."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=map(_NORMALIZER.normalize_str, sentences),
            model_writer=model,
            vocab_size=vocab_size,
            hard_vocab_limit=not may_be_smaller,
            character_coverage=character_coverage,
            model_type="unigram",
            normalization_rule_name="identity",
            num_threads=1,
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            bos_piece=SPECIAL_TOKENS[0],
            pad_piece=SPECIAL_TOKENS[1],
            eos_piece=SPECIAL_TOKENS[2],
            unk_piece=SPECIAL_TOKENS[3],
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(
            "data.vocab_size",
            expected="more pieces than the text has characters, no more than it can fill",
            found=f"{vocab_size} ({_reason(error)})",
            remedy="Change data.vocab_size accordingly, or add text.",
        ) from error
    return model.getvalue()


def load_tokenizer(folder_or_hub_id: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer stored in a folder or on the hub.

    Raises:
        UserError: there is none, or it cannot pad or end a sentence.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder_or_hub_id))
    except Exception as error:  # of damaged files, tokenizers and transformers raise anything
        raise UserError(
            str(folder_or_hub_id),
            expected="a folder or hub id with a tokenizer (tokenizer.json)",
            found=reason_of(error),
            remedy="Check the path, or fetch it on a connected machine with `hf download`.",
        ) from error
    lacking = [name for name in ("pad_token", "eos_token") if getattr(tokenizer, name) is None]
    if lacking:
        raise UserError(
            str(folder_or_hub_id),
            expected="a tokenizer with pad_token and eos_token",
            found=f"no {' and no '.join(lacking)}",
            remedy="Use the tokenizer of an encoder-decoder model.",
        )
    return tokenizer


def set_languages(
    tokenizer: PreTrainedTokenizerBase, source: str | None, target: str | None
) -> int | None:
    """The id of the target language's token; None with a tokenizer that has no languages.

    A multilingual tokenizer (M2M-100, NLLB, mBART) then marks transcripts and translations with
    their languages, and saves both with itself.

    Raises:
        UserError: it needs languages and has none, or does not know them, or has no use for them.
    """
    if not hasattr(tokenizer, "src_lang"):
        if source is not None or target is not None:
            raise UserError(
                "data.source_language and data.target_language",
                expected="nothing with a tokenizer that does not mark languages",
                found=f"{source!r} and {target!r}",
                remedy="Remove both.",
            )
        return None
    codes = _language_codes(tokenizer)
    for key, code in (("source_language", source), ("target_language", target)):
        if code not in codes:
            near = difflib.get_close_matches(code or "", codes, n=3, cutoff=0.3) or [*codes][:3]
            raise UserError(
                f"data.{key}",
                expected=f"one of the {len(codes)} language codes of the multilingual tokenizer",
                found="none" if code is None else code,
                remedy=f"Set it to a code such as {', '.join(near)}.",
            )
    tokenizer.src_lang, tokenizer.tgt_lang = source, target
    _make_special(tokenizer)
    return codes[str(target)]


def _make_special(tokenizer: PreTrainedTokenizerBase) -> None:
    """Has decoding leave out M2M-100's languages, which transformers 5 takes for ordinary words.

    `add_special_tokens` would give them new ids.
    """
    tokens: dict[str, int] = getattr(tokenizer, "lang_token_to_id", {})
    if not tokens or set(tokens.values()) <= set(tokenizer.all_special_ids):
        return
    own: Any = tokenizer
    for token, token_id in tokens.items():
        own._added_tokens_decoder[token_id] = AddedToken(token, special=True, normalized=False)
        own._added_tokens_encoder[token] = token_id
    own.extra_special_tokens = [*tokens]
    own._update_trie()


def vocabulary_size(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the highest id; the ids of M2M-100's languages lie beyond its length."""
    codes = _language_codes(tokenizer) if hasattr(tokenizer, "src_lang") else {}
    return max(len(tokenizer), 1 + max(codes.values(), default=0))


def _language_codes(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    known = getattr(tokenizer, "lang_code_to_id", None)
    if known:
        return dict(known)
    roles = [value for value in tokenizer.special_tokens_map.values() if isinstance(value, str)]
    codes = [token for token in tokenizer.all_special_tokens if token not in roles]
    return dict(zip(codes, cast("list[int]", tokenizer.convert_tokens_to_ids(codes)), strict=True))


def _reason(error: Exception) -> str:
    """What sentencepiece says, without the place in its source."""
    sentence = str(error).rpartition(")]")[2].strip(" .\n")
    return sentence or "there is no text"


def _to_fast_tokenizer(model_proto: bytes) -> PreTrainedTokenizerFast:
    """The same segmentation in `tokenizers`, whose files every transformers tool reads."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_proto)
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(len(processor))]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=processor.unk_id(), byte_fallback=False))
    tokenizer.normalizer = _NORMALIZER
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", processor.eos_id())]
    )
    bos, pad, eos, unk = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        pad_token=pad,
        eos_token=eos,
        unk_token=unk,
        clean_up_tokenization_spaces=False,
    )
