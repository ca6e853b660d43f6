"""What the commands' `--help` says."""

import argparse
from collections.abc import Iterator
from importlib import import_module

import pytest

from robovlms.cli import COMMANDS
from robovlms.training.command_line import build_parser
from robovlms.training.scratch_arguments import GROUPS


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Action, str]]:
    """The options and arguments of a parser and of its subcommands, with their texts in `--help`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options_of(each)
        else:
            yield action, parser._get_formatter()._expand_help(action) if action.help else ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_text_and_says_its_default(command):
    parser = import_module(f"robovlms.commands.{command.replace('-', '_')}").make_parser(f"robovlms {command}")
    for option, text in options_of(parser):
        assert text, option.dest
        has_default = option.option_strings and not option.required and option.nargs != 0  # 0: a switch
        assert not has_default or "default: " in text, option.dest


def test_every_option_of_the_trainer_has_a_text():
    assert [option.dest for option in build_parser(GROUPS, "robovlms train")._actions if not option.help] == []
