"""The code that travels with a checkpoint, so that it loads where this package is not installed.

`configuration_robovlms.py` and `modeling_robovlms.py` come with a model, `processing_robovlms.py` with a processor; each
holds what this checkpoint's structure, head, backbone family and action tokenizer need, and nothing of others. The
processor's file stands by itself, so that model and processor can be saved and published one after the other.
"""

from collections.abc import Iterator
from pathlib import Path

from transformers.dynamic_module_utils import get_relative_imports
from transformers.utils import logging

from robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from robovlms.processing import RoboVLMProcessor

from .joining import GENERATED, RemoteCodeError, join_definitions

FILES = ("configuration_robovlms", "modeling_robovlms", "processing_robovlms")
# Libraries that wrap modules, or change their classes, in place.
WRAPPERS = ("builtins", "torch", "transformers", "accelerate", "peft", "deepspeed")
logger = logging.get_logger(__name__)


def write_code(part: RoboVLMPreTrainedModel | RoboVLMProcessor, folder: Path) -> dict[str, str]:
    """Write the code of a model or a processor into `folder`, and remove what earlier versions generated there.

    Returns:
        the `auto_map` of its config; empty where it uses a class that is not this package's. Such a class, and where its
        code may go, are its author's business: nothing is written then, and a warning says so.
    """
    remove_generated(folder, kept=FILES[:2] if isinstance(part, RoboVLMProcessor) else FILES[2:])
    classes = list(dict.fromkeys(classes_of(part)))
    if foreign := [cls for cls in classes if not is_of_this_package(cls)]:
        names = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in foreign)
        logger.warning(
            f"No code was written for the {type(part).__name__} in {folder.name}: {names} is not of robovlms. The checkpoint "
            "loads where robovlms is installed and that module was imported."
        )
        return {}
    for name, source in sources_of(part, classes).items():
        file = folder / f"{name}.py"
        file.write_text(source, encoding="utf-8")
        if unknown := set(get_relative_imports(file)) - set(FILES):
            raise RemoteCodeError(
                f"{file.name}: transformers would look for {sorted(unknown)}, which are not shipped."
            )
    return auto_map(part)


def sources_of(part: RoboVLMPreTrainedModel | RoboVLMProcessor, classes: list[type]) -> dict[str, str]:
    """File name, without its ending, -> source."""
    wanted = [(cls.__module__, cls.__name__) for cls in classes]
    if isinstance(part, RoboVLMProcessor):
        name = type(part.backbone_processor).__name__
        structure = "" if part.action_tokenizer is None else "one_step_discrete"
        docstrings = {FILES[2]: f"The processor over a {name}."}
        return join_definitions(wanted, lambda module: FILES[2], docstrings, structure)
    what = f"{type(part).__name__} over {part.model.config.model_type}"
    docstrings = {FILES[0]: f"The config of a {what}.", FILES[1]: f"A {what}."}

    def file_of(module: str) -> str:
        return FILES[0 if module.startswith("robovlms.configuration.") else 1]

    return join_definitions(wanted, file_of, docstrings, part.config.structure)


def classes_of(part: RoboVLMPreTrainedModel | RoboVLMProcessor) -> Iterator[type]:
    """Yield the classes of which a model or a processor consists; those of its backbone come from transformers."""
    if isinstance(part, RoboVLMProcessor):
        transforms = [contract.transform for contract in part.contracts.values() if contract.transform is not None]
        parts = [part, part.backbone_inputs, part.action_tokenizer, *transforms]
        parts += [step for transform in transforms for step in transform.steps]
    else:
        head = part.config.head_config
        own = [module for name, module in part.named_modules() if name.split(".")[0] != "backbone"]
        parts = [part.config, head, getattr(head, "history", None), part.runner, *own]
    for one in parts:
        cls = next(cls for cls in type(one).__mro__ if cls is object or cls.__module__.split(".")[0] not in WRAPPERS)
        if cls is not object:
            yield cls


def auto_map(part: RoboVLMPreTrainedModel | RoboVLMProcessor) -> dict[str, str]:
    """Return where the Auto classes find the classes of a model's config, or of a processor's."""
    processor = {"AutoProcessor": f"{FILES[2]}.{RoboVLMProcessor.__name__}"}
    if isinstance(part, RoboVLMProcessor):
        return processor
    vla = f"{FILES[1]}.{type(part).__name__}"
    entries = {"AutoConfig": f"{FILES[0]}.{type(part.config).__name__}", "AutoModel": vla} | processor
    return entries | ({"AutoModelForImageTextToText": vla} if part.reads_logits else {})


def is_of_this_package(cls: type) -> bool:
    """False for a user's class."""
    return cls.__module__.startswith("robovlms.")


def remove_generated(folder: Path, kept: tuple[str, ...]) -> None:
    """Remove the code that this package generated earlier, also by other versions: it is of another checkpoint."""
    for file in folder.glob("*.py"):
        if file.stem not in kept and file.read_text(encoding="utf-8", errors="replace").startswith(GENERATED):
            file.unlink()
