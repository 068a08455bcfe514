"""Evidence on a real disk: whoever has `tar` and `sha256sum` can check it, and nothing that is damaged passes."""

import gzip
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.sealing import FolderSealing
from orchestrator.errors import EnvironmentFailed, EvidenceInvalid, NoSpace

NAME = "2027-05-11-am-salle-1-v1/poste-07-1.tar.gz"
MANIFEST = {"format": 1, "centre": "essai", "seat": 7, "candidate": "C007", "site": {"language": "fr, où l'accent va"}}

ORDINARY = {
    "database.sql": b"-- dump\nINSERT INTO wp_posts VALUES (1,'\xc3\xa9t\xc3\xa9');\n",
    "deleted": b"/var/www/site/readme.html\n",
    "files/var/www/site/uploads/photo.jpg": bytes(range(256)) * 3000,
    "files/var/www/site/empty.txt": b"",
}

ODD_NAMES = [
    "files/a\nb",
    "files/back\\slash",
    "files/both\\n and \n",
    "files/ leading and trailing ",
    "files/été ☕.jpg",
    "files/not-utf-8-\udcff\udce9.jpg",
    "files/both\\\udcff\n",
    "files/quote\"and'apostrophe",
    "files/-dash",
    "files/" + "/".join(["long" * 20] * 5) + "/name",
]


