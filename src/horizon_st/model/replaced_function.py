"""A function of PyTorch, computed by another one wherever it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode


class ReplacedFunction(TorchFunctionMode):
    """A context in which calls of a function are calls of its replacement.

    Args:
        function: of PyTorch, as its callers name it.
        replacement: takes the same arguments.
    """

    def __init__(self, function: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        self._replacement = replacement

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The result of `func`, or of the replacement."""
        chosen = self._replacement if func is self._function else func
        return chosen(*args, **(kwargs or {}))
