"""The command line: parse, call, print. Everything else is somewhere else.

Imports of the package's own rooms are inside the commands, so that ``mene --help`` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from mene.cli.options import (
    ChangesArgument,
    CompareOption,
    CriterionOption,
    DeviceOption,
    File,
    JudgeOption,
    JudgesOption,
    LabelsOption,
    MapOption,
    ModeOption,
    PairsOption,
    RecipeArgument,
    ScaleOption,
    TemplateOption,
    TokensOption,
    TruncateOption,
)
from mene.cli.serve import serve

if TYPE_CHECKING:
    from mene.criterion import Criterion
    from mene.judge.settings import Options

app = typer.Typer(
    help="Judge the output of language models with a small model you own.",
    epilog="""\b
First steps:
  mene judge rows.jsonl -c faithfulness              a built-in criterion (mene criteria)
  mene judge rows.csv -c "Is the answer polite?"     or a question of your own
  mene report rows.verdicts.jsonl --data rows.jsonl  a page about the verdicts""",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
criteria_app = typer.Typer(help="List the built-in criteria, or show one.", rich_markup_mode=None)
app.add_typer(criteria_app, name="criteria")


# What is asked besides the prompt that is shown.
SECOND = {
    "both-orders": "it is asked in the other order too, and the answers are averaged",
    "pointwise": "response B is asked about alone too, in the same words, and the answers are compared",
}
NO_CRITERION = (
    "no criterion to judge by: add one with -c, a name from the list that `mene criteria` prints (-c faithfulness), "
    'a question in quotes (-c "Is the answer polite?"), or a YAML file'
)
AT_ONCE = ("report", "criteria", "show", "judges", "leaderboard")  # nothing of them is kept


class OnceEach(TyperCommand):
    """A command that refuses an option given twice, of which only the last would count, and one without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from mene.errors import UsageError

        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        self._check_values(values, given, ctx.help_option_names)
        for option in set(given):
            twice = given.count(option) > 1 and option.param_type_name == "option"
            if (
                twice
                and option.nargs == 1
                and not (option.multiple or getattr(option, "is_flag", False))
            ):
                name = option.opts[0]
                hint = "give one, and leave the other out"
                if name == "--criterion":
                    hint = "run the command once for each criterion; all verdicts may go to the same file"
                raise UsageError(f"{name} is given {given.count(option)} times: {hint}")
        needs = any(param.name == "criterion" and param.required for param in self.params)
        if needs and not values.get("criterion") and not values.get("help"):
            raise UsageError(NO_CRITERION)
        return super().parse_args(ctx, args)

    def _check_values(self, values: dict[str, Any], given: list[Any], others: list[str]) -> None:
        """Refuse an option without a value: what a shell makes of ``--judge $EMPTY --abstain``, or of ``--judge "$EMPTY"``."""
        from mene.errors import UsageError

        names = {name for param in self.params for name in param.opts + param.secondary_opts}
        names.update(others)
        for option in given:
            if option.param_type_name != "option" or getattr(option, "is_flag", False):
                continue
            found = values.get(option.name)
            for value in found if isinstance(found, list) else [found]:
                if value == "":
                    follows = ""
                elif isinstance(value, str) and value[:1] == "-" and value.split("=")[0] in names:
                    follows = f": {value} is an option itself"
                else:
                    continue
                raise UsageError(
                    f"{option.opts[0]} has no value{follows}; is a variable of the shell empty? Give a value, or leave "
                    f"{option.opts[0]} out"
                )

    def invoke(self, ctx: Any) -> Any:
        """Run it; a Ctrl-C that it has no more to say about (while a model is downloaded) is one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            again = "" if ctx.command.name in AT_ONCE else "; the same command goes on"
            _say(f"mene: stopped{again}")
            sys.exit(130)


def main() -> None:
    """Entry point: errors become one line and an exit code, never a traceback."""
    from mene.cli.ending import run_to_its_end

    run_to_its_end(app)


def _say(message: str) -> None:
    from mene.cli.console import say

    say(message)


def _judge(named: str | None) -> str:
    """The judge that was named, or the one for this machine, with a word on why it is not the best one."""
    if named is not None:
        return named
    from mene.judge.default import default_judge

    found, why = default_judge()
    if why:
        _say(f"mene: {why}")
    return found


def _options(**given: Any) -> Options:
    """What the options say, by the names of a preset's settings; ``settings.changed`` says what of it cannot be."""
    return cast("Options", given)


