"""Between a trained checkpoint and its readers: the doctor that examines it, what must not leave, and the push."""
