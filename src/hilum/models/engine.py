"""ONNX inference without torch: OpenVINO on the CPU, else ONNX Runtime, which also supports GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count
from hilum.core.errors import HilumError, InputError, ModelError
from hilum.core.sentences import Sentence
from hilum.io.text import sha256_of
from hilum.models.offline import import_onnxruntime, import_openvino

__all__ = ["Device", "Session", "check_probabilities", "check_weights", "open_session"]

Float = npt.NDArray[np.float32]
#: A probability may exceed 0 and 1 by the rounding of float32 and float16 weights.
_ROUNDING = 1e-3
#: GPU execution providers of ONNX Runtime, best first.
_GPU_PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider")


class Device(str, Enum):
    """Device that a model runs on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Session(Protocol):
    """A model that is ready to run."""

    engine: str
    #: Number of inputs that :meth:`run_many` processes in parallel.
    lanes: int

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        """Return the model's output for each of several inputs."""
        ...

    def run(self, x: Float) -> Float:
        """Return the model's output for one input."""
        ...

    def release(self) -> None:
        """Give back the memory of the last run, where the engine can; the next run takes it again."""
        ...


def check_probabilities(found: Float, shape: tuple[int, ...], model: str) -> None:
    """Raise unless a network output holds probabilities of the expected shape.

    Raises:
        ModelError: It does not: the network does not match its card.
    """
    hint = "Use the .onnx file that belongs to the card."
    if found.shape != shape or found.dtype.kind != "f":
        words = " x ".join(map(str, found.shape))
        raise ModelError(
            f"The network of the model {model} returns {words} values of type {found.dtype}, but "
            f"{' x '.join(map(str, shape))} probabilities are expected.",
            hint,
        )
    if found.size and not (found.min() >= -_ROUNDING and found.max() <= 1 + _ROUNDING):  # also not NaN
        raise ModelError(f"The network of the model {model} returns values outside 0 to 1.", hint)


class _OpenVino:
    """One thread per inference, several inferences in parallel.

    Sums over many threads are rounded in another order, so that a voxel of a mask could depend on the number
    of cores. A single thread always sums in the same order.
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
        self._name = path.name
        # Given only a path, OpenVINO would try all known formats and print the message of each.
        self._reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")
        network = self._reader.convert(self._reader.load(str(path)))
        self._model = core.compile_model(network, "CPU", options)
        _require_one(path.name, len(self._model.inputs), len(self._model.outputs))
        self.engine = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        out: list[Float] = []
        with _runs(self._name):
            for start in range(0, len(inputs), self.lanes):
                requests = []
                # Started from one thread: OpenVINO's Python layer can deadlock if several set inputs.
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

    def release(self) -> None:
        self._model.release_memory()


class _OnnxRuntime:
    def __init__(self, path: Path, threads: int, providers: tuple[str, ...] = ()) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.lanes = 1 if providers else threads or thread_count()
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=[*providers, "CPUExecutionProvider"]
        )
        self._name = path.name
        _require_one(path.name, len(self._session.get_inputs()), len(self._session.get_outputs()))
        self._input = self._session.get_inputs()[0].name
        where = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.engine = f"ONNX Runtime {onnxruntime.__version__} ({where})"

    def run_many(self, inputs: Sequence[Float]) -> list[Float]:
        with ThreadPoolExecutor(self.lanes) as pool:
            return list(pool.map(self.run, inputs))

    def run(self, x: Float) -> Float:
        with _runs(self._name):
            out: Float = self._session.run(None, {self._input: x})[0]
        return out

    def release(self) -> None:
        """Keep it: ONNX Runtime frees memory with the session only."""


def _require_one(name: str, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise ModelError(
            f"{name} cannot be run: it has {inputs} inputs and {outputs} outputs, not one of each.",
            "Use the .onnx file that belongs to the card.",
        )


@contextmanager
def _runs(name: str) -> Iterator[None]:
    """Convert an engine's exception during inference to a ModelError."""
    try:
        yield
    except (HilumError, MemoryError):
        raise
    except Exception as error:  # each engine has its own exception types
        raise ModelError(
            f"{name} failed: its network does not accept this input, or memory ran out.",
            "Use the .onnx file that belongs to the card, or a smaller scan.",
        ) from error


def _gpu_providers() -> tuple[str, ...]:
    """Names of the GPU providers that ONNX Runtime finds."""
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return ()
    found = onnxruntime.get_available_providers()
    return tuple(name for name in _GPU_PROVIDERS if name in found)


def open_session(path: Path, threads: int = 0, device: Device = Device.AUTO) -> Session:
    """Open an ONNX file with the installed engine.

    Args:
        path: The file; its model has one input and one output.
        threads: CPU threads; 0 for the number of cores.
        device: ``auto`` and ``cpu`` use the CPU; ``gpu`` uses the GPU that ONNX Runtime finds.

    Raises:
        ModelError: No engine is installed, there is no GPU, or the file is corrupted.
    """
    try:
        if device is Device.GPU:
            providers = _gpu_providers()
            if not providers:
                raise ModelError(
                    "No GPU was found that ONNX Runtime can use.",
                    Sentence(
                        "Install onnxruntime-gpu (CUDA) or onnxruntime-directml, or leave {option:device} "
                        "away."
                    ),
                )
            return _OnnxRuntime(path, threads, providers)
        for engine in (_OpenVino, _OnnxRuntime):
            try:
                return engine(path, threads)
            except ImportError:
                continue
    except ModelError:
        raise
    except Exception as error:  # each engine has its own exception types
        raise ModelError(
            f"{path.name} cannot be run: it is corrupted or not an ONNX model.", "Export or copy it again."
        ) from error
    raise ModelError(
        "A trained model needs OpenVINO or ONNX Runtime, and neither is installed.",
        "Run: pip install openvino",
    )


def check_weights(path: Path, sha256: str, model: str) -> None:
    """Raise unless an ONNX file is the one named by its card.

    Args:
        path: The file.
        sha256: SHA-256 given by the card.
        model: Name of the model in error messages.

    Raises:
        ModelError: It is missing, or its SHA-256 differs.
    """
    try:
        digest = sha256_of(path)
    except InputError as error:
        message = Sentence("The weights of the model {model}: {message}", model=model, message=error.message)
        raise ModelError(message, error.hint) from error
    if digest != sha256:
        raise ModelError(
            f"The weights of the model {model} do not match its card: the SHA-256 differs.",
            "Copy the .onnx file and its card together.",
        )
