"""The text of ``lifecycle --help``, and that of each subcommand. Both fit a terminal of 80 columns."""

from __future__ import annotations

import sys

from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.runtime import lines

# The keys are a selection by hand of more than a hundred; --cfg job lists all.
HELP = """\
lifecycle defines, compiles, fits, evaluates and uses neural networks, and
tracks each run in MLflow.

  lifecycle model=mlp data=iris             one run, tracked in mlruns/
  lifecycle +experiment=pima                a worked example of the tutorials
  lifecycle -m model=mlp,cnn data=digits seed=1,2,3
                                            every combination (a Hydra
                                            multirun); again: continues it
  lifecycle data=iris seeds=10              ten seeds on one split: mean, sd,
                                            95% interval
  lifecycle data=iris cv=5                  cross-validation; -m compares
                                            configurations on the same folds
  lifecycle model=mlp data=iris --cfg job   print every field and its value, run
                                            nothing

Subcommands (lifecycle <subcommand> --help lists the options):
{subcommands}

Choose (group=name):
{groups}

Worked examples (+experiment=name), which set all of the above:
{examples}

Set (key=value), for instance:
  model.<field>  hyper-parameters of the model, such as model.hidden=[64,32]
  optimizer.lr=0.01  loss=mae  metrics=[accuracy,f1,cohen_kappa]  seed=1
  schedule=cosine  schedule.warmup_epochs=5  class_weights=balanced
  label_smoothing=0.1
  verbose=0 silent, 1 a bar on a terminal and 25 lines at most elsewhere,
    2 a line an epoch
  profile=true measures where the time of the run goes: a table, and a page with
    a flame graph
  trainer.max_epochs=100  trainer.batch_size=32  trainer.patience=30
  trainer.early_stopping=false  trainer.gradient_clip_val=1.0
  trainer.shuffle=false  trainer.class_balanced=true  trainer.torch_compile=true
  trainer.accelerator=auto|cpu|gpu  trainer.devices=2 trainer.strategy=ddp
  data.test_size=0.2 (a share, or from 1 on a number of samples)
  data.val_size=0.2  data.validation_split=0.2
  data.scaling=standard|minmax|none
  tracking.dir=mlruns  tracking.experiment=lifecycle
  cv.repeats=10  sweep.workers=2  sweep.launcher=joblib
  sweep.on_error=continue|stop|retry  sweep.retries=1  sweep.minutes=30
  sweep.metric=test_accuracy

Your own data sets and presets: YAML files in conf/<group>/ of the working
folder, or of --config-dir.
Completion for bash:  eval "$(lifecycle -sc install=bash)"
                      for zsh and fish likewise
Tracebacks:           HYDRA_FULL_ERROR=1
No colours:           NO_COLOR=1
"""


def print_help(subcommand: str | None = None) -> None:
    """Print the help of the command or of a subcommand. Imports no plugin and, for the command, no Hydra."""
    width = lines.width_of(sys.stdout) or lines.USUAL
    if subcommand is not None:
        from lifecycle.cli.options import usage

        print(lines.fitted(usage(subcommand, width), width))
        return
    # Imported here, as the help of a subcommand lists no groups.
    from lifecycle.config.options import EXPERIMENT, options

    names = options()
    examples = lines.fitted(f"  {', '.join(names.pop(EXPERIMENT))}", width, indent=2)
    groups = [
        lines.fitted(f"  {group:<10} {', '.join(options)}", width, indent=13)
        for group, options in names.items()
        if len(options) > 1
    ]
    longest = max(map(len, SUBCOMMANDS))
    listed = [lines.fitted(_line(name, longest), width, indent=longest + 5) for name in SUBCOMMANDS]
    print(HELP.format(groups="\n".join(groups), examples=examples, subcommands="\n".join(listed)), end="")


def _line(subcommand: str, width: int) -> str:
    return f"  {subcommand:<{width}}   {SUBCOMMANDS[subcommand]}"
