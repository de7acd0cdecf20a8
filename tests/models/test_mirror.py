"""A mirror of the hub: a folder, or a web server that is really asked."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sightline.config.weights import MIRROR, file_of
from sightline.models.classify.classifiers import build_classifier
from sightline.models.mirror import available_lines, mirrored_weights
from sightline.system import download
from sightline.system.errors import UserError
from sightline.tasks import weights_source

NETWORK = "torchvision:squeezenet1_1"
FILE = "squeezenet1_1.safetensors"


class Site:
    """A server whose pages are a mapping: path -> bytes, a status, or (status, headers, bytes)."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        self.allowed: list[str | None] = []
        self.port = 0

    def address(self, path: str = "", name: str = "") -> str:
        return f"http://{name}127.0.0.1:{self.port}/{path}"

    def sums(self, *others: str) -> None:
        """Write SHA256SUMS of all files under /mirror."""
        lines = [f"{hashlib.sha256(page).hexdigest()}  {path.rpartition('/')[2]}" for path, page in self.pages.items()]
        self.pages["/mirror/SHA256SUMS"] = ("\n".join([*lines, *others]) + "\n").encode()


@contextmanager
def served() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.allowed.append(self.headers["Authorization"])
            page = site.pages.get(self.path, 404)
            status, headers, content = page if isinstance(page, tuple) else (200, {}, page)
            if isinstance(content, int):
                status, content = content, b""
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with served() as own:
        monkeypatch.setenv(MIRROR, own.address("mirror"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.chdir(tmp_path)
        yield own


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("published") / FILE
    save_file(build_classifier(NETWORK, 3, 64, 1000).network.state_dict(), file)
    return file.read_bytes()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_weights_are_fetched_when_they_are_read_and_only_once(site: Site, weights: bytes, tmp_path: Path) -> None:
    site.pages[f"/mirror/{FILE}"] = weights
    folder = tmp_path / "data/weights"
    assert file_of("pretrained", NETWORK, folder) is None
    assert site.asked == []
    source = weights_source("pretrained", NETWORK, folder)
    assert isinstance(source, Path)
    assert source.read_bytes() == weights
    assert (tmp_path / "cache/sightline/weights") in source.parents
    asked = list(site.asked)
    built = build_classifier(NETWORK, 3, 64, 5, weights=source).network.state_dict()
    torch.manual_seed(1)
    published = build_classifier(NETWORK, 3, 64, 1000).network.state_dict()
    assert all(torch.equal(built[key], published[key]) for key in built if not key.startswith("classifier"))
    assert weights_source("pretrained", NETWORK, folder) == source
    assert site.asked == asked


def test_a_projects_file_comes_first(site: Site, weights: bytes, tmp_path: Path) -> None:
    site.pages[f"/mirror/{FILE}"] = weights
    file = tmp_path / "data/weights/squeezenet1_1.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"own")
    assert weights_source("pretrained", NETWORK, file.parent) == file
    assert weights_source("random", NETWORK, file.parent) == "random"
    assert site.asked == []


def test_what_the_mirror_lacks_is_left_to_the_hub(site: Site, tmp_path: Path) -> None:
    assert weights_source("pretrained", NETWORK, tmp_path) == "pretrained"
    endings = ("safetensors", "pth", "pt", "th")
    assert site.asked == ["/mirror/SHA256SUMS", *(f"/mirror/squeezenet1_1.{ending}" for ending in endings)]
    assert left_in(tmp_path) == []


def test_the_list_of_sums_says_what_there_is(site: Site, weights: bytes, tmp_path: Path) -> None:
    site.pages["/mirror/squeezenet1_1.pth"] = weights
    site.sums()
    assert mirrored_weights("timm:resnet18") is None
    assert site.asked == ["/mirror/SHA256SUMS"]
    found = mirrored_weights(NETWORK)
    assert found is not None
    assert (found.name, found.read_bytes()) == ("squeezenet1_1.pth", weights)


def test_another_file_than_the_sum_says_is_refused(site: Site, weights: bytes, tmp_path: Path) -> None:
    site.pages[f"/mirror/{FILE}"] = weights
    site.sums()
    site.pages[f"/mirror/{FILE}"] = weights[:-1] + b"\x00"
    with pytest.raises(UserError, match=rf"{FILE}: has the SHA-256 [0-9a-f]{{64}}, but SHA256SUMS says"):
        mirrored_weights(NETWORK)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "page", "told"),
    [
        (FILE, 500, r"127\.0\.0\.1:\d+/mirror/squeezenet1_1\.safetensors: the server answers 500"),
        ("SHA256SUMS", 503, r"mirror/SHA256SUMS: the server answers 503"),
        (FILE, 403, r"the server answers 403"),
        (FILE, (200, {"Content-Length": "1000"}, b"half of it"), r"broke off after 10 of 1000 bytes"),
        (FILE, b"<!DOCTYPE html><title>Log in</title>", r"is a page, not a file; does the server want a login"),
        ("SHA256SUMS", b"<html>", r"lists no files; write it by `sha256sum \*`"),
        (FILE, (302, {"Location": "file:///etc/hostname"}, b""), r"answers 302 .*file:///etc/hostname"),
        (FILE, (302, {"Location": "ftp://127.0.0.1/x"}, b""), r"redirects to ftp://127\.0\.0\.1/x, which is not"),
    ],
)
def test_an_error_is_not_an_absence(site: Site, tmp_path: Path, path: str, page: Any, told: str) -> None:
    """Where the server is ill, going on to the hub would train on other weights, or hang, without a word."""
    site.pages[f"/mirror/{path}"] = page
    with pytest.raises(UserError, match=told) as caught:
        weights_source("pretrained", NETWORK, tmp_path / "data/weights")
    (line,) = caught.value.lines
    assert line.startswith("SIGHTLINE_WEIGHTS: http://127.0.0.1:")
    assert "unset SIGHTLINE_WEIGHTS" in line
    assert left_in(tmp_path) == []


