import numpy as np


def get_env_state_for_initial_condition(condition):
    return np.full(15, float(condition["led"])), np.zeros(24)
