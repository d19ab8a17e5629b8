"""A trained model -> its repository on the Hugging Face hub, with a card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its HTTP client

from horizon_st.data.files import write_errors
from horizon_st.decoding.model_card import CARD_FILE, write_card
from horizon_st.decoding.model_folder import HUB_PATTERNS
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError, reason_of

_PICTURE_NAME = "horizon"


def push_to_hub(
    folder: Path,
    repository: str,
    *,
    scores: Sequence[Path] = (),
    licence: str | None = None,
    picture: Path | None = None,
    private: bool = False,
) -> str:
    """The address of the repository that holds the model now, with a card that says what is known.

    The card and the picture are written into the model's folder, too. The model is loaded first, so
    that nothing broken is published.

    Args:
        folder: of the model.
        repository: its id, such as NAME/MODEL; made where there is none.
        scores: folders that `evaluate` wrote for this model.
        licence: as the hub names it, for example cc-by-4.0.
        picture: of the regularization horizon, as `horizon-st report` draws it.
        private: whether a new repository is.

    Raises:
        UserError: the model is incomplete, scores are another model's, the card is the owner's and
            would not take what is given, or the hub refuses it or cannot be reached.
    """
    load_trained_model(folder, device="cpu")
    name = None
    if picture is not None:
        _check_picture(picture)
        name = f"{_PICTURE_NAME}{picture.suffix}"
    write_card(folder, scores=scores, licence=licence, picture=name, name=repository)
    if picture is not None and name is not None:
        _copy(picture, folder / name)
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[*HUB_PATTERNS, CARD_FILE, *([name] if name else [])],
            commit_message="model and card",
        )
    except (OSError, ValueError, RuntimeError, HTTPError) as error:
        raise UserError(
            repository,
            expected="a repository on the hub that can be written",
            found=reason_of(error),
            remedy="Log in with `hf auth login`, and check the name and the connection.",
        ) from error
    return f"{api.endpoint}/{repository}"


def _check_picture(picture: Path) -> None:
    if not picture.is_file():
        raise UserError(
            str(picture),
            expected="a picture",
            found="no such file",
            remedy="`horizon-st report` draws one; or leave it out.",
        )


def _copy(picture: Path, target: Path) -> None:
    if picture.resolve() != target.resolve():
        with write_errors(target):
            shutil.copyfile(picture, target)
