"""`pipeline("speech-translation", model=...)` of `transformers`; importing this registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoModelForSpeechSeq2Seq, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from horizon_st.errors import UserError
from horizon_st.inference.line_breaks import join_texts

TASK = "speech-translation"


class SpeechTranslationPipeline(Pipeline):
    """Recordings of any length to text, as `SpeechTranslator.translate_recording` does it.

    Takes a path, an open binary file, or ``{"array": samples, "sampling_rate": Hz}``, whose first
    key may also be ``raw``, or a list of them; gives ``text`` and ``chunks`` with a ``timestamp``
    each, as speech recognition does there.
    """

    _load_tokenizer: Any = True
    _load_feature_extractor: Any = False
    _load_image_processor: Any = False
    _load_processor: Any = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Not above: this may be imported while they are.
        from horizon_st.data.frontend import load_frontend
        from horizon_st.decoding.trained import TrainedModel
        from horizon_st.inference.pipeline import SpeechTranslator
        from horizon_st.inference.pytorch_runtime import PyTorchRuntime

        super().__init__(*args, **kwargs)
        folder = str(self.model.name_or_path)
        assert self.tokenizer is not None, "it is asked for above"
        trained = TrainedModel(
            Path(folder), self.model.float().eval(), self.tokenizer, load_frontend(folder)
        )
        self._translator = SpeechTranslator(PyTorchRuntime(trained))

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        for name, value in kwargs.items():
            if name == "sampling_rate":
                raise _with_samples(f"the parameter {name}={value!r}")
            raise UserError(
                name,
                expected="no such parameter of this pipeline",
                found=value,
                remedy="Choose how to search and to cut by SpeechTranslator.from_pretrained.",
            )
        return {}, {}, {}

    def get_iterator(self, inputs: Any, num_workers: int, batch_size: int, *parameters: Any) -> Any:
        """The outputs of several recordings, one after the other.

        Raises:
            UserError: they are to be batched.
        """
        if batch_size != 1:
            raise UserError(
                "batch_size",
                expected="1: the segments of each recording are batched anyway",
                found=batch_size,
                remedy="Leave it out. How many segments make a batch, and batches of several "
                "recordings: SpeechTranslator.from_pretrained(..., config=DecodingConfig("
                f"batch_size={batch_size})).translate([...]).",
            )
        return super().get_iterator(inputs, num_workers, batch_size, *parameters)

    def preprocess(self, input_: Any, **parameters: Any) -> dict[str, Any]:
        """The recording and its rate; files are read when they are translated.

        Raises:
            UserError: it is neither a file nor samples with their rate.
        """
        if isinstance(input_, str | Path) or hasattr(input_, "read"):
            return {"audio": input_, "sampling_rate": None}
        if not isinstance(input_, dict):
            raise _with_samples(type(input_).__name__)
        samples = input_.get("array", input_.get("raw"))
        rate = input_.get("sampling_rate")
        if samples is None or rate is None:
            raise _with_samples(f"the keys {', '.join(map(str, input_))}")
        return {"audio": samples, "sampling_rate": rate}

    def _forward(self, input_tensors: dict[str, Any], **parameters: Any) -> Any:
        found = self._translator.translate_recording(
            input_tensors["audio"], sampling_rate=input_tensors["sampling_rate"]
        )
        return {"segments": list(found)}

    def postprocess(self, model_outputs: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        """The text, and its pieces with their times."""
        segments = model_outputs["segments"]
        return {
            "text": join_texts(segment.text for segment in segments),
            "chunks": [
                {"timestamp": (segment.start_s, segment.end_s), "text": segment.text}
                for segment in segments
            ],
        }


def _with_samples(found: str) -> UserError:
    """The error of samples that come without their rate, or not where this pipeline expects it."""
    return UserError(
        "recording",
        expected='a path, an open file, or {"array": samples, "sampling_rate": Hz}',
        found=found,
        remedy="Give samples in this form, the bytes of a file as io.BytesIO(...).",
    )


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=SpeechTranslationPipeline,
    pt_model=AutoModelForSpeechSeq2Seq,
    type="audio",
)
