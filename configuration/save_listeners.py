"""Who is told when a part of a checkpoint is saved.

The installed package listens, to add what belongs to a checkpoint. The same code loaded from the Hub has nobody to tell.
"""

from importlib import import_module
from pathlib import Path
from typing import Any


class SaveListener:
    """Told before and after a config, a model or a processor is written into a folder, and before it is published."""

    def before_save(self, part: Any, folder: Path) -> None:
        """`part` may still be changed."""

    def after_save(self, part: Any, folder: Path) -> None:
        """The files of `part` are there."""

    def before_upload(self, part: Any, folder: Path, repo_id: str, token: str | None) -> None:
        """The files of `part` are in `folder` and go to a repository of the Hub next."""


LISTENERS: list[SaveListener] = []
BRING_LISTENERS: list[str] = []
"""Modules that add listeners; imported when something is saved, so that programs that save nothing do without them."""


def listeners() -> list[SaveListener]:
    """All that are told."""
    while BRING_LISTENERS:
        import_module(BRING_LISTENERS.pop())
    return LISTENERS


def tell_before_save(part: Any, folder: str | Path) -> None:
    """`part` is about to be saved."""
    for listener in listeners():
        listener.before_save(part, Path(folder))


def tell_after_save(part: Any, folder: str | Path) -> None:
    """`part` has been saved."""
    for listener in listeners():
        listener.after_save(part, Path(folder))


def tell_before_upload(part: Any, folder: str | Path, repo_id: str, token: str | None) -> None:
    """`part` is about to be published."""
    for listener in listeners():
        listener.before_upload(part, Path(folder), repo_id, token)
