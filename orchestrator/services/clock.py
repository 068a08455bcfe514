"""The clock: closes each seat when its time is over, then closes and seals the wave by itself."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.errors import Busy, E5BError
from orchestrator.services.centre import Centre
from orchestrator.services.close import close, close_over
from orchestrator.services.seal import seal
from orchestrator.services.watch import DISK_INTERVAL, stop_overflow

INTERVAL = 0.5
"""Seconds between two looks. A candidate's time is right to the second."""

RETRY = 20.0
"""Seconds before a wave that could not be sealed is tried again, and before the same fault is said again."""

Told = Callable[[str, str], None]


def tick(centre: Centre, tell: Told) -> list[E5BError]:
    """Look once at every wave and do what its time asks for; what could not be done is returned.

    *tell* is called with the wave's id and what was done (``over 7``, ``closed``, ``sealed``).
    """
    return shut_due(centre, tell) + seal_closed(centre, tell)


def shut_due(centre: Centre, tell: Told) -> list[E5BError]:
    """Close the waves and the seats whose time is over; what could not be done."""
    now = centre.clock.now()

    def shut(wave: Wave) -> None:
        if wave.ends_at is not None and wave.ends_at <= now:
            close(centre, wave.id)
            tell(wave.id, "closed")
        elif _is_due(centre, wave, now):
            for seat in close_over(centre, wave.id):
                tell(wave.id, f"over {seat}")

    return _each(centre, WaveState.OPEN, shut)


def seal_closed(centre: Centre, tell: Told) -> list[E5BError]:
    """Seal what is closed, by a person or by the clock: evidence is never left to be remembered."""

    def seal_one(wave: Wave) -> None:
        if wave.intent == Action.ABANDON:
            return
        report = seal(centre, wave.id)
        if report.faults:
            raise E5BError("; ".join(f"{seat:02d}: {why}" for seat, why in report.faults.items()))
        tell(wave.id, "sealed")

    return _each(centre, WaveState.CLOSED, seal_one)


def _each(centre: Centre, state: WaveState, work: Callable[[Wave], None]) -> list[E5BError]:
    faults: list[E5BError] = []
    for wave in centre.store.waves():
        if wave.state is state:
            try:
                work(wave)
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
    """Look until *stopped* (called with the seconds to wait) is true. A fault is said once every RETRY seconds."""
    said: dict[str, float] = {}

    def say(faults: Sequence[E5BError]) -> None:
        for fault in faults:
            if time.monotonic() >= said.get(fault.message, 0.0):
                said[fault.message] = time.monotonic() + RETRY
                report(fault)

    disk_at = seal_at = 0.0
    # Sealing takes its time, and what cannot be sealed is tried again: meanwhile other waves' seats are shut in theirs.
    with ThreadPoolExecutor(1, thread_name_prefix="seal") as sealer:
        sealing: Future[list[E5BError]] | None = None
        while True:
            if time.monotonic() >= disk_at:
                disk_at = time.monotonic() + DISK_INTERVAL
                try:
                    for seat in stop_overflow(centre):
                        tell(f"{seat:02d}", "overflow")
                except E5BError as error:
                    say([error])
            say(shut_due(centre, tell))
            if sealing is not None and sealing.done():
                faults = sealing.result()
                seal_at = time.monotonic() + RETRY if faults else 0.0
                say(faults)
                sealing = None
            if sealing is None and time.monotonic() >= seal_at:
                sealing = sealer.submit(seal_closed, centre, tell)
            if stopped(INTERVAL):
                return
