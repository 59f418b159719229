"""The exported model gives the numbers of the trained one, also on nearly constant slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

from hilum.core.errors import ModelError  # noqa: E402
from hilum.training.config import ModelKind, Networks  # noqa: E402
from hilum.training.slices.export import check_parity, export_onnx  # noqa: E402
from hilum.training.slices.networks import build_network  # noqa: E402

SIZE = (128, 128)


def air(seed: int) -> np.ndarray:
    """Slices beside the patient: nothing but noise of 13 HU, as normalised input."""
    rng = np.random.default_rng(seed)
    return (-0.966 + 0.0187 * rng.standard_normal((2, 1, *SIZE))).astype(np.float32)


@pytest.mark.slow
def test_slices_of_air_keep_their_digits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(ModelKind.UNET, Networks(unet_widths=(8, 16, 16))).eval()
    with torch.no_grad():  # as far from 0 as a trained network goes
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(2)
    path = export_onnx(network, tmp_path / "model.onnx", SIZE)
    assert check_parity(network, path, air(1)).max_probability_difference < 2e-5
    assert b".py" not in path.read_bytes()  # no lines of code, which would show paths of the machine


def test_another_network_is_not_taken_for_the_exported_one(tmp_path: Path) -> None:
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(build_network(ModelKind.FCNN, Networks(fcnn_patch=3, fcnn_hidden=(4,))).eval())
    path = export_onnx(networks[0], tmp_path / "model.onnx", SIZE)
    with pytest.raises(ModelError, match="differs from the trained one"):
        check_parity(networks[1], path, air(0) + np.linspace(0, 1, SIZE[1], dtype=np.float32))
