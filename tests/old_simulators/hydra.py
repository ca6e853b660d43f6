"""A stand-in: builds the detectors."""


class Tasks:
    def __init__(self, steps):
        self.steps = steps

    def get_task_info_for_set(self, start, now, tasks):
        return {task for task in tasks if now["clock"] - start["clock"] >= self.steps[task]}


class utils:
    instantiate = Tasks
