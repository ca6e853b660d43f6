"""One module per command: `run(prog, arguments)`."""
