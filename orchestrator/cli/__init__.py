"""The command line: one file per noun; one place turns errors into messages and exit codes."""

import gc

# A command's start is mostly modules being read, of which nothing is garbage: without looking for any it is a tenth
# shorter, and a reset of a room is done in a second. The command itself turns it on again.
gc.disable()