def _names(pairs: list[str] | None) -> dict[str, str]:
    from mene.errors import UsageError, nearest
    from mene.sample import ALIASES

    names = {}
    for pair in pairs or []:
        field, equals, column = pair.partition("=")
        if not equals or not column:
            raise UsageError(f"--map {pair}: write it like --map response=answer")
        if field not in ALIASES:
            raise UsageError(
                f'--map {pair}: no sample field "{field}"{nearest(field, ALIASES)}; the fields are {", ".join(ALIASES)}'
            )
        names[field] = column
    return names


@app.command()
def judge(
    file: File,
    criterion: CriterionOption,
    scale: ScaleOption = None,
    judge: JudgeOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Verdicts as JSONL; - = standard output, in the order of the rows. [FILE.verdicts.jsonl]",
        ),
    ] = None,
    mode: ModeOption = None,
    template: TemplateOption = None,
    map_: MapOption = None,
    compare: CompareOption = None,
    jury: Annotated[
        str | None,
        typer.Option(
            "--jury",
            help="Several judges in place of one, comma-separated; the mean of their probabilities.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", "-n", min=1, help="Draws per row, averaged (self-consistency). [1]"
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0.0, help="Of the critiques; 0 = greedy.")
    ] = None,
    critique_tokens: TokensOption = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            help="Rows that get a critique behind their verdict: failing, uncertain, all or none. [what the judge "
            "is made for: base explains failing rows; none with --mode or -o -]",
        ),
    ] = None,
    explain_rows: Annotated[
        int | None,
        typer.Option("--explain-rows", min=0, help="Most rows that get one; 0 = no limit. [20]"),
    ] = None,
    reconsider: Annotated[
        bool,
        typer.Option("--reconsider", help="Read the label again behind the critique; keep both."),
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the draws. [0]")] = None,
    truncate: TruncateOption = None,
    abstain: Annotated[
        bool,
        typer.Option(
            "--abstain",
            help="Give no label where the judge is not sure enough, by what `mene align --error` proved.",
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first rows.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, help="Rows at once. [what suits the engine]"),
    ] = None,
    rpm: Annotated[
        float | None,
        typer.Option("--rpm", min=0.01, help="Requests per minute to a remote server."),
    ] = None,
    show: Annotated[
        int | None, typer.Option("--show", min=0, help="Verdicts to print as they come. [30]")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Judge all rows anew; the old file goes with the first new verdict."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no verdicts on screen.")
    ] = False,
) -> None:
    """Judge every row of FILE. Run it again after a stop and it goes on where it was.

    Exit code: 0 every row has a verdict, 1 some rows failed, 2 it could not run, 130 stopped, 141 the reader of -o - has gone.
    """
    from mene.cli.judging import judge_on_screen
    from mene.criterion import load_criterion
    from mene.errors import UsageError

    if truncate not in (None, "context"):
        raise UsageError(f'--truncate {truncate}: only "context" can be cut')
    if mode not in (None, "critique", "verdict"):
        raise UsageError(f"--mode {mode}: it is critique or verdict")
    options = _options(
        mode=mode,
        template=template,
        critique_tokens=critique_tokens,
        temperature=temperature,
        samples=samples,
        compare=compare,
        seed=seed,
        truncate=truncate,
        abstain=abstain or None,
        concurrency=concurrency,
        requests_per_minute=rpm,
    )
    if explain not in (None, "failing", "uncertain", "all", "none"):
        raise UsageError(f"--explain {explain}: it is failing, uncertain, all or none")
    if jury and judge:
        raise UsageError("--judge names one judge and --jury several: give one of the two options")
    specs = [spec.strip() for spec in jury.split(",") if spec.strip()] if jury else [_judge(judge)]
    chosen: Criterion = load_criterion(criterion, scale)
    if compare and chosen.scale.kind != "pairwise":
        raise UsageError(f"--compare is for pairs; {chosen.name} has the scale {chosen.scale}")
    sys.exit(
        judge_on_screen(
            specs,
            chosen,
            file,
            output,
            names=_names(map_),
            options=options,
            explain=explain,
            explain_rows=explain_rows,
            reconsider=reconsider,
            limit=limit,
            show=show,
            as_json=json_,
            overwrite=overwrite,
            quiet=quiet,
        )
    )


