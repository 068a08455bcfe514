"""centre.toml: every fault is named, all at once; `e5b init` writes one that loads."""

import tomllib
from pathlib import Path

import pytest

from orchestrator.errors import SettingsInvalid
from orchestrator.settings import load
from tests.cli.conftest import INIT, Run

GOOD = """
[centre]
id = "essai"
name = "Lycée d'essai"
state = "state"
[[rooms]]
name = "salle-1"
seats = [
  { number = 1, address = "192.0.2.1" },
  { number = 2, address = "192.0.2.2" },
]
"""


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


def faults(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsInvalid) as raised:
        load(path)
    assert str(path) in raised.value.message
    assert raised.value.hint
    return raised.value.details


def test_good_settings(tmp_path: Path) -> None:
    path = tmp_path / "centre.toml"
    path.write_text(GOOD, encoding="utf-8")
    settings = load(path)
    assert settings.centre.state == tmp_path / "state"
    assert sorted(settings.seats) == [1, 2]
    assert settings.seat_url(2) == "http://127.0.0.1:8002"


GUARDED = (
    GOOD.replace('192.0.2.1"', '192.0.2.1", mac = "02:00:00:00:00:01"').replace(
        '192.0.2.2"', '192.0.2.2", mac = "02:00:00:00:00:02"'
    )
    + """
[guard]
mode = "gateway"
interface = "lan0"
uplink = "wan0"
resolvers = ["192.0.2.253"]
policy = "rules"
"""
)


def test_the_guards_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "centre.toml").write_text(GUARDED, encoding="utf-8")
    assert load(tmp_path / "centre.toml").guard.policy == tmp_path / "rules"


SEATS = GOOD[GOOD.index("seats = [") :]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace('name = "Ly', 'nom = "Ly'), ["centre.nom: unknown setting", "centre.name: this setting is"]),
        (GOOD + "[gateway]\ncolour = 'red'\n", ["gateway.colour: unknown setting"]),
        (GOOD + "[evil]\n", ["evil: unknown setting"]),
        (GOOD + "[guard]\nmode = 'magic'\n", ["guard.mode: 'magic'"]),
        (
            GOOD + "[guard]\nmode = 'gateway'\n",
            ["guard.mode `gateway` needs: guard.resolvers, guard.interface, guard.uplink, mac of the seats 1, 2"],
        ),
        (GOOD + "[guard]\nmode = 'proxy'\n", ["guard.mode `proxy` needs: guard.resolvers"]),
        (GUARDED.replace("wan0", "lan0"), ["guard.interface and guard.uplink are the same"]),
        (GUARDED.replace(":02", ":01"), ["hardware address 02:00:00:00:00:01 is given to two seats"]),
        (GUARDED.replace("02:00:00:00:00:02", "poste-2"), ["rooms[1].seats[2].mac: 'poste-2'"]),
        (GUARDED.replace("192.0.2.253", "one"), ["guard.resolvers[1]: 'one'"]),
        (GOOD.replace("number = 2", "number = 1"), ["seat 1 is declared twice"]),
        (GOOD.replace("192.0.2.2", "192.0.2.1"), ["address 192.0.2.1 is given to two seats"]),
        (GOOD.replace("192.0.2.2", "poste-2"), ["rooms[1].seats[2].address: 'poste-2'"]),
        (GOOD.replace("number = 2", "number = 100"), ["rooms[1].seats[2].number: 100"]),
        (GOOD.replace("number = 2", "number = 'two'"), ["rooms[1].seats[2].number: 'two'"]),
        (GOOD.replace('"essai"', '"Lycée 1"'), ["centre.id: 'Lycée 1'"]),
        (GOOD.replace('"salle-1"', '"Salle 1"'), ["rooms[1].name: 'Salle 1'"]),
        (GOOD.replace(SEATS, "seats = []\n"), ["rooms[1].seats: []"]),
        (GOOD[: GOOD.index("[[rooms]]")], ["rooms: this setting is required"]),
        (GOOD[GOOD.index("[[rooms]]") :], ["centre: this setting is required"]),
        (GOOD.replace('state = "state"', "state = 7"), ["centre.state: 7"]),
        (GOOD + "[network]\nsubnet = '10.213.0.0/30'\n", ["the network 10.213.0.0/30 is too small"]),
        (GOOD + "[network]\nsubnet = '10.213.0.1/24'\n", ["network.subnet: '10.213.0.1/24'"]),
        (GOOD + "[gateway]\naddressing = 'magic'\n", ["gateway.addressing: 'magic'"]),
        (GOOD + "[gateway]\nstaff = ['somebody']\n", ["gateway.staff[1]: 'somebody'"]),
        (GOOD + "[limits]\nmemory_mb = 1\ncpus = 0\n", ["limits.memory_mb: 1", "limits.cpus: 0"]),
        (GOOD + GOOD[GOOD.index("[[rooms]]") :].replace("192.0.2", "192.0.3"), ["room salle-1 is declared twice"]),
        ("centre = 7\n", ["centre: 7", "rooms: this setting is required"]),
        ("", ["centre: this setting is required", "rooms: this setting is required"]),
    ],
)
def test_every_fault_is_named(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = faults(tmp_path / "centre.toml", text)
    assert len(found) == len(expected)
    for part in expected:
        assert any(fault.startswith(part) for fault in found), found


@pytest.mark.parametrize("text", ["[centre", "centre = ", GOOD + GOOD, "id = 'a' 'b'"])
def test_what_is_not_toml(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path / "centre.toml", text) == ()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes("name = 'Lycée'".encode("latin-1"))
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(SettingsInvalid) as raised:
            load(path)
        assert str(path) in raised.value.message


def test_the_command_says_all_faults_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "centre.toml").write_text(GOOD + "[limits]\nmemory_mb = 1\ncpus = 0\n", encoding="utf-8")
    answer = run("wave", "list")
    assert (answer.code, answer.out) == (3, "")
    assert "limits.memory_mb" in answer.err and "limits.cpus" in answer.err and "→" in answer.err
    answer = run("wave", "list", "--json")
    assert answer.code == 3 and len(answer.json["details"]) == 2 and answer.json["exit_code"] == 3


