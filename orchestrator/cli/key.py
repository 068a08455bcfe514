"""The password of the academy's key, for the commands that sign."""

import sys
from pathlib import Path

import click

from orchestrator.cli.context import Context
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _

password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=_("File whose first line is the key's password; it is asked for otherwise."),
)


def key_password(context: Context, file: Path | None, *, new: bool = False) -> str:
    """The password in *file*, or the one that a person types. Raises InputInvalid when nobody can be asked."""
    if file is not None:
        return file.read_text(encoding="utf-8").partition("\n")[0]
    if context.as_json or not sys.stdin.isatty():
        raise InputInvalid(
            _("The key's password cannot be asked for here."), hint=_("Name a file with --password-file.")
        )
    return str(click.prompt(_("Password of the key"), hide_input=True, confirmation_prompt=new, err=True))
