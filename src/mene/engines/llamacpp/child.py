"""A llama.cpp server in a process of its own: run as a script by `process.py`, imported by nobody.

Loading cannot be broken off from inside: ``xllamacpp`` holds Python's lock until the model is there, llama.cpp
takes the signals for itself, and a server that is told to stop before its loop has begun never stops. From outside
a process can be ended at any moment. It needs nothing of mene, so that it starts quickly.

In: one line of JSON on standard input, the settings. Out: one line of JSON on standard output, the address or what
went wrong. When standard input ends, or its parent, so does the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent
    server, parent = None, os.getppid()
    try:
        wanted = json.loads(sys.stdin.buffer.readline())
        answers = os.dup(1)
        os.dup2(2, 1)  # whatever llama.cpp prints is no answer
        sys.path.append(wanted["library"])
        try:
            server, answer = start(wanted)
        except Exception as error:
            time.sleep(0.3)  # llama.cpp has a thread for what it prints, and that says why
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(answers, json.dumps(answer).encode() + b"\n")
        if server is not None:
            stay(parent)
    finally:
        os._exit(0)  # here, while `server` is held: one that is let go of may never stop


def stay(parent: int) -> None:
    """Return when standard input ends, or the parent: a process forked from it may hold the input open."""
    ended = threading.Event()

    def read() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    while os.getppid() == parent and not ended.wait(1):
        pass


def start(wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Load the model: the server, which ends when nobody holds it, and its address."""
    import xllamacpp as module

    xllamacpp: Any = module  # compiled, without type stubs
    params = xllamacpp.CommonParams()
    params.model.path = wanted["model"]
    if wanted["adapter"]:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(wanted["adapter"], 1.0)]
    params.n_ctx = wanted["context"]
    params.n_parallel = wanted["slots"]
    params.kv_unified = wanted["unified"]
    params.cpuparams.n_threads = wanted["threads"]
    params.cpuparams_batch.n_threads = wanted["threads"]
    params.n_gpu_layers = wanted["gpu_layers"]
    # A request that nobody waits for any more is given up between two batches.
    params.n_ubatch = params.n_batch = wanted["micro_batch"]
    params.slot_save_path = wanted["folder"]
    kinds = {str(device["type"]) for device in xllamacpp.get_device_info()}
    flash = wanted["flash"] or any("TYPE_GPU" in kind or "TYPE_IGPU" in kind for kind in kinds)
    if not flash:
        params.flash_attn_type = xllamacpp.llama_flash_attn_type(0)
    params.cache_ram_mib = 0  # slots are pinned; the server's own prompt cache would only copy
    params.warmup = False
    params.verbosity = 1  # errors only: they say why a model cannot be loaded
    params.ui = False
    # The file's own template is never read here: prompts come as text (`LlamaCppEngine.prompt`).
    params.chat_template = "chatml"
    # A free port of the loopback interface, and a key that nobody else knows.
    params.port = 0
    params.api_keys = [wanted["key"]]
    params.n_threads_http = wanted["http_threads"]
    server = xllamacpp.Server(params)
    return server, {"address": server.listening_address, "flash": flash}


if __name__ == "__main__":
    main()
