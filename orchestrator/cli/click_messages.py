"""What click says by itself, marked for our catalogue.

click asks :mod:`gettext` for its texts in our domain (see :func:`orchestrator.i18n.install`) and brings no French of
its own: without these marks, extraction would take the translations for left-overs. Only what this command line can
show is here; some wordings are those of an older click that pyproject.toml allows.
"""

from orchestrator.i18n import N_


def ngettext(singular: str, plural: str) -> tuple[str, str]:
    """Mark a message that has a plural, under the name that extraction knows."""
    return singular, plural


HELP = (
    N_("Usage:"),
    # click puts the colon after the headings by itself.
    N_("Options"),
    N_("Positional arguments"),
    N_("Commands"),
    N_("Show this message and exit."),
    N_("Show the version and exit."),
    N_("%(prog)s, version %(version)s"),
    N_("default: {default}"),
    N_("env var: {var}"),
    N_("required"),
)

FAULTS = (
    N_("Error: {message}"),
    N_("Try '{command} {option}' for help."),
    N_("Missing command."),
    N_("No such command {name!r}."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Choose from:\n\t{choices}"),
    N_("No such option {name!r}."),
    N_("No such option: {name}"),
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    N_("Option {name!r} does not take a value."),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("directory"),
    N_("path"),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is not readable."),
)

QUESTIONS = (
    N_("Error: invalid input"),
    N_("Aborted!"),
)

COMPLETION = (
    N_("Shell completion is not supported for Bash versions older than 4.4."),
    N_("Couldn't detect Bash version, shell completion is not supported."),
)
