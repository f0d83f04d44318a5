"""What can be found wrong with a request before a model is loaded for it."""

from __future__ import annotations

from needlepoint.cli.asked import Asked
from needlepoint.cli.studies import COMMANDS
from needlepoint.evaluation.studies import named


def check_questions(asked: Asked) -> None:
    """Refuse unknown names and files that cannot be used with any model.

    Raises:
        UnknownNameError: If a task, collection or method is not known.
        DataError: If a file cannot be used.
    """
    for config in asked.configs:
        check = COMMANDS[type(config)].check
        if check:
            named(check)(config)
