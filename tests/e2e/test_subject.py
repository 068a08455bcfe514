"""The half-day's subject in a real centre, from the sealed bank to a candidate's screen, and nowhere else."""

import gzip
import io
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from orchestrator.adapters.bank_sealing import FolderSealedBanks
from orchestrator.adapters.signatures import MinisignSignatures
from orchestrator.domain.bank import Document, Role, Subject
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.ports import ToSeal
from tests.e2e.conftest import RealCentre, eventually

MARK = "marque" + secrets.token_hex(8)
"""Begins every mark: nothing else on this machine has it."""

POST = f"""<?php
wp_insert_post(['post_type' => 'post', 'post_status' => 'publish', 'post_title' => '{MARK}-fixtures',
    'post_name' => 'annonce', 'post_content' => 'Annonce', 'post_author' => 1, 'guid' => '/?p=annonce',
    'post_date' => '2026-05-07 18:40:00', 'post_date_gmt' => '2026-05-07 16:40:00']);
"""


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Exam:
    centre: RealCentre
    half_day: str
    codes: dict[Role, UnlockCode]
    memory: Path
    wave: str = ""

    def subject(self, *arguments: str, typed: str = "", code: int = 0) -> str:
        """An ``e5b subject`` command to which *typed* is given on standard input."""
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "subject", *arguments],
            cwd=self.centre.folder,
            env=self.centre.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def unlock(self, role: Role = Role.SUBJECT, **options: Any) -> str:
        return self.subject("unlock", "--code-file", "-", typed=" ".join(self.codes[role].words), **options)

    def as_staff(self, path: str) -> Any:
        return self.centre.get(1, path, address="127.0.2.1")

    def over(self) -> None:
        """The half-day ends now."""
        with closing(sqlite3.connect(self.centre.folder / "state/e5b.sqlite")) as connection:
            connection.execute(
                "UPDATE subjects SET ends_at = ?", ((datetime.now(UTC) - timedelta(minutes=1)).isoformat(),)
            )
            connection.commit()
        self.centre.e5b("seat", "status")


@pytest.fixture
def exam(make_centre: Callable[..., RealCentre], tmp_path: Path) -> Iterator[Exam]:
    signatures = MinisignSignatures()
    keys = signatures.new_keys(tmp_path / "academy", "")
    centre = make_centre(2, "--public-key", keys.text)
    memory = Path("/dev/shm") / f"e5b-{centre.id}"
    settings = centre.folder / "centre.toml"
    settings.write_text(settings.read_text().replace('memory = "/run/e5b"', f'memory = "{memory}"'))
    now = datetime.now(UTC)
    half_day = f"{now.astimezone(Zone.METROPOLE.timezone).date()}-am"
    window = Window(now - timedelta(hours=1), now, now, now + timedelta(hours=3))
    codes = {role: UnlockCode.draw() for role in Role}
    bank = tmp_path / "academy" / "banque.e5b"
    FolderSealedBanks(log_n=4).write(
        bank,
        "essai",
        1,
        now,
        [
            ToSeal(
                half_day,
                Zone.METROPOLE,
                role,
                window,
                code,
                Subject(f"{MARK}-id", Site.WORDPRESS, f"{MARK}-title", 40, (f"{MARK}-competence",), {}),
                {document: f"%PDF-1.7 {MARK}-{role.value}-{document.value}".encode() for document in Document},
                tar_of({"php/1-annonce.php": POST.encode(), f"files/var/www/site/{MARK}-file.txt": MARK.encode()}),
            )
            for role, code in codes.items()
        ],
    )
    signatures.sign(bank, keys.secret, "", "the bank of this test")
    centre.e5b("bank", "load", str(bank))
    # What the academy has is no part of what the centre's machine is searched for.
    shutil.rmtree(tmp_path / "academy")
    wave = centre.json(
        *("wave", "plan", "--half-day", half_day, "--room", "salle-1", "--site", "wordpress"),
        *("--candidate=1=A101", "--candidate=2=A102"),
    )
    yield Exam(centre, half_day, codes, memory, wave["id"])
    shutil.rmtree(memory, ignore_errors=True)


def found(exam: Exam, *, without: tuple[Path, ...] = (), everywhere: bool = False) -> list[str]:
    """Where on this machine, in what the centre has touched, a mark or a code stands; *everywhere*: also in the images
    that it only reads."""
    wanted = [MARK.encode(), *(" ".join(code.words).encode() for code in exam.codes.values())]
    client, places = exam.centre.client, [exam.centre.folder, Path("/run/e5b"), exam.memory]
    root = Path(client.info()["DockerRootDir"])
    for container in exam.centre.containers():
        places += [Path(container.attrs["GraphDriver"]["Data"]["UpperDir"]), root / "containers" / container.id]
        if MARK in container.logs().decode(errors="replace"):
            return [f"docker logs {container.name}"]
    images = client.images.list(filters={"label": f"fr.e5b.centre={exam.centre.id}"})
    if everywhere:
        images += [client.images.get("e5b/wordpress:current"), client.images.get("e5b/gateway:current")]
    for image in images:
        data = image.attrs["GraphDriver"]["Data"]
        lower = data.get("LowerDir", "").split(":") if everywhere else []
        places += [Path(layer) for layer in [data["UpperDir"], *lower] if layer]
        if MARK in json.dumps(image.attrs):
            return [f"the configuration of image {image.id}"]
    places += [root / "image/overlay2/imagedb", root / "tmp", *Path("/tmp").glob("e5b-*")]
    hits = []
    for place in dict.fromkeys(places):
        for file in _files(place, without):
            with suppress(OSError):
                if MARK in file.name or _holds(file, wanted):
                    hits.append(str(file))
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                content = (process / name).read_bytes()
                if any(mark in content for mark in wanted):
                    hits.append(f"{process}/{name}")
    return hits


