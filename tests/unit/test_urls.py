"""What is shown of a URL, and which URLs are one file."""

import base64
import functools
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import hsx
from hsx.checkpoints.fetch import from_url
from hsx.cli import main
from hsx.io.urls import identity, public_url, without_secrets

from ..golden import FOLDER

DATA = (FOLDER / "ddpm" / "base.pt").read_bytes()
SECRETS = ("SECRET", "hf_abcdefghijklmnop")


@pytest.mark.parametrize(
    "url, shown",
    [
        ("https://h/a.pt", "https://h/a.pt"),
        ("https://h/a.pt?X-Amz-Signature=SECRET", "https://h/a.pt?…"),
        ("https://user:SECRET@h:8/a.pt", "https://h:8/a.pt"),
        ("https://SECRET@h/a.pt#SECRET", "https://h/a.pt?…"),
        ("HTTP://u:SECRET@h/a%20b.pt?token=SECRET", "HTTP://h/a%20b.pt?…"),
        ("s3://SECRET:x@bucket/a", "s3://bucket/a"),
        ("https://h?token=SECRET", "https://h?…"),
        ("https://h/a@b.pt", "https://h/a@b.pt"),
        ("a/b?c", "a/b?c"),
        ("https://h/a.pt;jsessionid=SECRET", "https://h/a.pt?…"),
        ("https://h/a.pt%3Fsig%3DSECRET", "https://h/a.pt?…"),
        ("https://h/a.pt&token=SECRET", "https://h/a.pt?…"),
        ("https://u:1;SECRET@h/a.pt", "https://h/a.pt"),
        ("hsx://demo_faces", "hsx://demo_faces"),
        ("google/ddpm", "google/ddpm"),
        ("C:\\a.pt", "C:\\a.pt"),
    ],
)
def test_what_is_shown_of_a_url(url, shown):
    assert public_url(url) == shown


@pytest.mark.parametrize(
    "text, shown",
    [
        ("got https://u:SECRET@h/a?sig=SECRET; check", "got https://h/a?…; check"),
        ("(http://h/a?x=SECRET)", "(http://h/a?…)"),
        ("nothing at https:/h/a?token=SECRET", "nothing at https:/h/a?…"),
        ("h/a.pt?X-Amz-Signature=SECRET&id=1: no", "h/a.pt?X-Amz-Signature=…&id=1: no"),
        ("HTTP Error 403: token=SECRET", "HTTP Error 403: token=…"),
        ("expected a token", "expected a token"),
        ("Illegal header b'Bearer hf_abcdefghijklmnop'", "Illegal header b'Bearer hf_…'"),
        ("a: b, c", "a: b, c"),
    ],
)
def test_what_is_shown_of_an_error(text, shown):
    assert without_secrets(text) == shown


def test_a_token_of_the_environment_is_not_shown(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "my own token\n")
    assert without_secrets("Illegal header value b'my own token'") == "Illegal header value b'…'"


SAME = [
    "X-Amz-Algorithm=A&X-Amz-Date=1&X-Amz-Signature=2",
    "AWSAccessKeyId=1&Signature=2&Expires=3",
    "X-Goog-Signature=1&X-Goog-Expires=2",
    "GoogleAccessId=1&Signature=2&Expires=3",
    "token=1",
    "access_token=a",
    "sv=1&st=2&se=3&sr=b&sp=r&sig=4",
    "Policy=1&Signature=2&Key-Pair-Id=3",
    "expires=1&signature=2",
    "api_key=3",
    "response-content-disposition=attachment",
    "auth=1",
    "password=x",
    "jwt=1",
    "hmac=1",
    "private-token=1",
]


@pytest.mark.parametrize("query", SAME)
def test_a_fresh_signature_is_the_same_file(query):
    assert identity(f"https://h/a.pt?{query}") == identity("https://h/a.pt") == "https://h/a.pt"
    assert identity(f"https://h/a.pt?id=7&{query}") == "https://h/a.pt?id=7"


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("https://h/a?id=1", "https://h/a?id=2", False),
        ("https://h/a?version=1", "https://h/a?version=2", False),
        ("https://h/a?sr=1", "https://h/a?sr=2", False),
        ("https://h/a", "https://h/b", False),
        ("https://h/a", "http://h/a", False),
        ("https://h/a%2Fb", "https://h/a/b", False),
        ("https://h/a?x", "https://h/a", False),
        ("HTTPS://H/a", "https://h/a", True),
        ("https://u:p@h/a", "https://h/a", True),
        ("https://h/a#x", "https://h/a", True),
        ("https://h:443/a", "https://h/a", True),
        ("https://h:444/a", "https://h/a", False),
        ("https://h/a b", "https://h/a%20b", True),
        ("https://h/%c3%a4", "https://h/ä", True),
        ("https://bücher.example/a", "https://xn--bcher-kva.example/a", True),
        ("http://[::1]:80/a", "http://[::1]/a", True),
    ],
)
def test_which_urls_are_one_file(one, other, same):
    assert (identity(one) == identity(other)) == same


