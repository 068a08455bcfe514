"""Sealing a whole wave after ordinary edits: how long, and how many bytes a seat adds."""

from bench.figures import Figure, median
from bench.load import Candidates
from bench.run import Run
from orchestrator.services.environments import chosen

BYTES = {"wordpress": 20, "prestashop": 40}
"""MB."""

SAVES = {"wordpress": 3, "prestashop": 3}
"""What a candidate saves before it is sealed: articles with a picture, or changes of a product."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: sealing {run.seats} seats after ordinary edits")
        with run.centre() as centre:
            wave = centre.opened(site, run.seats)
            candidates = Candidates(centre, site, run.seats)
            candidates.publish(1 if run.quick else SAVES[site])
            centre.close(wave)
            sealed = centre.e5b("wave", "seal", wave)
            inside = centre.inside()
            base = run.client.api.inspect_image(run.images[site])["Size"]
            found = inside.store.evidence(wave)
            layers = [(run.client.api.inspect_image(item.layer)["Size"] - base) / 1e6 for item in found]
            archives = [item.size / 1e6 for item in found]
            if len(chosen(inside.active(), range(1, run.seats + 1))) != len(found):
                run.say("  not every seat was sealed")
        run.add(
            Figure(
                *("seal", f"seal and verify {run.seats}", site, sealed.seconds, "s", run.target(20)),
                note="the whole command",
                samples={"said": sealed.answer["seconds"]},
            ),
            Figure(
                *("seal", "what a sealed seat adds to the engine's disk", site, max(layers), "MB", BYTES[site]),
                note=f"the largest; median {median(layers):.1f} MB",
                samples={"all": layers},
            ),
            Figure("seal", "its portable archive", site, max(archives), "MB", samples={"all": archives}),
        )
