"""What a `SpeechTranslator` needs of a model, whatever computes it: PyTorch or ONNX Runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from horizon_st.data.mono import Samples
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.decoding.model_folder import find_folder
from horizon_st.errors import UserError

RuntimeName = Literal["pytorch", "onnx"]

EXPORT_FILE = "export.json"
"""What stands in the folder of an export, and in no other."""


class Runtime(ABC):
    """A model that is ready to translate utterances.

    Attributes:
        folder: of the model.
        longest_training_s: of the utterances that it has learnt to translate, if that is known.
        end_id: the token that ends a translation.
    """

    folder: Path
    longest_training_s: float | None
    end_id: int

    @abstractmethod
    def check(self, config: DecodingConfig) -> None:
        """Nothing, when it can search so.

        Raises:
            UserError: it cannot.
        """

    @abstractmethod
    def can_take(self, num_samples: int) -> bool:
        """Whether an utterance of so many samples is short enough for it."""

    @abstractmethod
    def decode(
        self,
        samples: Sequence[Samples],
        config: DecodingConfig,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> list[Hypothesis]:
        """The translations of utterances, as one batch; threads may share a runtime.

        Args:
            samples: of each, at 16 kHz.
            config: the search.
            prefixes: tokens that the translation of each begins with.

        Raises:
            UserError: an utterance is too long or too short, or the scores are not finite.
        """

    @abstractmethod
    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of a translation, or of the beginning of one."""


def is_export(folder: Path) -> bool:
    """Whether a model's folder holds one exported for ONNX Runtime."""
    return (folder / EXPORT_FILE).is_file()


def load_runtime(
    folder_or_hub_id: str | Path,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    num_threads: int | None = None,
) -> Runtime:
    """The model that a folder or a hub id holds, ready to run.

    Args:
        folder_or_hub_id: a model that `horizon-st train` wrote, or one that `export` did.
        runtime: what has to run it; None takes what the folder is made for.
        device: as PyTorch names it.
        num_threads: that compute an exported model; all cores that this process may use by default.

    Raises:
        UserError: there is no such model, it is incomplete or damaged, or made for another runtime,
            which also is the only one to take a device, or which is not installed.
    """
    folder = find_folder(folder_or_hub_id)
    exported = is_export(folder)
    if runtime == "onnx" and not exported:
        raise UserError(
            str(folder),
            expected=f"an exported model ({EXPORT_FILE}, ...) with --runtime onnx",
            found=f"no {EXPORT_FILE}",
            remedy="`horizon-st export MODEL OUT` makes one of a trained model.",
        )
    if runtime == "pytorch" and exported:
        raise UserError(
            str(folder),
            expected="a trained model with --runtime pytorch",
            found="one exported for ONNX Runtime",
            remedy="Leave --runtime out, or give the model that it was exported from.",
        )
    # Either only where it is used: the other may not be installed.
    if not exported:
        _check_pytorch(folder)
        from horizon_st.decoding.trained import load_trained_model
        from horizon_st.inference.pytorch_runtime import PyTorchRuntime

        return PyTorchRuntime(load_trained_model(folder, device=device))
    from horizon_st.inference.onnx.runtime import OnnxRuntime

    if device not in (None, "cpu"):
        raise UserError(
            "device",
            expected="cpu for an exported model",
            found=device,
            remedy="Leave it out, or give the model that it was exported from.",
        )
    return OnnxRuntime.load(folder, num_threads)


def _check_pytorch(folder: Path) -> None:
    if find_spec("torch") is None:
        raise UserError(
            str(folder),
            expected=f"an exported model ({EXPORT_FILE}, ...), since PyTorch is not installed",
            found=f"no {EXPORT_FILE}",
            remedy="Give what `horizon-st export` made of it elsewhere, or install horizon-st with "
            "all that it requires.",
        )
