"""A stand-in that knows the two files that are asked for: tasks and how many steps they take, tasks and sentences."""

STEPS = {"open_drawer": 3, "turn_on_led": 4, "move_slider_left": 5, "close_drawer": 6, "turn_off_led": 500}


class OmegaConf:
    @staticmethod
    def load(path):
        if path.endswith("new_playtable_tasks.yaml"):
            return STEPS
        return {task: ["please " + task.replace("_", " ")] for task in STEPS}
