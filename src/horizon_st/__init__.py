"""Speech translation from scarce data: train, regularise, translate."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from horizon_st.inference.registration import register_lazily

if TYPE_CHECKING:
    from horizon_st.inference.pipeline import SpeechTranslator

__version__ = version("horizon-st")
__all__ = ["SpeechTranslator", "__version__"]


def __getattr__(name: str) -> Any:
    """The public classes, imported when first asked for: `import horizon_st` stays instant."""
    if name == "SpeechTranslator":
        from horizon_st.inference.pipeline import SpeechTranslator

        return SpeechTranslator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register_lazily()
