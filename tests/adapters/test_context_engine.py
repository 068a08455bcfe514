"""Whole images out of the real engine and back: the same to the last byte, or nothing."""

import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator, Sequence

import docker
import pytest

from orchestrator.adapters.context_engine import DockerImages
from orchestrator.errors import E5BError, EnvironmentFailed, ImageUnusable, SignatureInvalid
from orchestrator.ports import ImageToLoad


class Silence:
    def begin(self, title: str, total: int) -> None: ...
    def step(self, what: str) -> None: ...
    def end(self) -> None: ...


def tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Lab:
    """Images of the test's own, from layers given as tars; all that it loads has a name with its mark."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client, self.mark = client, "t" + secrets.token_hex(4)
        self.images = DockerImages(client, self.mark)
        self.base = tar("base", secrets.token_bytes(200_000))

    def image(self, *layers: bytes, name: str = "one") -> ImageToLoad:
        chain = tuple(digest(layer) for layer in layers)
        config = json.dumps(
            {
                **{"architecture": "amd64", "os": "linux", "created": "2025-01-01T00:00:00Z"},
                "config": {"Cmd": ["/none"], "Labels": {"fr.e5b.test": self.mark}},
                "history": [{"created": "2025-01-01T00:00:00Z"} for _layer in layers],
                "rootfs": {"type": "layers", "diff_ids": list(chain)},
            }
        ).encode()
        held = dict(zip(chain, layers, strict=True))
        parts = {item: (len(layer), lambda layer=layer: iter([layer])) for item, layer in held.items()}
        return ImageToLoad(f"e5b-test/{self.mark}:{name}", config, chain, parts)

    def load(self, image: ImageToLoad) -> None:
        self.images.load(image, Silence())

    def held(self) -> set[str]:
        return {
            str(item.id) for item in self.client.images.list(filters={"label": f"fr.e5b.test={self.mark}"}, all=True)
        }


@pytest.fixture
def lab() -> Iterator[Lab]:
    client = docker.from_env(version="auto")
    made = Lab(client)
    yield made
    for image in made.held():
        client.images.remove(image, force=True)
    client.close()


def only(image: ImageToLoad, *kept: int) -> ImageToLoad:
    """The image with only some of its layers' content."""
    layers = {image.chain[place]: image.layers[image.chain[place]] for place in kept}
    return ImageToLoad(image.name, image.config, image.chain, layers)


def changed(image: ImageToLoad, content: Callable[[], Iterator[bytes]]) -> ImageToLoad:
    last = image.chain[-1]
    return ImageToLoad(image.name, image.config, image.chain, {**image.layers, last: (image.layers[last][0], content)})


def test_an_image_comes_out_as_it_went_in(lab: Lab) -> None:
    second = tar("second", b"text")
    image = lab.image(lab.base, second)
    lab.load(image)
    assert lab.held() == {digest(image.config)}
    saved: list[bytes] = []
    found = lab.images.save(digest(image.config), lambda parts: saved.append(b"".join(parts)))
    assert (found.config, found.chain) == (image.config, image.chain)
    assert sorted(saved) == sorted([lab.base, second])


def test_a_layer_that_is_in_an_image_twice_is_found_for_both(lab: Lab) -> None:
    image = lab.image(lab.base, lab.base)
    lab.load(image)
    assert lab.images.save(digest(image.config), lambda parts: list(parts) and None).chain == image.chain


def test_what_the_engine_has_is_not_sent(lab: Lab) -> None:
    lab.load(lab.image(lab.base))
    other = lab.image(lab.base, tar("more", b"text"), name="two")
    assert lab.images.present(other.chain) == 1
    lab.load(only(other, 1))
    assert digest(other.config) in lab.held()
    assert set(lab.images.holding([other.chain[1], "sha256:none"])) == {other.chain[1]}


def test_a_layer_in_another_place_is_not_taken_for_present(lab: Lab) -> None:
    lab.load(lab.image(lab.base))
    assert lab.images.present([digest(tar("more", b"text")), digest(lab.base)]) == 0


def refused(lab: Lab, image: ImageToLoad, kind: type[E5BError]) -> None:
    before = lab.held()
    with pytest.raises(kind):
        lab.load(image)
    assert lab.held() == before
    assert not lab.client.images.list(name=image.name)


def test_other_content_than_the_digest_names_is_refused_and_leaves_nothing(lab: Lab) -> None:
    image = lab.image(lab.base, tar("more", b"text"))
    other = tar("more", b"TEXT")
    refused(lab, changed(image, lambda: iter([other])), EnvironmentFailed)
    refused(lab, changed(image, lambda: iter([other[:-512]])), EnvironmentFailed)


def test_what_ends_in_the_middle_leaves_nothing_and_says_why(lab: Lab) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise SignatureInvalid("The file does not hold.")

    refused(lab, changed(lab.image(lab.base, tar("more", b"text")), broken), SignatureInvalid)


def test_a_layer_that_is_neither_sent_nor_there_is_refused(lab: Lab) -> None:
    refused(lab, only(lab.image(lab.base, tar("more", b"text")), 0), EnvironmentFailed)


def test_names_are_given_and_taken(lab: Lab) -> None:
    image = lab.image(lab.base)
    lab.load(image)
    names: Sequence[str] = (image.name, f"e5b-test/{lab.mark}:other")
    lab.images.tag(digest(image.config), names[1])
    lab.images.untag(names[0])
    assert lab.held() == {digest(image.config)}
    lab.images.untag(names[1])
    assert lab.held() == set()
    lab.images.untag(names[1])


def test_a_file_is_read_without_starting_anything(lab: Lab) -> None:
    image = lab.image(tar("etc/text", b"what it says"))
    lab.load(image)
    assert lab.images.read(digest(image.config), "/etc/text") == b"what it says"
    with pytest.raises(ImageUnusable):
        lab.images.read(digest(image.config), "/etc/none")
    assert not lab.client.containers.list(all=True, filters={"label": f"fr.e5b.centre={lab.mark}"})


def test_an_image_that_is_not_there_is_said_to_be_missing(lab: Lab) -> None:
    with pytest.raises(ImageUnusable):
        lab.images.save("sha256:" + "0" * 64, lambda parts: None)
