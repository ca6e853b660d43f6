"""The `robovlms` command."""

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError

from robovlms.configuration.extensions import import_modules, load_extensions
from robovlms.configuration.package_version import VERSION

COMMANDS = {
    "quickstart": "collect demonstrations, train a policy on them, evaluate it: one folder with everything",
    "collect": "record demonstrations of a simulator's scripted expert as a LeRobot dataset",
    "train": "train a VLA on datasets, from flags or a YAML file",
    "study": "the framework's questions in miniature: structure, history, action space, pre-training",
    "eval": "evaluate a checkpoint in a simulator",
    "eval-record": "make the record of an evaluation that ran in a simulator's own Python",
    "compare": "whether two evaluation records differ by more than luck",
    "card": "write a checkpoint's model card from its files and evaluation records",
    "doctor": "examine a checkpoint: does it load, do what it did, look at its cameras?",
    "push": "publish a checkpoint, an adapter or a dataset on the Hub",
    "serve": "serve a checkpoint to robots and simulators over a websocket",
    "robot": "`robovlms robot evaluate`: run a policy on a robot and judge it",
    "data": "`robovlms data inspect` looks at a dataset and finds what is wrong with it; `data repair`",
    "backbones": "which families of vision-language models serve which structure",
    "convert-original": "convert a checkpoint of the original RoboVLMs release",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; each lives in a module of `robovlms.commands`, imported only when it is asked for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a locale that lacks a letter of an instruction must not end a command
            stream.reconfigure(errors="backslashreplace")
    extensions = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    extensions.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="module that registers a backbone, head, suite or dataset of your own; before or after the command's name; "
        "repeat for more. Installed extensions (entry points of the group robovlms.extensions) need no word",
    )
    parser = argparse.ArgumentParser(
        prog="robovlms", description="Robot policies from vision-language models.", parents=[extensions]
    )
    parser.add_argument("--version", action="version", version=f"robovlms {VERSION}", help="print it and stop")
    listed = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        listed.add_parser(name, help=summary, add_help=False)
    told, arguments = extensions.parse_known_args(sys.argv[1:] if arguments is None else list(arguments))
    command = parser.parse_args(arguments[:1]).command
    try:
        import_modules(told.modules)
        if not {"-h", "--help"} & set(arguments):
            load_extensions()
        module = import_module(f"robovlms.commands.{command.replace('-', '_')}")
        return module.run(f"robovlms {command}", arguments[1:]) or 0
    except HfHubHTTPError as error:
        print(
            f"robovlms {command}: the Hub refused: {error}\nIs the name right, and are you logged in (`hf auth login`)?",
            file=sys.stderr,
        )
        return 1
    except ImportError as error:
        if "robovlms[" not in str(error):  # it names no extra, so it is no news for the user but a fault
            raise
        print(f"robovlms {command}: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, StrictDataclassError) as error:
        print("\n".join([f"robovlms {command}: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
