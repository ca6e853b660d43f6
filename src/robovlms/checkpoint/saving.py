"""What goes with a model or a processor when it is saved or published: its code, its record and its card."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robovlms.modeling_robovlms import RoboVLMPreTrainedModel

from .code import write_code
from .record_on_save import RECORDS


@contextmanager
def around_saving(part: Any, folder: Path) -> Iterator[None]:
    """While open, transformers' files of a model or a processor are written into `folder`: code goes before them, since
    their config names it, the record after them."""
    owner: Any = part.config if isinstance(part, RoboVLMPreTrainedModel) else part
    folder.mkdir(parents=True, exist_ok=True)
    owner.auto_map = write_code(part, folder)
    yield
    RECORDS.add(part, folder)
