from hypothesis import given
from hypothesis import strategies as st

from tuition.runners.store.eviction import Part, StoredBlock, choose_evictions, gpu_seconds_at_stake

KEYS = [f"{number:02x}" * 32 for number in range(8)]


@st.composite
def stores(draw: st.DrawFn) -> list[StoredBlock]:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    return [
        StoredBlock(
            key,
            gpu_seconds=draw(st.floats(0, 1e6)),
            finished=draw(st.floats(0, 2e9)),
            other_bytes=draw(st.integers(1, 10**10)),
            optimizer_bytes=draw(st.one_of(st.just(0), st.integers(1, 10**11))),
        )
        for key in keys
    ]


PROTECTED = st.sets(st.sampled_from(KEYS))
EXCESS = st.integers(-(10**9), 10**12)


@given(stores(), PROTECTED, EXCESS)
def test_protected_blocks_are_never_evicted(blocks: list[StoredBlock], protected: set[str], excess: int) -> None:
    assert protected.isdisjoint(step.key for step in choose_evictions(blocks, protected, excess))


@given(stores(), PROTECTED, EXCESS)
def test_the_cheapest_byte_goes_first(blocks: list[StoredBlock], protected: set[str], excess: int) -> None:
    prices = [step.gpu_seconds_per_byte for step in choose_evictions(blocks, protected, excess)]
    assert prices == sorted(prices)


@given(stores(), PROTECTED, EXCESS)
def test_it_stops_as_soon_as_enough_is_freed(blocks: list[StoredBlock], protected: set[str], excess: int) -> None:
    steps = choose_evictions(blocks, protected, excess)
    freed = [step.freed_bytes for step in steps]
    free_to_go = sum(block.other_bytes + block.optimizer_bytes for block in blocks if block.key not in protected)
    if steps:
        assert sum(freed[:-1]) < excess
    assert sum(freed) >= min(excess, free_to_go)


@given(stores(), EXCESS)
def test_no_byte_is_freed_twice_and_state_goes_before_its_block(blocks: list[StoredBlock], excess: int) -> None:
    steps = choose_evictions(blocks, (), excess)
    assert len({(step.key, step.part) for step in steps}) == len(steps)
    for block in blocks:
        mine = [step for step in steps if step.key == block.key]
        assert [step.part for step in mine] in ([], [Part.optimizer], [Part.block], [Part.optimizer, Part.block])
        freed = sum(step.freed_bytes for step in mine)
        gone = any(step.part is Part.block for step in mine)
        assert freed == (block.other_bytes + block.optimizer_bytes if gone else block.optimizer_bytes if mine else 0)


@given(stores(), PROTECTED, EXCESS)
def test_the_order_of_the_records_does_not_matter(blocks: list[StoredBlock], protected: set[str], excess: int) -> None:
    assert choose_evictions(blocks, protected, excess) == choose_evictions(blocks[::-1], protected, excess)


def test_a_price_counts_once_for_a_block_evicted_in_two_steps() -> None:
    block = StoredBlock(KEYS[0], gpu_seconds=10.0, finished=0.0, other_bytes=100, optimizer_bytes=200)
    steps = choose_evictions([block], (), 250)
    assert [(step.part, step.freed_bytes) for step in steps] == [(Part.optimizer, 200), (Part.block, 100)]
    assert gpu_seconds_at_stake(steps) == 10.0


def test_a_small_optimizer_state_goes_with_its_block() -> None:
    block = StoredBlock(KEYS[0], gpu_seconds=10.0, finished=0.0, other_bytes=200, optimizer_bytes=100)
    assert [(step.part, step.freed_bytes) for step in choose_evictions([block], (), 50)] == [(Part.block, 300)]


def test_the_older_of_two_equals_goes_first() -> None:
    new = StoredBlock(KEYS[0], gpu_seconds=1.0, finished=2.0, other_bytes=10, optimizer_bytes=0)
    old = StoredBlock(KEYS[1], gpu_seconds=1.0, finished=1.0, other_bytes=10, optimizer_bytes=0)
    assert [step.key for step in choose_evictions([new, old], (), 10)] == [old.key]
