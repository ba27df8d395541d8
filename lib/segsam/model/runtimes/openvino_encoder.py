"""The image encoder computed by OpenVINO on the processor."""

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
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.errors import RuntimeChoiceError
from segsam.model import Host
from segsam.model.runtimes.exporting import Exported, exported_encoder, forget_encoder, last_line

EXACT_TOLERANCE = 1e-4
"""Of the largest value of an embedding: what OpenVINO's float32 may differ from PyTorch's by.
Measured is a tenth of it; masks are the same but for pixels at the threshold."""
FAST_TOLERANCE = 0.25
"""The same for half precision, on noise: it only tells a result from rubbish."""

_HALF = {"BF16": "bf16", "FP16": "f16"}
"""Half precisions that a processor may say it has instructions for, the preferred one first."""


def openvino_encoder(host: Host, encoder_id: str, *, fast: bool) -> OpenVinoEncoder:
    """The encoder, shared by all models of this process that have the same one; see its class."""
    key = (encoder_id, fast, torch.get_num_threads())
    with _making:
        found = _in_use.get(key)
        if found is None:
            found = _in_use[key] = OpenVinoEncoder(host, encoder_id, fast=fast)
        return found


class OpenVinoEncoder:
    """Stands in for `Host.encode`; may be called from any thread.

    Somebody who waits gets all threads for one image. What is encoded `alongside` something else
    gets one thread an image, and as many images at a time as there are threads: each is later, but
    there are more of them in a given time. A thread that gives way (`lower_thread_priority`)
    has a thread of OpenVINO's for itself, which gives way as well.
    """

    def __init__(self, host: Host, encoder_id: str, *, fast: bool) -> None:
        """Export the encoder unless that was done before, compile it, and see that it computes what
        PyTorch does.

        Raises:
            RuntimeChoiceError: an encoder that cannot be exported or comes out differently, or a
                processor without half precision where `fast` is wanted.
        """
        self._core = openvino.Core()
        self.threads = torch.get_num_threads()
        self._precision = self._half() if fast else "f32"
        self.mode = f"openvino {self._precision}" if fast else "exact"
        self.why = f"OpenVINO {openvino.__version__.partition('-')[0]} in {self._precision}."
        self._compiled: list[Any] = []
        self._beside = {False: _Pool(), True: _Pool()}
        try:
            self._begin(exported_encoder(host, encoder_id))
        except RuntimeChoiceError:  # files that somebody damaged are made anew
            forget_encoder(encoder_id)
            self._begin(exported_encoder(host, encoder_id))

    def encode(self, images: Tensor, *, alongside: bool = False) -> tuple[Tensor, Tensor | None]:
        """As `Host.encode`: prepared images (B, 3, S, S) -> embedding (B, C, h, w), and what the
        host's mask decoder wants beside it.
        """
        requests = self._requests_alongside() if alongside else self._alone
        with _borrowed(requests) as request:
            parts = [_inferred(request, image[None].contiguous().numpy()) for image in images]
        embedding, *detail = (
            torch.from_numpy(np.concatenate(each)) for each in zip(*parts, strict=True)
        )
        return embedding, detail[0] if detail else None

    def _begin(self, exported: Exported) -> None:
        self._exported = exported
        self._alone = self._requests(streams=1, threads=self.threads)
        with _borrowed(self._alone) as request:
            apart = exported.apart(_inferred(request, exported.image))
        allowed = EXACT_TOLERANCE if self.mode == "exact" else FAST_TOLERANCE
        if not apart <= allowed:
            raise RuntimeChoiceError(
                f"OpenVINO in {self._precision} computes this encoder differently from PyTorch: by "
                f"{apart:.1e} of the largest value, where {allowed:.0e} is allowed."
            )

    def _requests_alongside(self) -> queue.SimpleQueue[Any]:
        gives_way = _gives_way()
        if self.threads == 1 and not gives_way:
            return self._alone
        pool = self._beside[gives_way]
        with pool.making:
            if pool.requests is None:
                at_a_time = 1 if gives_way else self.threads
                pool.requests = self._requests(streams=at_a_time, threads=at_a_time)
            return pool.requests

    def _requests(self, *, streams: int, threads: int) -> queue.SimpleQueue[Any]:
        """Compile for so many images at a time; one request for each.

        The threads that OpenVINO starts for it have the priority of the one that calls this.
        """
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Pinned threads would queue up behind whatever else runs on their core.
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
            "Precision fast needs a processor with bfloat16 or float16 instructions; this one has "
            f"{', '.join(has)}. Use exact."
        )


def _inferred(request: Any, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Outputs of our own, not the request's memory: it is used again."""
    request.infer([image])
    return [tensor.data.copy() for tensor in request.output_tensors]


@dataclass
class _Pool:
    """Requests that are made when they are first wanted."""

    making: threading.Lock = field(default_factory=threading.Lock)
    requests: queue.SimpleQueue[Any] | None = None


def _gives_way() -> bool:
    """Whether the calling thread has a lower priority than the program's first one."""
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


_making = threading.Lock()
_in_use: WeakValueDictionary[tuple[str, bool, int], OpenVinoEncoder] = WeakValueDictionary()
