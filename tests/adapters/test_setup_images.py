"""The project's images on the real engine: built once, found again by content, built anew when something changed."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from orchestrator.adapters import build_context, image_build
from orchestrator.adapters.docker_engine import connect
from orchestrator.adapters.image_build import ImageProject
from orchestrator.adapters.release_archive import Release
from orchestrator.cli.output import NoProgress
from orchestrator.domain import naming
from orchestrator.errors import ImageUnusable, InputInvalid, NoSpace
from orchestrator.ports import Supplied

REPOSITORY = "e5b-test"
BASE = "debian:trixie-slim"
NOTHING = Supplied({})

DOCKERFILE = f"""
# COPY a comment is not an instruction
FROM {BASE}
COPY common /opt/e5b/
COPY wordpress/a.txt \\
     wordpress/tool /site/
COPY --chown=www-data:www-data wordpress/release /site/release
RUN test -x /site/tool && test ! -x /site/a.txt && cat /site/a.txt
LABEL {naming.CONTRACT}=1 {naming.SITE}=wordpress
"""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    for image in client.images.list(name=f"{REPOSITORY}/*"):
        for tag in image.tags:
            if tag.startswith((f"{REPOSITORY}/wordpress:", f"{REPOSITORY}/other:")):
                client.images.remove(tag)
    client.close()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A project with one tiny site."""
    images = tmp_path / "images"
    write(images / "wordpress/Dockerfile", DOCKERFILE)
    write(images / "wordpress/a.txt", "first\n")
    write(images / "wordpress/tool", "#!/bin/sh\n").chmod(0o755)
    write(images / "wordpress/README.md", "not copied\n")
    write(images / "common/lib/shared.php", "<?php\n")
    return images


@pytest.fixture
def supplied(tmp_path: Path) -> Supplied:
    release = write(tmp_path / "release/index.php", "<?php\n").parent
    return Supplied({"wordpress/release": Release(release, "1")})


@pytest.fixture
def project(images: Path, tmp_path: Path, client: docker.DockerClient) -> ImageProject:
    return ImageProject(images, tmp_path / "logs", repository=REPOSITORY)


class Shown(NoProgress):
    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps: list[str] = []

    def begin(self, title: str, total: int) -> None:
        self.phases.append(title)

    def step(self, what: str) -> None:
        self.steps.append(what)


def test_an_image_is_built_once_and_again_when_a_file_changed(
    project: ImageProject, images: Path, supplied: Supplied, client: docker.DockerClient, tmp_path: Path
) -> None:
    source = project.source("wordpress", supplied)
    assert not project.find("wordpress", source)
    shown = Shown()
    project.build("wordpress", source, supplied, shown)
    first = client.images.get(f"{REPOSITORY}/wordpress:current")
    assert f"{REPOSITORY}/wordpress:{source[7:19]}" in first.tags
    assert first.labels[naming.SOURCE] == source
    assert any(step.startswith(f"FROM {BASE}") for step in shown.steps)
    assert "Successfully built" in (tmp_path / "logs/build-wordpress.log").read_text()

    assert project.source("wordpress", supplied) == source
    assert project.find("wordpress", source)
    facts = project.current("wordpress")
    assert facts is not None and (facts.id, facts.source) == (first.id, source)

    write(images / "wordpress/a.txt", "second\n")
    changed = project.source("wordpress", supplied)
    assert changed != source and not project.find("wordpress", changed)
    project.build("wordpress", changed, supplied, Shown())
    second = client.images.get(f"{REPOSITORY}/wordpress:current")
    assert second.id != first.id
    assert {image.source for image in project.images()} == {source, changed}

    # Going back builds nothing: the first one is still there.
    assert project.find("wordpress", source)
    assert client.images.get(f"{REPOSITORY}/wordpress:current").id == first.id


def test_what_is_copied_makes_the_difference_and_nothing_else(
    project: ImageProject, images: Path, supplied: Supplied, tmp_path: Path
) -> None:
    source = project.source("wordpress", supplied)
    write(images / "wordpress/README.md", "changed, not copied\n")
    write(images / "common/lib/__pycache__/x.pyc", "left by Python")
    (images / "wordpress/a.txt").chmod(0o600)
    assert project.source("wordpress", supplied) == source, "the same image would be built"

    seen = {source}
    for change in (
        lambda: write(images / "common/lib/shared.php", "<?php // changed\n"),
        lambda: (images / "common/lib/shared.php").rename(images / "common/lib/renamed.php"),
        lambda: write(images / "common/new.php", ""),
        lambda: (images / "common/bin").symlink_to("lib"),
        lambda: (images / "wordpress/a.txt").chmod(0o755),
        lambda: write(images / "wordpress/Dockerfile", DOCKERFILE + "ENV A=1\n"),
    ):
        change()
        seen.add(project.source("wordpress", supplied))
    write(tmp_path / "release/index.php", "<?php // changed\n")
    fresh = Supplied({"wordpress/release": Release(tmp_path / "release", "1")})
    seen.add(project.source("wordpress", fresh))
    assert len(seen) == 8


