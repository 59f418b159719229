"""The networks: equal to what they claim to be, right sizes, trainable."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from hilum.training.config import ModelKind, Networks  # noqa: E402
from hilum.training.slices.networks import Fcnn, UNet, build_network, count_parameters  # noqa: E402

SMALL = Networks(
    fcnn_patch=5,
    fcnn_dilation=2,
    fcnn_hidden=(8, 4),
    unet_widths=(4, 8, 8),
    resnet_blocks=(1, 1, 1, 1),
    resnet_widths=(4, 8, 8, 8),
)


def dense_reference(net: Fcnn, x: torch.Tensor) -> torch.Tensor:
    """Predict each pixel by dense layers on its patch and place, as a fully connected network is defined."""
    height, width = x.shape[-2:]
    outside = torch.nn.functional.pad(x, [net.reach] * 4, value=-1.0)
    first = torch.nn.Linear(net.patch**2 + 2, net.look.out_channels)
    with torch.no_grad():
        first.weight.copy_(torch.cat([net.look.weight.flatten(1), net.place.weight.flatten(1)], 1))
        first.bias.copy_(net.look.bias)
    rest = []
    for layer in net.dense:
        linear = torch.nn.Linear(layer.in_channels, layer.out_channels)
        with torch.no_grad():
            linear.weight.copy_(layer.weight.flatten(1))
            linear.bias.copy_(layer.bias)
        rest.append(linear)
    out = torch.empty(len(x), 1, height, width)
    for n in range(len(x)):
        for row in range(height):
            for col in range(width):
                patch = outside[
                    n,
                    0,
                    row : row + 2 * net.reach + 1 : net.dilation,
                    col : col + 2 * net.reach + 1 : net.dilation,
                ]
                place = torch.tensor([2 * row / (height - 1) - 1, 2 * col / (width - 1) - 1])
                y = first(torch.cat([patch.flatten(), place]))
                for linear in rest:
                    y = linear(torch.relu(y))
                out[n, 0, row, col] = y
    return out


@pytest.mark.parametrize(("patch", "dilation"), [(3, 1), (5, 2), (15, 3)])
def test_fcnn_is_dense_layers_on_patches(patch: int, dilation: int) -> None:
    torch.manual_seed(0)
    net = Fcnn(patch, dilation, (12, 6))
    x = torch.rand(2, 1, 9, 12) * 2 - 1
    with torch.no_grad():
        difference = (net(x) - dense_reference(net, x)).abs().max()
    assert float(difference) < 1e-5


def test_fcnn_trains_on_a_part_of_its_own_output() -> None:
    torch.manual_seed(0)
    net = Fcnn(5, 2, (8,))
    x, target = torch.rand(1, 1, 32, 48) * 2 - 1, torch.rand(1, 1, 32, 48)
    starts = set()
    for step in range(16):
        (logits, part, weight), *others = net.supervise(x, target, step)
        row, col = step * 7 // 4 % 4, step * 3 % 4
        starts.add((row, col))
        assert not others
        assert weight == 1.0
        assert torch.allclose(logits, net(x)[:, :, row::4, col::4], atol=1e-6)
        assert torch.equal(part, target[:, :, row::4, col::4])
    assert {row for row, _ in starts} == {col for _, col in starts} == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", list(ModelKind))
def test_output_has_the_size_of_the_input_and_all_weights_learn(kind: ModelKind) -> None:
    net = build_network(kind, SMALL)
    x = torch.rand(2, 1, 64, 96) * 2 - 1
    target = (torch.rand_like(x) > 0.5).float()
    assert net(x).shape == x.shape
    total = sum(
        weight * torch.nn.functional.binary_cross_entropy_with_logits(logits, part)
        for logits, part, weight in net.supervise(x, target, 0)
    )
    total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_unet_is_supervised_at_coarser_levels_too() -> None:
    net = UNet((4, 8, 8, 8))
    x, target = torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 64)
    outputs = list(net.supervise(x, target, 0))
    assert [tuple(logits.shape[-2:]) for logits, _, _ in outputs] == [(64, 64), (16, 16), (8, 8)]
    assert [weight for _, _, weight in outputs] == [1.0, 0.5, 0.25]
    assert torch.equal(outputs[0][0], net(x))
    for logits, part, _ in outputs:
        assert logits.shape == part.shape
        assert float(part.mean()) == pytest.approx(float(target.mean()), abs=1e-5)


def test_default_unet_has_one_to_two_million_weights() -> None:
    assert 1e6 < count_parameters(build_network(ModelKind.UNET, Networks())) < 2e6
