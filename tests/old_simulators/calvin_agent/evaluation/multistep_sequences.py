TASKS = ("open_drawer", "turn_on_led", "move_slider_left", "close_drawer", "turn_off_led")


def get_sequences(count):
    return [({"led": 0, "slider": "right"}, TASKS), ({"led": 1, "slider": "left"}, TASKS[::-1])]
