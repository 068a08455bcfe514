"""The guard on the real engine, in front of a made-up Internet (tests/guard/lab.py): that it is put up whole or not at
all, that it comes back by itself, and that nothing is open meanwhile. What leads past it is tried in tests/guard/."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from orchestrator.adapters.docker_engine import connect
from orchestrator.adapters.guard import IMAGE, DockerGuard
from orchestrator.adapters.guard_layout import CLOSED
from orchestrator.adapters.guard_proxy import LABELS
from orchestrator.domain import naming
from orchestrator.domain.guard import Category, Origin, Policy, Rule
from orchestrator.errors import Conflict, E5BError, Refused
from orchestrator.ports import Attempt
from tests.conftest import eventually
from tests.guard import lab as labs
from tests.guard.behind import Guarded, guarded_lab, settings

ENGINES = ("haproxy", "dnsmasq-open", "dnsmasq-exam", "ulogd")
SITE = f"http://{labs.HOST}:{labs.SITE_PORTS[0]}/"


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    if client.images.list(name=IMAGE) == []:
        pytest.fail(f"{IMAGE} does not exist: `e5b setup` builds it")
    yield client
    client.close()


@pytest.fixture(scope="module")
def lab(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_lab(client, "gateway", tmp_path_factory.mktemp("guard"), 3) as made:
        yield made


@pytest.fixture
def guard(lab: Guarded) -> DockerGuard:
    """With the lab's policy, and seat 1 locked."""
    lab.guard.ensure(labs.policy(), {1})
    return lab.guard


def container(client: docker.DockerClient, lab: Guarded) -> Container:
    return client.containers.get(naming.guard_name(lab.guard._settings.centre.id))


def fetched(lab: Guarded, url: str, seat: int = 1, seconds: float = 5) -> str:
    """The status that *seat* is answered with; 000 when it is not."""
    curl = ("curl", "-sk", "--max-time", str(seconds), "-o", "/dev/null", "-w", "%{http_code}")
    return lab.lab.seats[seat].run(*curl, url, check=False)


def blocked(name: str) -> Rule:
    return Rule(name, True, Category.SOCIAL, Origin.IMPORT, "list")


def many(count: int, version: str) -> Policy:
    """The lab's policy and *count* names that nobody asks for."""
    names = (f"name-{number}.list-{number % 500}.test" for number in range(count))
    return Policy(dict(labs.policy().rules) | {name: blocked(name) for name in names}, False, version)


# It is put up whole or not at all


