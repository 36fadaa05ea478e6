"""The job files of examples/cluster: what they call is there."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mene.cli.command import click_command

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"


def test_the_kubernetes_job_calls_options_that_there_are() -> None:
    from mene.cli import judge

    job = yaml.safe_load((FOLDER / "kuberay.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    program, command, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("mene", "judge")
    options = (
        click_command(judge, "judge").make_context("judge", words, resilient_parsing=False).params
    )
    assert options["on"] == "ray"
    assert options["part_rows"] == 500
    cluster = job["spec"]["rayClusterSpec"]
    images = {
        container["image"].rpartition(":")[2]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
        for container in group["template"]["spec"]["containers"]
    }
    assert images == {cluster["rayVersion"]}


@pytest.mark.posix
def test_the_slurm_script_is_bash() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    done = subprocess.run([bash, "-n", str(FOLDER / "slurm.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
