"""The command line: one function a command, each handing on to one function of `workflows`.

Faults a user can act on are printed as one line on standard error, without a traceback, and end with the
exit code that :mod:`cohorts.errors` documents. Heavy packages are imported inside the commands so that
``careome --help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Final, NoReturn

import typer

from cohorts.errors import CareomeError
from workflows.application import Application
from workflows.compiling import tell_of_compiling
from workflows.installation import check_installation, version

COMMANDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("demo", "run", "synth", "key", "verify"), "run_cli"),
    **dict.fromkeys(("score", "convert", "manifest"), "score_cli"),
    "gwas": "gwas_cli",
    "wgr": "wgr_cli",
    **dict.fromkeys(
        (
            *("freq", "missing", "hardy", "het", "sex-check", "king", "prune", "clump", "pca", "project"),
            *("ld", "ld-score", "test-missing", "mendel", "compare-reference"),
        ),
        "genotype_cli",
    ),
    **dict.fromkeys(("custodian-key", "reidentify", "withdrawals", "review"), "custodian_cli"),
}
"""Commands, and the module whose ``register`` adds them."""
GROUPS: Final[Mapping[str, str]] = {
    "study": "study_cli",
    "sumstats": "sumstats_cli",
    "plot": "plot_cli",
    "codes": "codes_cli",
    "records": "records_cli",
    "phenotype": "phenotype_cli",
}
"""Groups of commands, and the module whose ``app`` they are."""

# PLINK lets these take several words; they reach the command as one comma-separated value.
SEVERAL_WORDS = {
    "--pheno-name", "--covar-name", "--chr", "--score", "--indep-pairwise", "--bgen", "--region",
    "--mach-r2-filter", "--export", "--phenoCol", "--phenoColList", "--covarCol", "--covarColList",
    "--catCovarList", "--condition", "--glm", "--vcf", "--bcf", "--pfile", "--pgen", "--pca", "--not-chr",
    "--snps", "--snp", "--snps-only", "--extract", "--exclude", "--hwe",
}  # fmt: skip
# and these may stand alone
NO_WORDS = {"--glm", "--pca", "--snps-only"}


def application(wanted: str | None = None) -> Application:
    """The command line; where a command or group is named, with it alone, as all take longer to import than to run."""
    app = Application(
        name="careome",
        help="From a region's care records and genotypes to associations, scores and calibrated risk.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    known = wanted in COMMANDS or wanted in GROUPS
    commands = {name: module for name, module in COMMANDS.items() if not known or name == wanted}
    for module in dict.fromkeys(commands.values()):
        import_module(f"workflows.{module}").register(app)
    app.keep(commands)
    for name, module in GROUPS.items():
        if not known or name == wanted:
            app.add_typer(import_module(f"workflows.{module}").app, name=name)
    return app


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    given = _joined(sys.argv[1:] if arguments is None else arguments)
    # Whatever is written, by us or by a library, is for its owner alone.
    os.umask(0o077)
    # imports and tables make objects by the thousand and hardly a cycle: looking for some takes longer than a small job
    gc.set_threshold(100_000, 20, 20)
    try:
        check_installation()
        tell_of_compiling()
        application(given[0] if given else None)(args=given, prog_name="careome", standalone_mode=True)
    except SystemExit as done:
        if done.code in (0, None) and arguments is None:
            _leave()
        raise
    except CareomeError as error:
        sys.stderr.write(f"careome: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("careome: interrupted; the same command goes on where it was\n")
        sys.exit(130)
    sys.exit(0)


def _leave() -> NoReturn:
    """End the process as it is: every command closes its files and databases before it returns.

    To take a hundred thousand objects apart takes longer than a small job. Nor does a library's thread that is still
    awake then meet an interpreter half gone, which ends in an abort.
    """
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # whoever listened has gone
        os._exit(1)
    os._exit(0)


def _joined(given: list[str]) -> list[str]:
    """``--pheno-name A B`` as ``--pheno-name A,B``, and ``--glm`` alone with an empty value."""
    joined: list[str] = []
    at = 0
    while at < len(given):
        word = given[at]
        at += 1
        joined.append(word)
        if word not in SEVERAL_WORDS:
            continue
        first = at
        while at < len(given) and not given[at].startswith("--"):
            at += 1
        if at > first or word in NO_WORDS:
            joined.append(",".join(given[first:at]))
    return joined


def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        typer.echo(f"careome {version()}")
        raise typer.Exit


if __name__ == "__main__":
    main()