def exported(parts: dict[str, bytes], links: bool = True) -> bytes:
    """What an image's ``export`` writes: a GNU tar, whose names are bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o640, 1_800_000_000
            archive.addfile(member, io.BytesIO(content))
        if links:
            folder = tarfile.TarInfo("files/var/www/site/new")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
            link = tarfile.TarInfo("files/var/www/site/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    return buffer.getvalue()


def pieces(data: bytes, size: int = 5000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def sealing(folder: Path) -> FolderSealing:
    return FolderSealing(folder)


def extract(path: Path, into: Path) -> Path:
    into.mkdir()
    subprocess.run(["tar", "--extract", "--gzip", "--file", path, "--directory", into], check=True)
    return into


def sha256sum(folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True
    )


def test_checked_with_tar_and_sha256sum(sealing: FolderSealing, tmp_path: Path) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    assert sealed.size == sealed.path.stat().st_size
    shown = subprocess.run(["sha256sum", sealed.path], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[0] == sealed.sha256
    checked = extract(sealed.path, tmp_path / "checked")
    assert sha256sum(checked).returncode == 0
    for name, content in ORDINARY.items():
        assert (checked / name).read_bytes() == content
    assert (checked / "files/var/www/site/link").readlink() == Path("/etc/passwd")
    manifest = json.loads((checked / "manifest.json").read_text(encoding="utf-8"))
    assert {key: manifest[key] for key in MANIFEST} == MANIFEST
    assert set(manifest["parts"]) == set(ORDINARY)
    listed = subprocess.run(["tar", "-tzf", sealed.path], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines()[-2:] == ["manifest.json", "SHA256SUMS"]
    # Of every part, and of the manifest: altering any of them is seen.
    assert len((checked / "SHA256SUMS").read_text().splitlines()) == len(ORDINARY) + 1
    (checked / "deleted").write_bytes(b"/another\n")
    assert sha256sum(checked).returncode != 0
    sealing.verify(NAME, sealed.sha256)


def test_odd_names_of_files(sealing: FolderSealing, tmp_path: Path) -> None:
    parts = {"database.sql": b"x", **{name: name.encode("utf-8", "surrogateescape") for name in ODD_NAMES}}
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(parts)))
    sealing.verify(NAME, sealed.sha256)
    checked = extract(sealed.path, tmp_path / "checked")
    result = sha256sum(checked)
    assert result.returncode == 0, result.stderr
    for name in ODD_NAMES:
        assert (checked / os.fsdecode(os.fsencode(name))).read_bytes() == os.fsencode(name)
    assert set(json.loads((checked / "manifest.json").read_bytes())["parts"]) == set(parts)


def test_however_the_stream_is_cut_into_pieces(sealing: FolderSealing) -> None:
    data = exported(ORDINARY)
    found = set()
    for number, size in enumerate((1 << 20, 512, 511, 7000)):
        sealed = sealing.write(f"w/{number}.tar.gz", MANIFEST, pieces(data, size))
        found.add(gzip.decompress(sealed.path.read_bytes()))
    assert len(found) == 1


def test_sealed_again_under_the_same_name_replaces(sealing: FolderSealing) -> None:
    first = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    second = sealing.write(NAME, MANIFEST, pieces(exported({"database.sql": b"other"})))
    assert first.sha256 != second.sha256
    sealing.verify(NAME, second.sha256)
    with pytest.raises(EvidenceInvalid):
        sealing.verify(NAME, first.sha256)


# Damage


def test_every_truncation_is_found(sealing: FolderSealing) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported({"database.sql": os.urandom(3000), "deleted": b""})))
    whole = sealed.path.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 8, len(whole) - 1]:
        sealed.path.write_bytes(whole[:length])
        with pytest.raises(EvidenceInvalid):
            sealing.verify(NAME, sealed.sha256)
    sealed.path.write_bytes(whole)
    sealing.verify(NAME, sealed.sha256)


def test_every_flipped_byte_is_found(sealing: FolderSealing) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported({"database.sql": os.urandom(1500), "deleted": b""})))
    whole = sealed.path.read_bytes()
    for position in range(0, len(whole), 31):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        sealed.path.write_bytes(damaged)
        with pytest.raises(EvidenceInvalid):
            sealing.verify(NAME, sealed.sha256)


def test_bytes_at_the_end_are_found(sealing: FolderSealing) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    with sealed.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(EvidenceInvalid):
        sealing.verify(NAME, sealed.sha256)


def test_another_whole_archive_is_not_the_one_on_record(sealing: FolderSealing) -> None:
    mine = sealing.write("w/poste-01-1.tar.gz", MANIFEST, pieces(exported(ORDINARY)))
    other = sealing.write("w/poste-02-1.tar.gz", MANIFEST, pieces(exported({"database.sql": b"other"})))
    mine.path.write_bytes(other.path.read_bytes())
    with pytest.raises(EvidenceInvalid):
        sealing.verify("w/poste-01-1.tar.gz", mine.sha256)


def test_an_archive_made_by_hand_does_not_pass_even_with_its_own_digest(sealing: FolderSealing) -> None:
    """A part that the manifest does not say, with the digest of the whole taken anew."""
    import hashlib

    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    plain = io.BytesIO(gzip.decompress(sealed.path.read_bytes()))
    forged = io.BytesIO()
    with tarfile.open(fileobj=plain) as source, tarfile.open(fileobj=forged, mode="w:gz") as target:
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            data = content.read() if content else b""
            if member.name == "database.sql":
                data = data.replace(b"(1,", b"(2,")
            target.addfile(member, io.BytesIO(data))
    sealed.path.write_bytes(forged.getvalue())
    with pytest.raises(EvidenceInvalid):
        sealing.verify(NAME, hashlib.sha256(forged.getvalue()).hexdigest())


@pytest.mark.parametrize("place", ["missing", "a folder", "a text"])
def test_what_is_not_an_archive(sealing: FolderSealing, folder: Path, place: str) -> None:
    path = folder / NAME
    path.parent.mkdir(parents=True)
    if place == "a folder":
        path.mkdir()
    elif place == "a text":
        path.write_text("archive")
    with pytest.raises(EvidenceInvalid) as raised:
        sealing.verify(NAME, "0" * 64)
    assert raised.value.hint


# Exports that fail


def nothing_is_left(folder: Path) -> bool:
    return [path for path in folder.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a tar",
        exported({"deleted": b"", "files/x": b"x"}),
        exported(ORDINARY, links=False)[:3000],
        exported(ORDINARY, links=False)[: 512 * 3],
    ],
    ids=["nothing", "text", "no database", "cut in a part", "cut between parts"],
)
def test_an_export_that_is_not_complete(sealing: FolderSealing, folder: Path, data: bytes) -> None:
    def parts() -> Iterator[bytes]:
        yield from pieces(data)
        # What the engine says once the stream ends: the executable did not exit with 0.
        raise EnvironmentFailed("export failed")

    with pytest.raises((EvidenceInvalid, EnvironmentFailed)):
        sealing.write(NAME, MANIFEST, parts())
    assert nothing_is_left(folder)


def test_an_export_that_fails_after_its_last_byte(sealing: FolderSealing, folder: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield exported(ORDINARY)
        raise EnvironmentFailed("export failed: the dump ended early")

    with pytest.raises(EnvironmentFailed):
        sealing.write(NAME, MANIFEST, parts())
    assert nothing_is_left(folder)


def test_an_attempt_that_fails_leaves_what_was_sealed_before(sealing: FolderSealing) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    with pytest.raises(EvidenceInvalid):
        sealing.write(NAME, MANIFEST, pieces(b"not a tar"))
    sealing.verify(NAME, sealed.sha256)


# Disks that are full


def _limited(folder: Path, name: str) -> None:
    """In a process of its own: no file may be larger than 64 KB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    try:
        FolderSealing(folder).write(name, MANIFEST, pieces(exported({"database.sql": os.urandom(300_000)})))
    except EvidenceInvalid:
        os._exit(10)
    os._exit(0)


