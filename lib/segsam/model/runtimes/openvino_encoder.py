"""Image encoder computed by OpenVINO on the CPU."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.errors import RuntimeChoiceError
from segsam.model import Host
from segsam.model.runtimes.exporting import Exported, exported_encoder, last_line, remove_export
from segsam.model.runtimes.openvino_package import openvino

EXACT_TOLERANCE = 1e-4
"""Largest difference allowed between OpenVINO's float32 and PyTorch's, as a share of the largest
value of an embedding. A tenth of it was measured; masks differ only in pixels at the threshold."""
FAST_TOLERANCE = 0.25
"""The same for half precision, on a noise image: it only excludes nonsense results."""

_HALF = {"BF16": "bf16", "FP16": "f16"}
"""Half precisions that a CPU may have instructions for, the preferred one first."""


def openvino_encoder(host: Host, encoder_id: str, *, fast: bool) -> OpenVinoEncoder:
    """Return the encoder, which all models of this process with the same one share."""
    key = (encoder_id, fast, torch.get_num_threads())
    with _lock:
        found = _encoders.get(key)
        if found is None:
            found = _encoders[key] = OpenVinoEncoder(host, encoder_id, fast=fast)
        return found


class OpenVinoEncoder:
    """Runtime for `Host.encode`; its methods may be called from any thread.

    By default, one image gets all threads, which is best for a user who waits for it. `alongside`
    other work, each image gets one thread, and as many images are encoded at a time as there are
    threads: each takes longer, but more are finished per second. A calling thread of lower priority
    (`lower_thread_priority`) has a thread of OpenVINO of its own, with the same low priority.
    """

    def __init__(self, host: Host, encoder_id: str, *, fast: bool) -> None:
        """Export the encoder unless that was done before, compile it, and check its result.

        Raises:
            RuntimeChoiceError: the encoder cannot be exported, its result differs from PyTorch's,
                or `fast` on a CPU without half precision.
        """
        self._core = openvino.Core()
        self.threads = torch.get_num_threads()
        self._precision = self._half() if fast else "f32"
        self.mode = f"openvino {self._precision}" if fast else "exact"
        self.why = f"OpenVINO {openvino.__version__.partition('-')[0]} in {self._precision}."
        self._compiled: list[Any] = []
        self._alongside = {False: _Pool(), True: _Pool()}
        """Requests by whether the calling thread has a low priority."""
        try:
            self._compile_and_check(exported_encoder(host, encoder_id))
        except RuntimeChoiceError:  # the files may be damaged: export once more
            remove_export(encoder_id)
            self._compile_and_check(exported_encoder(host, encoder_id))

    def encode(self, images: Tensor, *, alongside: bool = False) -> tuple[Tensor, Tensor | None]:
        """Compute `Host.encode`: prepared images (B, 3, S, S) -> embedding (B, C, h, w), detail."""
        requests = self._requests_alongside() if alongside else self._alone
        with _borrowed(requests) as request:
            parts = [_inferred(request, image[None].contiguous().numpy()) for image in images]
        embedding, *detail = (
            torch.from_numpy(np.concatenate(each)) for each in zip(*parts, strict=True)
        )
        return embedding, detail[0] if detail else None

    def _compile_and_check(self, exported: Exported) -> None:
        self._exported = exported
        self._alone = self._requests(streams=1, threads=self.threads)
        with _borrowed(self._alone) as request:
            error = exported.error(_inferred(request, exported.image))
        allowed = EXACT_TOLERANCE if self.mode == "exact" else FAST_TOLERANCE
        if not error <= allowed:  # NaN is refused too
            raise RuntimeChoiceError(
                f"OpenVINO in {self._precision} computes this encoder differently from PyTorch: by "
                f"{error:.1e} of the largest value, where {allowed:.0e} is allowed."
            )

    def _requests_alongside(self) -> queue.SimpleQueue[Any]:
        low_priority = _has_low_priority()
        if self.threads == 1 and not low_priority:
            return self._alone
        pool = self._alongside[low_priority]
        with pool.lock:
            if pool.requests is None:
                images = 1 if low_priority else self.threads
                pool.requests = self._requests(streams=images, threads=images)
            return pool.requests

    def _requests(self, *, streams: int, threads: int) -> queue.SimpleQueue[Any]:
        """Compile for a number of images at a time (streams), and make a request for each.

        The threads that OpenVINO starts here have the priority of the calling thread.
        """
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # A pinned thread would wait for everything else that runs on its core.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = self._core.compile_model(self._exported.model, "CPU", settings)
        except RuntimeError as error:
            raise RuntimeChoiceError(
                f"OpenVINO cannot compile {self._exported.model}: {last_line(error)}"
            ) from error
        self._compiled.append(compiled)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            requests.put(compiled.create_infer_request())
        return requests

    def _half(self) -> str:
        has = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for name, hint in _HALF.items():
            if name in has:
                return hint
        raise RuntimeChoiceError(
            "Precision fast needs a CPU with bfloat16 or float16 instructions; this one has "
            f"{', '.join(has)}. Use exact."
        )


def _inferred(request: Any, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a request; outputs are copied, because the request's memory is used again."""
    request.infer([image])
    return [tensor.data.copy() for tensor in request.output_tensors]


@dataclass
class _Pool:
    """Requests that are made when they are first needed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: queue.SimpleQueue[Any] | None = None


def _has_low_priority() -> bool:
    """Return True if the calling thread has a lower priority than the program's main thread."""
    if sys.platform != "linux":
        return False
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return own > os.getpriority(os.PRIO_PROCESS, os.getpid())


@contextmanager
def _borrowed(requests: queue.SimpleQueue[Any]) -> Iterator[Any]:
    request = requests.get()
    try:
        yield request
    finally:
        requests.put(request)


_lock = threading.Lock()
_encoders: WeakValueDictionary[tuple[str, bool, int], OpenVinoEncoder] = WeakValueDictionary()
