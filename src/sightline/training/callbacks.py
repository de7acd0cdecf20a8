"""What happens around the loop: freezing, checkpoints, and what a user sees of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, WeightAveraging
from rich.console import Console
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sightline.config.trainer import Trainer as TrainerConfig
from sightline.training.depth import keep_batch_statistics, layer_groups
from sightline.training.mid_epoch import MidEpoch
from sightline.training.module import Fit


class Freeze(Callback):
    """Let only the upper layers learn in the first epochs, with the others (and their batch statistics) at rest.

    Args:
        epochs: after which all layers learn.
        gradually: False: only the head learns before; True: layers join it from the top, in equal shares per epoch
            (Howard and Ruder 2018, section 3.3).
    """

    def __init__(self, epochs: int, gradually: bool) -> None:
        self.epochs, self.gradually = epochs, gradually

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze or unfreeze at the start of an epoch; also right after a resume."""
        assert isinstance(pl_module, Fit)
        network = pl_module.task.network
        depth_of = layer_groups(network, pl_module.task.head)
        top = max(depth_of.values())
        share = min(1.0, trainer.current_epoch / self.epochs)
        resting = 0 if share == 1 else round(top * (1 - share)) if self.gradually else top
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(depth_of[name] >= resting)
        network.train()
        for module in network.modules():
            own = list(module.parameters())
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()


class KeepBatchStatistics(Callback):
    """Leave batch normalisation below the head in evaluation mode: its statistics stay, its scale and shift learn."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs after `Freeze`, which sets the mode of all layers."""
        assert isinstance(pl_module, Fit)
        keep_batch_statistics(pl_module.task.network, pl_module.task.head)


class EpochLines(Callback):
    """Print one line per epoch, with loss, scores and speed."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Take the time."""
        self.started = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the row that the epoch has just closed."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Fit)
        row = pl_module.curves[-1]
        seconds = time.perf_counter() - self.started
        told = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "lr"))
        self.console.print(
            f"epoch {row['epoch'] + 1:>3.0f}/{trainer.max_epochs}  {told}  {seconds:.1f} s",
            highlight=False,
            soft_wrap=True,  # a log has no width
        )


def build_callbacks(config: TrainerConfig, folder: Path) -> tuple[list[Callback], ModelCheckpoint]:
    """Return the callbacks of a training and, among them, the one that keeps the weights to be used.

    Args:
        config: the model's `trainer` section.
        folder: where checkpoints are kept.
    """
    console = Console()
    callbacks: list[Callback] = [EpochLines(console)]
    if console.is_terminal:
        callbacks.append(RichProgressBar(leave=False))
    if config.freeze_epochs:
        callbacks.append(Freeze(config.freeze_epochs, config.unfreeze == "gradually"))
    if config.batch_statistics == "keep":
        callbacks.append(KeepBatchStatistics())
    if config.ema_decay is not None:
        # As Lightning's EMAWeightAveraging, but with one call for all tensors: that one takes them one by one.
        callbacks.append(WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay)))  # type: ignore[no-untyped-call]
    if config.early_stopping is not None:
        stop = config.early_stopping
        callbacks.append(EarlyStopping("val_loss", stop.min_delta, stop.patience))
    # `save_last` next to a monitor would be stale (it is written only when the best changes): hence two checkpoints.
    # A weights-only checkpoint skips the callbacks, and with them the averaged weights.
    light = config.ema_decay is None
    best = ModelCheckpoint(folder, "best", monitor="val_loss", save_weights_only=light, enable_version_counter=False)
    last = ModelCheckpoint(folder, "last", monitor=None, enable_version_counter=False)
    return [*callbacks, MidEpoch(folder, config.accumulate), best, last], best if config.keep == "best" else last
