"""``python -m orchestrator``: the same as the ``e5b`` command."""

import sys

from orchestrator.warm import handed_over


def main() -> None:
    code = handed_over(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    # Only now: reading all of it is most of a short command's time.
    from orchestrator.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
