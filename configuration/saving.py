"""Which code travels with a checkpoint, and what the installed package adds beside what transformers writes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

Method = TypeVar("Method")


def travels_with(*structures: str) -> Callable[[Method], Method]:
    """Method decorator, above others: the code in a checkpoint has this method where its structure is one of these. With
    none it stays in the package: what makes a VLA of a backbone, or publishes one, does not travel."""
    return lambda method: method


IS_INSTALLED = __name__.startswith("robovlms.")
"""False in the code that travels with a checkpoint, to which this module belongs: it adds nothing."""


def complete_checkpoint(part: Any, folder: str | Path) -> AbstractContextManager[None]:
    """While open, `part`, a model or a processor, is written into `folder`; its code and the record go with it."""
    if not IS_INSTALLED:
        return nullcontext()
    return import_module("robovlms.checkpoint.saving").around_saving(part, Path(folder))


def write_card(folder: str | Path, repo_id: str, token: str | None) -> None:
    """The files in `folder` go to a repository of the Hub next; the card that tells of them goes with them."""
    if IS_INSTALLED:
        import_module("robovlms.checkpoint.card_on_upload").write_card(Path(folder), repo_id, token)