@pytest.mark.parametrize(
    "url",
    [
        "ftp://u:SECRET@h/a.pt",
        "file:///etc/hostname",
        "s3://b/a.pt?token=SECRET",
        "https://",
        "https://h:SECRET/a",
        "https://u:p@SECRET:x@h:y/a",
        "gopher://h/a",
        "data://h/a",
        "FILE:///etc/hostname",
        "https:///a.pt",
    ],
)
def test_other_schemes_and_broken_addresses_are_refused_in_a_line(url):
    with pytest.raises(hsx.BackboneError, match="expected an http") as caught:
        hsx.load_backbone(url)
    assert "SECRET" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A real one, with the checkpoint and much that is none."""
    monkeypatch.setenv("HSX_CACHE", str(tmp_path / "cache"))
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            name = self.path.partition("?")[0].rpartition("/")[2]
            place = {
                "to_file": "file:///etc/hostname?SECRET",
                "to_ftp": "ftp://u:SECRET@h/a",
                "round": "/round?SECRET",
                "moved": "/a.pt?token=SECRET",
            }.get(name)
            body = {
                "page.pt": b"<!DOCTYPE html><p>SECRET",
                "empty.pt": b"",
                "error.pt": b'{"error": "SECRET"}',
                "xml.pt": b"<?xml version='1.0'?><Error/>",
                "text.pt": b"version https://git-lfs",
                "cut.pt": DATA[:5000],
            }.get(name, DATA)
            self.send_response(302 if place else {"forbidden.pt": 403, "part.pt": 206}.get(name, 200))
            if place:
                self.send_header("Location", place)
            self.send_header("Content-Length", str(10**15 if name == "huge.pt" else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.handle_error = lambda *of: None  # where the client has heard enough
        threading.Thread(target=functools.partial(running.serve_forever, 0.02), daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", asked, tmp_path / "cache"
        running.shutdown()


@pytest.mark.parametrize(
    "name, said",
    [
        ("page.pt", "expected a checkpoint, got a page of HTML"),
        ("empty.pt", "got an empty file"),
        ("error.pt", "got JSON"),
        ("xml.pt", "got a page of HTML or XML"),
        ("text.pt", "got a file that starts otherwise"),
        ("huge.pt", "bytes, more than"),
        ("cut.pt", "got an archive that is cut short"),
        ("part.pt", "answers with HTTP 206"),
        ("to_file", "file:///etc/hostname\\?…' is not allowed"),
        ("to_ftp", "leads from http to ftp, which is refused"),
        ("round", "HTTP Error"),
        ("forbidden.pt", "HTTP Error 403"),
    ],
)
def test_a_wrong_answer_is_a_line_without_secrets_and_leaves_nothing(server, capsys, name, said):
    host, _, cache = server
    with pytest.raises(hsx.BackboneError, match=said) as caught:
        from_url(f"http://me:SECRET@{host}/{name}?X-Amz-Signature=SECRET#SECRET")
    assert "SECRET" not in str(caught.value) and "\n" not in str(caught.value) and not list(cache.iterdir())
    assert main(["inspect", f"http://{host}/{name}?token=SECRET"]) == 2
    err = capsys.readouterr().err
    assert "SECRET" not in err and err.count("\n") == 1


def test_a_fresh_signature_fetches_nothing_again_and_another_file_does(server):
    host, asked, cache = server
    for query in ("?sig=1", "?X-Amz-Signature=SECRET", "", "?token=3#a", ";jsessionid=SECRET"):
        path = from_url(f"HTTP://{host}/a.pt{query}")
    assert len(asked) == 1 and "SECRET" not in path.name
    user = from_url(f"http://me:my%20SECRET@{host}/b.pt")
    assert asked[-1][1] == "Basic " + base64.b64encode(b"me:my SECRET").decode() and "SECRET" not in user.name
    assert from_url(f"http://{host}/a.pt?id=1") != from_url(f"http://{host}/a.pt?id=2") and len(asked) == 4
    assert "SECRET" not in from_url(f"http://{host}/a.pt%3Fsig%3DSECRET").name
    assert from_url(f"http://{host}/moved").read_bytes() == DATA
    path.write_bytes(b"<html>")
    with pytest.raises(hsx.BackboneError, match=f"take {path} away to fetch it again"):
        from_url(f"http://{host}/a.pt")
    path.write_bytes(b"\x80 another")
    with pytest.raises(hsx.BackboneError, match=f"expected sha256 12ab, got .*take {path} away to fetch it again"):
        from_url(f"http://{host}/a.pt", "12ab")
    with pytest.raises(hsx.BackboneError, match="expected a whole address, got one without"):
        from_url(public_url(f"http://{host}/a.pt?id=1"))


def test_no_signature_is_kept_anywhere(server, pictures, capsys, caplog):
    """A run from a signed URL: no file that it leaves, and nothing that it says, holds the signature."""
    host, _, cache = server
    url = f"http://me:SECRET@{host}/a.pt?X-Amz-Signature=SECRET&id=SECRET#SECRET"
    assert (
        main(
            [
                "predict",
                "--model.backbone.source",
                url,
                "--model.backbone.image_size",
                "32",
                "--data.contents",
                str(pictures / "contents" / "c0.png"),
                "--data.styles",
                str(pictures / "styles" / "s0.png"),
                "--model.inversion_steps",
                "2",
                "--model.generation_steps",
                "2",
                "--output_dir",
                str(pictures / "out"),
            ]
        )
        == 0
    )
    assert main(["show", str(pictures / "out" / "c0__s0.png")]) == 0
    assert main(["inspect", url, "--image_size", "32"]) == 0
    assert main(["inspect", url, "--image_size", "32", "--json"]) == 0
    assert main(["convert", url, str(pictures / "converted"), "--image_size", "32"]) == 0
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err + caplog.text and f"http://{host}/a.pt?…" in said.out
    kept = [path for root in (pictures, cache) for path in root.rglob("*") if path.is_file()]
    assert len(kept) > 8 and not [path for path in kept if b"SECRET" in path.read_bytes() or "SECRET" in str(path)]
    record = json.loads((pictures / "out" / "results.jsonl").read_text().splitlines()[0])
    assert record["status"] == "done" and "?…" in (pictures / "out" / "config.yaml").read_text(encoding="utf-8")


NOBODY = """
import encodings.utf_8_sig, os
import hsx.cli, hsx.commands.parser
import hsx.commands.convert, hsx.commands.inspect, hsx.commands.plugins, hsx.commands.show, hsx.commands.store
hsx.plugins.registry.load()
os.setresuid(54321, 0, 0)  # who has no name, and so no home, and may still read where Python lies
for name in ("HOME", "HSX_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
for argv in (["inspect", "http://127.0.0.1:9/a.pt"], ["show", "~/a.png"], ["store", "ls", "~/a"],
             ["convert", "hsx://demo_faces", "~/a"]):
    assert hsx.cli.main(argv) == 2
os.environ["XDG_CACHE_HOME"] = "not/absolute"
assert hsx.cli.main(["inspect", "http://127.0.0.1:9/b.pt"]) == 2
os.environ["HSX_CACHE"] = "/proc/nowhere"
assert hsx.cli.main(["inspect", "http://127.0.0.1:9/c.pt"]) == 2
os.environ["HSX_CACHE"] = os.getcwd() + "/cache"
assert hsx.cli.main(["inspect", "http://127.0.0.1:9/d.pt"]) == 2
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
assert hsx.cli.main(["plugins"]) == 2
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_a_user_without_a_home_is_told_what_to_set_only_where_a_cache_is_needed(tmp_path):
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    ended = subprocess.run([sys.executable, "-c", NOBODY], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    said = [line.removeprefix("hsx: error: ") for line in ended.stderr.splitlines()]
    assert (
        said[0]
        == said[4]
        == ("~/.cache/hsx: expected a home to keep fetched files in, found none; set HSX_CACHE to a folder")
    )
    assert [line.partition(":")[0] for line in said[1:4]] == ["picture", "folder", "folder"]
    assert all("no such home is known; give the whole path" in line for line in said[1:4])
    assert "/proc/nowhere: expected a folder to keep fetched files in, could not use it" in said[5]
    assert "Connection refused" in said[6] and "current folder, found that it was taken away" in said[7]
