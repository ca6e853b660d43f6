"""Evaluation records of a checkpoint, in the forms in which the Hub reads them."""

from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml

from ..evaluation.record import EvaluationRecord

FILES = ("evaluation.json", "evaluations/*.json")


def read_evaluation_records(folder: Path) -> dict[str, EvaluationRecord]:
    """File name -> record, of all records in a checkpoint's folder."""
    files = [file for pattern in FILES for file in sorted(folder.glob(pattern))]
    return {file.relative_to(folder).as_posix(): EvaluationRecord.load(file) for file in files}


def protocol(record: EvaluationRecord) -> str:
    """Return how it was measured, in a line."""
    low, high = record.interval
    parts = [
        f"{record.successes} of {record.episodes} episodes",
        f"95 % Wilson interval {low:.3f} to {high:.3f}",
        f"seeds from {', '.join(map(str, record.seeds))}" if record.seeds else "",
        f"suite version {record.suite_version}" if record.suite_version else "",
        record.termination,
        f"{record.n_action_steps} actions executed per prediction" if record.n_action_steps else "",
        f"contract {record.contract_hash}" if record.contract_hash else "",
    ]
    return "; ".join(part for part in parts if part)


def make_model_index(records: dict[str, EvaluationRecord]) -> list[EvalResult]:
    """For the card's metadata: success of every record, and the average length of chains."""
    results = []
    for record in records.values():
        of_suite = {
            "task_type": "robotics",
            "task_name": "robot control",
            "dataset_type": record.suite,
            "dataset_name": record.suite,
            "dataset_args": {"episodes": record.episodes, "interval_95": list(record.interval), "seeds": record.seeds},
        }
        results.append(
            EvalResult(
                **of_suite,
                metric_type="success_rate",
                metric_name=f"success rate over {record.episodes} episodes",
                metric_value=record.success_rate,
            )
        )
        if record.chains is not None:
            results.append(
                EvalResult(
                    **of_suite,
                    metric_type="average_length",
                    metric_name=f"instructions done in a row, of {record.chains.length}",
                    metric_value=record.chains.average_length,
                )
            )
    return results


def write_eval_results(folder: Path) -> list[Path]:
    """Write `.eval_results/*.yaml`, a file per suite."""
    by_suite: dict[str, list[EvalResultEntry]] = {}
    for record in read_evaluation_records(folder).values():
        scores = {"success_rate": record.success_rate}
        scores |= {f"success_rate/{task}": score.success_rate for task, score in record.per_task.items()}
        by_suite.setdefault(record.suite, []).extend(
            EvalResultEntry(
                # Suites that are no dataset of the Hub are named as if they were this package's.
                dataset_id=record.suite if "/" in record.suite else f"robovlms/{record.suite}",
                task_id=task,
                value=value,
                notes=protocol(record) if task == "success_rate" else None,
            )
            for task, value in scores.items()
        )
    files = []
    for suite, entries in by_suite.items():
        file = folder / ".eval_results" / f"{suite.replace('/', '_')}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False), encoding="utf-8")
        files.append(file)
    return files
