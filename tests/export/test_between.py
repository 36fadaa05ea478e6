"""An adapter between the start and the end of a run, whatever form the start has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained import add_adapter, make_run

from mene.errors import UsageError
from mene.export.run import export
from mene.train.adapter import start_of, weights_of
from mene.weights.cache import sha256
from mene.weights.peft import WEIGHTS

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run exported that started from nothing."""
    run = make_run(tmp_path_factory.mktemp("first") / "one-run", base={"path": str(base)})
    add_adapter(run)
    export(run, run.parent / "out", forms=["adapter", "adapter.gguf"])
    return run.parent / "out"


def further(folder: Path, base: Path, start: Path) -> Path:
    """A run that went on from there."""
    adapter = {"rank": 4, "alpha": 8, "upper": 0.5, "start": str(start)}
    run = make_run(folder / "two-run", base={"path": str(base)}, adapter=adapter)
    add_adapter(run, size=1.5)
    sums = {"train.jsonl": "0", "start": sha256(weights_of(start_of(str(start))))}
    (run / "run.json").write_text(json.dumps({"data": sums}))
    return run


def factors(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return {k: v.astype(np.float32) for k, v in load_file(folder / WEIGHTS).items()}


@pytest.mark.parametrize("form", ["adapter", "adapter.gguf"])
def test_every_factor_is_between(tmp_path: Path, base: Path, first: Path, form: str) -> None:
    run = further(tmp_path, base, first / form)
    done = export(run, tmp_path / "out", forms=["adapter", "adapter.gguf"], share=0.25)
    start, end, mean = (
        factors(first / "adapter"),
        factors(run / "adapter"),
        factors(tmp_path / "out/adapter"),
    )
    assert start.keys() == end.keys() == mean.keys()
    for name, found in mean.items():
        assert found == pytest.approx(0.75 * start[name] + 0.25 * end[name], abs=2e-3), name
    assert any(np.abs(mean[k] - end[k]).max() > 0.01 for k in mean)
    assert "exported at 25% of the way" in done.files["README.md"].read_text()
    # The other form holds the same numbers, in its own order of rows.
    again = further(tmp_path / "again", base, tmp_path / "out/adapter.gguf")
    shutil.rmtree(again / "adapter")
    shutil.copytree(tmp_path / "out/adapter", again / "adapter")
    export(again, tmp_path / "twice", forms=["adapter"], share=0.5)
    for name, found in factors(tmp_path / "twice/adapter").items():
        assert found == pytest.approx(mean[name], abs=2e-3), name


def test_the_whole_way_is_the_run(tmp_path: Path, base: Path, first: Path) -> None:
    run = further(tmp_path, base, first / "adapter")
    export(run, tmp_path / "out", forms=["adapter"])
    assert "of the way" not in (tmp_path / "out/README.md").read_text()
    for name, found in factors(tmp_path / "out/adapter").items():
        assert found == pytest.approx(factors(run / "adapter")[name], abs=2e-3)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_a_share(tmp_path: Path, base: Path, first: Path, share: float) -> None:
    run = further(tmp_path, base, first / "adapter")
    with pytest.raises(UsageError, match="above 0, and 1 at most"):
        export(run, tmp_path / "out", share=share)


def test_no_start_or_another_one(here: Any, tmp_path: Path, base: Path, first: Path) -> None:
    alone = make_run(tmp_path / "alone-run", base={"path": str(base)})
    add_adapter(alone)
    done = here("export", alone, "--share", "0.5")
    assert done.returncode == 2
    assert "started from no adapter" in done.stderr
    start = tmp_path / "start"
    shutil.copytree(first / "adapter", start)
    run = further(tmp_path, base, start)
    with (start / WEIGHTS).open("ab") as file:
        file.write(b" ")
    done = here("export", run, "--share", "0.5")
    assert done.returncode == 2
    assert "has changed since" in done.stderr
    shutil.rmtree(start)
    done = here("export", run, "--share", "0.5")
    assert done.returncode == 2
    assert "no adapter_model.safetensors there" in done.stderr
    assert not (run / "export").exists()
