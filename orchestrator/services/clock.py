"""The clock: closes each seat when its time is over, then closes and seals the wave by itself."""

import time
from collections.abc import Callable
from datetime import datetime

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.errors import Busy, E5BError
from orchestrator.services.centre import Centre
from orchestrator.services.close import close, close_over
from orchestrator.services.seal import seal
from orchestrator.services.watch import DISK_INTERVAL, stop_overflow

INTERVAL = 0.5
"""Seconds between two looks. A candidate's time is right to the second."""

RETRY = 20.0
"""Seconds before a wave that could not be sealed is tried again."""

Told = Callable[[str, str], None]


def tick(centre: Centre, tell: Told) -> list[E5BError]:
    """Look once at every wave and do what its time asks for; what could not be done is returned.

    *tell* is called with the wave's id and what was done (``over 7``, ``closed``, ``sealed``).
    """
    faults: list[E5BError] = []
    now = centre.clock.now()
    for wave in centre.store.waves():
        try:
            if wave.state is WaveState.OPEN:
                if wave.ends_at is not None and wave.ends_at <= now:
                    close(centre, wave.id)
                    tell(wave.id, "closed")
                elif _is_due(centre, wave, now):
                    for seat in close_over(centre, wave.id):
                        tell(wave.id, f"over {seat}")
            # Closed by a person or by the clock, evidence is never left to be remembered.
            if (
                wave.state in {WaveState.OPEN, WaveState.CLOSED}
                and centre.wave(wave.id).state is WaveState.CLOSED
                and wave.intent != "abandon"
            ):
                report = seal(centre, wave.id)
                if report.faults:
                    faults.append(E5BError("; ".join(f"{seat:02d}: {why}" for seat, why in report.faults.items())))
                else:
                    tell(wave.id, "sealed")
        except Busy:
            # Somebody is doing it by hand: look again at the next tick.
            continue
        except E5BError as error:
            faults.append(error)
    return faults


def _is_due(centre: Centre, wave: Wave, now: datetime) -> bool:
    """Whether a seat of an open wave has to be shut, or the gateway does not serve what is stored: it was killed, or
    the command that stored it was."""
    return centre.gateway.serving() != centre.routes() or any(
        place.ends_at is not None and place.ends_at <= now and place.closed_at is None
        for place in wave.places
        if place.taking_part
    )


def run(centre: Centre, tell: Told, report: Callable[[E5BError], None], stopped: Callable[[float], bool]) -> None:
    """Tick until *stopped* (called with the seconds to wait) is true. A fault is reported once every RETRY seconds."""
    quiet_until = disk_at = 0.0
    while True:
        if time.monotonic() >= disk_at:
            disk_at = time.monotonic() + DISK_INTERVAL
            for seat in _overflowing(centre, report):
                tell(f"{seat:02d}", "overflow")
        if time.monotonic() >= quiet_until:
            faults = tick(centre, tell)
            for fault in faults:
                report(fault)
            quiet_until = time.monotonic() + (RETRY if faults else 0.0)
        if stopped(INTERVAL):
            return


def _overflowing(centre: Centre, report: Callable[[E5BError], None]) -> list[int]:
    try:
        return stop_overflow(centre)
    except E5BError as error:
        report(error)
        return []