@app.command()
def prompt(
    file: File,
    criterion: CriterionOption,
    scale: ScaleOption = None,
    judge: JudgeOption = None,
    mode: ModeOption = None,
    template: TemplateOption = None,
    map_: MapOption = None,
    compare: CompareOption = None,
    critique_tokens: TokensOption = None,
    truncate: TruncateOption = None,
) -> None:
    """Print the prompt of the first row, and its length.

    Control characters in it are written out (as \\u001b), so that none reaches the terminal.
    """
    from mene.cli.console import show
    from mene.cli.judging import open_one
    from mene.criterion import load_criterion
    from mene.errors import SampleError
    from mene.runs.tables import read_rows

    names = _names(map_)
    asked = load_criterion(criterion, scale)
    row = next(iter(read_rows(file, names, asked)))
    if row.sample is None:
        raise SampleError(str(row.error))
    options = _options(
        mode=mode,
        template=template,
        critique_tokens=critique_tokens,
        compare=compare,
        truncate=truncate,
        concurrency=1,
    )
    with open_one(_judge(judge), options) as opened:
        text, tokens = opened.prompt(row.sample, asked)
    show(text)
    _say(f"- {row.where}: {tokens if tokens is not None else 'unknown number of'} tokens")
    found = opened.comparison(asked)
    if found.name != "together":
        _say(f"- {SECOND[found.name]}")