def _files(place: Path, without: tuple[Path, ...]) -> Iterator[Path]:
    """Those of a folder in which others work, or the file itself."""
    if place.is_file():
        yield place
    for folder, names, files in os.walk(place):
        if Path(folder) in without:
            names.clear()
            continue
        yield from (path for name in files if (path := Path(folder, name)).is_file() and not path.is_symlink())


def _holds(file: Path, wanted: list[bytes]) -> bool:
    content = file.read_bytes()
    if content[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError):
            content = gzip.decompress(content)
    return any(mark in content for mark in wanted)


def layers(exam: Exam, labels: dict[str, str]) -> tuple[Path, ...]:
    """The layers of the centre's images that have *labels*."""
    wanted = [f"fr.e5b.centre={exam.centre.id}", *(f"{name}={value}" for name, value in labels.items())]
    images = exam.centre.client.images.list(filters={"label": wanted})
    return tuple(Path(image.attrs["GraphDriver"]["Data"]["UpperDir"]) for image in images)


def test_the_subject_is_on_the_screens_with_the_opening_and_nowhere_before_or_after(exam: Exam) -> None:
    centre = exam.centre
    centre.e5b("wave", "prepare")
    assert "not unlocked" in centre.e5b("wave", "open", code=6)
    assert centre.get(1, "/sujet").status_code == 503
    assert "No subject is unlocked" in exam.as_staff("/jury/").text or exam.as_staff("/jury/").status_code == 404
    assert found(exam) == [], "before the unlocking"

    exam.unlock(Role.SPARE, code=6)
    exam.subject("unlock", "--code-file", "-", typed="pas un code du tout non", code=2)
    said = exam.unlock()
    assert "2/2 seats proved" in said and MARK not in said
    page = exam.as_staff("/jury/").text
    assert f"{MARK}-title" in page
    links = [part.split('"')[0] for part in page.split('href="')[1:]]
    jury = "".join(exam.as_staff(link).text for link in links)
    assert all(f"{MARK}-subject-{document.value}" in jury for document in Document)
    for seat, address in ((1, None), (2, None), (1, "127.0.1.2"), (1, "127.0.3.3")):
        for path in ("/sujet", "/jury/", *links):
            assert MARK not in centre.get(seat, path, address=address).text, "the candidates see nothing of it yet"

    centre.e5b("wave", "open")
    shown = centre.get(1, "/sujet")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "application/pdf")
    assert f"{MARK}-subject-candidate" in shown.text and shown.headers["cache-control"] == "no-store"
    assert f"{MARK}-fixtures" in centre.get(1, "/").text + centre.get(1, "/annonce/").text
    for link in ("/jury/", *links):
        assert MARK not in centre.get(1, link).text, "what is the jury's stays the jury's"
    assert MARK not in centre.get(1, "/sujet", address="127.0.1.2").text

    centre.e5b("seat", "restore", "2", "--to", "reference", "--yes")
    assert f"{MARK}-fixtures" in centre.get(2, "/annonce/").text
    environments = tuple(Path(item.attrs["GraphDriver"]["Data"]["UpperDir"]) for item in centre.containers())
    points = layers(exam, {"fr.e5b.role": "restore-point"})
    inside = (exam.memory, *environments, *points)
    assert found(exam, without=inside) == [], "while candidates work"
    assert found(exam) != [], "what is there is found"

    centre.e5b("wave", "close", "--early", "essai")
    assert MARK not in centre.get(1, "/sujet").text
    centre.e5b("wave", "seal")
    exam.over()
    assert list(exam.memory.rglob("*.pdf")) == [] and MARK not in exam.as_staff("/jury/").text
    centre.e5b("wave", "reset")
    # What candidates have worked in holds what they began with, and is kept a year; nothing else does.
    evidence = (*layers(exam, {}), centre.folder / "state/evidence")
    assert found(exam, without=evidence, everywhere=True) == [], "after the end of the half-day"
    for archive in (centre.folder / "state/evidence").rglob("*.tar.gz"):
        content = gzip.decompress(archive.read_bytes())
        assert not [document for document in Document if f"-{document.value}".encode() in content]


def test_the_spare_takes_its_place_and_a_gateway_that_starts_again_goes_on_showing_it(exam: Exam) -> None:
    centre = exam.centre
    exam.unlock()
    centre.e5b("wave", "prepare")
    exam.subject(
        *("spare", "--reason", "sujet divulgué", "--yes", "--code-file", "-"),
        typed=" ".join(exam.codes[Role.SPARE].words),
    )
    centre.e5b("wave", "open")
    assert f"{MARK}-spare-candidate" in centre.get(1, "/sujet").text
    gateway = next(item for item in centre.containers() if item.labels["fr.e5b.role"] == "gateway")
    gateway.restart(timeout=2)

    def answers(status: int) -> bool:
        with suppress(requests.ConnectionError):
            return centre.get(1, "/sujet").status_code == status
        return False

    assert eventually(lambda: answers(200), 20) and f"{MARK}-spare-candidate" in centre.get(1, "/sujet").text
    # A reboot: the memory is empty, the gateway starts by itself all the same, and the same code fills it again.
    gateway.stop(timeout=2)
    shutil.rmtree(exam.memory)
    gateway.start()
    assert eventually(lambda: answers(404), 20) and centre.get(1, "/").status_code == 200
    exam.unlock(Role.SPARE)
    assert f"{MARK}-spare-candidate" in centre.get(1, "/sujet").text
    (line,) = [item for item in centre.json("journal", "show") if item["data"].get("again")]
    assert line["data"]["role"] == "spare" and MARK not in json.dumps(line)
