"""Which version is newer, what a manifest may say, and what two sites differ in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.context import (
    Base,
    Change,
    ContextManifest,
    Details,
    Layer,
    ManifestMalformed,
    PackedImage,
    changes,
    explained,
    newer,
)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


VERSIONS = st.lists(st.integers(0, 300), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@pytest.mark.parametrize(("later", "earlier"), [("2027.10", "2027.9"), ("2028", "2027.4.1"), ("2027.1.1", "2027.1")])
def test_versions_are_numbers(later: str, earlier: str) -> None:
    assert newer(later, earlier) and not newer(earlier, later)


@given(VERSIONS, VERSIONS)
def test_of_two_versions_one_is_newer_or_neither(one: str, other: str) -> None:
    assert not (newer(one, other) and newer(other, one))
    assert not newer(one, f"{one}.0") and not newer(f"{one}.0", one)


SITE = PackedImage(
    "wordpress",
    digest(1),
    (Layer(digest(2), 10, digest(3)),),
    manifest=digest(4),
    version="6.8",
    language="fr",
    fingerprint=digest(5),
    details=digest(6),
)
WHOLE = ContextManifest(
    "2027.1", "2027", "2026-11-24", "1", (SITE,), {digest(number): 7 for number in (1, 3, 4, 6)}, {}, ("Le site.",)
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert ContextManifest.parse(WHOLE.dump()) == WHOLE
    assert ContextManifest.parse(WHOLE.dump()).digest == WHOLE.digest


def changed(**values: Any) -> bytes:
    return json.dumps(json.loads(WHOLE.dump()) | values).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        changed(format=2),
        changed(version="2027.1-beta"),
        changed(version="../2027"),
        changed(images={}),
        changed(images={"../wordpress": json.loads(WHOLE.dump())["images"]["wordpress"]}),
        changed(images={"wordpress": {"id": "sha256:12", "layers": []}}),
        changed(blobs={}),
        changed(blobs={"../../etc/passwd": 1}),
        changed(base={"version": "2027.0"}),
    ],
)
def test_what_is_not_whole_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestMalformed):
        ContextManifest.parse(content)


def test_each_thing_that_a_whole_package_names_is_in_it() -> None:
    for missing in WHOLE.blobs:
        blobs = {digest: size for digest, size in WHOLE.blobs.items() if digest != missing}
        with pytest.raises(ManifestMalformed):
            ContextManifest.parse(changed(blobs=blobs))


def test_a_delta_names_what_its_base_has() -> None:
    layers = (Layer(digest(2), 10, digest(3)), Layer(digest(8), 10, patch=digest(9), base=digest(2)))
    site = PackedImage("wordpress", digest(10), layers, fingerprint=digest(5), details=digest(6))
    delta = ContextManifest(
        "2027.2",
        "2027",
        "2026-11-24",
        "1",
        (site,),
        {digest(9): 3, digest(10): 4},
        base=Base("2027.1", "context.tar", WHOLE.digest),
    )
    assert ContextManifest.parse(delta.dump()) == delta


def details(**values: Any) -> Details:
    usual: dict[str, Any] = {"version": "6.8", "files": {}, "tables": {}, "packages": {}, "plugins": ("/site/plugins",)}
    return Details(**usual | values)


def test_what_changed_is_told_as_a_person_would() -> None:
    before = details(
        files={"/site/index.php": "1", "/site/plugins/seo": "d", "/site/plugins/seo/a.php": "1", "/site/gone": "1"},
        tables={"wp_posts": "61:1", "wp_old": "1:1"},
        packages={"php": "8.2", "tini": "0.19"},
    )
    after = details(
        version="6.9",
        files={
            "/site/index.php": "2",
            "/site/plugins/seo": "d",
            "/site/plugins/seo/a.php": "2",
            "/site/plugins/seo/b.php": "1",
            "/site/plugins/shop": "d",
        },
        tables={"wp_posts": "62:1", "wp_new": "1:1"},
        packages={"php": "8.3", "tini": "0.19"},
    )
    assert changes(before, after) == [
        Change("version", "", "6.8", "6.9"),
        Change("plugin", "seo", "d", "d", 2),
        Change("plugin", "shop", None, "d", 1),
        Change("package", "php", "8.2", "8.3"),
        Change("table", "wp_new", None, "1:1"),
        Change("table", "wp_old", "1:1", None),
        Change("table", "wp_posts", "61:1", "62:1"),
        Change("file", "/site/gone", "1", None),
        Change("file", "/site/index.php", "1", "2"),
    ]
    assert changes(before, before) == []


def test_details_come_from_the_images_own_lists() -> None:
    found = Details.of(
        "6.8",
        "f:0644:0:0:12\t/site/a b.php\nl:0:0:/target\t/site/link\n",
        {"wp_posts": "61:1"},
        "Package: php\nStatus: install ok installed\nVersion: 8.2-1\n\nPackage: tini\nVersion: 0.19\n",
        ["/site/plugins"],
    )
    assert set(found.files) == {"/site/a b.php", "/site/link"}
    assert found.packages == {"php": "8.2-1", "tini": "0.19"}
    assert Details.parse(found.dump()) == found


def test_only_what_is_named_is_explained() -> None:
    found = [Change("file", name, "1", "2") for name in ("/site/salts.php", "/cache/a/b", "/site/salts.php.old")]
    found.append(Change("table", "ps_log", "1:1", "2:2"))
    found.append(Change("file", "/cache/c", "1", "2"))
    counted, left = explained(found, {"/site/salts.php": "random", "/cache/*": "warm", "ps_log": "dates", "x": "no"})
    assert [change.name for change in left] == ["/site/salts.php.old"]
    assert counted == {"/site/salts.php": 1, "/cache/*": 2, "ps_log": 1}
