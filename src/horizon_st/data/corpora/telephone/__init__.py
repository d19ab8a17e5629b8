"""The embedded corpus: telephone prompts of the Asterisk project, and announcements made of them.

:func:`build_corpus` joins recordings the way a telephone exchange does into thousands of different
sentences with Spanish, French, Italian or German translations; :func:`build_recorded` writes the
prompts themselves with their official translations.
"""

from horizon_st.data.corpora.telephone.build import build_corpus
from horizon_st.data.corpora.telephone.recorded import build_recorded
from horizon_st.data.corpora.telephone.storage import CorpusSummary

__all__ = ["CorpusSummary", "build_corpus", "build_recorded"]