@app.command()
def report(
    verdicts: Annotated[Path, typer.Argument(help="A file that `mene judge` wrote.")],
    data: Annotated[
        str | None, typer.Option("--data", help="The table that was judged: its labels and texts.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page. [VERDICTS with the ending .html]"),
    ] = None,
    map_: MapOption = None,
    labels: LabelsOption = None,
    criterion: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            "-c",
            help="Of several in the file, the one that the labels are about; repeatable. [the only one whose scale has them]",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Write an HTML page about a file of verdicts."""
    from mene.cli.lists import report_on_screen

    report_on_screen(verdicts, data, output, _names(map_), json_, labels, criterion or ())


@criteria_app.callback(invoke_without_command=True)
def criteria(
    context: typer.Context,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the built-in criteria."""
    if context.invoked_subcommand is None:
        from mene.cli.lists import list_criteria

        list_criteria(json_)


@criteria_app.command("show")
def criteria_show(
    name: Annotated[str, typer.Argument(help="A name from `mene criteria`.")],
) -> None:
    """Print a criterion as YAML; copy it into a file and edit it."""
    from mene.cli.console import show
    from mene.criterion import load_criterion

    show(load_criterion(name).to_yaml().rstrip("\n"))


@app.command()
def judges(json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the built-in judges, and which are here."""
    from mene.cli.lists import list_judges

    list_judges(json_)


@app.command()
def pull(
    judge: Annotated[
        str | None, typer.Argument(help="A judge from `mene judges`. [MENE_JUDGE, or base]")
    ] = None,
) -> None:
    """Download a judge's model, to work offline later."""
    from mene.cli.lists import pull_on_screen

    pull_on_screen(_judge(judge))


@app.command()
def bench(
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            help="selene11, domain, extended, all, or sets, comma-separated; robustness or bias "
            "(of SETS: bias:SET,SET).",
        ),
    ] = "selene11",
    judge: JudgesOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the benchmark files. [MENE_DATA]")
    ] = None,
    results: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for verdicts and figures.")
    ] = Path("results"),
    mode: ModeOption = None,
    template: TemplateOption = None,
    compare: CompareOption = None,
    critique_tokens: TokensOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Rows of a seeded sample of each set.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample.")] = 0,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Rows at once.")
    ] = None,
    rpm: Annotated[
        float | None, typer.Option("--rpm", min=0.01, help="Requests per minute to a server.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say rows, tokens and minutes, and stop.")
    ] = False,
    get: Annotated[
        str | None,
        typer.Option("--get", help="Download sets by name from their publishers into --data."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List all benchmarks, and stop.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure judges on benchmarks that people labelled.

    Run it again to go on where it was stopped.

    Exit code: 0 every row has a verdict, 1 some rows failed, 2 it could not run, 130 stopped.
    """
    from mene.bench.before import get_sets, list_sets
    from mene.cli.bench import bench_on_screen
    from mene.cli.probe import PROBES, probe_on_screen
    from mene.errors import UsageError

    if list_:
        list_sets(data, json_)
        return
    if get:
        get_sets(get, data)
        return
    if mode not in (None, "critique", "verdict"):
        raise UsageError(f"--mode {mode}: it is critique or verdict")
    options = _options(
        mode=mode,
        template=template,
        compare=compare,
        critique_tokens=critique_tokens,
        truncate="context",
        concurrency=concurrency,
        requests_per_minute=rpm,
    )
    names = [name.strip() for name in _judge(judge).split(",") if name.strip()]
    if suite.partition(":")[0] in PROBES:
        sys.exit(
            probe_on_screen(
                suite,
                names,
                data,
                results,
                options=options,
                limit=limit,
                seed=seed,
                dry_run=dry_run,
                as_json=json_,
                quiet=quiet,
            )
        )
    sys.exit(
        bench_on_screen(
            suite,
            names,
            data,
            results,
            options=options,
            limit=limit,
            seed=seed,
            dry_run=dry_run,
            as_json=json_,
            quiet=quiet,
        )
    )


@app.command()
def align(
    file: File,
    criterion: CriterionOption,
    scale: ScaleOption = None,
    judge: JudgesOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The calibrated judge. [JUDGE-CRITERION.yaml]"),
    ] = None,
    mode: ModeOption = None,
    template: TemplateOption = None,
    map_: MapOption = None,
    labels: LabelsOption = None,
    compare: CompareOption = None,
    critique_tokens: TokensOption = None,
    truncate: TruncateOption = None,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", help="Give a label only from where so many of it are right, e.g. 0.9."
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option("--recall", help="Give a label from where so many of its rows are found."),
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option(
            "--for", help="The label that --precision or --recall is about. [the first of two]"
        ),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option(
            "--error",
            help="Learn which rows the judge can decide without a person, with so many labels wrong at most, e.g. 0.05.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="That what is wanted is reached. [0.9]"),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure judges on your own labels, and calibrate.

    FILE has 20 rows or more (50 to 500 are better) with a `label`. With --precision or --recall, the judge that is written
    gives a label only from a threshold on; with --error, it knows from where on it may decide without a person
    (`mene judge --abstain`).

    Exit code: 0 all is well, 1 rows were left out, or what was wanted cannot be promised, 2 it could not run, 130 stopped.
    """
    from mene.bench.align.wanted import wanted_of
    from mene.cli.align import align_on_screen
    from mene.criterion import load_criterion

    options = _options(
        mode=mode,
        template=template,
        critique_tokens=critique_tokens,
        compare=compare,
        truncate=truncate,
    )
    asked = load_criterion(criterion, scale)
    wanted = wanted_of(
        asked, precision=precision, recall=recall, label=for_, error=error, confidence=confidence
    )
    names = [name.strip() for name in _judge(judge).split(",") if name.strip()]
    sys.exit(
        align_on_screen(
            file,
            asked,
            names,
            output,
            names=_names(map_),
            options=options,
            as_json=json_,
            quiet=quiet,
            labels=labels,
            wanted=wanted,
        )
    )


@app.command()
def leaderboard(
    results: Annotated[Path, typer.Argument(help="A folder that `mene bench` wrote.")] = Path(
        "results"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. [RESULTS/leaderboard.html]")
    ] = None,
) -> None:
    """Show all judges of a results folder.

    Prints them as Markdown, and writes a page with plots.
    """
    from mene.bench.leaderboard.leaderboard import markdown, read_results
    from mene.bench.leaderboard.page import page
    from mene.cli.console import show
    from mene.cli.judging import PAGE, check_own
    from mene.files import write_whole

    entries = read_results(results)
    target = output or results / "leaderboard.html"
    check_own(target, PAGE, "a page")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page(entries))
    show(markdown(entries))
    _say(f"- page: {target}")


@app.command()
def curate(
    recipe: Annotated[
        str | None, typer.Argument(help="A built-in recipe (nano) or a YAML file.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(help="Changes to the recipe, e.g. data.critiques=0.3.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with train/ and bench/. [MENE_DATA]"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the pairs. [RECIPE-data]")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher", help="A judge that writes critiques, for data.critiques of the points."
        ),
    ] = None,
    scorer: Annotated[
        str | None,
        typer.Option(
            "--scorer",
            help="A judge that must prefer a chosen critique to the rejected one. [the teacher]",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="Reads and checks rows: local, or ray (Ray Data, on all cores or RAY_ADDRESS).",
        ),
    ] = "local",
    list_: Annotated[bool, typer.Option("--list", help="List all raw sets, and stop.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Make training pairs from raw sets.

    They are free of benchmark text, and their labels are balanced. A teacher's critiques are kept as they come; run
    again to go on where it stopped.
    Exit code: 0 all rows were good, 1 some were broken and left out, 2 it could not run, 130 stopped.
    """
    from mene.cli.curate import curate_on_screen, list_sources
    from mene.errors import UsageError

    if list_:
        list_sources(data)
        return
    if recipe is None:
        raise UsageError("say which recipe, e.g. `mene curate nano`; or --list for the raw sets")
    code = curate_on_screen(
        recipe,
        changes or [],
        data,
        output,
        engine=engine,
        teacher=teacher,
        scorer=scorer,
        as_json=json_,
        quiet=quiet,
    )
    sys.exit(code)


@app.command()
def train(
    recipe: RecipeArgument,
    changes: ChangesArgument = None,
    data: PairsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run. [RECIPE-run]")
    ] = None,
    device: DeviceOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say memory, tokens, FLOPs and hours, and stop.")
    ] = False,
    gpu: Annotated[
        str, typer.Option("--gpu", help="To plan for: h100, h200, a100, l4, rtx4090 or cpu.")
    ] = "h100",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="To plan for.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.1, help="Tokens a second, measured, to plan with."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the log as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a judge on the pairs of `mene curate`.

    Run again to go on where it stopped. Exit code: 0 trained, 1 failed or would not fit, 2 it could not run, 130 stopped.
    """
    from mene.cli.train import plan_on_screen, train_on_screen

    if plan:
        found = plan_on_screen(
            recipe, changes or [], data, gpu=gpu, gpus=gpus, rate=rate, as_json=json_
        )
        sys.exit(found)

    code = train_on_screen(
        recipe, changes or [], data, output, device=device, as_json=json_, quiet=quiet
    )
    sys.exit(code)


@app.command()
def ablate(
    recipe: RecipeArgument,
    changes: ChangesArgument = None,
    data: PairsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of all runs. [RECIPE-ablate, -stage, -loss]"),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="What to leave out in turn: source, stage or loss.")
    ] = "source",
    only: Annotated[
        str | None, typer.Option("--only", help="Some variants by name, comma-separated.")
    ] = None,
    device: DeviceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List variants, pairs and tokens, and stop.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train without each source, stage or loss in turn.

    Says what each of them brings. Run again to go on where it stopped. Exit code: 0 all trained, 1 failed, 2 it could
    not run, 130 stopped.
    """
    from mene.cli.ablate import ablate_on_screen

    code = ablate_on_screen(
        recipe,
        changes or [],
        data,
        output,
        by=by,
        only=[name.strip() for name in (only or "").split(",") if name.strip()],
        device=device,
        dry_run=dry_run,
        as_json=json_,
        quiet=quiet,
    )
    sys.exit(code)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run that `mene train` finished.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files. [RUN/export]")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--form", help="adapter, adapter.gguf, merged, Q8_0, …; repeatable. [all usual]"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the judge. [the run's]")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder that `mene curate` made, for the card.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Folder of `mene bench`, for the card.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Write a trained judge's files, and its card.

    For llama.cpp, Ollama, vLLM and mene.
    """
    from mene.cli.export import export_on_screen

    sys.exit(
        export_on_screen(
            run, output, form, name, data=data, results=results, as_json=json_, quiet=quiet
        )
    )


app.command()(serve)


def version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        from mene import __version__

        print(f"mene {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Judge the output of language models with a small model you own."""


for command in (*app.registered_commands, *criteria_app.registered_commands):
    command.cls = OnceEach