def test_a_build_that_fails_names_its_log_and_shows_its_end(
    project: ImageProject, images: Path, supplied: Supplied, tmp_path: Path
) -> None:
    write(images / "wordpress/Dockerfile", DOCKERFILE + "RUN echo what went wrong >&2; exit 3\n")
    with pytest.raises(ImageUnusable) as raised:
        project.build("wordpress", project.source("wordpress", supplied), supplied, Shown())
    assert "wordpress" in raised.value.message
    assert str(tmp_path / "logs/build-wordpress.log") in str(raised.value.hint)
    assert any("what went wrong" in line for line in raised.value.details)
    assert project.current("wordpress") is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("", naming.CONTRACT),
        (f"LABEL {naming.CONTRACT}=99 {naming.SITE}=wordpress", "99"),
        (f"LABEL {naming.CONTRACT}=1 {naming.SITE}=prestashop", "prestashop"),
    ],
)
def test_an_image_that_breaks_the_contract_is_not_kept(
    labels: str, said: str, project: ImageProject, images: Path, client: docker.DockerClient
) -> None:
    write(images / "wordpress/Dockerfile", f"FROM {BASE}\nCOPY wordpress/a.txt /\n{labels}\n")
    source = project.source("wordpress", NOTHING)
    with pytest.raises(ImageUnusable, match=said):
        project.build("wordpress", source, NOTHING, Shown())
    assert project.current("wordpress") is None
    assert not project.find("wordpress", source)


def test_a_file_that_is_missing_is_named(project: ImageProject, images: Path, supplied: Supplied) -> None:
    (images / "wordpress/a.txt").unlink()
    with pytest.raises(ImageUnusable, match=r"wordpress/a\.txt"):
        project.source("wordpress", supplied)


def test_a_base_image_that_is_missing_is_named(project: ImageProject, images: Path) -> None:
    write(images / "wordpress/Dockerfile", "FROM e5b-test/absent:1\n")
    with pytest.raises(ImageUnusable, match="e5b-test/absent:1"):
        project.source("wordpress", NOTHING)


def test_an_unknown_image_is_refused_with_the_names_that_exist(project: ImageProject) -> None:
    for name in ("joomla", "../wordpress", ""):
        with pytest.raises(InputInvalid, match="wordpress"):
            project.bases(name)


def test_a_folder_without_images_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageUnusable, match=str(tmp_path)):
        ImageProject(tmp_path, tmp_path).names()


def test_a_full_disk_says_how_much_is_missing(
    project: ImageProject, supplied: Supplied, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(image_build.shutil, "disk_usage", lambda path: usage._replace(free=200_000_000))
    with pytest.raises(NoSpace, match=r"80\d\sM"):
        project.build("wordpress", project.source("wordpress", supplied), supplied, Shown())


def test_a_damaged_archive_stops_the_build_in_one_sentence(project: ImageProject, tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.php", "a" * 5000)
    damaged = content.getvalue().replace(b"a" * 100, b"b" * 100, 1)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    supplied = Supplied({"wordpress/release": Release(tmp_path / "damaged.zip", "1", zipped=True)})
    with pytest.raises(ImageUnusable, match=r"release/index\.php"):
        project.build("wordpress", project.source("wordpress", supplied), supplied, Shown())
    assert project.current("wordpress") is None


def test_the_context_has_every_file_once_with_settled_modes_and_owners(tmp_path: Path) -> None:
    write(tmp_path / "a/run", "x").chmod(0o700)
    write(tmp_path / "a/b/plain", "x").chmod(0o600)
    members = [*build_context.tree(tmp_path / "a", "site/a"), *build_context.tree(tmp_path / "a", "site/a")]
    content = b"".join(build_context.archive(build_context.with_parents(members)))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = [(info.name, oct(info.mode), info.uid, info.gid) for info in tar]
    assert found == [
        ("site", "0o755", 0, 0),
        ("site/a", "0o755", 0, 0),
        ("site/a/b", "0o755", 0, 0),
        ("site/a/b/plain", "0o644", 0, 0),
        ("site/a/run", "0o755", 0, 0),
    ]


DOCKERFILES: dict[str, tuple[str, list[str], list[str]]] = {
    "stages": (
        "FROM a:1 AS one\nFROM --platform=linux/amd64 b:2\nFROM one\nFROM scratch\nCOPY --from=one /x /y\n",
        ["a:1", "b:2"],
        [],
    ),
    "forms of COPY": (
        'FROM a\nCOPY x y /z/\nCOPY ["a b", "c", "/z/"]\nADD http://example.org/f d /z/\ncopy --chown=1:2 ./e/ /z\n',
        ["a"],
        ["x", "y", "a b", "c", "d", "e"],
    ),
    "lines that go on": ("FROM a\nCOPY x \\\n# a comment between\n  y \\\n  /z/\n", ["a"], ["x", "y"]),
}


@pytest.mark.parametrize("case", DOCKERFILES)
def test_what_a_dockerfile_starts_from_and_copies(case: str) -> None:
    text, bases, sources = DOCKERFILES[case]
    assert build_context.built_from(text) == bases
    assert build_context.copied(text) == sources


def test_every_image_of_the_project_finds_what_it_copies() -> None:
    images = Path(__file__).parents[2] / "images"
    for dockerfile in images.glob("*/Dockerfile"):
        for source in build_context.copied(dockerfile.read_text()):
            if not source.endswith(("/release", "/language-packs")):
                assert build_context.matching(images, source)
