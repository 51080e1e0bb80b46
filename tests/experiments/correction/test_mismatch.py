import pytest
import torch

from tests.experiments.correction.mismatch import compare, measure, weigh
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.settings import RolloutCorrection

# Two completions of two tokens: ratios e and 1, e² and e⁻².
TRAINED, DRAWN = torch.tensor([[-1.0, -2.0], [-1.0, -4.0]]), torch.tensor([[-2.0, -2.0], [-3.0, -2.0]])
E = 2.71828


@pytest.mark.parametrize(
    ("mode", "weights", "outside"),
    [
        ("off", [[1, 1], [1, 1]], 0.0),
        ("token_truncate", [[E, 1], [3, E**-2]], 0.25),
        ("token_mask", [[E, 1], [0, E**-2]], 0.25),
        ("sequence_truncate", [[E, E], [1, 1]], 0.0),
        ("sequence_mask", [[E, E], [1, 1]], 0.0),
    ],
)
def test_the_weights_of_a_mode(mode: str, weights: list[list[float]], outside: float) -> None:
    found, share = weigh(TRAINED, DRAWN, RolloutCorrection(mode=mode))  # type: ignore[arg-type]
    torch.testing.assert_close(found, torch.tensor(weights, dtype=torch.float32), rtol=1e-4, atol=1e-4)
    assert share == outside


def test_a_long_completion_keeps_its_weight_token_by_token_and_loses_it_as_a_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.06 * torch.randn(64, 2048, generator=generator) - 0.06**2 / 2
    found = {(row.length, row.mode): row for row in compare(noise, torch.zeros_like(noise), (64, 2048))}
    assert found[64, "sequence_mask"].median > 0.7
    assert found[2048, "sequence_mask"].median < 0.1 < 0.9 < found[2048, "token_truncate"].median
    assert found[2048, "token_truncate"].outside == 0.0


@pytest.mark.slow
def test_a_sampler_in_bfloat16_is_weighed_against_float32() -> None:
    trained, drawn = measure(BUILT_IN / "micro" / "student", ["12k=", "34k="], completions=2, length=8, autocast=False)
    assert trained.shape == drawn.shape == (4, 8)
    assert (drawn <= 0).all() and (trained <= 0).all()
    assert 0 < float((trained - drawn).abs().max()) < 0.5
    assert len(list(compare(trained, drawn, (4, 8)))) == 10
