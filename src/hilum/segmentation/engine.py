"""Running ONNX models without torch: OpenVINO on the CPU, else ONNX Runtime, which also knows GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hilum.errors import ModelError
from hilum.offline import import_onnxruntime, import_openvino
from hilum.segmentation.grid import thread_count

__all__ = ["Device", "Session", "open_session"]

Float = npt.NDArray[np.float32]
#: What ONNX Runtime calls the GPUs it may know, best first.
_GPU_PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider")


class Device(str, Enum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Session(Protocol):
    """A model that is ready to run."""

    engine: str
    #: How many inputs :meth:`run_many` works on side by side.
    lanes: int

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        """Give the model's one output for each of several inputs."""
        ...

    def run(self, x: Float) -> Float:
        """Give the model's one output for its one input."""
        ...


class _OpenVino:
    """One thread an inference, several inferences side by side.

    Sums over many threads round in another order, and then a voxel of a mask may flip with the number of
    cores. One thread always sums in the same order.
    """

    def __init__(self, path: Path, threads: int) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        self.lanes = threads or thread_count()
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": str(self.lanes),
            "INFERENCE_NUM_THREADS": self.lanes,
        }
        self._model = core.compile_model(str(path), "CPU", options)
        self.engine = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        out: list[Float] = []
        for start in range(0, len(inputs), self.lanes):
            requests = []
            # Started from one thread: OpenVINO's Python layer can lock up when several set inputs.
            for x in inputs[start : start + self.lanes]:
                request = self._model.create_infer_request()
                request.start_async([x])
                requests.append(request)
            for request in requests:
                request.wait()
                out.append(np.array(request.get_output_tensor(0).data))
        return out

    def run(self, x: Float) -> Float:
        return self.run_many([x])[0]


class _OnnxRuntime:
    def __init__(self, path: Path, threads: int, providers: tuple[str, ...] = ()) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.lanes = 1 if providers else threads or thread_count()
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=[*providers, "CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        where = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.engine = f"ONNX Runtime {onnxruntime.__version__} ({where})"

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        with ThreadPoolExecutor(self.lanes) as pool:
            return list(pool.map(self.run, inputs))

    def run(self, x: Float) -> Float:
        out: Float = self._session.run(None, {self._input: x})[0]
        return out


def _gpu_providers() -> tuple[str, ...]:
    """Names of the GPUs that ONNX Runtime finds here."""
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return ()
    found = onnxruntime.get_available_providers()
    return tuple(name for name in _GPU_PROVIDERS if name in found)


def open_session(path: Path, threads: int = 0, device: Device = Device.AUTO) -> Session:
    """Open an ONNX file with what is installed.

    Args:
        path: The file; its model has one input and one output.
        threads: Threads to use on the CPU; 0 for as many as there are cores.
        device: ``auto`` and ``cpu`` are the CPU; ``gpu`` is the one that ONNX Runtime finds.

    Raises:
        ModelError: No engine is installed, there is no GPU, or the file is damaged.
    """
    try:
        if device is Device.GPU:
            providers = _gpu_providers()
            if not providers:
                raise ModelError(
                    "No GPU was found that ONNX Runtime can use.",
                    "Install onnxruntime-gpu (CUDA) or onnxruntime-directml, or leave --device away.",
                )
            return _OnnxRuntime(path, threads, providers)
        for engine in (_OpenVino, _OnnxRuntime):
            try:
                return engine(path, threads)
            except ImportError:
                continue
    except ModelError:
        raise
    except Exception as error:  # each engine has errors of its own kinds
        raise ModelError(
            f"{path.name} cannot be run: it is damaged or no model in ONNX.", "Export or copy it again."
        ) from error
    raise ModelError(
        "A learned model needs OpenVINO or ONNX Runtime, and neither is installed.",
        "Run: pip install openvino",
    )
