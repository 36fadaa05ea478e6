"""The tests of `mene.integrations`, each in an environment of its own with the real package: `nox -s deepeval`, or `nox` for all.

The main run of the tests skips those whose package is missing. Nothing here sends anything to a tool's makers.
"""

import nox

nox.options.default_venv_backend = "venv"
TOOLS = {  # extra -> what its tests need besides
    "otel": [],
    "deepeval": ["typesafe-sdk"],
    "ragas": [],
    "inspect": [],
    "mlflow": [],
    "langfuse": [],
    "phoenix": ["pandas"],
    "opik": [],
    "llama-index": [],
}
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "RAGAS_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OPIK_SENTRY_ENABLE": "false",
    "DO_NOT_TRACK": "1",
}


def tests(session: nox.Session, tool: str, packages: list[str]) -> None:
    """Install, and run the tests of one tool and its block in the docs."""
    session.install(*packages, "pytest", "pytest-xdist", "hypothesis")
    name = tool.replace("-", "_")
    # Tools bring plugins of their own to pytest.
    environment = {**QUIET, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    session.run(
        "pytest", "-p", "xdist.plugin", "-n", "0", f"tests/integrations/test_{name}.py",
        "tests/integrations/test_documented.py", *session.posargs, env=environment,
    )  # fmt: skip


for tool, more in TOOLS.items():

    @nox.session(name=tool)
    def of_an_extra(session: nox.Session, tool: str = tool, more: list[str] = more) -> None:
        """One tool."""
        tests(session, tool, [f".[{tool}]", *more])


@nox.session
def langsmith(session: nox.Session) -> None:
    """LangSmith and openevals, of which mene itself needs neither."""
    tests(session, "langsmith", [".", "langsmith", "openevals"])


@nox.session
def promptfoo(session: nox.Session) -> None:
    """What promptfoo calls, without promptfoo, which is a package of npm."""
    tests(session, "promptfoo", ["."])


@nox.session
def over_chat(session: nox.Session) -> None:
    """Metrics with prompts of their own over `mene serve`: of DeepEval and Ragas, and of promptfoo where npm has installed it."""
    session.install(".[serve,deepeval,ragas]", "pytest", "pytest-xdist", "hypothesis")
    session.run(
        "pytest", "-p", "xdist.plugin", "-n", "0", "tests/integrations/test_over_chat.py",
        *session.posargs, env={**QUIET, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
