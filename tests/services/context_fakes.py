"""A pilot academy that packs real files, with images in memory."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.adapters.oci_layout import OciPackages
from orchestrator.adapters.signatures import MinisignSignatures
from orchestrator.domain.exam import Site
from orchestrator.errors import EnvironmentFailed, ImageUnusable
from orchestrator.ports import ImageToLoad, KeyFiles, Progress, SavedImage
from orchestrator.services import context_definition
from orchestrator.services.context_build import MANIFEST, PACKAGES, Academy
from orchestrator.services.context_definition import Built, BuiltSite
from orchestrator.services.context_pack import Packed, pack
from tests.services import fakes
from tests.services.fakes import Silence

PLUGINS = "/var/www/site/plugins"

SIGNATURES, PACKAGE_FILES = MinisignSignatures(), OciPackages()


def tar(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def noise(seed: str, size: int = 60_000) -> bytes:
    return b"".join(hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(size // 32))


@dataclass
class Image:
    """An image as an engine holds it."""

    layers: list[bytes]
    files: dict[str, bytes] = field(default_factory=dict)
    name: str = ""

    @property
    def config(self) -> bytes:
        chain = [digest(layer) for layer in self.layers]
        return json.dumps({"name": self.name, "rootfs": {"type": "layers", "diff_ids": chain}}).encode()

    @property
    def id(self) -> str:
        return digest(self.config)

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(digest(layer) for layer in self.layers)


class MemoryImages:
    """Whole images in memory. *dies_after* is how many images are loaded before the process is killed."""

    def __init__(self, world: fakes.World) -> None:
        self.world = world
        self.held: dict[str, Image] = {}
        self.tags: dict[str, str] = {}
        self.sent: list[str] = []
        self.dies_after = 1000

    def put(self, image: Image, site: Site | None = None) -> str:
        self.held[image.id] = image
        self.world.images[image.id] = fakes.image(image.name, site, id=image.id)
        return image.id

    def save(self, image: str, layer: Callable[[Iterator[bytes]], None]) -> SavedImage:
        if image not in self.held:
            raise ImageUnusable("no such image")
        for content in reversed(self.held[image].layers):
            layer(iter([content[:100], content[100:]]))
        return SavedImage(self.held[image].config, self.held[image].chain)

    def holding(self, diff_ids: Collection[str]) -> dict[str, str]:
        return {item: image.id for image in self.held.values() for item in image.chain if item in diff_ids}

    def present(self, chain: Sequence[str]) -> int:
        def common(image: Image) -> int:
            pairs = zip(chain, image.chain, strict=False)
            return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(chain), len(image.chain)))

        return max(map(common, self.held.values()), default=0)

    def load(self, image: ImageToLoad, progress: Progress) -> None:
        if self.dies_after == 0:
            raise KeyboardInterrupt
        self.dies_after -= 1
        known = {
            item: layer for held in self.held.values() for item, layer in zip(held.chain, held.layers, strict=True)
        }
        for diff_id, (size, parts) in image.layers.items():
            known[diff_id] = b"".join(parts())
            if digest(known[diff_id]) != diff_id or len(known[diff_id]) != size:
                raise EnvironmentFailed("invalid diffID")
            self.sent.append(diff_id)
        loaded = Image([known[item] for item in image.chain], name=json.loads(image.config)["name"])
        assert loaded.config == image.config
        site = next((site for site in Site if f"/{site.value}:" in image.name), None)
        self.tag(self.put(loaded, site), image.name)

    def tag(self, image: str, name: str) -> None:
        self.tags[name] = image
        self.world.images[name] = self.world.images[image]

    def untag(self, name: str) -> None:
        image = self.tags.pop(name, None)
        if image is not None and image not in self.tags.values():
            del self.held[image], self.world.images[image]

    def read(self, image: str, path: str) -> bytes:
        return self.held[image].files[path]


@dataclass
class Workshop:
    """A pilot academy with its keys, and what it has built."""

    folder: Path
    keys: KeyFiles
    world: fakes.World
    images: MemoryImages

    @property
    def academy(self) -> Academy:
        engine = fakes.MemoryEngine(self.world, fakes.Fuse())
        nothing: Any = None
        return Academy(engine, self.images, nothing, nothing, nothing, nothing, PACKAGE_FILES, SIGNATURES, Silence())

    def site(self, site: Site, text: str) -> Image:
        """A site whose database holds *text*, above layers that never change."""
        base = tar(etc__passwd=b"root", usr__bin__php=noise("php"))
        database = tar(var__lib__ibdata=noise(site.value, 200_000) + text.encode(), salts=noise(text, 320))
        files = {
            MANIFEST: f"f:0644:0:0:{'1' * 64}\t/var/www/site/index.php\n"
            f"f:0644:0:0:{text}\t{PLUGINS}/seo/seo.php\nd:0755:0:0\t{PLUGINS}/seo\n".encode(),
            PACKAGES: b"Package: php\nStatus: installed\nVersion: 8.2\n\nPackage: tini\nVersion: 0.19\n",
        }
        return Image([base, tar(etc__site=site.value.encode()), database], files, f"e5b/{site.value}")

    def build(self, version: str, texts: dict[Site, str], fingerprint: str | None = None) -> None:
        definition = self.folder / "context.toml"
        definition.unlink(missing_ok=True)
        context_definition.new(definition, version, "2027", {})
        text = definition.read_text(encoding="utf-8").replace("/var/www/site/modules", "/var/www/site/plugins")
        definition.write_text(
            text.replace("/var/www/site/wp-content/plugins", "/var/www/site/plugins"), encoding="utf-8"
        )
        engine = fakes.MemoryEngine(self.world, fakes.Fuse())
        images = {"gateway": self.images.put(Image([tar(bin__haproxy=noise("haproxy"))], name="e5b/gateway"))}
        sites = {}
        for site, content in texts.items():
            images[site.value] = self.images.put(self.site(site, content), site)
            known = engine.reference(site, images[site.value])
            sites[site] = BuiltSite(known, "6.8" if site is Site.WORDPRESS else "8.1.2", "fr")
        context_definition.save(
            definition, Built("2026-11-24T00:00:00+00:00", context_definition.digest(definition), images, sites)
        )

    def pack(self, name: str, since: Path | None = None) -> Packed:
        return pack(self.academy, self.folder / "context.toml", self.folder / name, self.keys.secret, "", since)


TEXTS = {Site.WORDPRESS: "Tisanes", Site.PRESTASHOP: "Boutique"}
