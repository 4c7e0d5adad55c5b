from dataclasses import replace
from datetime import UTC, datetime

from shared.archive.study_terms import terms_of
from shared.archive.terms import EVERY_STUDY, Term
from shared.services.write.commit_plan import commit_plan
from tests.support.instance_rows import new_instance, study_of

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
SINGLE = frozenset({Term("SOPInstanceUID", "1.3", "1.2")})


def test_a_new_study_writes_and_declares_all_its_terms() -> None:
    instance = new_instance("1", "1.2", "1.3")
    plan = commit_plan(None, [instance], CREATED, frozenset(), is_shared=False)
    assert (plan.after.created, plan.after.instance_count) == (CREATED, 1)
    assert plan.after.posted == plan.new == plan.declared == terms_of(plan.after)
    assert EVERY_STUDY in plan.new
    assert (plan.single, plan.needless) == (SINGLE, frozenset())


def test_a_shared_batch_also_declares_the_terms_of_its_instances() -> None:
    plan = commit_plan(None, [new_instance("1", "1.2", "1.3")], CREATED, frozenset(), is_shared=True)
    assert plan.declared == plan.new | SINGLE


def test_values_of_tags_of_instances_are_not_declared_since_an_entry_of_their_own_names_them() -> None:
    instance = new_instance("1", "1.2", "1.3")
    tagged = replace(instance, facts=replace(instance.facts, tags={"~SH1": {"vr": "SH", "Value": ["a"]}}))
    plan = commit_plan(None, [tagged], CREATED, frozenset(), is_shared=True)
    assert plan.single == SINGLE | {Term("~SH1", "a", "1.2", "1.3")}
    assert plan.declared == plan.new | SINGLE


def test_instances_that_change_no_term_of_the_study_declare_nothing() -> None:
    before = study_of(new_instance("1", "1.2", "1.1"))
    before = replace(before, posted=terms_of(before))
    plan = commit_plan(before, [new_instance("1", "1.2", "1.3")], before.created, frozenset(), is_shared=True)
    assert (plan.new, plan.needless, plan.declared, plan.single) == (frozenset(), frozenset(), None, SINGLE)
    assert plan.after.instance_count == 2


def test_terms_that_no_longer_hold_are_needless_even_if_only_an_attempt_wrote_them() -> None:
    before = study_of(new_instance("1", "1.2", "1.1"))
    before = replace(before, posted=terms_of(before))
    changed = new_instance("1", "1.2", "1.3", patient="ID2")
    written = frozenset({Term("PatientID", "id3")})
    plan = commit_plan(before, [changed], before.created, written, is_shared=False)
    assert plan.new == {Term("PatientID", "id2")}
    assert plan.needless == {Term("PatientID", "id1"), *written}
    assert plan.declared == plan.new | plan.needless