def test_a_second_time_nothing_changes(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    before = container(client, lab).id, container(client, lab).attrs["State"]["StartedAt"], guard._current()
    assert guard.ensure(labs.policy(), {1}) is False
    assert (container(client, lab).id, container(client, lab).attrs["State"]["StartedAt"], guard._current()) == before
    state = guard.state()
    assert state is not None
    assert (state.version, state.locked, state.engines) == ("lab", {1}, dict.fromkeys(ENGINES, True))


def test_exactly_the_seats_that_are_named_are_locked(lab: Guarded, guard: DockerGuard) -> None:
    """A locked seat has its site and the Web without the platforms; another one has what its network offers."""
    assert [fetched(lab, url) for url in (SITE, "https://search.test/", "https://drive.test/")] == ["200", "200", "000"]
    assert fetched(lab, "https://drive.test/", seat=2) == "200"
    guard.lock({2})
    assert [fetched(lab, "https://drive.test/", seat) for seat in (1, 2)] == ["200", "000"]
    guard.lock({1, 2})
    assert [fetched(lab, "https://drive.test/", seat) for seat in (1, 2)] == ["000", "000"]


def test_what_an_engine_refuses_is_never_put_in_place(lab: Guarded, guard: DockerGuard) -> None:
    """Each engine checks a new policy; the former one stays in force, whole, and so do its files."""
    before = guard._current()
    refused = "no name/at all\nbut two lines"
    with pytest.raises(Refused) as said:
        guard.ensure(Policy({refused: blocked(refused), "search.test": blocked("search.test")}, False, "bad"), {1})
    assert said.value.details
    assert guard._current() == before
    assert fetched(lab, "https://search.test/") == "200"
    assert fetched(lab, "https://drive.test/") == "000"
    assert sorted(path.name for path in guard._folder.glob("*policy-*")) == sorted({before, *kept(guard)})


def kept(guard: DockerGuard) -> set[str]:
    """The policies whose files are there: at most the present one and the former."""
    names = {path.name for path in guard._folder.glob("*policy-*")}
    assert len(names) <= 2
    return names


def test_a_name_too_deep_to_be_found_again_is_refused(guard: DockerGuard) -> None:
    deep = ".".join(["a"] * LABELS) + ".test"
    with pytest.raises(Refused, match=str(LABELS)):
        guard.ensure(Policy({deep: blocked(deep)}, False, "deep"), {1})


def test_the_longest_name_that_a_rule_names_decides(lab: Guarded, guard: DockerGuard) -> None:
    """At any depth, and an exception under a blocked name as well."""
    deep = ".".join(["a"] * (LABELS - 3)) + ".encyclo.test"
    rules = {deep: blocked(deep), "drive.test": blocked("drive.test")}
    rules["open.drive.test"] = Rule("open.drive.test", False, None, Origin.PROJECT, "list")
    guard.ensure(Policy(rules, False, "depths"), {1})
    seat = lab.lab.seats[1]

    def pinned(name: str, address: str) -> str:
        curl = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", f"{name}:443:{address}")
        return seat.run(*curl, f"https://{name}/", check=False)

    assert pinned("encyclo.test", labs.ENCYCLO) == "200"
    assert pinned(deep, labs.ENCYCLO) == pinned(f"b.{deep}", labs.ENCYCLO) == "000"
    assert fetched(lab, "https://open.drive.test/") == "200"
    assert fetched(lab, "https://shut.drive.test/") == "000"


def test_a_new_policy_breaks_no_connection_that_is_allowed(lab: Guarded, guard: DockerGuard) -> None:
    """Under load: new connections all the time, and one that lasts."""
    ca = lab.lab.folder / "ca.pem"
    urls = ["-o", "/dev/null", "https://search.test/", "-o", "/dev/null", "http://encyclo.test/"] * 100
    curl = ("curl", "-sS", "--cacert", str(ca), "--no-keepalive", "-w", "%{http_code}\n")
    load = [
        lab.lab.seats[1].start(*curl, *urls, stdout=subprocess.PIPE, stderr=subprocess.STDOUT),
        lab.lab.seats[1].start(
            *curl, "-o", "/dev/null", "https://search.test/drip/40", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ),
    ]
    for number in range(3):
        guard.ensure(many(20_000, f"load-{number}"), {1})
    outputs = [set(process.communicate(timeout=60)[0].split()) for process in load]
    assert outputs == [{"200"}, {"200"}]
    assert fetched(lab, "https://name-7.list-7.test/") == "000"


def test_a_million_names_are_taken_whole(lab: Guarded, guard: DockerGuard) -> None:
    guard.ensure(many(1_000_000, "million"), {1})
    seat = lab.lab.seats[1]
    for name in ("name-0.list-0.test", "under.name-999999.list-499.test"):
        assert "Fermé pendant l’épreuve" in seat.run("curl", "-s", f"http://{name}/")
    assert fetched(lab, "https://search.test/") == "200"


def test_killed_while_a_policy_is_put_in_place(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    """The former policy or the new one, whole, and the seat locked all the time."""
    failed: list[E5BError] = []

    def apply() -> None:
        try:
            guard.ensure(many(100_000, "killed"), {1})
        except E5BError as error:
            failed.append(error)

    before = kept(guard)
    applying = threading.Thread(target=apply)
    applying.start()
    eventually(lambda: bool({path.name for path in guard._folder.glob("policy-*")} - before), "no policy was written")
    os.kill(container(client, lab).attrs["State"]["Pid"], signal.SIGKILL)
    applying.join()
    assert failed, "it was killed too late to matter"
    eventually(lambda: guard.state() is not None, "it does not come back")
    state = guard.state()
    assert state is not None
    assert state.version in {"lab", "killed"} and state.locked == {1}
    assert guard.ensure(many(100_000, "killed"), {1}) is (state.version == "lab")
    assert fetched(lab, "https://name-7.list-7.test/") == fetched(lab, "https://drive.test/") == "000"


def test_a_container_with_its_name_that_is_not_ours_stays(
    client: docker.DockerClient, lab: Guarded, tmp_path: Any
) -> None:
    other = settings("gateway", tmp_path, 3)
    name = naming.guard_name(other.centre.id)
    stranger = client.containers.create(IMAGE, ["check"], name=name, network_mode="none")
    try:
        with pytest.raises(Conflict, match=name):
            DockerGuard(client, other, network="none").ensure(labs.policy(), ())
        stranger.reload()
    finally:
        stranger.remove(force=True)


def test_other_settings_are_another_guard(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    """Where each seat's site has a name of its own, the guard knows the names, whatever the policy allows; the seats
    stay locked while one guard takes the other's place."""
    known = guard._settings
    gateway = known.gateway.model_copy(update={"addressing": "host", "domain": "e5b.lan"})
    other = DockerGuard(client, known.model_copy(update={"gateway": gateway}), guard._network)
    before = container(client, lab).id
    with watched(lab, {"https://drive.test/": "000"}):
        assert other.ensure(Policy({}, True, "nothing"), {1}) is True
        assert container(client, lab).id != before
        asked = "import socket, sys; print(*(socket.gethostbyname(name) for name in sys.argv[1:]))"
        names = ("poste-02.e5b.lan", "search.test")
        found = lab.lab.seats[1].run(sys.executable, "-c", asked, *names).split()
        assert found == [labs.HOST, CLOSED]
        assert fetched(lab, "https://search.test/") == "000"
        guard.ensure(labs.policy(), {1})


# It comes back, and nothing is open meanwhile


ALWAYS = {SITE: "200", "https://drive.test/": "000", f"https://{labs.DRIVE}/": "000"}


@contextlib.contextmanager
def watched(lab: Guarded, always: Mapping[str, str] = ALWAYS) -> Iterator[None]:
    """Seat 1 asks for its own site and for platforms all the time; the one always answers, the others never."""
    stop = threading.Event()
    answers: dict[str, set[str]] = {url: set() for url in always}

    def ask(url: str) -> None:
        while not stop.is_set():
            answers[url].add(fetched(lab, url))

    asking = [threading.Thread(target=ask, args=(url,)) for url in answers]
    for thread in asking:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in asking:
            thread.join()
    assert answers == {url: {answer} for url, answer in always.items()}


KILL = """
import os, pathlib, sys
for entry in pathlib.Path("/proc").glob("[0-9]*"):
    words = (entry / "cmdline").read_bytes().decode().split("\\0")
    if os.path.basename(words[0]) == sys.argv[1] and sys.argv[2] in " ".join(words):
        os.kill(int(entry.name), 9)
        break
else:
    sys.exit("nothing to kill")
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_killed(client: docker.DockerClient, lab: Guarded, guard: DockerGuard, engine: str) -> None:
    """Platforms stay closed, the seat's own site open, and what is allowed works again by itself."""
    program, _dash, which = engine.partition("-")
    with watched(lab):
        killed = container(client, lab).exec_run(["python3", "-c", KILL, program, which])
        assert killed.exit_code == 0, killed.output
        eventually(lambda: fetched(lab, "https://search.test/") == "200", f"{engine} does not come back")
        eventually(lambda: all(guard.state().engines.values()), f"{engine} does not run")  # type: ignore[union-attr]
    assert guard.ensure(labs.policy(), {1}) is False


def test_the_first_process_that_is_killed(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    """All engines go with it; the rules stay in the kernel."""
    with watched(lab):
        os.kill(container(client, lab).attrs["State"]["Pid"], signal.SIGKILL)
        eventually(lambda: fetched(lab, "https://search.test/") == "200", "it does not come back")
    assert guard.ensure(labs.policy(), {1}) is False


@pytest.mark.parametrize(
    "command", ["delete table inet e5b_guard", "flush chain inet e5b_guard through", "flush ruleset"]
)
def test_rules_that_somebody_takes_away_come_back(lab: Guarded, guard: DockerGuard, command: str) -> None:
    """A firewall's own service does it when it starts. Whoever asks afterwards is told that something changed, or it
    was repaired before."""
    lab.lab.exam.run("nft", command)
    lab.lab.until(lambda: "chain through" in lab.lab.exam.run("nft", "list", "ruleset"), "the rules do not come back")
    lab.lab.until(lambda: "refuse_seat" in lab.lab.exam.run("nft", "list", "ruleset"), "the rules do not come back")
    guard.ensure(labs.policy(), {1})
    assert (fetched(lab, "https://search.test/"), fetched(lab, "https://drive.test/")) == ("200", "000")
    assert fetched(lab, "https://drive.test/", seat=2) == "200"


def test_a_restart_keeps_the_locks(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    """As after a reboot: the kernel knows nothing, and the seats that were locked are."""
    guard.lock({1, 3})
    lab.lab.exam.run("nft", "flush ruleset")
    container(client, lab).restart(timeout=0)
    eventually(lambda: guard.state() is not None, "it does not come back")
    state = guard.state()
    assert state is not None and state.locked == {1, 3}
    assert [fetched(lab, "https://drive.test/", seat) for seat in (1, 2, 3)] == ["000", "200", "000"]


def test_without_the_rules_docker_lets_nothing_pass(client: docker.DockerClient, lab: Guarded) -> None:
    """Where Docker manages the firewall it drops what it does not know. What the guard's rules marked passes, and
    nothing else: not even for the moment until the rules are back."""
    exam = lab.lab.exam
    exam.run("sh", "-ec", "iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -P FORWARD DROP")
    try:
        assert fetched(lab, "https://drive.test/", seat=2, seconds=0.5) == "000"
        container(client, lab).restart(timeout=0)
        eventually(lambda: lab.guard.state() is not None, "it does not come back")
        assert fetched(lab, "https://drive.test/", seat=2) == "200"
        container(client, lab).pause()
        exam.run("nft", "delete table inet e5b_guard")
        assert fetched(lab, f"https://{labs.DRIVE}/", seconds=0.5) == "000"
    finally:
        container(client, lab).unpause()
        eventually(lambda: lab.guard.state() is not None, "it does not go on")
        exam.run("sh", "-ec", "iptables -P FORWARD ACCEPT; iptables -F FORWARD; iptables -F DOCKER-USER")
        exam.run("iptables", "-X", "DOCKER-USER")


# What it says


def test_what_was_refused_is_told_with_the_engines_own_words(lab: Guarded, guard: DockerGuard) -> None:
    """By name, address and network; of each seat; once, and from a mark on."""
    mark = last_mark(guard)
    seat, unknown = lab.lab.seats[1], lab.lab.unknown
    fetched(lab, "https://drive.test/")
    fetched(lab, "http://drive.test/")
    seat.run("curl", "-s", "--max-time", "2", f"telnet://{labs.OWN}:8443", check=False)
    unknown.run("curl", "-s", "--max-time", "2", f"http://{labs.OWN}/", check=False)
    expected = {
        (1, "drive.test", "dns"),
        (1, "drive.test", "name"),
        (1, f"{labs.OWN}:8443/tcp", "network"),
        (None, f"{labs.OWN}:80/tcp", "network"),
    }
    found: list[Attempt] = []

    def all_there() -> bool:
        found.extend(guard.attempts(found[-1].mark if found else mark))
        return expected <= {(item.seat, item.what, item.layer) for item in found}

    eventually(all_there, f"{found}")
    assert len({item.mark for item in found}) == len(found), "something is told twice"
    assert {item.mark for item in found}.isdisjoint(item.mark for item in guard.attempts(found[-1].mark))
    # The engines may only now write what an earlier test tried.
    here = [item for item in found if (item.seat, item.what, item.layer) in expected]
    assert all(item.what.split(":")[0].split("/")[0] in item.line for item in here)
    assert {item.address for item in here if item.seat is None} == {labs.address(4)}


def last_mark(guard: DockerGuard) -> str:
    mark = ""
    for attempt in guard.attempts():
        mark = attempt.mark
    return mark


def test_nothing_is_told_of_what_was_allowed(guard: DockerGuard, lab: Guarded) -> None:
    """What a candidate looks up is nobody's business."""
    logs = guard._folder / "log"
    before = sum(path.stat().st_size for path in logs.glob("*.log"))
    for url in ("https://encyclo.test/", "http://rotating.test/"):
        assert fetched(lab, url) == "200"
    assert fetched(lab, "https://drive.test/") == "000"
    eventually(lambda: "drive.test" in written(guard)[before:], "nothing is written")
    assert "encyclo" not in written(guard)[before:]
    assert "rotating" not in written(guard)[before:]


def written(guard: DockerGuard) -> str:
    return "".join(path.read_text() for path in sorted((guard._folder / "log").glob("*.log")))


# Mode proxy


@pytest.fixture(scope="module")
def proxied(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_lab(client, "proxy", tmp_path_factory.mktemp("proxied"), 2) as made:
        yield made


def through_proxy(lab: Guarded, url: str, *more: str) -> str:
    """The status that seat 1 is answered with by the server or, where it opens no tunnel, by the proxy."""
    curl = ("curl", "-sk", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}")
    proxy = ("--proxy", f"http://{labs.HOST}:{labs.PROXY.port}")
    return lab.lab.seats[1].run(*curl, *proxy, *more, url, check=False)


@pytest.mark.parametrize("engine", ["haproxy", "tinyproxy"])
def test_an_engine_that_is_killed_in_mode_proxy(client: docker.DockerClient, proxied: Guarded, engine: str) -> None:
    """The proxy is the browsers' only way: nothing is open without it, and it comes back by itself."""
    proxied.guard.ensure(labs.policy(), {1})
    assert through_proxy(proxied, "https://search.test/") == "200 200"
    assert container(client, proxied).exec_run(["python3", "-c", KILL, engine, ""]).exit_code == 0
    assert through_proxy(proxied, "https://drive.test/").startswith("000")
    eventually(lambda: through_proxy(proxied, "https://search.test/") == "200 200", f"{engine} does not come back")
    assert through_proxy(proxied, "https://drive.test/") == "000 403"


def test_a_tunnel_for_one_name_that_greets_another_is_told_of_the_seat(proxied: Guarded) -> None:
    """Though it is refused behind the proxy, where all connections come from this machine itself."""
    proxied.guard.ensure(labs.policy(), {1})
    mark = last_mark(proxied.guard)
    greets = ("--connect-to", "shared.drive.test:443:search.test:443")
    assert through_proxy(proxied, "https://shared.drive.test/", *greets) == "000 200"
    expected = (1, labs.address(1), "shared.drive.test", "name")

    def told() -> bool:
        found = proxied.guard.attempts(mark)
        return expected in {(item.seat, item.address, item.what, item.layer) for item in found}

    eventually(told, "nobody is told")


# Seen from a seat


SCRIPT = """
import json, socket, ssl, sys
plan, found = json.load(sys.stdin), {}
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for name in plan["names"]:
    try:
        with socket.create_connection((name, 443), 5) as tcp, context.wrap_socket(tcp, server_hostname=name):
            found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""


def test_it_is_probed_from_a_seat_of_its_own(lab: Guarded, guard: DockerGuard) -> None:
    """Seat 0, which is open or locked as any other, and gone afterwards."""
    plan = {"names": ["search.test", "drive.test"]}
    assert guard.probe(SCRIPT, plan) == {"search.test": True, "drive.test": True}
    guard.lock({0, 1})
    assert guard.probe(SCRIPT, plan) == {"search.test": True, "drive.test": False}
    assert "e5b-probe0" not in lab.lab.exam.run("ip", "-br", "link")
    with pytest.raises(E5BError) as failed:
        guard.probe("raise SystemExit('no answer')", plan)
    assert "no answer" in failed.value.details


def test_taken_away_it_leaves_nothing(client: docker.DockerClient, lab: Guarded, guard: DockerGuard) -> None:
    """No container, no rule, no name of a policy. Put up again, it is as before."""
    guard.remove()
    assert guard.state() is None
    assert "e5b_guard" not in lab.lab.exam.run("nft", "list", "tables")
    ours = client.containers.list(all=True, filters={"label": f"{naming.CENTRE}={guard._settings.centre.id}"})
    assert ours == []
    assert {path.name for path in guard._folder.iterdir()} <= {"log", "lock", "locked"}
    guard.remove()
    assert guard.ensure(labs.policy(), {1}) is True
    assert (fetched(lab, "https://search.test/"), fetched(lab, "https://drive.test/")) == ("200", "000")


def test_the_keeper_tells_what_it_was_not_able_to_do(guard: DockerGuard) -> None:
    """An order that nobody knows changes nothing, and is answered."""
    with pytest.raises(E5BError):
        guard._order("dance")
    assert json.dumps(guard._order("state")["locked"]) == json.dumps([labs.address(1)])
