"""The model card of a checkpoint: every fact is read from its files, every number from its evaluation record."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..configuration.action_contract import ActionContract

TEMPLATE = "model_card.md.jinja"


def write_model_card(checkpoint: str | Path) -> Path:
    """Render the card of a checkpoint folder into its `README.md`."""
    file = Path(checkpoint) / "README.md"
    render_model_card(checkpoint).save(file)
    return file


def render_model_card(checkpoint: str | Path) -> ModelCard:
    """The card of a checkpoint folder, with results where it holds an `evaluation.json`."""
    folder = Path(checkpoint)
    config = json.loads((folder / "config.json").read_text())
    processor = json.loads((folder / "processor_config.json").read_text())["robovlms"]
    contracts = {name: ActionContract.from_dict(data) for name, data in processor["contracts"].items()}
    record = _read(folder / "evaluation.json")
    base_model = config["vlm_config"].get("_name_or_path")
    structure = config["model_type"].removeprefix("robovlms_")
    data = ModelCardData(
        model_name=folder.resolve().name,
        library_name="transformers",
        pipeline_tag="robotics",
        base_model=base_model,
        tags=["robotics", "vla", "vision-language-action", "robovlms", config["vlm_config"]["model_type"], structure],
        eval_results=_results(record) if record else None,
    )
    template = resources.files(__package__).joinpath(TEMPLATE).read_text()
    return ModelCard.from_template(
        data,
        template_str=template,
        model_name=data.model_name,
        structure=structure.replace("_", " "),
        class_name=config["architectures"][0],
        config=config,
        contracts=contracts,
        processor=processor,
        record=record,
        pictures=sorted(file.name for file in (folder / "pictures").glob("*.*"))
        if (folder / "pictures").exists()
        else [],
        training=_read(folder / "trainer_state.json"),
    )


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text()) if file.exists() else None


def _results(record: dict[str, Any]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="robotics",
            task_name="robot control",
            dataset_type=record["suite"],
            dataset_name=record["suite"],
            metric_type="success_rate",
            metric_name=f"success rate over {record['episodes']} episodes",
            metric_value=record["success_rate"],
        )
    ]
