from tests.runners.made_records import BASE, made_record
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.chains import chain_of

T0, T1, W0, S0, S1 = (f"{number:x}" * 64 for number in range(10, 15))


def block(key: str, parent: str, index: int = 0, teacher: str | None = None) -> BlockRecord:
    return made_record(key, parent=parent, index=index, teacher=teacher, teacher_weights_sha256="w")


RECORDS = {
    record.key: record
    for record in (
        block(T0, BASE), block(T1, T0, 1), block(W0, BASE, teacher=T1), block(S0, W0), block(S1, S0, 1),
    )
}  # fmt: skip


def test_a_chain_is_the_teachers_blocks_and_then_the_students() -> None:
    chain = chain_of(RECORDS[S1], RECORDS.get)
    assert [one.key for one in chain.blocks] == [T0, T1, W0, S0, S1] and chain.whole
    assert [one.key for one in chain_of(RECORDS[T1], RECORDS.get).blocks] == [T0, T1]


def test_a_chain_whose_ancestor_is_gone_is_not_whole() -> None:
    without = {key: record for key, record in RECORDS.items() if key != T0}
    chain = chain_of(RECORDS[S1], without.get)
    assert [one.key for one in chain.blocks] == [T1, W0, S0, S1] and not chain.whole


def test_records_that_lead_around_in_a_circle_end_it() -> None:
    circle = {T0: block(T0, T1), T1: block(T1, T0)}
    chain = chain_of(circle[T0], circle.get)
    assert [one.key for one in chain.blocks] == [T1, T0] and not chain.whole
