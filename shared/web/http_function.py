"""What is known of an HTTP function before any request: one row of the table in `functions/routes.py`."""

from dataclasses import dataclass
from enum import Enum, auto

from shared.web.permissions import Permission


class Answers(Enum):
    """What a function answers with; all but OTHER_PATHS are keys of `shared/openapi/resources.py`."""

    STORE = auto()
    INSTANCE = auto()
    INSTANCES = auto()
    METADATA = auto()
    FRAMES = auto()
    BULK_VALUE = auto()
    BULK_VALUES = auto()
    INSTANCE_PIXEL_DATA = auto()
    PIXEL_DATA = auto()
    RENDERED = auto()
    THUMBNAIL = auto()
    URI_SERVICE = auto()
    STUDIES_FOUND = auto()
    SERIES_FOUND = auto()
    INSTANCES_FOUND = auto()
    DELETE = auto()
    CHANGES = auto()
    LATEST_CHANGE = auto()
    OPERATION_STARTED = auto()
    OPERATIONS = auto()
    OPERATION = auto()
    OPERATION_RESULTS = auto()
    OPERATION_CANCELED = auto()
    TAGS_ADDED = auto()
    TAGS = auto()
    TAG = auto()
    TAG_UPDATED = auto()
    TAG_DELETED = auto()
    TAG_ERRORS = auto()
    SUBSCRIBED = auto()
    SUBSCRIPTIONS = auto()
    SUBSCRIPTION = auto()
    RESTARTED = auto()
    UNSUBSCRIBED = auto()
    DELIVERIES = auto()
    PREFLIGHT = auto()
    DESCRIPTION_YAML = auto()
    DESCRIPTION_JSON = auto()
    HEALTH = auto()
    LIVENESS = auto()
    OTHER_PATHS = auto()


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function's name, its route template without leading slash, its methods in upper case, and what it needs.

    `permission` is what a request's token has to permit; there is no default, so none is forgotten. Monitors call a
    function with `is_probe` every few seconds: such requests are not logged, and are answered without valid settings.
    """

    name: str
    route: str
    methods: tuple[str, ...]
    permission: Permission
    answers: Answers
    is_probe: bool = False
