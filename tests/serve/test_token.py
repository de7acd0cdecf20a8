"""A server with a token answers those who send it; the token is in no message."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from served import Start, encoded, photograph

from sightline.operations.serve import listening_here, read_token
from sightline.system.errors import UserError

TOKEN = "correct-horse-battery"
IMAGE = encoded(photograph())


@pytest.mark.parametrize("method", ["Bearer", "bearer", "BEARER"])
def test_who_sends_the_token_is_answered(classifier: Path, start: Start, method: str) -> None:
    server = start(classifier, token=TOKEN)
    server.client.headers["Authorization"] = f"{method} {TOKEN}"
    assert server.send(IMAGE).status_code == 200
    assert server.client.get("/model").status_code == 200
    assert server.client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Bearer {TOKEN[:-1]}")],
        [("Authorization", f"Bearer {TOKEN}x")],
        [("Authorization", f"Bearer {TOKEN.upper()}")],
        [("Authorization", "Bearer \xff\xfe")],
        [("Authorization", "Bearer wrong-one-altogether"), ("Authorization", f"Bearer {TOKEN}")],
        [("Cookie", f"token={TOKEN}")],
    ],
)
def test_who_does_not_is_refused_on_every_path_but_the_pages_files(
    classifier: Path, start: Start, headers: list[tuple[str, str]]
) -> None:
    server = start(classifier, token=TOKEN)
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    for path in ("/predict", "/explain"):
        answer = server.client.post(path, files={"image": ("a.jpg", IMAGE)}, headers=sent)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "Authorization: Bearer" in answer.json()["error"]
        assert TOKEN not in answer.text
    host, port = server.address.removeprefix("http://").split(":")
    lines = b"".join(b"%s: %s\r\n" % pair for pair in sent)
    for path in ("/model", "/metrics", "/unknown", "//model", "//health", "/model/", "/health/../model", "/%6dodel"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:  # as it stands, not tidied up
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path.encode(), lines))
            assert connection.recv(100).startswith(b"HTTP/1.1 401")
    for path in ("/", "/page.css", "/page.js", "/health"):
        assert server.client.get(path, headers=sent).status_code == 200


def test_a_refused_request_is_counted_and_its_body_is_not_read(classifier: Path, start: Start) -> None:
    server = start(classifier, token=TOKEN)
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nabc")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
    figures = server.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'sightline_requests_total{path="/predict",status="401"} 1.0' in figures


def test_a_missing_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = read_token(file)
    assert len(token) >= 43  # 256 bits
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_token(file) == token
    other = tmp_path / "other"
    assert read_token(other) != token


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (TOKEN, 0o644, "chmod 600"),
        ("short", 0o600, "16 characters at least"),
        ("", 0o600, "letters, digits"),
        ("correct horse battery", 0o600, "letters, digits"),
        ("correct-horse-b\u00e4ttery", 0o600, "letters, digits"),
    ],
)
def test_a_token_that_protects_nothing_is_refused(tmp_path: Path, content: str, mode: int, message: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    file.chmod(mode)
    with pytest.raises(UserError, match=message) as error:
        read_token(file)
    assert not content or content not in str(error.value)


def test_a_token_in_no_folder_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_token(tmp_path / "absent" / "token")
    with pytest.raises(UserError, match="is a folder"):
        read_token(tmp_path)


@pytest.mark.parametrize(("address", "here"), [("127.0.0.1", True), ("127.0.0.2", True), ("0.0.0.0", False)])
def test_which_addresses_only_this_machine_reaches(address: str, here: bool) -> None:
    with socket.create_server((address, 0)) as listening:
        assert listening_here(listening) is here


def test_the_command_makes_the_token_and_does_not_show_it(classifier: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    command = [sys.executable, "-m", "sightline", "serve", str(classifier), "--port", "0", "--token", str(file)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:
        try:
            assert run.stdout is not None
            lines = [run.stdout.readline(), run.stdout.readline()]
            token, address = file.read_text().strip(), lines[0].split()[1]
            assert "Authorization: Bearer TOKEN" in lines[1]
            assert token not in "".join(lines)
            until, answer = time.monotonic() + 30, 0
            while answer != 200 and time.monotonic() < until:
                try:
                    answer = httpx.get(f"{address}/model", headers={"Authorization": f"Bearer {token}"}).status_code
                except httpx.TransportError:
                    time.sleep(0.1)
            assert answer == 200
            assert httpx.get(f"{address}/model").status_code == 401
        finally:
            run.terminate()
        rest = run.stdout.read()
    assert token not in rest
