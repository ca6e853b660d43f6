"""The recorded matrix as a page."""

from collections.abc import Iterable
from typing import Any

SIGNS = {"ok": "✓", "refused": "–", "failed": "✗"}
HEAD = """# Backbones

<!-- Written by `pytest -m matrix --record`; do not edit. -->

Any model of `AutoModelForImageTextToText` can be a backbone: it runs its own forward, unmodified, while a hook writes the
action tokens at its input embedding. What is below was measured on **transformers {transformers}** (torch {torch}, CPU,
float32) with tiny random models and tiny tokenizers of every family, and the family's own processor. It says that the
machinery is right, not that a checkpoint was tried: none was downloaded.

{works} of {total} families work{but}.

For each family and structure the run checks that

- a gradient reaches the action tokens, the backbone and every other parameter that is not frozen (data-parallel training
  needs no search for unused parameters), and that nothing was frozen that could learn;
- what is read depends on every camera's image and on the instruction;
- a later token, action token or image changes nothing before it: after `from_backbone`, after `from_pretrained` and under
  a PEFT adapter;
- a sample is the same alone, in a batch, and padded on either side;
- saving and loading is exact, and one LoRA step trains, saves and loads;
- streaming with a cache equals the recomputation of the window; generated action tokens are those of the forward.

`robovlms backbones` prints this table, `--json FILE` writes it with every reason. To run it again:

```bash
pytest -m matrix                             # every family
pytest -m matrix --families llava,qwen3_vl   # some
pytest -m matrix --record                    # every family, and write the table and this page
```

## Families

✓ every check passes; – the family cannot serve this structure, and says so when the model is built (reasons below); ✗ fails.
*One image*: what an image of 224 x 224 pixels adds to a prompt, in tokens, with the default settings of the family's own
classes; a checkpoint may have others. Images are kept in one piece: tiling is switched off at every call of the processor,
which is saved with the checkpoint. The ids are those that transformers' documentation names.
"""


def render_page(matrix: dict[str, Any]) -> str:
    """`docs/backbones.md` for what `load_matrix` returns."""
    families = matrix["families"]
    failed = [name for name, family in families.items() if family["status"] == "failed"]
    parts = [
        HEAD.format(
            transformers=matrix["transformers"],
            torch=matrix["torch"],
            works=len(families) - len(failed),
            total=len(families),
            but=f"; {', '.join(f'`{name}`' for name in failed)} does not ([why](#failures))" if failed else "",
        ),
        _table(
            [
                "family",
                *(name.replace("_", " ") for name in matrix["structures"]),
                "one image",
                "example",
                "look out for",
            ],
            (_row(name, family, matrix["structures"]) for name, family in families.items()),
        ),
        "## What a family cannot serve\n",
        _table(["structure", "families", "reason"], _refusals(families)),
        "## Failures\n",
        _table(["family", "reason"], ([f"`{name}`", families[name]["known_failure"]] for name in failed)),
        "## Listed by transformers, of no use as a backbone\n",
        _table(["family", "reason"], ([f"`{name}`", reason] for name, reason in matrix["unusable"].items())),
        "## The original release's seven backbones\n",
        _table(["backbone", "here"], ([name, stands] for name, stands in matrix["original"].items())),
        REMOTE_CODE,
    ]
    return "\n".join(parts)


REMOTE_CODE = """MoonDream and UForm-Gen could not be loaded for this table. Their classes come from the Hub and must be registered first,
which runs their authors' code on your machine:

```python
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.dynamic_module_utils import get_class_from_dynamic_module

config = AutoConfig.from_pretrained(name, trust_remote_code=True)
model_class = get_class_from_dynamic_module(config.auto_map["AutoModel"], name)
AutoConfig.register(config.model_type, type(config))
AutoModelForImageTextToText.register(type(config), model_class)
```
"""


def _row(name: str, family: dict[str, Any], structures: list[str]) -> list[str]:
    quirks = [family["quirks"]] if family["quirks"] else []
    if family["cameras"] is not None:
        quirks.insert(0, "one camera only")
    if not family["images_learn"]:
        quirks.append("no gradient reaches the image encoder")
    tokens = family["tokens_per_image"]
    return [
        f"`{name}`",
        *(SIGNS[family["structures"][structure]["status"]] for structure in structures),
        "" if tokens is None else str(tokens),
        f"`{family['hub_id']}`" if family["hub_id"] else "",
        "; ".join(quirks),
    ]


def _refusals(families: dict[str, Any]) -> Iterable[list[str]]:
    """Families that refuse a structure for the same reason share a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, family in families.items():
        for structure, outcome in family["structures"].items():
            if outcome["status"] == "refused":
                reason = outcome["reason"].replace(f"'{name}'", "…").replace("backbone …", "the backbone")
                rows.setdefault((structure.replace("_", " "), reason), []).append(f"`{name}`")
    return ([structure, ", ".join(names), reason] for (structure, reason), names in rows.items())


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)
