"""The command line: every command is a call that a notebook could make."""
