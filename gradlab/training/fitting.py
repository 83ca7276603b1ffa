"""Which networks can learn which tasks, and why the others cannot."""

from __future__ import annotations

from ..config.architecture import is_recurrent, is_transformer, is_tree, reads_all
from ..config.train import TrainConfig
from ..engine.step_clipping import STEP_MODES
from ..errors import InputError
from ..tasks import Task


def require_fitting(config: TrainConfig, task: Task) -> None:
    """Raise InputError, about the field to change, for a network that cannot learn a task, or only by cheating."""
    if is_tree(config) and task.form != "tree":
        raise InputError(f"architecture: {task.title} has no trees; choose the task arithmetic_trees", "architecture")
    if task.form == "pair":
        _require_pair(config, task)
    elif reads_all(config) and task.output == "every":
        raise InputError(
            f"attention: it reads all steps for one answer, but {task.title} asks for one at every step; switch it off",
            "attention",
        )
    if task.foretells:
        _require_causal(config, task)
    if config.clip in STEP_MODES and not is_recurrent(config):
        raise InputError(
            f"clip: {config.clip} clips inside the backpropagation of recurrent nets; clip the update, such as by norm",
            "clip",
        )


def _require_pair(config: TrainConfig, task: Task) -> None:
    """An encoder and a decoder are recurrent, and the one hands its last state to the other."""
    if not is_recurrent(config):
        raise InputError(
            f"architecture: {task.title} is learnt by a recurrent encoder and decoder; choose recurrent", "architecture"
        )
    if config.bidirectional:
        raise InputError(
            f"bidirectional: the decoder of {task.title} goes on from the encoder's last state, and both directions "
            "have none in common; switch it off",
            "bidirectional",
        )


def _require_causal(config: TrainConfig, task: Task) -> None:
    """What is to be foretold must not be seen."""
    if is_recurrent(config) and config.bidirectional:
        raise InputError(
            f"bidirectional: the backward direction would read the answers of {task.title}, which are the steps that "
            "come next; switch it off",
            "bidirectional",
        )
    if is_transformer(config) and not config.causal:
        raise InputError(
            f"causal: a transformer that sees later positions would read the answers of {task.title}, which are the "
            "steps that come next; switch causal on",
            "causal",
        )
