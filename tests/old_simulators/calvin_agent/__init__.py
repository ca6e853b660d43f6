"""A stand-in with calvin_agent's interface, for Python 3.8 and newer: two chains, whose tasks take a number of steps."""
