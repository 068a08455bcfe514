"""``python -m orchestrator``: the same as the ``e5b`` command."""

from orchestrator.cli.main import main

if __name__ == "__main__":
    main()
