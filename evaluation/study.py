"""The framework's ablation: what was run, and what it says beside the paper. Table, plot and verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..hub_cards.pages import data_url, render_page
from .intervals import difference_interval, wilson_interval
from .pictures import AMBER, BLUE, GREEN, INK, MUTED, RED, STYLE, save_figure


@dataclass(frozen=True)
class Variant:
    """One cell of the study.

    Attributes:
        structure: as `STRUCTURES` names it.
        window_size: observations seen at once.
        backbone: "pretrained" or "random".
        seed: of training.
    """

    structure: str
    window_size: int
    backbone: str
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.structure}-window{self.window_size}-{self.backbone}-seed{self.seed}"

    @property
    def label(self) -> str:
        return f"{self.structure.replace('_', ' ')}, window {self.window_size}"


@dataclass(frozen=True)
class Outcome:
    """How a variant did: successes out of episodes on unseen scenes."""

    variant: Variant
    successes: int
    episodes: int


@dataclass(frozen=True)
class Claim:
    """A finding of the paper as two sides of the study, of which the second should do better."""

    text: str
    paper: str
    first: Callable[[Variant], bool]
    second: Callable[[Variant], bool]


def _history(variant: Variant) -> bool:
    return variant.structure in ("interleaved_continuous", "policy_head_continuous")


CLAIMS = (
    Claim(
        "Continuous actions do better than discrete ones (one step)",
        "KosMos 2.19 against 0.55, LLaVA 2.37 against 1.85, Flamingo 1.30 against 1.22",
        lambda v: v.structure == "one_step_discrete",
        lambda v: v.structure == "one_step_continuous",
    ),
    Claim(
        "History does better than one observation (continuous)",
        "KosMos 4.49 and 4.12 against 2.19; a later version of the paper has about 4.0 for one step",
        lambda v: v.structure == "one_step_continuous",
        _history,
    ),
    Claim(
        "A policy head uses history better than interleaving",
        "KosMos 4.49 against 4.12, LLaVA 2.71 against 2.44",
        lambda v: v.structure == "interleaved_continuous",
        lambda v: v.structure == "policy_head_continuous",
    ),
    Claim(
        "Vision-language pre-training of the backbone helps",
        "KosMos policy head 4.49 against 2.51, interleaved 4.12 against 1.38",
        lambda v: v.backbone == "random",
        lambda v: v.backbone == "pretrained",
    ),
)
"""Average lengths of CALVIN's chains of five, from the paper (arXiv 2412.14058)."""


@dataclass(frozen=True)
class Verdict:
    """What the miniature says of a claim: the difference of success rates with its 95 % interval."""

    claim: str
    paper: str
    difference: float
    interval: tuple[float, float]
    verdict: str


