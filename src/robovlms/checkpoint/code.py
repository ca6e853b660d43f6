"""The code that travels with a checkpoint, so that it loads where this package is not installed.

transformers copies the files of a checkpoint that an entry module imports relatively, and only such as lie beside it.
So the modules that make up a model are written flat into the checkpoint's folder: starting from an entry module their
relative imports are followed, and rewritten as imports from the same folder.
"""

import ast
import importlib.util
import inspect
import re
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_imports

from robovlms.configuration import OneStepDiscreteConfig, RoboVLMConfig
from robovlms.configuration.package_version import VERSION
from robovlms.configuration.save_listeners import SaveListener
from robovlms.modeling_robovlms import STRUCTURES, families
from robovlms.modeling_robovlms.heads.action_head import DECODERS, HISTORIES
from robovlms.processing import RoboVLMProcessor
from robovlms.processing.action_tokenizer import ACTION_TOKENIZERS
from robovlms.processing.backbone_inputs import INPUTS

HEADER = f"# Generated from robovlms {VERSION}; do not edit.\n"


class RemoteCodeError(RuntimeError):
    """A module cannot be shipped with a checkpoint; the message says why and what to do."""


def write_code(entry_modules: tuple[str, ...], folder: Path) -> list[Path]:
    """Write the modules, and all that they import relatively, flat into `folder`.

    Raises:
        RemoteCodeError: two modules of one name, a name that a package defines itself, or an import that transformers would
            overlook.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = collect_sources(entry_modules)
    files = [folder / f"{name}.py" for name in sorted(sources)]
    for file in files:
        file.write_text(sources[file.stem], encoding="utf-8")
    for file in files:
        if unknown := set(get_relative_imports(file)) - set(sources):
            raise RemoteCodeError(
                f"{file.name}: transformers would look for {sorted(unknown)}, which are not shipped."
            )
    return files


@cache
def collect_sources(entry_modules: tuple[str, ...]) -> dict[str, str]:
    """Flat module name -> rewritten source, of the entry modules and what they import."""
    sources: dict[str, str] = {}
    origins: dict[str, str] = {}
    registered = {module: registered_modules(module) for module in entry_modules}
    waiting = [*entry_modules, *chain.from_iterable(registered.values())]
    while waiting:
        module = waiting.pop()
        name = flat_name(module)
        if origins.get(name) == module:
            continue
        if name in origins:
            raise RemoteCodeError(
                f"{module} and {origins[name]} are both called {name!r}, but a checkpoint's code lies in one folder: "
                "rename one of them."
            )
        if name.startswith("_"):
            raise RemoteCodeError(f"{module}: the Trainer does not push files whose names start with '_'; rename it.")
        origins[name] = module
        sources[name], imported = flattened(module)
        waiting += imported
    for entry, modules in registered.items():  # no module imports the families, heads and tokenizers that it may meet
        imports = [f"from .{flat_name(module)} import {name}  # noqa: E402" for module, name in modules.items()]
        sources[flat_name(entry)] += "\n".join(["", *imports, ""])
    return sources


def registered_modules(entry: str) -> dict[str, str]:
    """Modules of this package that register what an entry module may look up, and a name that each of them defines."""
    classes: list[type] = []
    if entry == RoboVLMProcessor.__module__:
        classes = [*INPUTS.values(), *ACTION_TOKENIZERS.values()]
    elif entry in {vla.__module__ for vla in STRUCTURES.values()}:
        runners = [getattr(families, name) for name in families.__all__]
        classes = [*runners, *HISTORIES.values(), *DECODERS.values()]
    return {cls.__module__: cls.__name__ for cls in classes if is_of_this_package(cls)}


def flat_name(module: str) -> str:
    """What a module is called in a checkpoint: a family's, like the family, with what it is about."""
    parent, name = module.split(".")[-2:]
    if parent != "families":
        return name
    return f"{name}_inputs" if ".processing." in module else f"{name}_backbone"


def flattened(module: str) -> tuple[str, list[str]]:
    """The source of a module with its relative imports made flat, and the modules that they name."""
    source, is_package = read_module(module)
    if is_package:
        raise RemoteCodeError(f"{module} is a package, and packages do not travel: name a module inside it.")
    lines = source.splitlines()
    imported = []
    for node in relative_imports(source):
        by_module: dict[str, list[str]] = {}
        for alias in node.names:
            owner, name = defining_module(module, node, alias.name)
            kept = alias.asname or (alias.name if name != alias.name else None)
            by_module.setdefault(owner, []).append(f"{name} as {kept}" if kept else name)
        indent = lines[node.lineno - 1][: node.col_offset]
        flat = [f"{indent}from .{flat_name(owner)} import {', '.join(names)}" for owner, names in by_module.items()]
        lines[node.lineno - 1 : node.end_lineno] = ["\n".join(flat)] + [""] * (node.end_lineno - node.lineno)
        imported += by_module
    # Statements of several lines leave empty ones behind.
    return HEADER + re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)) + "\n", imported


def defining_module(module: str, node: ast.ImportFrom, name: str) -> tuple[str, str]:
    """The module, and its name there, of what `module` imports as `name`: packages pass on what modules define."""
    where = f"{module}, line {node.lineno}"
    if node.module is None:
        raise RemoteCodeError(
            f"{where}: transformers overlooks 'from . import ...'; write 'from .module import name'."
        )
    _, is_package = read_module(module)
    parent = module if is_package else module.rpartition(".")[0]
    target = importlib.util.resolve_name("." * node.level + node.module, parent)
    source, is_package = read_module(target)
    if not is_package:
        return target, name
    for inner in relative_imports(source):
        for alias in inner.names:
            if name == (alias.asname or alias.name):
                return defining_module(target, inner, alias.name)
    raise RemoteCodeError(
        f"{where}: {name!r} comes from the package {target}, and packages do not travel: import it from the module "
        "that defines it."
    )


def relative_imports(source: str) -> list[ast.ImportFrom]:
    """All `from .x import y` of a source, wherever they stand."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level]


@cache
def read_module(module: str) -> tuple[str, bool]:
    """The source of a module, and whether it is a package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RemoteCodeError(f"{module} has no source file.")
    return Path(spec.origin).read_text(encoding="utf-8"), spec.submodule_search_locations is not None


def entry(cls: type) -> str:
    """How an `auto_map` names a class."""
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


class CodeOnSave(SaveListener):
    """Puts the code of configs (with their models) and processors beside them, and its entries into their auto_map."""

    def before_save(self, part: Any, folder: Path) -> None:
        cls = type(part)
        if not is_of_this_package(cls):
            return
        if isinstance(part, RoboVLMConfig):
            vla = STRUCTURES[part.structure]
            part.auto_map = {
                "AutoConfig": entry(cls),
                "AutoModel": entry(vla),
                "AutoProcessor": entry(RoboVLMProcessor),
            }
            if isinstance(part, OneStepDiscreteConfig):
                part.auto_map["AutoModelForImageTextToText"] = entry(vla)
            write_code((cls.__module__, vla.__module__, RoboVLMProcessor.__module__), folder)
        elif isinstance(part, RoboVLMProcessor):
            part.auto_map = {"AutoProcessor": entry(cls)}
            write_code((cls.__module__,), folder)


def is_of_this_package(cls: type) -> bool:
    """False for a user's subclass: its code, and where it may go, are the user's business."""
    module = inspect.getmodule(cls)
    return module is not None and module.__name__.startswith("robovlms.")
