"""Environments, the compiled llama.cpp and the models' forms, under the work folder; what is there is kept.

Every step leaves its seconds in ``prepared.json``; one that fails leaves why, and the candidates that need it
say so in the table.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from candidates import Candidate

HERE = Path(__file__).resolve().parent
# What the ONNX builder needs besides PyTorch and Transformers, which it finds where this script runs.
BUILDER = ("onnx", "onnx_ir", "ml_dtypes")


class Work:
    """The work folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        folder.mkdir(parents=True, exist_ok=True)
        self.notes = folder / "prepared.json"
        self.steps: dict[str, dict[str, float | str]] = (
            json.loads(self.notes.read_text()) if self.notes.exists() else {}
        )

    def python(self, env: str) -> str:
        return str(self.folder / "env" / env / "bin" / "python") if env else sys.executable

    def model(self, gguf: Path) -> Path:
        return self.folder / "models" / gguf.stem

    def step(self, name: str, out: Path, act: Callable[[], None]) -> str:
        """Do ``act``, which makes ``out``, unless it is there. Why it could not be made, or nothing."""
        if name in self.steps and "seconds" in self.steps[name] and out.exists():
            return ""
        self.say(f"preparing {name}")
        if out.is_dir():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        try:
            act()
            self.steps[name] = {"seconds": round(time.perf_counter() - begun, 1)}
        except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
            told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            self.steps[name] = {"failed": told[-1][:300] if told else str(error)}
        self.notes.write_text(json.dumps(self.steps, indent=1))
        return str(self.steps[name].get("failed", ""))


def call(*command: str | Path, path: str = "", cwd: Path | None = None) -> None:
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    if path:
        env["PYTHONPATH"] = path
    subprocess.run(
        [str(part) for part in command],
        check=True,
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd,
    )


def environment(work: Work, name: str, packages: tuple[str, ...]) -> str:
    out = work.folder / "env" / name

    def make() -> None:
        call(sys.executable, "-m", "venv", out)
        call(work.python(name), "-m", "pip", "install", "-q", *packages)

    return work.step(f"env {name}", out, make)


def native_llamacpp(work: Work) -> str:
    """Compile ``llama-server`` from the llama.cpp inside the wheel's own sdist: the same source as the wheel's."""
    build = work.folder / "llama-native"
    out = build / "bin" / "llama-server"

    def make() -> None:
        source = work.folder / "src"
        source.mkdir(exist_ok=True)
        name = f"xllamacpp=={version('xllamacpp')}"
        if not list(source.glob("xllamacpp-*.tar.gz")):
            pip = (
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                "xllamacpp",
            )
            call(*pip, "-d", source, name)
        [archive] = source.glob("xllamacpp-*.tar.gz")
        tree = source / archive.name.removesuffix(".tar.gz") / "thirdparty" / "llama.cpp"
        if not tree.exists():
            with tarfile.open(archive) as packed:
                packed.extractall(source, filter="data")
        off = ("BUILD_SHARED_LIBS", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_APP")
        off = (*off, "LLAMA_USE_PREBUILT_UI", "LLAMA_CURL")
        flags = [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DGGML_NATIVE=ON",
            *(f"-D{name}=OFF" for name in off),
        ]
        call("cmake", "-S", tree, "-B", build, *flags)
        call("cmake", "--build", build, "-j", str(os.cpu_count()), "--target", "llama-server")

    return work.step("llama.cpp native", out, make)


def form(work: Work, gguf: Path, name: str) -> str:
    """One form of one model."""
    folder = work.model(gguf)
    out, plain = folder / name, folder / "transformers"
    main = sysconfig.get_path("purelib")

    def make() -> None:
        if name == "gguf":
            out.mkdir()
            (out / gguf.name).symlink_to(gguf.resolve())
        elif name == "transformers":
            call(sys.executable, HERE / "forms.py", name, gguf, out)
        elif name == "openvino":
            call(work.python("openvino"), HERE / "forms.py", name, gguf, out)
        elif name == "ct2-int8":
            converter = work.folder / "env" / "ctranslate2" / "bin" / "ct2-transformers-converter"
            call(
                converter,
                "--model",
                plain,
                "--output_dir",
                out,
                "--quantization",
                "int8",
                path=main,
            )
        elif name.startswith("onnx-"):
            extra = work.folder / "env" / "onnx-convert"
            if not extra.exists():
                pip = (
                    work.python("onnx"),
                    "-m",
                    "pip",
                    "install",
                    "-q",
                    "--no-deps",
                    "--target",
                    extra,
                )
                call(*pip, *BUILDER)
            builder = (
                work.python("onnx"),
                "-m",
                "onnxruntime_genai.models.builder",
                "-i",
                plain,
                "-o",
                out,
            )
            kind = ("-p", name.removeprefix("onnx-"), "-e", "cpu", "-c", work.folder / "onnx-cache")
            # Without this the logits of every position are computed.
            call(*builder, *kind, "--extra_options", "prune_lm_head=true", path=f"{main}:{extra}")

    return work.step(f"{gguf.stem} {name}", out, make)


def texts(work: Work, gguf: Path, data: Path, asked: Path) -> str:
    out = work.model(gguf) / "texts.json"
    plain = work.model(gguf) / "transformers"
    return work.step(
        f"{gguf.stem} texts of {data.name}",
        out,
        lambda: call(sys.executable, HERE / "texts.py", plain, data, asked, out),
    )


def ready(work: Work, candidate: Candidate, gguf: Path) -> str:
    """Make what a candidate needs for a model. Why it cannot be had, or nothing."""
    if candidate.env and (why := environment(work, candidate.env, candidate.packages)):
        return why
    if "server" in candidate.settings and (why := native_llamacpp(work)):
        return why
    if candidate.form not in ("gguf", "openvino") and (why := form(work, gguf, "transformers")):
        return why
    return form(work, gguf, candidate.form)
