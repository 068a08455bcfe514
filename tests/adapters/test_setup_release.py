"""PrestaShop's release: where it is looked for, how it is fetched, and what is refused."""

import http.server
import io
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.adapters.release_archive import OperatorSupplies
from orchestrator.errors import ImageUnusable
from orchestrator.ports import Supplied

VERSION = "<?php\nfinal class Version { public const VERSION = '%s'; }\n"
FILES = {
    "index.php": "<?php\n",
    "install/index_cli.php": "<?php\n",
    "classes/Product.php": "<?php\n",
    "config/config.inc.php": "<?php\n",
    "modules/index.php": "<?php\n",
    "app/AppKernel.php": "<?php\n",
    "vendor/autoload.php": "<?php\n",
    "src/Core/Version.php": VERSION % "8.1.2",
}


class Shown:
    """Keeps what a progress was told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.open = 0

    def begin(self, title: str, total: int) -> None:
        assert total > 0
        self.phases.append(title)
        self.open += 1

    def step(self, what: str) -> None:
        pass

    def end(self) -> None:
        self.open = 0


def packed(files: dict[str, str], prefix: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(prefix + name, text)
    return content.getvalue()


def official(files: dict[str, str]) -> bytes:
    """As PrestaShop publishes it: the release in an archive of its own."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.php", "<?php // unpacks the rest")
        archive.writestr("Install_PrestaShop.html", "")
        archive.writestr("prestashop.zip", packed(files))
    return content.getvalue()


@dataclass
class Place:
    images: Path
    cache: Path
    site: Path

    def find(self, progress: Shown | None = None) -> Supplied:
        return OperatorSupplies(self.images, self.cache).find("prestashop", progress)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The project's own definition of the site, with an empty cache and nothing given."""
    images = tmp_path / "images"
    (images / "prestashop").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "images/prestashop/site.toml", images / "prestashop/site.toml")
    for variable in ("E5B_PRESTASHOP_ARCHIVE", "E5B_PRESTASHOP_LANGUAGE_PACKS"):
        monkeypatch.delenv(variable, raising=False)
    place = Place(images, tmp_path / "cache", images / "prestashop/site.toml")
    change(place, "sha256", "")
    return place


