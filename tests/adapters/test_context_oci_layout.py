"""A package's file: what standard tools find in it, and that nothing else than what its manifest names is accepted."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from orchestrator.adapters.oci_layout import BLOBS, INDEX, MANIFEST, OciPackages
from orchestrator.domain.context import ContextManifest, Layer, PackedImage
from orchestrator.errors import E5BError, InputInvalid, NoSpace, SignatureInvalid
from orchestrator.ports import Progress


class Silence:
    def begin(self, title: str, total: int) -> None: ...
    def step(self, what: str) -> None: ...
    def end(self) -> None: ...


SILENCE: Progress = Silence()
CONTENT = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(50_000))


def parts() -> Iterator[bytes]:
    yield CONTENT[:1000]
    yield CONTENT[1000:]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "context.tar"
    with OciPackages().draft(path) as draft:
        stored = draft.layer(parts())
        assert draft.layer(parts()) == stored
        config = draft.add(json.dumps({"rootfs": {"diff_ids": [stored.diff_id]}}).encode())
        image = PackedImage("gateway", config, (Layer(stored.diff_id, stored.size, stored.blob),))
        image = replace(image, manifest=draft.oci_manifest(image))
        draft.write(ContextManifest("1", "2027", "now", "1", (image,), draft.blobs))
    assert list(tmp_path.iterdir()) == [path]
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def write(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def check(path: Path) -> None:
    with OciPackages().open(path) as package:
        package.check(SILENCE)


def test_it_is_an_oci_image_layout(package: Path) -> None:
    files = members(package)
    assert next(iter(files)) == MANIFEST
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(files[INDEX])["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "gateway"}
    manifest = json.loads(files[BLOBS + entry["digest"][7:]])
    (layer,) = manifest["layers"]
    assert layer["mediaType"].endswith("tar+zstd") and layer["size"] == len(files[BLOBS + layer["digest"][7:]])
    assert (
        zstandard.ZstdDecompressor().decompress(files[BLOBS + layer["digest"][7:]], max_output_size=len(CONTENT))
        == CONTENT
    )
    for name, content in files.items():
        assert not name.startswith(BLOBS) or hashlib.sha256(content).hexdigest() == name.removeprefix(BLOBS)


def test_standard_tools_check_it(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    subprocess.run(["tar", "-xf", package, "-C", folder], check=True)
    for path in (folder / "blobs" / "sha256").iterdir():
        said = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout
        assert said.split()[0] == path.name


def test_a_layer_is_read_as_it_was(package: Path) -> None:
    check(package)
    with OciPackages().open(package) as opened:
        (image,) = opened.manifest.images
        assert b"".join(opened.layer(image.layers[0])) == CONTENT


def broken(package: Path, files: dict[str, bytes]) -> None:
    write(package, files)
    with pytest.raises(SignatureInvalid):
        check(package)


def test_each_part_of_it_matters(package: Path) -> None:
    files = members(package)
    for name in files:
        broken(package, {key: value for key, value in files.items() if key != name})
        broken(package, files | {name: files[name][:-1] + bytes([files[name][-1] ^ 1])})
        broken(package, files | {name: b""})


def test_nothing_else_may_be_in_it(package: Path) -> None:
    files = members(package)
    for name in ("../evil", "/etc/passwd", BLOBS + "0" * 64, "note.txt"):
        broken(package, files | {name: b"more"})


def test_no_member_may_be_there_twice_or_lead_elsewhere(package: Path) -> None:
    content = package.read_bytes()
    with tarfile.open(package, "a") as tar:
        tar.addfile(tarfile.TarInfo(MANIFEST))
    with pytest.raises(SignatureInvalid):
        check(package)
    package.write_bytes(content)
    with tarfile.open(package, "a") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(SignatureInvalid):
        check(package)


@pytest.mark.parametrize("content", [b"", b"no tar at all", bytes(10240)])
def test_what_is_no_package_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "context.tar"
    path.write_bytes(content)
    with pytest.raises(SignatureInvalid):
        check(path)
    with pytest.raises(InputInvalid):
        check(tmp_path / "nowhere.tar")


def test_a_layer_that_changes_under_the_reader_is_seen(package: Path) -> None:
    with OciPackages().open(package) as opened:
        content = bytearray(package.read_bytes())
        content[len(content) // 2] ^= 1
        package.write_bytes(content)
        with pytest.raises(SignatureInvalid):
            list(opened.layer(opened.manifest.images[0].layers[0]))


def test_nothing_is_left_on_a_full_disk(mount_small: Callable[[str], Path]) -> None:
    folder = mount_small("256k")
    with pytest.raises(NoSpace), OciPackages().draft(folder / "context.tar") as draft:
        draft.layer(parts())
    assert list(folder.iterdir()) == []


def test_what_a_killed_attempt_left_is_gone_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / "context.tar.making"
    left.mkdir()
    (left / "layer").write_bytes(b"half")
    with pytest.raises(E5BError), OciPackages().draft(tmp_path / "context.tar"):
        assert not (left / "layer").exists()
        raise E5BError("stop")
    assert not left.exists()
