"""An evaluation as a page: `report.html`, beside the record, the films and the pictures that it shows."""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..hub_cards.pages import data_url, render_page
from .journal import film_name
from .pictures import outcome_note
from .record import EvaluationRecord, without_paths
from .rollout import EpisodeResult

FILE = "report.html"


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
    """The command that runs the same episodes."""
    if "worker" in record.settings:
        return f"python simulators/workers/{record.settings['worker']} --output results"
    parts = ["robovlms", "eval", checkpoint, "--suite", record.suite]
    options = record.settings.get("suite_options", {})
    told = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]
    parts += ["--suite-options", *told] if told else []
    cameras = record.settings.get("cameras", {})
    parts += ["--cameras", *(f"{name}={theirs}" for name, theirs in cameras.items())] if cameras else []
    parts += ["--episodes", str(record.episodes // max(1, len(record.seeds)))]
    controls = max((score.episodes for score in record.controls.values()), default=0)
    parts += ["--control-episodes", str(controls // max(1, len(record.seeds)))]
    parts += ["--seeds", *map(str, record.seeds)]
    parts += ["--chains", str(record.chains.episodes // max(1, len(record.seeds)))] if record.chains else []
    parts += ["--max-steps", str(record.settings["max_steps"])] if "suites_own_max_steps" in record.settings else []
    parts += ["--settings", *record.unseen] if record.unseen else []
    parts += ["--tasks", *record.settings["tasks"]] if record.episodes and "tasks" in record.settings else []
    return shlex.join([*parts, "--output", "results"])


def _facts(record: EvaluationRecord) -> dict[str, Any]:
    facts = {
        "policy": record.policy,
        "revision": record.policy_revision,
        "contract": record.contract_hash,
        "actions executed per prediction": record.n_action_steps,
        "suite": f"{record.suite}, version {record.suite_version}",
        **{f"suite: {name}": value for name, value in record.suite_facts.items()},
        "an episode's end": record.termination,
        "actions at most": record.settings.get("max_steps"),
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
