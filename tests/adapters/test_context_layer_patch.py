"""A layer made anew from a former one and a patch is the same to the last byte, and the patch is small."""

import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.adapters import layer_patch
from orchestrator.adapters.layer_patch import PatchMalformed

Files = list[tuple[str, bytes]]


def layer(path: Path, files: Files, mtime: int = 0) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            tar.addfile(info, io.BytesIO(content))
    return path


def patched(base: Path, new: Path) -> bytes:
    out = io.BytesIO()
    layer_patch.make(base, new, out)
    made = b"".join(layer_patch.apply(base, io.BytesIO(out.getvalue())))
    assert made == new.read_bytes()
    return out.getvalue()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c/d", "é" * 120]), st.binary(max_size=3000)), max_size=4),
    st.lists(st.tuples(st.sampled_from(["a", "b", "c/d", "é" * 120]), st.binary(max_size=3000)), max_size=4),
)
def test_any_layer_is_made_of_any_other(tmp_path_factory: pytest.TempPathFactory, before: Files, after: Files) -> None:
    folder = tmp_path_factory.mktemp("layers")
    patched(layer(folder / "before", before), layer(folder / "after", after, mtime=5))


def test_new_dates_and_another_order_cost_next_to_nothing(tmp_path: Path) -> None:
    files = [(f"folder/{number}", noise(20_000, number)) for number in range(50)]
    patch = patched(layer(tmp_path / "before", files), layer(tmp_path / "after", files[::-1], mtime=1_700_000_000))
    assert len(patch) < 5_000


def test_a_changed_page_of_a_database_costs_a_page(tmp_path: Path) -> None:
    content = bytearray(noise(6_000_000))
    before = layer(tmp_path / "before", [("var/lib/mysql/ibdata1", bytes(content))])
    # Every page has another number; one has other content.
    for page in range(0, len(content), 16384):
        content[page : page + 8] = noise(8, page)
    content[3_000_000:3_004_000] = noise(4000, 7)
    patch = patched(before, layer(tmp_path / "after", [("var/lib/mysql/ibdata1", bytes(content))]))
    assert len(patch) < 30_000


def test_a_moved_file_is_found_by_its_content(tmp_path: Path) -> None:
    before = layer(tmp_path / "before", [("cache/ContainerA/big", noise(100_000))])
    assert len(patched(before, layer(tmp_path / "after", [("cache/ContainerB/big", noise(100_000))]))) < 1000


def test_what_is_no_patch_is_refused(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", [("a", noise(5000))])
    out = io.BytesIO()
    layer_patch.make(base, layer(tmp_path / "new", [("a", noise(6000, 2))]), out)
    for broken in (b"", b"nothing", out.getvalue()[:30], out.getvalue()[:-1]):
        with pytest.raises(PatchMalformed):
            list(layer_patch.apply(base, io.BytesIO(broken)))
