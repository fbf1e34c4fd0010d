"""The command: verbs, and Hydra for all else. Imports nothing heavy before it is known what is asked."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle.credentials import masked, masked_word
from lifecycle.errors import Interrupted, LifecycleError, RequestError, did_you_mean
from lifecycle.profiling.clock import profiled
from lifecycle.runtime.processes import environment, is_helper
from lifecycle.runtime.signals import signals_raise

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lifecycle.config.schema import Request


SWEEP_FAILED = "not every job of the sweep succeeded; each failure is told above, and its run is FAILED in MLflow."


class SweepError(LifecycleError):
    """A job of a multirun failed; it has been told already."""


def main() -> int:
    """Run the command line and return its exit code.

    0 done; 1 the run failed; 2 a bad request; 130 and 143 ended by Ctrl-C and SIGTERM.
    """
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with signals_raise():
            _dispatch(sys.argv[1:])
    except Interrupted as error:
        print(f"lifecycle: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        return _tell(error, full_error)
    return 0


def _tell(error: Exception, full_error: bool) -> int:
    """Print an error as its reader needs it, and return the exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    error = _explained(error)
    if is_helper():
        print(f"lifecycle: a process of the run ended: {type(error).__name__}", file=sys.stderr)
        return 1
    if not isinstance(error, LifecycleError):  # a fault of this program or of a plugin: its author needs to see where
        _print_traceback(error)
        return 1
    if full_error:
        _print_traceback(error)
    print(f"lifecycle: {masked(str(error))}", file=sys.stderr)
    return error.exit_code


def _explained(error: Exception) -> Exception:
    """Return an error as a sentence where it is no fault of this program: a full disk, a plugin, and the like."""
    from lifecycle.runtime.faults import explanation

    said = explanation(error)
    if said is None:
        return error
    said.__cause__ = error
    return said


def _print_traceback(error: BaseException) -> None:
    print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr, flush=True)


def _dispatch(words: list[str]) -> None:
    if "--help" in words or "-h" in words:
        from lifecycle.listing import print_help

        print_help(words[0] if words[0] in VERBS else None)
    elif words and words[0] in VERBS:
        VERBS[words[0]](words[1:])
    elif words and not words[0].startswith(("-", "+", "~")) and "=" not in words[0]:
        raise RequestError(
            f"{words[0]} is no verb of lifecycle.{_meant(words[0])} "
            f"Use {', '.join(VERBS)}, or key=value words such as model=mlp data=iris."
        )
    elif "--version" in words:
        from importlib.metadata import version

        print(f"lifecycle {version('nn-lifecycle')}")
    else:
        if any(word.startswith("query=") for word in words) and _complete_verbs(os.environ.get("COMP_LINE", "")):
            return
        _hydra(words)


def _complete_verbs(line: str) -> bool:
    """Offer the verbs that begin as the first word of a line does, or the words of its verb; Hydra offers the rest.

    Returns:
        whether the line is a verb's.
    """
    typed = line.split(" ")
    if len(typed) > 2 and typed[1] in VERBS:
        from lifecycle.verb_words import complete

        print(*complete(line), sep="\n")
        return True
    if len(typed) == 2:
        print(*(verb for verb in VERBS if verb.startswith(typed[1])), sep="\n")
    return False


def _meant(word: str) -> str:
    """Return what a word that is no verb may have been meant for: ``data=iris`` for ``iris``."""
    from lifecycle.config.search_path import EXPERIMENT, options

    pairs = [
        f"{'+' * (group == EXPERIMENT)}{group}={name}"
        for group, names in options().items()
        for name in names
        if name == word
    ]
    return f" Did you mean {pairs[0]}?" if pairs else did_you_mean(word, VERBS)


def _hydra(words: list[str]) -> None:
    """Let Hydra compose the request, or each of a multirun, and run it."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from lifecycle.config import compose, rules
    from lifecycle.config.explain import COMPOSING, explain
    from lifecycle.config.search_path import files_checked

    rules.check_words(words)
    command = compose.command_line()
    failure: list[Exception] = []
    sweep: list[Request] = []

    def job(config: DictConfig) -> None:
        try:
            request = compose.request_of(config, HydraConfig.get(), command)
            sweep[:] = [request] if request.sweep else []
            if request.sweep:
                compose.mask_sweep_file(HydraConfig.get())
            with profiled(request, is_command=True):
                _run(request)
        except SweepError:
            raise
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                _tell(error, full_error=False)
                raise SweepError(SWEEP_FAILED) from error
            failure.append(error)  # told by main(), without Hydra's own words around it

    # Hydra would print errors in its own way and exit with 1; so it is told to raise them.
    try:
        masked_output = compose.masked_output(words)
        with files_checked(), environment(HYDRA_FULL_ERROR="1"), compose.words_for_hydra(words), masked_output:
            hydra.main(config_path=compose.CONFIG_PACKAGE, config_name="config", version_base="1.3")(job)()
    except SweepError:
        _report(sweep)
        raise
    except COMPOSING as error:
        raise explain(error, words) from error  # composing failed: a job's own errors do not come this way
    _report(sweep)
    if failure:
        raise failure[0]


def _report(sweep: list[Request]) -> None:
    """Print what a multirun came to, where there was one."""
    if sweep:
        from lifecycle.runs import pipeline

        pipeline.report_sweep(sweep[0])


def _run(request: Request) -> None:
    """Run one composed request; in a multirun, tell of its failure at once and let the others go on."""
    from hydra.core.hydra_config import HydraConfig

    if request.sweep is None:
        _start(request)
        return
    name = f"job {HydraConfig.get().job.num}: {' '.join(map(masked_word, request.overrides))}"
    if request.config.verbose:
        print(f"\n{name}", flush=True)
    try:
        _start(request)
    except Exception as raised:
        error = _explained(raised)
        if not isinstance(error, LifecycleError):
            _print_traceback(error)
        print(masked(f"lifecycle: {name} failed: {error}"), file=sys.stderr, flush=True)
        raise SweepError(SWEEP_FAILED) from error


def _start(request: Request) -> None:
    """Let MLflow and PyTorch be imported beside each other, without what is not used of the latter, and run."""
    from lifecycle.runtime import lazy_imports
    from lifecycle.tracking import client

    if not is_helper():
        client.warm(request.tracking)
    with lazy_imports.quick_imports():
        from lifecycle.runs import pipeline
    pipeline.run(request)


def _plugins(words: list[str]) -> None:
    from lifecycle.listing import print_plugins

    if words:
        raise RequestError(f"plugins takes no words, got {' '.join(words)}. Type lifecycle plugins.")
    print_plugins()


def _ui(words: list[str]) -> None:
    from lifecycle.ui import serve

    serve(words)


def _data(words: list[str]) -> None:
    from lifecycle.cards import data

    data(words)


def _of_a_run(verb: str) -> Callable[[list[str]], None]:
    """Return a verb on runs, which is a module of its own."""

    def run(words: list[str]) -> None:
        from importlib import import_module

        import_module(f"lifecycle.verbs.{verb}").run(words)

    return run


VERBS: dict[str, Callable[[list[str]], None]] = {
    **{
        verb: _of_a_run(verb)
        for verb in ("predict", "evaluate", "resume", "rerun", "compare", "export", "serve", "register")
    },
    "data": _data,
    "plugins": _plugins,
    "ui": _ui,
}

if __name__ == "__main__":
    sys.exit(main())