def test_a_file_that_may_not_grow(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            _limited(folder, NAME)
        finally:
            os._exit(99)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 10
    assert nothing_is_left(folder)


@pytest.fixture
def small_disk(mount_small: Callable[[str], Path]) -> Path:
    return mount_small("256k")


@pytest.mark.parametrize("size", [260_000, 300_000, 2_000_000])
def test_a_full_disk_says_so_and_leaves_nothing(small_disk: Path, size: int) -> None:
    sealing = FolderSealing(small_disk)
    kept = sealing.write("w/1.tar.gz", MANIFEST, pieces(exported({"database.sql": b"kept" * 1000})))
    with pytest.raises(NoSpace) as raised:
        sealing.write(NAME, MANIFEST, pieces(exported({"database.sql": os.urandom(size)})))
    assert str(small_disk) in (raised.value.hint or "")
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["1.tar.gz"]
    sealing.verify("w/1.tar.gz", kept.sha256)
    sealing.write(NAME, MANIFEST, pieces(exported({"database.sql": b"it fits now"})))


@pytest.mark.parametrize(
    "spoil",
    [lambda folder: folder.write_text(""), lambda folder: (folder.mkdir(), (folder / NAME).parent.write_text(""))],
)
def test_a_folder_that_cannot_be_used(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder)
    with pytest.raises(EvidenceInvalid) as raised:
        FolderSealing(folder).write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    assert str(folder) in (raised.value.hint or "")


def test_killed_while_it_writes_then_sealed_again(folder: Path) -> None:
    script = (
        "import itertools, sys; from pathlib import Path; from orchestrator.adapters.sealing import FolderSealing;"
        "data = sys.stdin.buffer.read()\n"
        "def parts():\n"
        "    yield data[:200000]; print(flush=True); yield from itertools.repeat(b'')\n"
        "FolderSealing(Path(sys.argv[1])).write(sys.argv[2], {}, parts())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder), NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(exported(ORDINARY))
        process.stdin.close()
        process.stdout.readline()
        process.kill()
    assert not (folder / NAME).exists()
    sealing = FolderSealing(folder)
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    sealing.verify(NAME, sealed.sha256)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [sealed.path.name]


# What is done with evidence later


def test_read_from_anywhere(sealing: FolderSealing, tmp_path: Path) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    copy = tmp_path / "stick.tar.gz"
    copy.write_bytes(sealed.path.read_bytes())
    found = FolderSealing(tmp_path / "elsewhere").read(copy)
    assert (found.sha256, found.size, found.manifest["seat"]) == (sealed.sha256, sealed.size, 7)
    assert found.manifest == sealed.manifest
    whole = sealed.path.read_bytes()
    for spoilt in (whole[:-1], whole[:-9], whole + b"x", whole[:-6] + b"x" + whole[-5:]):
        copy.write_bytes(spoilt)
        with pytest.raises(EvidenceInvalid):
            sealing.read(copy)


@pytest.mark.parametrize(
    "parts", [ORDINARY, {"database.sql": b"x"}, {"database.sql": b"x", ODD_NAMES[-1]: b"y" * 5000}]
)
def test_its_content_is_the_tar_that_was_exported(sealing: FolderSealing, parts: dict[str, bytes]) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(parts)))
    with tarfile.open(fileobj=io.BytesIO(b"".join(sealing.content(sealed.path)))) as again:
        found = {member.name: (member.type, member.linkname) for member in again}
        contents = {
            member.name: content.read()
            for member in again
            if member.isreg() and (content := again.extractfile(member)) is not None
        }
    assert contents == parts
    assert found["files/var/www/site/link"] == (tarfile.SYMTYPE, "/etc/passwd")


