"""`AutoFeatureExtractor` of `transformers` finds the filterbanks; importing this registers them."""

from __future__ import annotations

from transformers import AutoFeatureExtractor

from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.model.configuration import SpeechTranslatorConfig

AutoFeatureExtractor.register(SpeechTranslatorConfig, FilterbankFrontend)
