"""An object of Google's storage: one GET with a token.

Credentials come from where Google's own library takes them: ``GOOGLE_APPLICATION_CREDENTIALS`` or what ``gcloud auth
application-default login`` wrote (a service account's key, or a user's), else the machine's (GCE, GKE).
"""

# mypy: ignore-errors
import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

HELD = {}


def ask(url, headers=None, data=None, opener=urllib.request):
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    with getattr(opener, "urlopen", getattr(opener, "open", None))(request, timeout=60) as answer:
        return answer.read()


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def number(der, at):
    """One value of DER: where it begins and ends."""
    size, at = der[at + 1], at + 2
    if size > 127:
        at, size = at + size - 128, int.from_bytes(der[at : at + size - 128], "big")
    return at, at + size


def signed(message, pem):
    """An RS256 signature by a key in PKCS 8, which is what Google gives."""
    der = base64.b64decode("".join(line for line in pem.splitlines() if "-" not in line))
    at = number(der, 0)[0]
    for _ in range(2):
        at = number(der, at)[1]
    at = number(der, number(der, at)[0])[0]
    found = []
    for _ in range(4):
        begin, at = number(der, at)
        found.append(int.from_bytes(der[begin:at], "big"))
    _, modulus, _, exponent = found
    size = (modulus.bit_length() + 7) // 8
    tail = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    block = b"\0\1" + b"\xff" * (size - len(tail) - 3) + b"\0" + tail
    return pow(int.from_bytes(block, "big"), exponent, modulus).to_bytes(size, "big")


def token():
    e = os.environ.get
    file = e("GOOGLE_APPLICATION_CREDENTIALS") or os.path.expanduser(
        (e("CLOUDSDK_CONFIG") or "~/.config/gcloud") + "/application_default_credentials.json"
    )
    if os.path.exists(file):
        with open(file) as opened:
            known = json.load(opened)
        server = known.get("token_uri") or "https://oauth2.googleapis.com/token"
        if known["type"] == "service_account":
            now = int(time.time())
            claim = {
                "iss": known["client_email"],
                "scope": "https://www.googleapis.com/auth/devstorage.read_only",
                "aud": server,
                "iat": now,
                "exp": now + 3600,
            }
            message = text(b'{"alg":"RS256","typ":"JWT"}') + b"." + text(json.dumps(claim).encode())
            proof = (message + b"." + text(signed(message, known["private_key"]))).decode()
            form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": proof}
        elif known["type"] == "authorized_user":
            form = {name: known[name] for name in ("client_id", "client_secret", "refresh_token")}
            form["grant_type"] = "refresh_token"
        else:
            raise SystemExit("envbuild: credentials of type %s are not understood here" % known["type"])
        return json.loads(ask(server, data=urllib.parse.urlencode(form).encode()))["access_token"]
    host = e("GCE_METADATA_HOST") or "metadata.google.internal"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = "http://%s/computeMetadata/v1/instance/service-accounts/default/token" % host
    return json.loads(ask(url, {"Metadata-Flavor": "Google"}, opener=opener))["access_token"]


def opened(url, key, query="alt=media"):
    parts = urllib.parse.urlsplit(url)
    options = dict(urllib.parse.parse_qsl(parts.query))
    local = os.environ.get("STORAGE_EMULATOR_HOST")
    server = options.get("endpoint") or local or "https://storage.googleapis.com"
    name = urllib.parse.quote("/".join(p for p in (parts.path.strip("/"), key) if p), safe="")
    headers = {}
    if not options.get("anonymous") and not local:
        if "token" not in HELD:
            HELD["token"] = token()
        headers["Authorization"] = "Bearer " + HELD["token"]
    try:
        address = "%s/storage/v1/b/%s/o/%s?%s" % (server.rstrip("/"), parts.netloc, name, query)
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        if error.code in (403, 404):
            return None
        HELD.clear()
        raise


def get(url, key):
    answer = opened(url, key)
    return answer and answer.read()


def size(url, key):
    answer = opened(url, key, "fields=size")
    return answer and int(json.loads(answer.read())["size"])
