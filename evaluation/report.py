"""An evaluation as a page: `report.html`, beside the record, the films and the pictures that it shows."""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..hub_cards.pages import data_url, render_page
from .filmstrips import outcome_note
from .journal import film_name
from .record import EvaluationRecord, without_paths
from .rollout import EpisodeResult

FILE = "report.html"
LINE = 100
"""Characters of a line of the command."""


def write_report(
    record: EvaluationRecord, results: Sequence[EpisodeResult], folder: str | Path, checkpoint: str = "DIR_OR_ID"
) -> Path:
    """Write the page.

    Args:
        record: of the evaluation.
        results: its episodes and chains; of those that were filmed the page shows the films in `films/`.
        folder: the evaluation's output. `pictures/contact_sheet.png` in it goes into the page.
        checkpoint: how the command that repeats it calls the policy.

    Returns:
        The page.
    """
    folder = Path(folder)
    filmed = [result for result in results if result.frames]
    filmstrips = folder / "pictures" / "contact_sheet.png"
    page = render_page(
        Path(__file__).with_name(f"{FILE}.jinja"),
        {"percent": lambda share: f"{100 * share:.1f} %", "minutes": _minutes},
        record=record,
        crashes=Counter(without_paths(result.reason or "") for result in results if result.crashed),
        films=[_film(result) for result in sorted(filmed, key=lambda result: (result.task, result.success))],
        filmstrips=data_url(filmstrips) if filmstrips.exists() else None,
        command=repeat_command(record, checkpoint),
        facts=_facts(record),
    )
    (folder / FILE).write_text(page, encoding="utf-8")
    return folder / FILE


def repeat_command(record: EvaluationRecord, checkpoint: str) -> str:
    """Write the command that runs the same episodes, wrapped as a shell reads it."""
    if "worker" in record.protocol:
        return f"python simulators/workers/{record.protocol['worker']} --output results"
    seeds = max(1, len(record.seeds))
    told = record.protocol.get("suite_options", {})
    controls = max((score.episodes for score in record.controls.values()), default=0)
    flags: dict[str, list[Any]] = {
        "--suite": [record.suite],
        "--suite-options": [f"{name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in told.items()],
        "--cameras": [f"{name}={theirs}" for name, theirs in record.protocol.get("cameras", {}).items()],
        "--episodes": [record.episodes // seeds],
        "--control-episodes": [controls // seeds],
        "--seeds": record.seeds,
        "--chains": [record.chains.episodes // seeds] if record.chains else [],
        "--max-steps": [record.protocol["max_steps"]] if "suites_own_max_steps" in record.protocol else [],
        "--settings": list(record.unseen),
        "--tasks": record.protocol.get("tasks", []) if record.episodes else [],
        "--output": ["results"],
    }
    words = ["robovlms", "eval", checkpoint]
    words += [str(word) for flag, values in flags.items() if values for word in (flag, *values)]
    lines = [""]
    for word in map(shlex.quote, words):
        if len(lines[-1]) + len(word) >= LINE:
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines).strip()


def _facts(record: EvaluationRecord) -> dict[str, Any]:
    facts = {
        "policy": record.policy,
        "revision": record.policy_revision,
        "contract": record.contract_hash,
        "actions executed per prediction": record.n_action_steps,
        "suite": f"{record.suite}, version {record.suite_version}",
        **{f"suite: {name}": value for name, value in record.suite_facts.items()},
        "an episode's end": record.termination,
        "actions at most": record.protocol.get("max_steps"),
        "control frequency": f"{record.control_frequency:g} Hz" if record.control_frequency else None,
        "seeds from": ", ".join(map(str, record.seeds)),
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _film(result: EpisodeResult) -> dict[str, Any]:
    told = " → ".join(dict.fromkeys(result.frame_instructions)) if result.chain else result.instruction
    file = f"films/{film_name('chains' if result.chain else 'policy', result)}"
    return {"file": file, "told": told, "success": result.success, "note": outcome_note(result)}


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{60 * minutes:.0f} seconds"
