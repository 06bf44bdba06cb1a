"""What may be shown of a URL, and which URLs are of the same file: signatures and passwords are neither."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from hsx.errors import BackboneError

CUT = "?…"  # stands for what is not shown
SECRET = re.compile(  # names of parameters that grant access for a while and do not identify the file
    r"x-(amz|goog|oss|cos|ms)-[\w-]*|(aws|google|oss)?access_?key_?id|googleaccessid|key-pair-id|policy|hash-algorithm"
    r"|([\w-]*[_-])?(token|signature|sig|expires|expiry|expire|apikey|api[_-]key|password|passwd|secret|credentials?|jwt"
    r"|hmac|auth|authorization)|hdnea|hdnts|exp|(x-id|response-content-[a-z]*|rscd|rsct|rscc|rsce|rscl)",
    re.IGNORECASE,
)
# of Azure's shared access signatures, where there is a sig
AZURE = re.compile(
    "sv|ss|srt|st|se|sr|sp|sip|spr|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|sdd|ses|si", re.IGNORECASE
)
ADDRESS = re.compile(  # in a text, without what ends the sentence; one slash where it went through a Path
    r"\b[a-z][a-z0-9+.-]+:/{1,2}[^\s'\"<>]*[^\s'\"<>.,;:)\]}]", re.IGNORECASE
)
WHOLE = re.compile(  # scheme, host, path, and what a query, a fragment or a parameter of the path starts with
    r"(\w[\w+.-]*:/{1,2})([^/?#]*)((?:/.*?)?)([?#;&]|%3f|$)", re.IGNORECASE | re.DOTALL
)
PARAMETER = re.compile(rf"((?<![\w-])(?:{SECRET.pattern})=)[^&\s'\"]+", re.IGNORECASE)


def is_url(source: str) -> bool:
    """Whether this is an address with a scheme, supported or not, other than hsx's own."""
    return bool(re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE)) and not source.startswith("hsx://")


def public_url(url: str) -> str:
    """A URL as it may be kept and shown: without user, password, query, fragment and parameters of its path.

    It ends in ``?…`` if one of the last three was left out.  Other strings stay as they are.
    """
    return _cut(url) if is_url(url) else url


def _cut(url: str) -> str:
    scheme, host, path, mark = WHOLE.match(url).groups()  # type: ignore[union-attr]
    host = re.sub(r":(?!\d*$)[^\]]*$", "", host.rpartition("@")[2])  # without a port that is none
    return f"{scheme}{host}{path}{CUT if mark else ''}"


def without_secrets(text: str) -> str:
    """Any text as it may be shown: its URLs made public, tokens of the Hub removed."""
    for token in filter(None, map(os.environ.get, ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))):
        if len(token.strip()) > 5:
            text = text.replace(token, "…").replace(token.strip(), "…")
    text = PARAMETER.sub(r"\1…", ADDRESS.sub(lambda found: _cut(found[0]), text))
    return re.sub(r"\bhf_\w{8,}", "hf_…", text)


def identity(url: str) -> str:
    """The same string for all URLs of one file: without user, fragment, and known signatures and their dates.

    Raises:
        BackboneError: for anything but an http(s) address.
    """
    scheme, host, path, query = _parts(url)[:4]
    signed = {"sig", "se"} <= {name.lower() for name, _ in query}
    kept = [one for one in query if not SECRET.fullmatch(one[0]) and not (signed and AZURE.fullmatch(one[0]))]
    return urlunsplit((scheme, host, re.sub(";jsessionid=[^/;]*", "", path, flags=re.IGNORECASE), urlencode(kept), ""))


def request_of(url: str) -> tuple[str, str | None]:
    """The address to ask for, in ASCII, and ``user:password`` if it had one.

    Raises:
        BackboneError: for anything but an http(s) address.
    """
    scheme, host, path, _, user = _parts(url)
    return urlunsplit((scheme, host, path, quote(urlsplit(url).query, safe="%/:=&?~#+!$,;'@()*[]"), "")), user


def _parts(url: str) -> tuple[str, str, str, list[tuple[str, str]], str | None]:
    """Scheme, host (with its port, if it is not the usual one), path, query and user of an address."""
    try:
        split = urlsplit(url)
        port = split.port
        host = (split.hostname or "").encode("idna").decode()
    except ValueError:  # whose message may hold a password
        host, port, split = "", None, urlsplit("")
    if split.scheme not in ("http", "https") or not host:
        wanted = "expected an http(s) address of a file, got another one"
        raise BackboneError(f"{public_url(url)}: {wanted}; correct it, or fetch the file by hand")
    if url.endswith(CUT):
        why = "got one without what followed the question mark, which is never kept as it may be a password"
        raise BackboneError(f"{url}: expected a whole address, {why}; give the address itself")
    if ":" in host:
        host = f"[{host}]"
    if port and port != {"http": 80, "https": 443}[split.scheme]:
        host += f":{port}"
    path = re.sub(r"%\w\w", lambda code: code[0].upper(), quote(split.path, safe="%/~!$&'()*+,;=:@"))
    user = split.netloc.rpartition("@")[0]
    return split.scheme, host, path, parse_qsl(split.query, keep_blank_values=True), unquote(user) or None