def test_no_settings_file(run: Run) -> None:
    answer = run("wave", "list")
    assert answer.code == 3 and "centre.toml" in answer.err and "e5b init" in answer.err


# e5b init


def test_init_writes_a_commented_file_that_loads(run: Run, tmp_path: Path) -> None:
    answer = run(*INIT, "--staff", "192.0.2.100", "--staff", "198.51.100.0/24", "--addressing", "host")
    assert answer.code == 0 and "centre.toml" in answer.out
    text = (tmp_path / "centre.toml").read_text(encoding="utf-8")
    settings = load(tmp_path / "centre.toml")
    assert settings.centre.name == "Lycée d'essai" and settings.centre.state == tmp_path / "state"
    assert [(seat.number, str(seat.address)) for seat in settings.rooms[0].seats] == [
        (1, "192.0.2.11"),
        (2, "192.0.2.12"),
        (3, "192.0.2.13"),
    ]
    assert [str(network) for network in settings.gateway.staff] == ["192.0.2.100/32", "198.51.100.0/24"]
    assert settings.seat_url(3) == "http://poste-03.e5b.lan"
    for section, values in tomllib.loads(text).items():
        for key in values if isinstance(values, dict) else ():
            assert f"\n{key} = " in text and section in text
    # A comment above each setting.
    lines = text[: text.index("[[rooms]]")].splitlines()
    assert all(
        lines[number - 1].startswith("#")
        for number, line in enumerate(lines)
        if " = " in line and not line.startswith("#")
    )


def test_init_with_a_guard(run: Run, tmp_path: Path) -> None:
    """The hardware addresses of all seats are needed: the machine lets nobody else through."""
    guard = ("--guard", "gateway", "--interface", "lan0", "--uplink", "wan0", "--resolver", "192.0.2.253")
    answer = run(*INIT, *guard, "--mac", "1=02:00:00:00:00:01")
    assert answer.code == 2 and "2, 3" in answer.err and list(tmp_path.iterdir()) == []
    macs = [f"--mac={seat}=02:00:00:00:00:0{letter}" for seat, letter in ((1, "A"), (2, "B"), (3, "c"))]
    assert run(*INIT, *guard, *macs).code == 0
    settings = load(tmp_path / "centre.toml")
    assert (settings.guard.mode, settings.guard.interface, settings.guard.uplink) == ("gateway", "lan0", "wan0")
    assert [str(item) for item in settings.guard.resolvers] == ["192.0.2.253"]
    assert [seat.mac for seat in settings.rooms[0].seats] == [f"02:00:00:00:00:0{letter}" for letter in "abc"]


def test_init_does_not_overwrite(run: Run, tmp_path: Path) -> None:
    (tmp_path / "centre.toml").write_text("mine")
    answer = run(*INIT)
    assert answer.code == 6 and "centre.toml" in answer.err
    assert (tmp_path / "centre.toml").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        ("--first-address", "poste-1"),
        ("--first-address", "255.255.255.254"),
        ("--id", "Lycée"),
        ("--subnet", "10.0.0.0/30"),
        ("--staff", "somebody"),
        ("--first-port", "70000"),
        ("--room", "Salle 1"),
        ("--guard", "gateway"),
        ("--mac", "poste-1"),
        ("--mac", "4=02:00:00:00:00:04"),
    ],
)
def test_init_with_what_cannot_be_used_leaves_nothing(run: Run, tmp_path: Path, options: tuple[str, str]) -> None:
    answer = run(*INIT, *options)
    assert answer.code == 2 and answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ['Lycée "La Source"', "back\\slash", "été ☕", "tab\there", "a' b"])
def test_init_with_odd_names(run: Run, tmp_path: Path, name: str) -> None:
    assert run(*INIT, "--name", name).code == 0
    assert load(tmp_path / "centre.toml").centre.name == name


def test_init_in_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert run("--centre", str(tmp_path / "no" / "centre.toml"), *INIT).code == 2


def test_another_settings_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "autre.toml"
    assert run("--centre", str(other), *INIT).code == 0
    assert other.exists() and not (tmp_path / "centre.toml").exists()
    assert run("--centre", str(other), "wave", "list").code == 0
    monkeypatch.setenv("E5B_CENTRE", str(other))
    assert run("wave", "list").code == 0
