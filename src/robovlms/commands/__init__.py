"""The commands of `robovlms`, one module each: `make_parser` says what it takes, `run` does it."""

import argparse
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """Shows in `--help` the default of every option, unless it is nothing: then the option's text says what that means."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=_ShowDefaults, **options)


class _ShowDefaults(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_nothing = action.default is None or action.default is False or action.default == []
        return action.help if is_nothing else super()._get_help_string(action)