def test_a_redirect_is_followed(site: Site, weights: bytes) -> None:
    site.pages[f"/mirror/{FILE}"] = (302, {"Location": site.address("store/1")}, b"")
    site.pages["/store/1"] = weights
    found = mirrored_weights(NETWORK)
    assert found is not None
    assert found.read_bytes() == weights


def test_a_server_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as gone:
        address = gone.address("mirror", "me:secret@")
    monkeypatch.setenv(MIRROR, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"SIGHTLINE_WEIGHTS: http://127\.0\.0\.1:\d+/mirror/.*cannot be reached") as e:
        mirrored_weights(NETWORK)
    assert "secret" not in str(e.value)
    assert available_lines(tmp_path) == []


def test_a_server_that_never_answers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(download, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{mute.getsockname()[1]}/mirror")
        with pytest.raises(UserError, match=r"cannot be reached \(.*timed out\)"):
            mirrored_weights(NETWORK)


def test_a_password_goes_to_the_mirror_alone(site: Site, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, site.address("mirror", "me:a%20secret@"))
    with served() as other:
        other.pages["/1"] = weights
        site.pages[f"/mirror/{FILE}"] = (302, {"Location": other.address("1")}, b"")
        found = mirrored_weights(NETWORK)
        assert other.allowed == [None]
    assert set(site.allowed) == {"Basic bWU6YSBzZWNyZXQ="}
    assert found is not None
    assert "secret" not in str(found)


def test_a_folder_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path / "unmounted"))
    with pytest.raises(UserError, match=r"SIGHTLINE_WEIGHTS: .*unmounted: no such folder"):
        weights_source("pretrained", NETWORK, tmp_path)


def test_what_there_is_can_be_copied_from_the_error(
    site: Site, weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import SqueezeNet1_0_Weights

    def offline(self: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(SqueezeNet1_0_Weights, "get_state_dict", offline)
    site.pages[f"/mirror/{FILE}"] = weights
    site.sums()
    folder = Path("data/weights")
    folder.mkdir(parents=True)
    for name in ("tf_efficientnet_lite2.safetensors", "my.pth", "notes.txt"):
        (folder / name).touch()
    there = [
        "there is: my.pth in data/weights",
        "there is: tf_efficientnet_lite2.safetensors in data/weights, for timm:tf_efficientnet_lite2",
        f"there is: {FILE} at {site.address('mirror')}, for {NETWORK}",
    ]
    with pytest.raises(UserError, match="cannot be fetched from the hub") as caught:
        build_classifier("torchvision:squeezenet1_0", 3, 64, 5, weights="pretrained")
    assert caught.value.lines[1:] == there
    with pytest.raises(UserError, match="no such file") as caught:
        build_classifier(NETWORK, 3, 64, 5, weights=folder / "mine.pth")
    assert caught.value.lines[1:] == there


def test_a_hub_that_is_away_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client looks into its cache alone then, and asks again the next time."""
    import socket

    from huggingface_hub import constants

    from sightline.models.classify.hub import from_hub, hub_answers

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub_answers()
    assert not hub_answers()
    before, seen = constants.HF_HUB_OFFLINE, []

    def load() -> None:
        seen.append(constants.HF_HUB_OFFLINE)
        raise OSError("not in the cache")

    with pytest.raises(UserError, match=r"cannot be fetched from the hub \(not in the cache\); go online, or put"):
        from_hub("timm:resnet18", load)
    assert seen == [True]
    assert constants.HF_HUB_OFFLINE is before
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert hub_answers(), "perhaps, through the proxy"
