"""The card of a checkpoint or adapter: every fact is read from its files, every number from its evaluation records."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ..configuration.action_contract import ActionContract
from .evaluation_results import make_model_index, read_evaluation_records
from .structure_diagram import structure_diagram
from .templates import section, template

MARKER = "<!-- Written by `robovlms card`, which will write it anew. Remove this line to keep your own changes. -->"
FROM_THE_HUB = re.compile(r"^([\w.-]+/[\w.-]+)@[0-9a-f]{40}")
FILMS = (".gif", ".mp4")


def write_model_card(checkpoint: str | Path, **options: Any) -> Path:
    """Render the card of a checkpoint folder into its `README.md`; a card that somebody has made their own stays."""
    file = Path(checkpoint) / "README.md"
    if not file.exists() or is_generated(file):
        render_model_card(checkpoint, **options).save(file)
    return file


def is_generated(card: Path) -> bool:
    """Return whether a card is this package's, or one that transformers or PEFT put there before anybody wrote a
    word."""
    text = card.read_text(encoding="utf-8")
    return MARKER in text or "automatically generated" in text or "[More Information Needed]" in text


def render_model_card(
    checkpoint: str | Path,
    repo_id: str | None = None,
    license: str | None = None,
    datasets: list[str] | None = None,
) -> ModelCard:
    """Return the card of a checkpoint folder.

    Args:
        checkpoint: holds `config.json`, and as far as there is one the processor, `evaluation.json`, `evaluations/`,
            `trainer_state.json`, `training_recipe.json`, `pictures/`, `adapter_config.json`.
        repo_id: its name on the Hub; the folder's name by default.
        license, datasets: metadata; as in the card that is there, if not given. Datasets of the Hub whose statistics
            the contracts hold are named by themselves.

    Raises:
        ValueError: if results were measured under another action contract than the checkpoint's.
    """
    folder = Path(checkpoint)
    config = json.loads((folder / "config.json").read_text())
    processor = (read_json(folder / "processor_config.json") or {}).get("robovlms", {})
    contracts = {name: ActionContract.from_dict(data) for name, data in processor.get("contracts", {}).items()}
    records = read_evaluation_records(folder)
    require_same_contract(records, contracts)
    adapter = read_json(folder / "adapter_config.json")
    structure = config["model_type"].removeprefix("robovlms_")
    base_model = (
        adapter["base_model_name_or_path"] if adapter is not None else config["vlm_config"].get("_name_or_path")
    )
    if base_model is not None and not is_repo_id(base_model):
        base_model = None
    name = repo_id or folder.resolve().name
    before = ModelCard.load(folder / "README.md").data.to_dict() if (folder / "README.md").exists() else {}
    found = [match[1] for one in contracts.values() if (match := FROM_THE_HUB.match(read_origin(one)))]
    named: list[str] = list(dict.fromkeys([*(datasets or before.get("datasets") or []), *found]))
    data = ModelCardData(
        model_name=name.split("/")[-1],
        library_name="peft" if adapter is not None else "transformers",
        pipeline_tag="robotics",
        license=license or before.get("license"),
        base_model=base_model,
        base_model_relation=None if base_model is None else "adapter" if adapter is not None else "finetune",
        datasets=named or None,
        tags=["robotics", "vla", "vision-language-action", "robovlms", config["vlm_config"]["model_type"], structure],
        eval_results=make_model_index(records) or None,
    )
    contract = next(iter(contracts.values()), None)
    pictures = sorted(file.name for file in (folder / "pictures").glob("*.*"))
    videos = sorted(file.name for file in (folder / "videos").glob("*.mp4"))
    curves = [picture for picture in pictures if picture.startswith("losses")]
    films = [show_film(f"pictures/{picture}") for picture in pictures if picture not in curves]
    films += [show_film(f"videos/{video}") for video in videos]
    state = read_json(folder / "trainer_state.json")
    recipe = read_json(folder / "training_recipe.json") or {}
    versions = (read_json(folder / "checkpoint_record.json") or {}).get("versions", {})
    card = ModelCard.from_template(
        data,
        template_str=template("adapter_card" if adapter is not None else "model_card"),
        marker=MARKER,
        title=name.split("/")[-1],
        repo_id=name,
        class_name=(config.get("architectures") or [structure])[0],
        base=describe_base(base_model, config),
        with_versions=f" {processor['version']}" if "version" in processor else "",
        diagram=structure_diagram(config, contract),
        observation=describe_observation(contract),
        instruction=describe_instruction(recipe.get("instruction"), records),
        contract=section("contract", contracts=contracts, prompt_template=processor.get("prompt_template", "")),
        results=section("results", records=records, films=films),
        training=section(
            "training",
            state=state,
            recipe={name: value for name, value in recipe.items() if name != "instruction"},
            last_losses=read_last_losses(state),
            versions=versions,
            curves=curves,
        ),
        limits=section("limits", records=records),
    )
    return card


def require_same_contract(records: dict[str, Any], contracts: dict[str, ActionContract]) -> None:
    """Raises ValueError for results of another contract."""
    hashes = {contract.hash for contract in contracts.values()}
    for file, record in records.items():
        if contracts and record.contract_hash is not None and record.contract_hash not in hashes:
            raise ValueError(
                f"{file} was measured under the action contract {record.contract_hash}, the checkpoint's is "
                f"{sorted(hashes)}: evaluate it anew, or remove the file."
            )


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the content, or None where there is no file."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def is_repo_id(name: str) -> bool:
    """Return whether `name` can be one of the Hub's, and is no folder."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name and not Path(name).exists()


def read_origin(contract: ActionContract) -> str:
    """Return where the action's statistics come from."""
    return contract.action.statistics.origin if contract.action.statistics is not None else ""


def describe_base(base_model: str | None, config: dict[str, Any]) -> str:
    """Return the vision-language model, in words."""
    if base_model is None:
        return f"a `{config['vlm_config']['model_type']}`"
    return f"[{base_model}](https://huggingface.co/{base_model})"


def describe_observation(contract: ActionContract | None) -> str:
    """Return the observation of the usage example."""
    if contract is None:
        return "observation"
    images = ", ".join(f'"{camera.name}": image_{index}' for index, camera in enumerate(contract.cameras))
    return f'{{"images": {{{images}}}' + (', "state": state' if contract.state is not None else "") + "}"


def describe_instruction(trained: str | None, records: dict[str, Any]) -> str:
    """Return the instruction of the usage example: of the training data, else of an evaluation, else a variable."""
    tried = (episode["instruction"] for record in records.values() for episode in record.episode_list)
    found = trained if trained is not None else next(tried, None)
    return "instruction" if found is None else json.dumps(found, ensure_ascii=False)


def show_film(path: str) -> str:
    """Markdown of a picture or a film."""
    if path.endswith(".mp4"):
        return f'<video src="{path}" controls muted></video>'
    return f"![{Path(path).stem}]({path})"


def read_last_losses(state: dict[str, Any] | None) -> dict[str, float]:
    """Loss and its parts in the last log that has them."""
    logs = [entry for entry in (state or {}).get("log_history", []) if "loss" in entry]
    return {name: value for name, value in logs[-1].items() if name.endswith("loss")} if logs else {}
