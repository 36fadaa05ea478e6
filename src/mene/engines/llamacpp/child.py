"""A llama.cpp server in its own process: `process.py` runs this file as a script; nothing imports it.

Loading cannot be aborted from inside: ``xllamacpp`` holds Python's GIL until the model is loaded, llama.cpp handles signals
itself, and a server that is told to stop before its loop has started never stops. A process can be ended at any time. This
file imports nothing from mene, so that it starts quickly.

Input: the settings, one line of JSON on standard input. Output: the address or an error, one line of JSON on standard
output. When standard input closes, or the parent process ends, so does this one.
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    server, parent = None, os.getppid()
    try:
        wanted = json.loads(sys.stdin.buffer.readline())
        answers = os.dup(1)
        os.dup2(2, 1)  # keeps llama.cpp's own output out of the answer
        sys.path.append(wanted["library"])
        try:
            server, answer = start(wanted)
        except Exception as error:
            time.sleep(0.3)  # give llama.cpp's logging thread time to print the reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(answers, json.dumps(answer).encode() + b"\n")
        if server is not None:
            stay(parent)
    finally:
        os._exit(0)  # exit while `server` is referenced; a released one may never stop


def stay(parent: int) -> None:
    """Return when standard input closes or the parent ends; a process forked from the parent may keep the input open."""
    ended = threading.Event()

    def read() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    while os.getppid() == parent and not ended.wait(1):
        pass


def start(wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Load the model; return the server, which stops when it is no longer referenced, and its address."""
    import xllamacpp as module

    xllamacpp: Any = module  # compiled, without type stubs
    params = xllamacpp.CommonParams()
    params.model.path = wanted["model"]
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(path, float(number == 0))
        for number, path in enumerate(wanted["adapters"])
    ]
    params.n_ctx = wanted["context"]
    params.n_parallel = wanted["slots"]
    params.kv_unified = wanted["unified"]
    params.cpuparams.n_threads = wanted["threads"]
    params.cpuparams_batch.n_threads = wanted["threads"]
    params.n_gpu_layers = wanted["gpu_layers"]
    # An abandoned request ends between two batches.
    params.n_ubatch = params.n_batch = wanted["micro_batch"]
    params.slot_save_path = wanted["folder"]
    kinds = {str(device["type"]) for device in xllamacpp.get_device_info()}
    flash = wanted["flash"] or any("TYPE_GPU" in kind or "TYPE_IGPU" in kind for kind in kinds)
    if not flash:
        params.flash_attn_type = xllamacpp.llama_flash_attn_type(0)
    # Prompts are pinned to slots, so the server's prompt cache would only cost memory.
    params.cache_ram_mib = 0
    params.warmup = False
    params.verbosity = 1  # errors only, which explain why a model cannot be loaded
    params.ui = False
    # The file's own template is not used here: prompts arrive as text (`LlamaCppEngine.prompt`).
    params.chat_template = "chatml"
    # A free port on the loopback interface, and a random key.
    params.port = 0
    params.api_keys = [wanted["key"]]
    params.n_threads_http = wanted["http_threads"]
    server = xllamacpp.Server(params)
    return server, {"address": server.listening_address, "flash": flash}


if __name__ == "__main__":
    main()
