"""Where a jury looks at a sealed site: an HAProxy of its own beside the exam's. Implements ports.JuryGateway."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from docker.errors import ContainerError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig

from orchestrator.adapters import haproxy
from orchestrator.adapters.docker_engine import translated
from orchestrator.adapters.machine import SystemHost
from orchestrator.domain import naming
from orchestrator.errors import Conflict
from orchestrator.i18n import _, language
from orchestrator.settings import Settings

PATIENCE = 20.0
"""Seconds."""


class HaproxyJuryGateway:
    def __init__(self, client: docker.DockerClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._name = naming.jury_gateway_name(settings.centre.id)
        self._labels = {naming.CENTRE: settings.centre.id, naming.ROLE: naming.ROLE_JURY_GATEWAY}
        self._folder = settings.jury_folder.absolute()

    def open(self, address: str, sign_in: str | None) -> None:
        with _translating():
            self._remove()
            port = self._settings.evidence.port
            holder = SystemHost().port_holder(str(self._settings.gateway.listen), port)
            if holder is not None:
                raise Conflict(
                    _("Port {port}, where sealed sites are shown, is in use: {holder}.").format(
                        port=port, holder=holder
                    ),
                    hint=_("Stop what holds it, or choose another evidence.port in centre.toml."),
                )
            image = haproxy.gateway_image(self._client)
            self._start(image, self._checked(image, address, sign_in))

    def close(self) -> None:
        with _translating():
            self._remove()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _remove(self) -> None:
        for name in (self._name, f"{self._name}-once"):
            try:
                container = self._client.containers.get(name)
            except NotFound:
                continue
            if container.labels.get(naming.CENTRE) != self._settings.centre.id:
                raise Conflict(
                    _("A container named {name} exists and is not ours.").format(name=name),
                    hint=_("Rename it (docker rename {name} …) or remove it, then run the command again.").format(
                        name=name
                    ),
                )
            container.remove(force=True)

    def _checked(self, image: str, address: str, sign_in: str | None) -> Path:
        """A new folder with the configuration, which HAProxy and nftables themselves found right."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        config = Path(tempfile.mkdtemp(prefix="config-", dir=self._folder))
        for name, content in render(self._settings, address, sign_in).items():
            (config / name).write_text(content, encoding="utf-8")
        try:
            self._client.containers.run(
                image,
                ["check"],
                name=f"{self._name}-once",
                labels=self._labels,
                network_mode="none",
                remove=True,
                stderr=True,
                mounts=[haproxy.mount(config, haproxy.CONFIG)],
                **haproxy.LIMITS,
            )
        except ContainerError as error:
            raise haproxy.failed(
                _("The configuration of the jury's gateway does not pass its own check."), error.stderr or b""
            ) from error
        return config

    def _start(self, image: str, config: Path) -> None:
        """Start it, and wait until it listens."""
        container: Container = self._client.containers.create(
            image,
            ["serve"],
            name=self._name,
            labels=self._labels,
            # The staff's own addresses, and the environments' bridge, are seen from the host alone.
            network_mode="host",
            restart_policy={"Name": "unless-stopped"},
            log_config=LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
            mounts=[haproxy.mount(config, haproxy.CONFIG)],
            **haproxy.LIMITS,
        )
        listen, port = str(self._settings.gateway.listen), self._settings.evidence.port
        try:
            container.start()
            deadline = time.monotonic() + PATIENCE
            while SystemHost().port_holder(listen, port) is None:
                container.reload()
                if container.attrs["RestartCount"] or container.status != "running" or time.monotonic() > deadline:
                    raise haproxy.failed(_("The jury's gateway does not start."), container.logs(tail=20))
                time.sleep(0.02)
        except BaseException:
            # Under its restart policy it would come to life later, when nobody expects it.
            container.remove(force=True)
            raise


def render(settings: Settings, address: str, sign_in: str | None) -> dict[str, str]:
    """The gateway's files by name: one site, at *address*; forms pass to the path *sign_in* alone."""
    templates = haproxy.templates()
    # The environments' walls, and who is of the staff, are those of the exam's gateway.
    shared = haproxy.render(settings, owner=0)
    configuration = templates.get_template("jury.cfg.j2").render(
        folder=haproxy.CONFIG,
        listen=settings.gateway.listen,
        port=settings.evidence.port,
        address=address,
        sign_in=sign_in,
    )
    pages = {
        "read-only": (
            _("This site is sealed: it can only be looked at"),
            _("What was just sent would have changed something, and was stopped. The site is shown as it was sealed."),
        ),
        "refused": (
            _("This address is the jury's"),
            _("Sealed sites are shown to the staff of the exam alone, at their own workstations."),
        ),
        "unavailable": (
            _("The sealed site does not answer"),
            _("Wait a moment and load the page again. If it stays so, open the sealed site once more."),
        ),
    }
    page = templates.get_template("jury.html.j2")
    return {
        "haproxy.cfg": configuration,
        "rules.nft": shared["rules.nft"],
        "staff.acl": shared["staff.acl"],
        **{
            f"{name}.html": page.render(language=language(), title=title, sentence=sentence)
            for name, (title, sentence) in pages.items()
        },
    }


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise translated(error) from error
