"""What clients do in a simulation: kinds of requests, how often each, and of which instances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.simulation.world import World
from tests.support.archive_model import Attributes, Instance

_ANSWER_SECONDS: Final = (120.0, 120.0, 0.05, 0.0)  # of deletes: the shorter ones leave the rest to maintenance


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who does what.

    Clients ask for so many things one after another, a request of a kind as often as its weight says, of so many
    studies, series of each, instances of each, and contents of each. So many backups are taken meanwhile. `is_old`:
    a release before the change feed has stored all of these instances, with one content each.
    """

    kinds: Mapping[str, int]
    studies: int = 1
    series: int = 2
    instances: int = 2
    contents: int = 1
    clients: int = 3
    requests: int = 2
    backups: int = 0
    is_old: bool = False

    def population(self) -> list[Instance]:
        """All that clients may store."""
        return [
            Instance(
                f"1.2.{study}",
                f"1.2.{study}.{series}",
                f"1.2.{study}.{series}.{number}",
                # All contents of a study have its patient's ID, by which it is searched.
                Attributes(f"P{study}", f"N{content}", "", "MR" if content else "CT"),
                bytes([content]) * 16,
            )
            for study in range(1, self.studies + 1)
            for series in range(1, self.series + 1)
            for number in range(1, self.instances + 1)
            for content in range(self.contents)
        ]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "one study": Scenario({"store": 4, "store several": 4, "search": 1, "retrieve": 1}),
    "several studies": Scenario({"store": 2, "store several": 4, "search": 1}, studies=3, series=1),
    "same instances": Scenario({"store": 4, "store several": 3, "retrieve": 2}, series=1, clients=4),
    "conflicting contents": Scenario(
        {"store": 4, "store several": 3, "retrieve": 2, "search": 1}, series=1, contents=2, clients=4
    ),
    "deletes": Scenario(
        {"store": 3, "store several": 3, "delete study": 2, "delete series": 1, "delete instance": 2, "search": 1},
        contents=2,
    ),
    "last instance": Scenario(
        {"store": 4, "delete study": 2, "delete instance": 2, "search": 1},
        series=1,
        instances=1,
        contents=2,
        clients=4,
        requests=3,
    ),
    "backups": Scenario(
        {"store": 2, "store several": 3, "delete study": 1, "delete instance": 1}, studies=2, series=1, backups=2
    ),
    "before the feed": Scenario(
        {"store": 2, "store several": 2, "delete study": 1, "delete instance": 2, "announce": 3},
        instances=3,
        is_old=True,
    ),
    "readers": Scenario({"store several": 3, "delete instance": 1, "search": 3, "retrieve": 3}, clients=4),
}


async def ask(world: World, scenario: Scenario, chance: Random) -> None:
    """Make one request of the scenario."""
    kind = chance.choices(list(scenario.kinds), list(scenario.kinds.values()))[0]
    instance = chance.choice(world.known)
    match kind:
        case "store":
            await world.store(instance)
        case "store several":
            await world.store(*_several(world.known, chance))
        case "retrieve":
            await world.retrieve(instance)
        case "search":
            await world.search(*_searched(world.known, instance, chance))
        case "announce":
            await world.announce(instance.study)
        case _:
            level = ("delete study", "delete series", "delete instance").index(kind) + 1
            await world.delete(*instance.uids[:level], answer_seconds=chance.choice(_ANSWER_SECONDS))


async def store_before_the_feed(world: World) -> None:
    """Store one content of each instance, as a release before the change feed did."""
    await world.store(*{instance.uids: instance for instance in world.known}.values())
    for study in sorted({instance.study for instance in world.known}):
        await world.forget_changes(study)


async def read_all(world: World) -> frozenset[tuple[str, str, str]]:
    """Read everything in each way; return which instances are there."""
    for instance in {instance.uids: instance for instance in world.known}.values():
        await world.retrieve(instance)
        await world.search(f"SOPInstanceUID={instance.uid}", [instance])
    for study in sorted({instance.study for instance in world.known}):
        of_study = [instance for instance in world.known if instance.study == study]
        await world.search(f"PatientID={of_study[0].attributes.patient_id}", of_study)
    return world.present()


def _several(known: Sequence[Instance], chance: Random) -> list[Instance]:
    """Instances of one request, each UID once."""
    chosen = chance.sample(known, chance.randint(2, min(4, len(known)))) if len(known) > 1 else known
    return list({instance.uids: instance for instance in chosen}.values())


def _searched(known: Sequence[Instance], instance: Instance, chance: Random) -> tuple[str, list[Instance]]:
    """A query, and the instances that match it wherever they are there."""
    of_study = [one for one in known if one.study == instance.study]
    return chance.choice(
        [
            (f"SOPInstanceUID={instance.uid}", [instance]),
            (f"PatientID={instance.attributes.patient_id}", of_study),
            (f"StudyInstanceUID={instance.study}", of_study),
        ]
    )