def verdicts(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """ "agrees" or "disagrees" where the interval leaves out zero, else "undecided"."""
    found = []
    for claim in CLAIMS:
        first = _pooled(outcome for outcome in outcomes if claim.first(outcome.variant))
        second = _pooled(outcome for outcome in outcomes if claim.second(outcome.variant))
        if not first[1] or not second[1]:
            continue
        low, high = difference_interval(first, second)
        word = "agrees" if low > 0 else "disagrees" if high < 0 else "undecided"
        difference = second[0] / second[1] - first[0] / first[1]
        found.append(Verdict(claim.text, claim.paper, difference, (low, high), word))
    return found


def _pooled(outcomes: Any) -> tuple[int, int]:
    outcomes = list(outcomes)
    return sum(outcome.successes for outcome in outcomes), sum(outcome.episodes for outcome in outcomes)


def cells(outcomes: Sequence[Outcome]) -> list[tuple[Variant, int, int]]:
    """Return the variants, training seeds taken together, in the order in which they were run."""
    keys = list(dict.fromkeys((o.variant.structure, o.variant.window_size, o.variant.backbone) for o in outcomes))
    return [
        (
            Variant(*key),
            *_pooled(o for o in outcomes if (o.variant.structure, o.variant.window_size, o.variant.backbone) == key),
        )
        for key in keys
    ]


def study_dict(outcomes: Sequence[Outcome], protocol: dict[str, Any]) -> dict[str, Any]:
    """Write all of it as plain JSON types; `protocol` says how much of everything there was."""
    return {
        "protocol": protocol,
        "runs": [
            asdict(o.variant)
            | {
                "successes": o.successes,
                "episodes": o.episodes,
                "success_rate": o.successes / o.episodes,
                "interval": list(wilson_interval(o.successes, o.episodes)),
            }
            for o in outcomes
        ],
        "claims": [asdict(verdict) | {"interval": list(verdict.interval)} for verdict in verdicts(outcomes)],
    }


def study_table(outcomes: Sequence[Outcome]) -> str:
    """Both tables as Markdown."""
    lines = ["| structure | window | backbone | success | 95 % interval | episodes |", "|---|---|---|---|---|---|"]
    for variant, successes, episodes in cells(outcomes):
        low, high = wilson_interval(successes, episodes)
        lines.append(
            f"| {variant.structure.replace('_', ' ')} | {variant.window_size} | {variant.backbone} | "
            f"{successes / episodes:.1%} | {low:.1%} - {high:.1%} | {successes}/{episodes} |"
        )
    lines += ["", "| the paper says | there | here, difference in success | verdict |", "|---|---|---|---|"]
    for verdict in verdicts(outcomes):
        low, high = verdict.interval
        lines.append(
            f"| {verdict.claim} | {verdict.paper} | {100 * verdict.difference:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}] | {verdict.verdict} |"
        )
    return "\n".join(lines) + "\n"


def plot_study(outcomes: Sequence[Outcome], path: str | Path) -> None:
    """Success of every cell, and the differences behind the verdicts, with 95 % intervals."""
    found = cells(outcomes)
    labels = list(dict.fromkeys(variant.label for variant, *_ in found))
    backbones = list(dict.fromkeys(variant.backbone for variant, *_ in found))
    judged = verdicts(outcomes)
    heights = [0.9 + 0.5 * len(labels), 0.9 + 0.5 * len(judged)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, sum(heights) + 0.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        for number, (backbone, colour) in enumerate(zip(backbones, (BLUE, AMBER), strict=False)):
            shift = 0.17 * (2 * number - len(backbones) + 1)
            own = [entry for entry in found if entry[0].backbone == backbone]
            places = np.array([labels.index(variant.label) for variant, *_ in own]) + shift
            rates = np.array([successes / episodes for _, successes, episodes in own])
            ends = np.array([wilson_interval(successes, episodes) for _, successes, episodes in own]).T
            errors = np.stack([rates - ends[0], ends[1] - rates]).clip(0)
            upper.errorbar(rates, places, xerr=errors, fmt="o", color=colour, capsize=3, label=f"{backbone} backbone")
        upper.set_yticks(range(len(labels)), labels, color=INK)
        upper.invert_yaxis()
        upper.set_xlim(-0.02, 1.02)
        upper.xaxis.set_major_formatter(PercentFormatter(1))
        upper.set_title("Success on unseen scenes, 95 % intervals", loc="left", fontweight="bold")
        figure.legend(loc="outside lower right", ncols=len(backbones), labelcolor=MUTED)
        colours = {"agrees": GREEN, "disagrees": RED, "undecided": MUTED}
        for place, verdict in enumerate(judged):
            low, high = verdict.interval
            errors = [[verdict.difference - low], [high - verdict.difference]]
            colour = colours[verdict.verdict]
            lower.errorbar([verdict.difference], [place], xerr=errors, fmt="o", color=colour, capsize=3)
            lower.annotate(verdict.verdict, (1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0),
                           textcoords="offset points", va="center", color=colour)  # fmt: skip
        lower.axvline(0, color=INK, linewidth=1)
        lower.set_yticks(range(len(judged)), [verdict.claim for verdict in judged], color=INK)
        lower.invert_yaxis()
        lower.xaxis.set_major_formatter(PercentFormatter(1))
        lower.set_title("The paper's findings here: difference in success", loc="left", fontweight="bold")
        save_figure(figure, path)


def write_study(outcomes: Sequence[Outcome], folder: Path, caveats: Sequence[str]) -> None:
    """`study.png`, `study.md` and `study.html` in `folder`."""
    plot_study(outcomes, folder / "study.png")
    notes = "\n".join(f"- {caveat}" for caveat in caveats)
    table = study_table(outcomes)
    (folder / "study.md").write_text(f"# The paper's questions in miniature\n\n{table}\n{notes}\n", encoding="utf-8")
    page = render_page(
        Path(__file__).with_name("study.html.jinja"),
        picture=data_url(folder / "study.png"),
        tables=_read_tables(table),
        caveats=caveats,
    )
    (folder / "study.html").write_text(page, encoding="utf-8")


def _read_tables(markdown: str) -> list[list[list[str]]]:
    """The cells of Markdown tables: table, row, cell; heads come first."""
    tables = []
    for block in markdown.strip().split("\n\n"):
        head, _, *rows = block.splitlines()
        tables.append([[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *rows)])
    return tables
