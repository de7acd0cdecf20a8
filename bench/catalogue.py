"""The benchmarks that `make bench` runs: what each compares, with what, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: what is ours.
        reference: what it is compared with.
        target: of the median ratio; None where nothing is aimed at.
        cost: the ratio is our time over the reference's, and the target its upper bound; otherwise it is the
            reference's over ours, and the target a lower bound.
    """

    name: str
    reference: str
    target: float | None = None
    cost: bool = False

    @property
    def aim(self) -> str:
        """The target in words."""
        return "-" if self.target is None else f"{'≤' if self.cost else '≥'} {self.target:g}"

    def met(self, ratio: float) -> bool | None:
        """Tell whether a median ratio reaches the target; None without one."""
        if self.target is None:
            return None
        return ratio <= self.target if self.cost else ratio >= self.target


@dataclass(frozen=True)
class Benchmark:
    """A module of this package.

    Attributes:
        title: what is measured.
        cases: those that are always there.
        libraries: whose versions matter.
        alone: `make bench` leaves it out, as it takes more than an hour.
    """

    title: str
    cases: tuple[Case, ...] = ()
    libraries: tuple[str, ...] = field(default=("numpy", "torch"))
    alone: bool = False


DECODED_PLAIN = "a torch loop over decoded images, as a script of its own"
DECODED_KEPT = "that loop in a process that keeps freed memory"
IN_TURN = "that loop, decoding each batch in turn"
LITE0 = "batch 32, defaults of ours"
READ_ONCE = "reading, hashing and decoding each once, on all cores"
PREPARED = ("1,000", "10,000", "100,000")
MORE = PREPARED[1:]
COST_OF_FEW = f"of {PREPARED[0]}, both over their loops"
SCALES = (1_000, 10_000, 100_000, 1_000_000)
SCALE_STEPS = ("prepare", "an epoch", "evaluate", "ingest of 10 more")
_EMBEDDED = ("mobilenet_v2, 224 px, JPEG", "resnet18, 224 px, JPEG", "resnet10t, 28 px, PNG")
_SPLIT = {DECODED_PLAIN: 0.95, DECODED_KEPT: None, IN_TURN: 0.95}
_DVC = ("dvc", "dvc-data")

BENCHMARKS = {
    "keras_mnist": Benchmark(
        "the lecture's MNIST program",
        (Case("whole process, 5 epochs", "Keras with TensorFlow, as in the lecture", 2.0),),
        ("torch", "pytorch-lightning"),
    ),
    "training_loop": Benchmark(
        "training, `mnist_cnn`, 28 px, an epoch",
        (Case("batch 32", "a loop written by hand", 0.97), Case("batch 256", "a loop written by hand", 0.98)),
        ("torch", "pytorch-lightning"),
    ),
    "finetuning": Benchmark(
        "training, EfficientNet-Lite0, 224 px, from JPEG files, an epoch",
        (
            Case(LITE0, "torchvision's recipe, `ImageFolder`", 1.5),
            Case(LITE0, "timm's training script, its loader", 1.5),
        ),
        ("torch", "torchvision", "timm", "pytorch-lightning", "albumentations"),
    ),
    "loader": Benchmark(
        "loading JPEGs, cropped and mirrored to 256 px",
        tuple(Case(f"{count} loader processes", "torchvision's `ImageFolder`", 3.0) for count in (0, 2)),
        ("torch", "torchvision", "albumentations", "opencv-python-headless"),
    ),
    "coco_import": Benchmark(
        "import of COCO's JSON",
        (
            Case("100,000 images", "supervision, `DetectionDataset.from_coco`", 3.0),
            Case("2,000 images", "FiftyOne, `Dataset.from_dir`", 3.0),  # of 100,000 it takes most of an hour
            Case("100,000 images", "pycocotools, `COCO` and an array of boxes per image"),
        ),
        ("supervision", "fiftyone", "pycocotools"),
    ),
    "prepare": Benchmark(
        "`prepare` of JPEGs of about 320 x 400",
        (
            *(Case(f"{count} images", READ_ONCE, 0.7) for count in PREPARED),
            *(Case(f"{count} images: cost of each", COST_OF_FEW, 1.1, cost=True) for count in MORE),
            *(Case(f"{count} images: peak of memory", "1 GiB", 1.0, cost=True) for count in PREPARED),
        ),
        ("pyarrow", "opencv-python-headless", "pillow"),
    ),
    "scale": Benchmark(
        "images of 32 px in folders",
        (
            *(
                Case(f"{count:,} images: {step}, cost of each", f"of {SCALES[0]:,}", 1.3, cost=True)
                for count in SCALES[1:]
                for step in SCALE_STEPS[:-1]
            ),
            *(Case(f"{count:,} images: {SCALE_STEPS[-1]}", f"into {SCALES[0]:,}", cost=True) for count in SCALES[1:]),
            *(
                Case(f"{count:,} images: {step}, memory", "2 GiB", 1.0, cost=True)
                for count in SCALES
                for step in SCALE_STEPS
            ),
        ),
        ("pyarrow", "torch", "pytorch-lightning", *_DVC),
        alone=True,
    ),
    "mean_average_precision": Benchmark(
        "COCO's metrics, 5,000 images of 100 predicted boxes",
        (Case("once", "pycocotools", 3.0), Case("bootstrap of 2,000", "pycocotools, `accumulate` of each draw", 3.0)),
        ("numpy", "scipy", "pycocotools"),
    ),
    "features": Benchmark(
        "`embed`",
        tuple(Case(name, loop, target) for name in _EMBEDDED for loop, target in _SPLIT.items()),
        ("torch", "timm", "torchvision", "pyarrow"),
    ),
    "inference": Benchmark(
        "`predict` of files in batches of 32, JSON lines",
        (
            Case("mobilenet_v2, 224 px, ONNX Runtime", "a bare loop of the same session", 0.95),
            Case("mobilenet_v2, 224 px, torch", "a bare loop of the same network", 0.95),
            Case("test_resnet, 32 px, ONNX Runtime", "a bare loop of the same session"),
        ),
        ("torch", "onnxruntime", "opencv-python-headless"),
    ),
    "engines": Benchmark("ONNX Runtime", libraries=("torch", "onnxruntime")),
    "serving": Benchmark(
        "server, 200 clients, mobilenet_v2, 224 px",
        (Case("images/s", "the best bare loop over the same ONNX file", 0.85),),
        ("torch", "onnxruntime"),
    ),
    "startup": Benchmark(
        "start",
        (
            Case("`dvc repro`, nothing to do", "the same `dvc.yaml` with commands that do nothing", 1.3, cost=True),
            Case("a training process to its first step", "`import torch, pytorch_lightning`", 1.2, cost=True),
        ),
        ("torch", "pytorch-lightning", *_DVC, "mlflow-skinny"),
    ),
    "demo": Benchmark(
        "`make demo`",
        (
            Case(
                "`dvc repro` of a fresh project",
                "the same stages in one process that has imported all",
                1.25,
                cost=True,
            ),
        ),
        ("torch", "pytorch-lightning", *_DVC, "mlflow-skinny"),
        alone=True,
    ),
}
