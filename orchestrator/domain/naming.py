"""Names and labels of what we create in the engine.

Only what carries :data:`CENTRE` with our centre's id is ours; nothing else is ever touched.
"""

import hashlib
import re

CENTRE = "fr.e5b.centre"
ROLE = "fr.e5b.role"
SEAT = "fr.e5b.seat"
SITE = "fr.e5b.site"
GENERATION = "fr.e5b.generation"
WAVE = "fr.e5b.wave"
CANDIDATE = "fr.e5b.candidate"
CONTRACT = "fr.e5b.contract"
STREAMS = "fr.e5b.streams"
SOURCE = "fr.e5b.source"

CONTRACT_VERSION = "1"

ROLE_ENVIRONMENT = "environment"
ROLE_GATEWAY = "gateway"
ROLE_NETWORK = "network"
ROLE_EVIDENCE = "evidence"
ROLE_REFERENCE = "reference"
ROLE_POINT = "restore-point"
ROLE_REPAIR = "repair"
ROLE_JURY = "jury"
ROLE_JURY_GATEWAY = "jury-gateway"
ROLE_GUARD = "guard"

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def environment_name(centre: str, seat: int, generation: int) -> str:
    """Container name of a seat's environment: ``e5b-0750001a-poste-07-g3``."""
    return f"e5b-{centre}-poste-{seat:02d}-g{generation}"


def reference_name(centre: str, site: str) -> str:
    """Container name of the throw-away environment that gives an image's reference fingerprint."""
    return f"e5b-{centre}-reference-{site}"


def repair_name(centre: str, wave: str, seat: int) -> str:
    """Container name of the throw-away environment from which a damaged archive is sealed again."""
    return f"e5b-{centre}-repair-{wave}-{seat:02d}"


def jury_name(centre: str) -> str:
    """Container name of the sealed site that is shown to a jury."""
    return f"e5b-{centre}-jury"


def jury_gateway_name(centre: str) -> str:
    return f"e5b-{centre}-jury-gateway"


def gateway_name(centre: str) -> str:
    return f"e5b-{centre}-gateway"


def guard_name(centre: str) -> str:
    return f"e5b-{centre}-guard"


def network_name(centre: str) -> str:
    return f"e5b-{centre}"


def bridge_name(centre: str) -> str:
    """Interface of the environments' bridge on the host: at most fifteen characters (Linux's IFNAMSIZ)."""
    name = f"e5b-{centre}"
    return name if len(name) <= 15 else "e5b-" + hashlib.sha256(centre.encode()).hexdigest()[:11]


def evidence_tag(centre: str, wave: str, seat: int, attempt: int) -> str:
    """Image name of a sealed environment's layer: ``e5b-evidence/0750001a:2027-05-11-am-salle-101-v1-07-1``."""
    return f"e5b-evidence/{centre}:{wave}-{seat:02d}-{attempt}"


def point_tag(centre: str, wave: str, candidate: str, number: int) -> str:
    """Image name of a restore point: ``e5b-point/0750001a:2027-05-11-am-salle-101-v1-a101-3``."""
    return f"e5b-point/{centre}:{wave}-{candidate.lower()}-{number}"


def seat_host(seat: int, domain: str) -> str:
    """Host name of a seat's site: ``poste-07.e5b.lan``."""
    return f"poste-{seat:02d}.{domain}"
