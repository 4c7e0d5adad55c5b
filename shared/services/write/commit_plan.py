"""What entering instances changes: what their study becomes, and which postings it needs or no longer needs. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.archive.instance import NewInstance
from shared.archive.study import StudyRecord, with_instances
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.terms import Term, is_of_tag


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """The study after the commit, and what the commit takes.

    `new` and `single` are terms whose postings must be written, of the study and of the single instances; those of
    `needless` may go afterwards. `declared` are terms that the journal must name first; None where it names enough.
    """

    after: StudyRecord
    new: frozenset[Term]
    single: frozenset[Term]
    needless: frozenset[Term]
    declared: frozenset[Term] | None


def commit_plan(
    before: StudyRecord | None,
    instances: Sequence[NewInstance],
    created: datetime,
    written: frozenset[Term],
    *,
    is_shared: bool,
) -> CommitPlan:
    """The plan to enter instances of one study, first stored at `created`, that are not in it yet.

    `written` are terms whose postings earlier attempts have written; `is_shared` says that the instances come from
    several requests.
    """
    after = with_instances(before, instances, created)
    posted = before.posted if before else frozenset()
    terms, single = terms_of(after), terms_of_new(instances)
    new, needless = terms - posted, (posted | written) - terms
    declared = None
    if before is None or new or needless:
        # Only the first request's entry has this time, so it also names the terms that the others' blobs imply. Values
        # of tags have an entry of their own (`named_terms.py`).
        implied = frozenset(term for term in single if is_shared and not is_of_tag(term.keyword))
        declared = new | needless | implied
    return CommitPlan(replace(after, posted=terms), new, single, needless, declared)


def terms_of_new(instances: Iterable[NewInstance]) -> frozenset[Term]:
    """The terms of single instances."""
    return frozenset(
        term for instance in instances for term in terms_of_instance(instance.facts.identifiers, instance.facts.tags)
    )
