"""The command: verbs, and Hydra for all else. Imports nothing heavy before it is known what is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from lifecycle.cli.exit_codes import report
from lifecycle.cli.hydra_app import compose_and_run
from lifecycle.errors import Interrupted, RequestError, did_you_mean
from lifecycle.runtime.signals import signals_raise


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
        return report(error, full_error)
    return 0


def _dispatch(words: list[str]) -> None:
    if "--help" in words or "-h" in words:
        from lifecycle.cli.help import print_help

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
        compose_and_run(words)


def _complete_verbs(line: str) -> bool:
    """Offer the verbs that begin as the first word of a line does, or the words of its verb; Hydra offers the rest.

    Returns:
        whether the line is a verb's.
    """
    typed = line.split(" ")
    if len(typed) > 2 and typed[1] in VERBS:
        from lifecycle.cli.options import complete

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


def _plugins(words: list[str]) -> None:
    from lifecycle.cli.commands.plugins import print_plugins

    if words:
        raise RequestError(f"plugins takes no words, got {' '.join(words)}. Type lifecycle plugins.")
    print_plugins()


def _ui(words: list[str]) -> None:
    from lifecycle.cli.commands.ui import serve

    serve(words)


def _data(words: list[str]) -> None:
    from lifecycle.cli.commands.data import data

    data(words)


def _of_a_run(verb: str) -> Callable[[list[str]], None]:
    """Return a verb on runs, which is a module of its own."""

    def run(words: list[str]) -> None:
        from importlib import import_module

        import_module(f"lifecycle.cli.commands.{verb}").run(words)

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
