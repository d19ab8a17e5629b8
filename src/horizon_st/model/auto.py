"""Makes `transformers`' Auto classes know the model; importing this is enough.

The configuration registers itself where it is defined.
"""

from __future__ import annotations

from transformers import AutoFeatureExtractor, AutoModel, AutoModelForSpeechSeq2Seq

from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.model.configuration import SpeechTranslatorConfig
from horizon_st.model.translator import SpeechTranslatorModel

AutoModel.register(SpeechTranslatorConfig, SpeechTranslatorModel)
AutoModelForSpeechSeq2Seq.register(SpeechTranslatorConfig, SpeechTranslatorModel)
AutoFeatureExtractor.register(SpeechTranslatorConfig, FilterbankFrontend)