def test_the_content_of_a_damaged_archive(sealing: FolderSealing) -> None:
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    whole = sealed.path.read_bytes()
    for spoilt in (whole[: len(whole) // 2], b"text"):
        sealed.path.write_bytes(spoilt)
        with pytest.raises(EvidenceInvalid):
            list(sealing.content(sealed.path))


def test_what_a_damaged_archive_still_says(sealing: FolderSealing) -> None:
    """Its manifest is near the end: bytes that follow the archive do not hide it, a cut does."""
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    whole = sealed.path.read_bytes()
    sealed.path.write_bytes(whole + b"x")
    assert (sealing.manifest_of_damaged(NAME) or {})["seat"] == 7
    for spoilt in (whole[: len(whole) // 2], b"text", b""):
        sealed.path.write_bytes(spoilt)
        assert sealing.manifest_of_damaged(NAME) is None
    for position in range(0, len(whole), 997):
        flipped = bytearray(whole)
        flipped[position] ^= 0x40
        sealed.path.write_bytes(flipped)
        sealing.manifest_of_damaged(NAME)
    sealed.path.unlink()
    assert sealing.manifest_of_damaged(NAME) is None


def test_a_damaged_one_is_put_aside_and_never_deleted(sealing: FolderSealing, folder: Path) -> None:
    sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    assert sealing.set_aside(NAME) == f"{NAME}.damaged"
    # Killed before it was recorded, and run again.
    assert sealing.set_aside(NAME) == f"{NAME}.damaged"
    sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    assert sealing.set_aside(NAME) == f"{NAME}.damaged-2"
    assert sorted(path.name for path in folder.rglob("poste*")) == [
        "poste-07-1.tar.gz.damaged",
        "poste-07-1.tar.gz.damaged-2",
    ]
    assert sealing.size(NAME) is None


def test_removed_with_the_folder_once_nothing_is_left(sealing: FolderSealing, folder: Path) -> None:
    wave, _slash, name = NAME.partition("/")
    sealed = sealing.write(NAME, MANIFEST, pieces(exported(ORDINARY)))
    assert sealing.size(NAME) == sealed.size
    (folder / wave / f".{name}.partial").write_bytes(b"left by a kill")
    (folder / wave / f"{name}.damaged").write_bytes(b"put aside")
    assert sealing.leftovers(wave) == [f"{wave}/.{name}.partial", f"{wave}/{name}.damaged"]
    assert sealing.leftovers("another") == []
    for _time in range(2):
        sealing.remove(NAME)
    assert (folder / wave).is_dir()
    for left in sealing.leftovers(wave):
        sealing.remove(left)
    assert not (folder / wave).exists()
    sealing.remove(NAME)
