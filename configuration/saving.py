"""What the installed package adds to a checkpoint, beside what transformers writes."""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

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
