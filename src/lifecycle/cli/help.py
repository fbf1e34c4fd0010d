"""What there is to choose from: the help text, and the table of plugins."""

from __future__ import annotations

HELP = """\
lifecycle takes a neural network through its whole life: define, compile, fit, evaluate, predict.

  lifecycle model=mlp data=iris                        one run, tracked in mlruns/
  lifecycle +experiment=pima                           a worked example of the tutorials
  lifecycle -m model=mlp,cnn data=digits seed=1,2,3    every combination (a Hydra multirun)
  lifecycle model=mlp data=iris --cfg job              print every field and its value, run nothing
  lifecycle data                                       the data sets; lifecycle data iris: what is in one
  lifecycle plugins                                    what is installed, and what is broken
  lifecycle ui                                         compare the runs in MLflow

Use a run that was made (lifecycle <verb> --help says what it takes):
{verbs}

Choose (group=name):
{groups}

Worked examples (+experiment=name), each a choice of all the above:
  {examples}

Set (key=value), for instance:
  model.<field>        hyper-parameters of the model, such as model.hidden=[64,32]
  optimizer.lr=0.01    loss=mae    metrics=[accuracy,f1,cohen_kappa]    seed=1
  schedule=cosine schedule.warmup_epochs=5    class_weights=balanced    label_smoothing=0.1
  verbose=0 silent, 1 a bar on a terminal and a line an epoch elsewhere, 2 a line an epoch
  profile=true where the time of the run goes: a table, and a flame graph among its artifacts
  trainer.max_epochs=100  trainer.batch_size=32  trainer.patience=30  trainer.early_stopping=false
  trainer.gradient_clip_val=1.0  trainer.shuffle=false  trainer.class_balanced=true  trainer.torch_compile=true
  trainer.accelerator=auto|cpu|gpu  trainer.devices=2 trainer.strategy=ddp
  data.test_size=0.2 (a share, or from 1 on a number of samples)  data.val_size=0.2  data.validation_split=0.2
  data.scaling=standard|minmax|none    tracking.dir=mlruns  tracking.experiment=lifecycle

Your own data sets and presets: YAML files in conf/<group>/ of the working folder, or of --config-dir.
Completion for bash:  eval "$(lifecycle -sc install=bash)"     for zsh and fish likewise
Tracebacks:           HYDRA_FULL_ERROR=1
"""


def print_help(verb: str | None = None) -> None:
    """Print what can be typed, or what a verb takes; imports no plugin."""
    from lifecycle.cli import options

    if verb is not None:
        print(_help_of(verb))
        return
    from lifecycle.config import search_path

    offered = search_path.options()
    examples = offered.pop(search_path.EXPERIMENT)
    lines = [f"  {group:<10} {', '.join(names)}" for group, names in offered.items() if len(names) > 1]
    told = options.of_runs()
    width = max(map(len, told))
    verbs = [f"  lifecycle {verb:<{width}}   {line}" for verb, line in told.items()]
    print(HELP.format(groups="\n".join(lines), examples=", ".join(examples), verbs="\n".join(verbs)), end="")


def _help_of(verb: str) -> str:
    """Return the help of a verb, or of one that takes no ``key=value`` words of its own its lines of the whole help."""
    from lifecycle.cli import options

    if options.words_of(verb):
        return options.usage(verb)
    return "\n".join(line for line in HELP.splitlines() if line.startswith(f"  lifecycle {verb} "))
