"""Which instances a server already holds: one search a study."""

from collections import OrderedDict
from typing import Final

from dicomweb_cli.connection import Connection, Refused
from dicomweb_cli.results import results, value_of
from dicomweb_cli.terminal import ERR
from shared.dicom.identifiers import InstanceIdentifiers

_MOST_HELD: Final = 500_000  # UIDs: about 80 MB; those of the least recently used studies go first


class HeldInstances:
    """What the server says it holds. Where it does not say, nothing counts as held, and a line says so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._studies: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._count = 0
        self._can_ask = True

    async def has(self, identifiers: InstanceIdentifiers) -> bool:
        """Whether the server has an instance of this UID in the study. Raises CannotGoOn."""
        study = identifiers.study_instance_uid
        if study not in self._studies and self._can_ask:
            self._studies[study] = await self._ask(study)
            self._count += len(self._studies[study])
            while self._count > _MOST_HELD and len(self._studies) > 1:
                self._count -= len(self._studies.popitem(last=False)[1])
        if study not in self._studies:
            return False
        self._studies.move_to_end(study)
        return identifiers.sop_instance_uid in self._studies[study]

    async def _ask(self, study: str) -> frozenset[str]:
        try:
            found = results(self._connection, f"studies/{study}/instances")
            return frozenset([value_of(result, "00080018") async for result in found])
        except Refused as error:
            if error.status != 404:  # some servers' answer for a study that they do not have
                self._can_ask = False
                ERR.print(f"The server does not say what it holds, so everything is sent: {error}")
            return frozenset()
