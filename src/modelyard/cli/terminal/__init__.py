"""Input, output, progress, errors and interrupts of a command in a terminal."""
