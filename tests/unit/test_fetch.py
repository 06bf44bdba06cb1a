"""Files from URLs: once, whole, and the right ones.  The server is real, on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import hsx
from hsx.checkpoints.fetch import from_url, is_hub_id

from ..golden import FOLDER

DATA = (FOLDER / "ddpm" / "base.pt").read_bytes()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("HSX_CACHE", str(tmp_path / "cache"))
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404 if "absent" in self.path else 200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[: 1000 if "short" in self.path else None])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked, tmp_path / "cache"
        running.shutdown()


def test_a_url_is_fetched_once_and_loaded(server):
    address, asked, cache = server
    right = hashlib.sha256(DATA).hexdigest()
    for _ in range(2):
        assert hsx.load_backbone(f"{address}/my model.pt".replace(" ", "%20"), image_size=32, sha256=right).h_shape == (
            64,
            8,
            8,
        )
    assert len(asked) == 1 and [p.name.endswith("-my_model.pt") for p in cache.iterdir()] == [True]
    with pytest.raises(hsx.BackboneError, match="expected sha256 0000"):
        from_url(f"{address}/my%20model.pt", "0000")


@pytest.mark.parametrize(
    "name, said",
    [
        ("absent.pt", "HTTP Error 404"),
        ("short.pt", f"the connection ended after 1000 of {len(DATA)} bytes"),
        ("other.pt", "expected sha256 1234"),
    ],
)
def test_what_does_not_come_whole_leaves_nothing(server, name, said):
    address, _, cache = server
    with pytest.raises(hsx.BackboneError, match=said):
        from_url(f"{address}/{name}", "1234" if name == "other.pt" else None)
    assert not list(cache.iterdir())


def test_no_server_no_host_and_no_hub_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HSX_CACHE", str(tmp_path))
    with pytest.raises(hsx.BackboneError, match="check the address and the network"):
        hsx.load_backbone("http://127.0.0.1:9/a.pt")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(hsx.BackboneError, match="expected a folder here or a model of the Hub") as caught:
        hsx.load_backbone("nobody/no-such-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source, hub",
    [
        ("google/ddpm-celebahq-256", True),
        ("checkpoints/afhq_dog_4m.pt", False),
        ("./a/b", False),
        ("/a/b", False),
        ("a/b/c", False),
        ("~/model", False),
        ("hsx://demo_faces", False),
    ],
)
def test_what_a_hub_id_looks_like(source, hub):
    assert is_hub_id(source) == hub


def test_the_hash_of_a_file_that_is_here(tmp_path):
    file = tmp_path / "a.pt"
    file.write_bytes(DATA)
    right = hashlib.sha256(DATA).hexdigest()
    assert hsx.load_backbone(file, image_size=32, sha256=right.upper()).h_shape == (64, 8, 8)
    with pytest.raises(hsx.BackboneError, match=f"a.pt: expected sha256 00, got {right}; correct the option"):
        hsx.load_backbone(file, image_size=32, sha256="00")
    for source in ("hsx://demo_faces", str(tmp_path), "google/ddpm-cifar10-32"):
        with pytest.raises(hsx.BackboneError, match="sha256: expected a source that is a single file, got"):
            hsx.load_backbone(source, sha256=right)
