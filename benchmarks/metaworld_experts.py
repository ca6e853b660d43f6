"""Success of Meta-World's scripted experts through the rollout engine.

    pip install "robovlms[metaworld]"
    python benchmarks/metaworld_experts.py [--tasks mt10|mt50|TASK ...] [--episodes 20] [--envs 2] [--output FOLDER]

The experts see Meta-World's own observation and no images, so nothing is drawn.
"""

import argparse
from pathlib import Path

from robovlms.evaluation import evaluate
from robovlms.simulators.metaworld.experts import MetaWorldExpert
from robovlms.simulators.metaworld.package import mt10, mt50
from robovlms.simulators.metaworld.suite import metaworld_suite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["mt10"])
    parser.add_argument("--episodes", type=int, default=20, help="of each task")
    parser.add_argument("--envs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=None, help="where the record goes")
    options = parser.parse_args()
    suite = metaworld_suite(cameras=(), privileged=True)
    groups = {"mt10": mt10(), "mt50": mt50()}
    tasks = [task for name in options.tasks for task in groups.get(name, (name,))]
    record, _ = evaluate(
        MetaWorldExpert(),
        suite,
        tasks=tasks,
        episodes=options.episodes * len(tasks),
        num_envs=options.envs,
        controls=False,
        films=0,
        policy_name="Meta-World's scripted experts",
    )
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        record.save(options.output / "evaluation.json")
    print(record.summary())


if __name__ == "__main__":
    main()
