"""`transformers` finds the models after `import horizon_st`, in any order of imports."""

import io
import json
import subprocess
import sys
from functools import partial

import pytest
import soundfile
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForSpeechSeq2Seq

from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.model.translator import SpeechTranslatorModel

LOOK = (
    "config = AutoConfig.from_pretrained({folder!r}); "
    "model = AutoModelForSpeechSeq2Seq.from_pretrained({folder!r}); "
    "print(type(config).__name__, type(model).__name__)"
)

FIRST_IMPORTS = [
    *("horizon_st.model.build", "horizon_st.model.pretrained_encoder", "horizon_st.data.frontend"),
    *("transformers.WhisperModel", "transformers.Speech2TextModel"),
]
IN_FORKS = """
import os, sys
import horizon_st, lhotse, torch
for first in sys.argv[1:]:
    if os.fork() == 0:
        home, _, name = first.rpartition(".")
        exec(f"from {home} import {name}")
        print(first, flush=True)
        os._exit(0)
    os.wait()
"""
"""Each comes first in a process of its own, but for what takes seconds and has no part in it."""


def test_auto_classes_load_the_model(model_folder):
    expected = load_trained_model(model_folder).model.state_dict()
    for auto in (AutoModel, AutoModelForSpeechSeq2Seq):
        model = auto.from_pretrained(model_folder)
        assert isinstance(model, SpeechTranslatorModel)
        assert all(torch.equal(model.state_dict()[name], expected[name]) for name in expected)
    assert AutoConfig.from_pretrained(model_folder).model_type == "horizon_st"
    assert isinstance(AutoFeatureExtractor.from_pretrained(model_folder), FilterbankFrontend)


@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import AutoConfig, AutoModelForSpeechSeq2Seq; import horizon_st",
        "import horizon_st.model.translator, horizon_st.inference.pipeline; "
        "from transformers import pipeline, Trainer; "
        "from transformers import AutoModelForSpeechSeq2Seq, AutoConfig",
    ],
)
def test_in_any_order(model_folder, imports):
    program = f"{imports}; {LOOK.format(folder=str(model_folder))}"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["SpeechTranslatorConfig", "SpeechTranslatorModel"], (
        result.stderr
    )


def test_whatever_is_imported_first_is_whole():
    result = subprocess.run(
        [sys.executable, "-c", IN_FORKS, *FIRST_IMPORTS], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == FIRST_IMPORTS, result.stderr


def test_the_front_end_is_found_alone(model_folder):
    program = (
        "import horizon_st; from transformers import AutoFeatureExtractor; "
        f"print(type(AutoFeatureExtractor.from_pretrained({str(model_folder)!r})).__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["FilterbankFrontend"], result.stderr


def test_the_pipeline_translates_recordings_of_any_length(model_folder, speech):
    from transformers import pipeline

    samples = speech(9)
    expected = [
        *SpeechTranslator.from_pretrained(model_folder).translate_recording(
            samples, sampling_rate=16_000
        )
    ]
    translate = pipeline("speech-translation", model=str(model_folder))
    found = translate({"array": samples, "sampling_rate": 16_000})
    assert found["text"] == " ".join(segment.text for segment in expected)
    assert found["chunks"] == [
        {"timestamp": (segment.start_s, segment.end_s), "text": segment.text}
        for segment in expected
    ]
    assert len(expected) > 1
    one, other = translate([{"array": samples, "sampling_rate": 16_000}] * 2)
    assert one == other == found
    assert translate({"raw": samples, "sampling_rate": 16_000}) == found
    wav = io.BytesIO()
    soundfile.write(wav, samples, 16_000, format="WAV", subtype="FLOAT")
    wav.seek(0)
    assert translate(wav) == found
    form = r'expected a path, an open file, or \{"array": samples, "sampling_rate": Hz\}, found '
    for given, what in (
        (samples, "ndarray"),
        (wav.getvalue(), "bytes"),
        ({"array": samples}, "the keys array"),
        ({"samples": samples, "sampling_rate": 16_000}, "the keys samples, sampling_rate"),
    ):
        with pytest.raises(UserError, match=rf"{form}{what}\. Give samples in this form"):
            translate(given)
    with pytest.raises(UserError, match=rf"{form}the parameter sampling_rate=16000"):
        translate(samples, sampling_rate=16_000)
    with pytest.raises(UserError, match=r"num_beams: expected no such parameter .*found 3"):
        translate({"array": samples, "sampling_rate": 16_000}, num_beams=3)
    of_two = pipeline("speech-translation", model=str(model_folder), batch_size=2)
    for refuse in (partial(translate, batch_size=2), of_two):
        with pytest.raises(UserError, match=r"batch_size: .* are batched anyway, found 2\. Leave"):
            refuse([{"array": samples, "sampling_rate": 16_000}] * 2)


def test_the_import_alone_loads_nothing():
    program = "import horizon_st, sys, json; print(json.dumps([*sys.modules]))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"torch", "transformers", "numpy"} & {*json.loads(result.stdout)}
