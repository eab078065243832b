"""Hooks on a model's image tower for one pass: the only place that registers any.

One model serves many threads. So only one hooked pass runs at a time in a process, hooks answer to
the thread that registered them and to no other, and all are removed whatever happens inside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from explorer.lens.weights import visual_of

_LOCK = threading.RLock()


class Hooks:
    """Registers hooks that run for passes of the thread that made this object only."""

    def __init__(self) -> None:
        """Note the thread; no hook is registered yet."""
        self._owner = threading.get_ident()
        self._handles: list[Any] = []

    def before(self, module: nn.Module, hook: Callable[[tuple[Any, ...]], Any]) -> None:
        """Call `hook(inputs)` before `module` runs; what it returns, if anything, is the input."""

        def guarded(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
            return hook(inputs) if threading.get_ident() == self._owner else None

        self._handles.append(module.register_forward_pre_hook(guarded))

    def after(self, module: nn.Module, hook: Callable[[tuple[Any, ...], Any], None]) -> None:
        """Call `hook(inputs, output)` after `module` has run."""

        def guarded(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if threading.get_ident() == self._owner:
                hook(inputs, output)

        self._handles.append(module.register_forward_hook(guarded))

    def remove(self) -> None:
        """Remove every hook."""
        while self._handles:
            self._handles.pop().remove()


@contextmanager
def hooked(model: nn.Module) -> Iterator[Hooks]:
    """Hold the process's one hooked pass through `model`'s image tower, in eval mode.

    Register hooks on what this yields and run the tower inside. Hooks are removed and the tower's
    mode is restored whatever is raised. The same thread may open it again inside.
    """
    with _LOCK:
        hooks = Hooks()
        training = [module for module in visual_of(model).modules() if module.training]
        try:
            for module in training:
                module.training = False
            yield hooks
        finally:
            hooks.remove()
            for module in training:
                module.training = True
