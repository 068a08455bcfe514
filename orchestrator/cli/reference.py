"""The reference pages that are read from the code: ``python -m orchestrator.cli.reference``.

Commands come from the click tree, settings from the models, exit codes from the error classes. ``--check`` writes
nothing and fails when a page is not what the code says.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.errors import E5BError
from orchestrator.settings import Settings

NOTICE = "<!-- Written by `python -m orchestrator.cli.reference` from the code. A change here is lost. -->"

VARIABLES = (
    ("E5B_CENTRE", "The centre's settings file, instead of `--centre`."),
    ("E5B_LANG", "`en` for messages in English. They are in French otherwise."),
    ("E5B_PRESTASHOP_ARCHIVE", "The release of PrestaShop: its zip, or a folder with it unpacked."),
    ("E5B_PRESTASHOP_LANGUAGE_PACKS", "The folder with PrestaShop's official language packs."),
    ("DOCKER_HOST", "The Docker engine to use, instead of this machine's."),
    ("XDG_CACHE_HOME", "Where a downloaded release is kept, in `e5b/`. `~/.cache` otherwise."),
    ("XDG_STATE_HOME", "Where the logs of the set-up are kept, in `e5b/logs/`. `~/.local/state` otherwise."),
)


def pages() -> dict[str, str]:
    """The text of each page, by its name in ``docs/reference``."""
    # Help texts are translated where they are declared: the tree is imported in the language of the pages.
    os.environ["E5B_LANG"] = "en"
    from orchestrator.cli.main import INTERRUPTED, e5b

    return {
        "commands.md": "\n".join(_commands(e5b)) + "\n",
        "settings.md": "\n".join(_settings()) + "\n",
        "exit-codes.md": "\n".join(_exit_codes(INTERRUPTED)) + "\n",
    }


# Commands


def _commands(root: click.Group) -> Iterator[str]:
    yield from ("# Commands", "", NOTICE, "")
    yield "Results are written to standard output, progress and errors to standard error. Every command has `--json`"
    yield "and `--help`; [exit codes](exit-codes.md) have a page of their own. A command about a wave takes the one in"
    yield "progress when none is named."
    yield ""
    yield from _command(root, None)
    yield from ("", "## Environment variables", "")
    yield from ("| variable | meaning |", "| --- | --- |")
    for name, meaning in VARIABLES:
        yield f"| `{name}` | {meaning} |"


def _command(command: click.Command, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=command.name if parent else "e5b", parent=parent)
    options = [item for item in command.params if isinstance(item, click.Option)]
    arguments = [_argument(item) for item in command.params if isinstance(item, click.Argument)]
    group = command if isinstance(command, click.Group) else None
    usage = [context.command_path, "[OPTIONS]", *(("COMMAND",) if group else ()), *arguments]
    yield from (f"## `{context.command_path}`", "")
    yield from (command.help or "", "", "```", " ".join(usage), "```")
    if options:
        yield ""
    for option in options:
        yield f"- `{_option(option)}`: {_meaning(option)}"
    if group is not None:
        for name in sorted(group.list_commands(context)):
            found = group.get_command(context, name)
            if found is not None:
                yield ""
                yield from _command(found, context)


# What a person types, in words of our own: click's change from one version to the next.


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or _values(argument.type) or str(argument.name).upper()
    return name if argument.required else f"[{name}]"


def _option(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.is_flag:
        return names
    return f"{names} {option.metavar or _values(option.type) or option.type.name.partition(' ')[0].upper()}"


def _values(kind: "click.ParamType[Any]") -> str:
    return "|".join(str(item) for item in kind.choices) if isinstance(kind, click.Choice) else ""


def _meaning(option: click.Option) -> str:
    notes = []
    if option.required:
        notes.append("Required.")
    elif option.show_default:
        notes.append(f"Default: `{option.default}`.")
    if isinstance(option.type, click.IntRange):
        low, high = option.type.min, option.type.max
        notes.append(f"From {low} to {high}." if high is not None else f"{low} or more.")
    return " ".join((option.help or "Show the version and exit.", *notes))


# Settings


def _settings() -> Iterator[str]:
    schema = Settings.model_json_schema()
    yield from ("# Settings: `centre.toml`", "", NOTICE, "")
    yield "`e5b init` writes the file with these explanations in it. It is read by every command and never changed by"
    yield "one. An unknown setting is an error. A relative folder is relative to the file's own."
    for name, item in schema["properties"].items():
        yield from _section(name, item, schema)


def _section(name: str, item: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    several = item.get("type") == "array"
    model = _resolved(item["items"] if several else item, schema)
    required = model.get("required", ())
    yield from ("", f"## `[[{name}]]`" if several else f"## `[{name}]`", "")
    yield from ("| setting | value | default | meaning |", "| --- | --- | --- | --- |")
    for key, field in model["properties"].items():
        default = (
            "required" if key in required else "none" if field["default"] is None else f"`{_toml(field['default'])}`"
        )
        yield f"| `{key}` | {_value(field, schema)} | {default} | {field['description']} |"
    for key, field in model["properties"].items():
        nested = _resolved(field.get("items", {}), schema)
        if "properties" in nested:
            yield from ("", f"Each of `{key}` is a table `{{ … }}` with:", "")
            yield from ("| setting | value | meaning |", "| --- | --- | --- |")
            for inner, inside in nested["properties"].items():
                yield f"| `{inner}` | {_value(inside, schema)} | {inside['description']} |"


def _resolved(item: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema["$defs"][item["$ref"].rpartition("/")[2]] if "$ref" in item else item
    return found


def _value(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        # An optional setting: something, or none at all.
        field = next(item for item in field["anyOf"] if item["type"] != "null")
    field = _resolved(field, schema)
    if "enum" in field:
        return " or ".join(f'`"{item}"`' for item in field["enum"])
    if field["type"] == "array":
        items = _resolved(field["items"], schema)
        inner = "tables" if "properties" in items else f"{_value(items, schema)}s"
        return f"list of {inner}"
    kinds = {
        "ipv4": "IPv4 address",
        "ipv4network": "IPv4 network",
        "path": "folder",
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
    }
    words = [kinds[field.get("format", field["type"])]]
    if "maxLength" in field:
        words.append(f"at most {field['maxLength']} characters")
    if "minimum" in field and "maximum" in field:
        words.append(f"from {field['minimum']} to {field['maximum']}")
    elif "minimum" in field:
        words.append(f"{field['minimum']} or more")
    elif "exclusiveMinimum" in field:
        words.append(f"above {field['exclusiveMinimum']}")
    return ", ".join(words)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


# Exit codes


def _exit_codes(interrupted: int) -> Iterator[str]:
    yield from ("# Exit codes", "", NOTICE, "")
    yield "They do not change from one version to the next; scripts may rely on them. An error is one sentence, then"
    yield "one line for each fault, then what to do. With `--json` it is an object with `error`, `details`, `hint` and"
    yield "`exit_code`."
    yield from ("", "| code | name | meaning |", "| --- | --- | --- |")
    yield "| 0 | | done |"
    kinds: list[type[E5BError]] = [E5BError, *E5BError.__subclasses__()]
    for kind in sorted(kinds, key=lambda item: item.exit_code):
        yield f"| {kind.exit_code} | `{kind.__name__}` | {kind.meaning} |"
    yield f"| {interrupted} | | interrupted from the keyboard; the same command finishes what was begun |"


def differing(folder: Path, texts: Mapping[str, str]) -> Sequence[str]:
    """The names of the pages in *folder* that are not *texts*."""
    return [
        name
        for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


@click.command(help="Write the reference pages from the code.")
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is not what the code says.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("docs/reference"),
    show_default=True,
    help="Where the pages are.",
)
def main(check: bool, folder: Path) -> None:
    texts = pages()
    changed = differing(folder, texts)
    if check and changed:
        raise click.ClickException(
            f"not what the code says: {', '.join(changed)}. Run `python -m orchestrator.cli.reference`."
        )
    if not check:
        for name in changed:
            (folder / name).write_text(texts[name], encoding="utf-8")
            click.echo(f"{folder / name} is written.")


if __name__ == "__main__":
    main()