def change(place: Place, key: str, value: str) -> None:
    lines = place.site.read_text().splitlines()
    place.site.write_text(
        "\n".join(f'{key} = "{value}"' if line.startswith(f"{key} = ") else line for line in lines) + "\n"
    )


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def unpacked(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        written(folder / name, text.encode())
    return folder


def paths(supplied: Supplied) -> set[str]:
    return {member.path for member in supplied.folders["prestashop/release"].members() if member.open is not None}


FORMS: dict[str, Callable[[Path], Path]] = {
    "tree": lambda folder: unpacked(folder / "shop", FILES),
    "flat zip": lambda folder: written(folder / "a.zip", packed(FILES)),
    "zip with its folder": lambda folder: written(folder / "a.zip", packed(FILES, "prestashop/")),
    "official zip": lambda folder: written(folder / "a.zip", official(FILES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_release_gives_the_same_files(
    form: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E5B_PRESTASHOP_ARCHIVE", str(FORMS[form](tmp_path)))
    supplied = place.find()
    assert supplied.missing is None
    assert paths(supplied) == set(FILES)
    for member in supplied.folders["prestashop/release"].members():
        if member.open is not None:
            with member.open() as stream:
                assert stream.read().decode() == FILES[member.path]


def test_a_tree_in_the_cache_is_found(place: Place) -> None:
    unpacked(place.cache / "prestashop", FILES)
    assert paths(place.find()) == set(FILES)


def test_an_archive_in_the_cache_is_found(place: Place) -> None:
    written(place.cache / "prestashop_8.1.2-mine.zip", packed(FILES))
    assert paths(place.find()) == set(FILES)


def test_without_a_release_one_sentence_says_what_to_do(place: Place) -> None:
    supplied = place.find()
    assert supplied.folders == {}
    assert supplied.missing is not None and "PrestaShop 8.1.2" in supplied.missing
    assert supplied.hint is not None and "E5B_PRESTASHOP_ARCHIVE" in supplied.hint and str(place.cache) in supplied.hint


def test_an_image_without_a_definition_needs_nothing(place: Place) -> None:
    assert OperatorSupplies(place.images, place.cache).find("wordpress") == Supplied({})


def slipping(name: str) -> bytes:
    return packed({**FILES, name: "x"})


def link() -> bytes:
    content = io.BytesIO(packed(FILES))
    with zipfile.ZipFile(content, "a") as archive:
        info = zipfile.ZipInfo("config/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return content.getvalue()


def without(name: str) -> dict[str, str]:
    return {key: text for key, text in FILES.items() if key != name}


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "does not exist": (lambda folder: folder / "nothing.zip", "nothing.zip"),
    "not a zip": (lambda folder: written(folder / "a.zip", b"<html>404</html>"), "zip"),
    "empty file": (lambda folder: written(folder / "a.zip", b""), "zip"),
    "truncated zip": (lambda folder: written(folder / "a.zip", official(FILES)[:-1000]), "zip"),
    "inner zip truncated": (
        lambda folder: written(folder / "a.zip", packed({"prestashop.zip": "PK\x03\x04 and no more"})),
        "zip",
    ),
    "empty folder": (lambda folder: unpacked(folder / "shop", {"readme.txt": ""}), "install/index_cli.php"),
    "another zip": (lambda folder: written(folder / "a.zip", packed({"wp-login.php": ""})), "install/index_cli.php"),
    "no installer": (
        lambda folder: written(folder / "a.zip", packed(without("install/index_cli.php"))),
        "install/index_cli.php",
    ),
    "no classes": (lambda folder: unpacked(folder / "shop", without("classes/Product.php")), "classes"),
    "sources, not a release": (lambda folder: unpacked(folder / "shop", without("vendor/autoload.php")), "vendor"),
    "no version": (lambda folder: written(folder / "a.zip", packed(without("src/Core/Version.php"))), "Version.php"),
    "another version": (
        lambda folder: written(folder / "a.zip", packed({**FILES, "src/Core/Version.php": VERSION % "1.7.8.11"})),
        "1.7.8.11",
    ),
    "another version in a tree": (
        lambda folder: unpacked(folder / "shop", {**FILES, "src/Core/Version.php": VERSION % "9.0.0"}),
        "9.0.0",
    ),
    "a name that leads out": (lambda folder: written(folder / "a.zip", slipping("../../etc/cron.d/x")), "../../etc"),
    "an absolute name": (lambda folder: written(folder / "a.zip", slipping("/etc/cron.d/x")), "/etc/cron.d/x"),
    "a Windows name": (lambda folder: written(folder / "a.zip", slipping("..\\x")), "..\\\\x"),
    "a link": (lambda folder: written(folder / "a.zip", link()), "config/link"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_not_a_release_is_refused_in_one_sentence(
    fault: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, said = BAD[fault]
    monkeypatch.setenv("E5B_PRESTASHOP_ARCHIVE", str(make(tmp_path)))
    with pytest.raises(ImageUnusable) as raised:
        place.find(Shown())
    assert said in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.hint


def test_a_link_that_leads_out_of_a_tree_is_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = unpacked(tmp_path / "shop", FILES)
    (tree / "vendor/inside").symlink_to("../classes/Product.php")
    monkeypatch.setenv("E5B_PRESTASHOP_ARCHIVE", str(tree))
    assert place.find().missing is None
    (tree / "vendor/outside").symlink_to("../../../etc/passwd")
    with pytest.raises(ImageUnusable, match="vendor/outside"):
        place.find()


# The official address


@dataclass
class Server:
    url: str
    content: bytes = b""
    status: int = 200
    cut: bool = False
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(place: Place) -> Iterator[Server]:
    """An official address on the loopback interface, which the site's definition names."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            self.wfile.write(state.content[: len(state.content) // 2] if state.cut else state.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{listening.server_port}/prestashop_8.1.2.zip", official(FILES))
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    change(place, "url", state.url)
    yield state
    listening.shutdown()
    listening.server_close()


def test_it_is_downloaded_once_and_its_checksum_recorded(place: Place, server: Server) -> None:
    shown = Shown()
    assert paths(place.find(shown)) == set(FILES)
    assert shown.phases and not shown.open
    recorded = place.site.read_text()
    assert 'sha256 = ""' not in recorded
    assert "# What tells a release" in recorded, "people's own text is kept"
    assert paths(place.find(Shown())) == set(FILES)
    assert len(server.asked) == 1


def test_nothing_is_downloaded_without_somebody_to_show_it_to(place: Place, server: Server) -> None:
    assert place.find().missing
    assert server.asked == []


def test_another_content_than_the_recorded_one_is_refused(place: Place, server: Server) -> None:
    place.find(Shown())
    recorded = place.site.read_text()
    (place.cache / "prestashop_8.1.2.zip").unlink()
    server.content = official({**FILES, "classes/Backdoor.php": "<?php"})
    with pytest.raises(ImageUnusable, match="SHA-256"):
        place.find(Shown())
    assert list(place.cache.iterdir()) == []
    assert place.site.read_text() == recorded


def test_a_cached_archive_is_held_to_the_recorded_checksum(place: Place, server: Server) -> None:
    place.find(Shown())
    written(place.cache / "prestashop_8.1.2.zip", official({**FILES, "classes/Backdoor.php": "<?php"}))
    with pytest.raises(ImageUnusable, match="SHA-256"):
        place.find()


def test_a_download_that_breaks_off_leaves_nothing(place: Place, server: Server) -> None:
    server.cut = True
    assert place.find(Shown()).missing
    assert list(place.cache.iterdir()) == []
    assert 'sha256 = ""' in place.site.read_text()


def test_a_download_that_is_not_a_release_leaves_nothing(place: Place, server: Server) -> None:
    server.content = b"<html>sign in to the network</html>"
    with pytest.raises(ImageUnusable):
        place.find(Shown())
    assert list(place.cache.iterdir()) == []
    assert 'sha256 = ""' in place.site.read_text()


def test_an_address_that_refuses_is_no_error(place: Place, server: Server) -> None:
    server.status = 404
    missing = place.find(Shown()).missing
    assert missing is not None and "404" in missing


def test_no_network_is_no_error(place: Place) -> None:
    change(place, "url", "http://127.0.0.1:9/prestashop_8.1.2.zip")
    missing = place.find(Shown()).missing
    assert missing is not None and "127.0.0.1:9" in missing


# Language packs


def test_language_packs_are_optional_and_said_to_be_missing(place: Place) -> None:
    unpacked(place.cache / "prestashop", FILES)
    supplied = place.find()
    assert len(supplied.notes) == 1
    assert list(supplied.folders["prestashop/language-packs"].members()) == []


def test_language_packs_are_supplied(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked(place.cache / "prestashop", FILES)
    without_packs = place.find().folders["prestashop/language-packs"].digest
    written(tmp_path / "packs/sf-fr-FR.zip", packed({"fr.xlf": ""}))
    written(tmp_path / "packs/notes.txt", b"")
    monkeypatch.setenv("E5B_PRESTASHOP_LANGUAGE_PACKS", str(tmp_path / "packs"))
    supplied = place.find()
    assert supplied.notes == ()
    packs = supplied.folders["prestashop/language-packs"]
    assert [member.path for member in packs.members()] == ["sf-fr-FR.zip"]
    assert packs.digest != without_packs


@pytest.mark.parametrize("content", [{}, {"sf-fr-FR.zip": b"not a zip"}])
def test_a_folder_without_usable_packs_is_refused(
    content: dict[str, bytes], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked(place.cache / "prestashop", FILES)
    for name, data in content.items():
        written(tmp_path / "packs" / name, data)
    monkeypatch.setenv("E5B_PRESTASHOP_LANGUAGE_PACKS", str(tmp_path / "packs"))
    with pytest.raises(ImageUnusable):
        place.find()
