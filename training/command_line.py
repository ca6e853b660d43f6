"""Flags and a YAML file into dataclasses."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers.hf_argparser import DataClassType, HfArgumentParser


def parse_arguments(
    dataclasses: Sequence[type],
    arguments: Sequence[str],
    prog: str,
    description: str | None = None,
    choose_defaults: Callable[[argparse.Namespace], Mapping[str, Any]] | None = None,
) -> tuple[Any, ...]:
    """Return one instance of each dataclass from `arguments`, whose flags go before the keys of `--config FILE.yaml`.

    A YAML value may be a mapping or a list of mappings where the flag takes JSON. `choose_defaults` gives the defaults
    that depend on what was asked for; flags and file go before them.

    Raises:
        ValueError: naming the file and the key, for a file that is no mapping or a key that is no flag.
        SystemExit: as argparse does, for the flags.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, rest = first.parse_known_args(list(arguments))
    parser = build_parser(dataclasses, prog, description)
    options = {} if known.config is None else read_yaml(known.config)
    if known.config is not None:
        _set_defaults(parser, options, known.config)
    if choose_defaults is not None:
        chosen = choose_defaults(parser.parse_args(rest))
        parser.set_defaults(**{name: value for name, value in chosen.items() if name not in options})
    return parser.parse_args_into_dataclasses(args=rest, look_for_args_file=False)[: len(dataclasses)]


def build_parser(dataclasses: Sequence[type], prog: str, description: str | None = None) -> HfArgumentParser:
    """Return the parser of `parse_arguments`, for its help."""
    types = [DataClassType(one) for one in dataclasses]
    usage = f"{prog} [--config FILE.yaml] [--FLAG VALUE ...]"  # all flags would bury the error that stands below it
    parser = HfArgumentParser(types, prog=prog, usage=usage, description=description, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE.yaml", help="the same options as a file; flags go before it")
    return parser


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the file's top-level mapping; ValueError if it has none."""
    if not file.is_file():
        raise FileNotFoundError(f"--config: there is no file {file}.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a mapping of option names to values, got {type(content).__name__}.")
    return content


def _set_defaults(parser: HfArgumentParser, options: dict[str, Any], file: Path) -> None:
    actions = {action.dest: action for action in parser._actions}
    if unknown := sorted(set(options) - set(actions)):
        raise ValueError(f"{file}: {unknown} are no options of {parser.prog}; see its --help.")
    for name, value in options.items():
        action = actions[name]
        value = _as_flag(value, several=action.nargs in ("+", "*"))
        if action.choices is not None and value not in action.choices:
            raise ValueError(f"{file}: {name} must be one of {list(action.choices)}, got {value!r}.")
        if isinstance(value, list) and callable(action.type):
            value = [action.type(item) for item in value]
        parser.set_defaults(**{name: value})
        action.required = False


def _as_flag(value: Any, several: bool) -> Any:
    """A YAML value as it would be written after the flag; argparse gives strings their type."""
    if several and value is not None:
        return [_as_flag(item, several=False) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return value if value is None or isinstance(value, bool) else str(value)
