"""What is unlocked, in clear, on a tmpfs that is the service's own. Implements ports.ClearText.

``kept/<key>`` is for the controller alone. ``shown`` is what the gateway's container sees: ``shown/<key>/sujet.pdf``,
which its map leads the candidates to, and ``shown/jury``, for the staff. The folder that is shown is never replaced:
the container would go on with the old one. What is in it is put in place whole.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.domain.bank import Document, Unlocked
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.errors import NoSpace, Refused
from orchestrator.i18n import N_, _, language
from orchestrator.settings import Settings

GATEWAY_GROUP = 61083
"""The group as which the gateway's HAProxy runs (haproxy.cfg.j2): a number that no distribution gives away (systemd's
docs/UIDS-GIDS.md: unused), so that nobody else on the machine is in it."""

CANDIDATE_FILE = "sujet.pdf"

IN_MEMORY = {"tmpfs", "ramfs"}

TITLES = {
    Document.CANDIDATE: N_("The candidate's subject"),
    Document.AID: N_("Evaluation aid"),
    Document.GRID: N_("Observation grid"),
    Document.SHEET: N_("Evaluation sheet"),
}

_KEY = re.compile(r"[0-9a-f]{16}")


class MemoryClearText:
    def __init__(self, settings: Settings) -> None:
        self._folder = settings.clear_text_folder
        self._kept, self._shown = self._folder / "kept", settings.shown_folder

    def check(self) -> None:
        with self._in_memory():
            pass

    def here(self) -> list[str]:
        try:
            return sorted(item.name for item in self._kept.iterdir() if _KEY.fullmatch(item.name))
        except OSError:
            return []

    def put(self, key: str, half_day: str, unlocked: Unlocked) -> None:
        with self._in_memory():
            if key in self.here():
                return
            self._show(self._shown / key, {CANDIDATE_FILE: unlocked.candidate})
            self._show(
                self._shown / "jury" / key,
                {f"{document.value}.pdf": content for document, content in unlocked.documents.items()},
            )
            files = {"half-day": half_day.encode(), "title": unlocked.title.encode()}
            if unlocked.fixtures is not None:
                files["fixtures.tar"] = unlocked.fixtures
            # Last: it is here when all of it is.
            _put(self._kept / key, files)
            self._write_index()

    def fixtures(self, key: str) -> bytes | None:
        with contextlib.suppress(OSError):
            return (self._kept / key / "fixtures.tar").read_bytes()
        return None

    def reference(self, key: str, image: str) -> Fingerprint | None:
        with contextlib.suppress(OSError):
            return Fingerprint.parse(self._reference(key, image).read_text(encoding="utf-8"))
        return None

    def keep_reference(self, key: str, image: str, fingerprint: Fingerprint) -> None:
        with self._in_memory():
            file = self._reference(key, image)
            new = file.with_suffix(".new")
            new.write_text(fingerprint.dump(), encoding="utf-8")
            new.replace(file)

    def is_empty(self) -> bool:
        return not any(self._folders())

    def keep_only(self, keys: Collection[str]) -> None:
        unwanted = [folder for folder in self._folders() if folder.name not in keys]
        if not unwanted:
            return
        with self._in_memory():
            for folder in unwanted:
                shutil.rmtree(folder)
            self._write_index()

    def _folders(self) -> Iterator[Path]:
        """Every subject's, whole or not. First those that make it be here: what is interrupted is taken up again."""
        for parent in (self._kept, self._shown, self._shown / "jury"):
            with contextlib.suppress(OSError):
                yield from (item for item in parent.iterdir() if item.is_dir() and item.name != "jury")

    def _reference(self, key: str, image: str) -> Path:
        return self._kept / key / f"{image.removeprefix('sha256:')[:32]}.json"

    # Where it is

    @contextmanager
    def _in_memory(self) -> Iterator[None]:
        """The folders are there, in memory, and nobody else's."""
        try:
            for folder, mode in ((self._folder, 0o711), (self._kept, 0o700), (self._shown, 0o750)):
                folder.mkdir(parents=True, exist_ok=True)
                if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                    raise PermissionError(f"{folder} is somebody else's")
                folder.chmod(mode)
            os.chown(self._shown, -1, GATEWAY_GROUP)
            _open_to_gateway(self._shown / "jury")
        except OSError as error:
            raise self._refused(str(error.strerror or error)) from error
        kind = filesystem(self._folder)
        if kind not in IN_MEMORY:
            raise self._refused(_("it is on a disk ({kind})").format(kind=kind))
        try:
            yield
        except OSError as error:
            if error.errno in {28, 122}:
                raise NoSpace(
                    _("There is not enough memory for what is unlocked in {path}.").format(path=self._folder),
                    hint=_("Finish other waves, or give this tmpfs more room; then run the same command again."),
                ) from error
            raise self._refused(str(error.strerror or error)) from error

    def _refused(self, reason: str) -> Refused:
        return Refused(
            _("Nothing can be unlocked: {path} cannot be used: {reason}.").format(path=self._folder, reason=reason),
            hint=_("Run the command with sudo; centre.memory in centre.toml must name a folder on a tmpfs."),
        )

    def _show(self, folder: Path, files: Mapping[str, bytes]) -> None:
        _put(folder, files, GATEWAY_GROUP)

    def _write_index(self) -> None:
        """The page that leads the jury to its documents."""
        from orchestrator.adapters.haproxy import templates

        subjects = []
        for key in self.here():
            with contextlib.suppress(OSError):
                subjects.append(
                    {
                        "key": key,
                        "half_day": (self._kept / key / "half-day").read_text(encoding="utf-8"),
                        "title": (self._kept / key / "title").read_text(encoding="utf-8"),
                    }
                )
        page = templates().get_template("documents.html.j2")
        text = page.render(
            language=language(),
            heading=_("Documents of the jury"),
            none=_("No subject is unlocked."),
            subjects=sorted(subjects, key=lambda item: item["half_day"]),
            documents=[(document.value, _(TITLES[document])) for document in Document],
        )
        folder = self._shown / "jury"
        _write(folder / ".index.new", text.encode(), GATEWAY_GROUP)
        (folder / ".index.new").replace(folder / "index.html")


def filesystem(folder: Path) -> str:
    """The type of the file system that holds *folder* (proc_pid_mountinfo(5))."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _dash, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split()[0]
    return "?"


def _put(folder: Path, files: Mapping[str, bytes], group: int | None = None) -> None:
    """Put a folder with *files* in place, whole; one that was left half done is written again."""
    new = folder.with_name(f".{folder.name}.new")
    for there in (new, folder):
        if there.exists():
            shutil.rmtree(there)
    new.mkdir(mode=0o700)
    for name, content in files.items():
        _write(new / name, content, group)
    if group is not None:
        _open_to_gateway(new)
    new.rename(folder)


def _write(file: Path, content: bytes, group: int | None) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
    if group is not None:
        os.chown(file, -1, group)
        file.chmod(0o640)


def _open_to_gateway(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    os.chown(folder, -1, GATEWAY_GROUP)
    folder.chmod(0o750)
