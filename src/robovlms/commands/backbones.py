"""`robovlms backbones`: which families of vision-language models serve which structure."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robovlms.commands import CommandParser
from robovlms.matrix import load_matrix


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the table with every reason to FILE (default: print it without)",
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    matrix = load_matrix()
    if options.json is None:
        print(format_table(matrix))
    else:
        options.json.write_text(json.dumps(matrix, indent=2, ensure_ascii=False) + "\n")
        print(f"{len(matrix['families'])} families written to {options.json}")


def format_table(matrix: dict[str, Any]) -> str:
    """Return the matrix in columns."""
    structures, families = matrix["structures"], matrix["families"]
    width = max(map(len, families)) + 2
    widths = [max(len(name), len("refused")) + 2 for name in structures]
    columns = "".join(name.ljust(size) for name, size in zip(structures, widths, strict=True))
    lines = [
        f"transformers {matrix['transformers']}, tiny random models",
        "",
        "family".ljust(width) + columns + "quirks",
    ]
    for name, family in families.items():
        cells = (family["structures"][structure]["status"] for structure in structures)
        row = "".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))
        lines.append((name.ljust(width) + row + (family["quirks"] or "")).rstrip())
    works = sum(family["status"] == "ok" for family in families.values())
    return "\n".join([*lines, "", f"{works} of {len(families)} families work."])
