"""Run cookbooks and keep their outputs: ``python docs/cookbooks/run.py [NAME …]``, all without a name.

The judge is the one that ``MENE_JUDGE`` names, or ``base``; ``MENE_ROWS`` sets the number of rows. Needs ``pip install
"mene[cookbooks]"``.
"""

import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
# Colours of a terminal, and the line that a progress bar writes over.
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|^.*\r(?!\n)", re.MULTILINE)


def run(path: Path) -> None:
    """Execute a notebook from top to bottom in a kernel of its own, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type != "code":
            continue
        # What goes to standard error is about this machine: a download, a model prepared once, a warning with a path.
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = TERMINAL.sub("", output.text.replace("\r\n", "\n"))
    path.write_text(f"{nbformat.writes(notebook)}\n", "utf-8")


if __name__ == "__main__":
    os.environ.pop("MENE_DATA", None)  # the excerpts beside the notebooks, which everybody has
    # `!mene …` is the mene of this Python, whether its environment is activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.ipynb")):
        print(name, flush=True)
        run(HERE / f"{Path(name).stem}.ipynb")
