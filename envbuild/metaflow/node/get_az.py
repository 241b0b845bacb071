"""A blob of Azure: one GET with a shared key, a signature or a token.

Credentials come from where adlfs and ``DefaultAzureCredential`` take them: ``AZURE_STORAGE_…`` variables, a client's
secret, a workload identity (AKS), a managed identity (App Service, machines).
"""

# mypy: ignore-errors
import base64
import email.utils
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.parse
import urllib.request

HELD = {}


def ask(url, headers=None, data=None, near=False):
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if near else []))
    with opener.open(request, timeout=60) as answer:
        return answer.read()


def token():
    e = os.environ.get
    client, tenant, file = e("AZURE_CLIENT_ID"), e("AZURE_TENANT_ID"), e("AZURE_FEDERATED_TOKEN_FILE")
    if client and tenant and (file or e("AZURE_CLIENT_SECRET")):
        form = {"client_id": client, "grant_type": "client_credentials", "scope": "https://storage.azure.com/.default"}
        if e("AZURE_CLIENT_SECRET"):
            form["client_secret"] = e("AZURE_CLIENT_SECRET")
        else:
            form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            with open(file) as opened:
                form["client_assertion"] = opened.read().strip()
        host = (e("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com").rstrip("/")
        url = "%s/%s/oauth2/v2.0/token" % (host if "://" in host else "https://" + host, tenant)
        return json.loads(ask(url, data=urllib.parse.urlencode(form).encode()))["access_token"]
    query = {"resource": "https://storage.azure.com/"}
    if client:
        query["client_id"] = client
    if e("IDENTITY_ENDPOINT"):
        query["api-version"] = "2019-08-01"
        url, headers = e("IDENTITY_ENDPOINT"), {"X-IDENTITY-HEADER": e("IDENTITY_HEADER") or ""}
    else:
        query["api-version"] = "2018-02-01"
        url, headers = "http://169.254.169.254/metadata/identity/oauth2/token", {"Metadata": "true"}
    return json.loads(ask(url + "?" + urllib.parse.urlencode(query), headers, near=True))["access_token"]


def opened(url, key, method="GET"):
    parts = urllib.parse.urlsplit(url)
    options = dict(urllib.parse.parse_qsl(parts.query))
    e = os.environ.get
    known = dict(item.split("=", 1) for item in (e("AZURE_STORAGE_CONNECTION_STRING") or "").split(";") if "=" in item)
    account = options.get("account") or known.get("AccountName") or e("AZURE_STORAGE_ACCOUNT_NAME") or ""
    server = options.get("endpoint") or known.get("BlobEndpoint") or "https://%s.blob.core.windows.net" % account
    account = account or urllib.parse.urlsplit(server).netloc.partition(".")[0]
    secret = known.get("AccountKey") or e("AZURE_STORAGE_ACCOUNT_KEY")
    grant = (known.get("SharedAccessSignature") or e("AZURE_STORAGE_SAS_TOKEN") or "").lstrip("?")
    name = "/".join(p for p in (parts.path.strip("/"), key) if p)
    address = "%s/%s/%s" % (server.rstrip("/"), parts.netloc, urllib.parse.quote(name, safe="/-_.~"))
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2020-10-02"}
    if not options.get("anonymous"):
        if secret:
            lines = "".join("%s:%s\n" % item for item in sorted(headers.items()))
            said = method + "\n" * 12 + lines + "/" + account + urllib.parse.urlsplit(address).path
            sign = hmac.new(base64.b64decode(secret), said.encode(), hashlib.sha256).digest()
            headers["Authorization"] = "SharedKey %s:%s" % (account, base64.b64encode(sign).decode())
        elif grant:
            address += "?" + grant
        else:
            if "token" not in HELD:
                HELD["token"] = token()
            headers["Authorization"] = "Bearer " + HELD["token"]
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        HELD.clear()
        raise


def get(url, key):
    answer = opened(url, key)
    return answer and answer.read()


def size(url, key):
    answer = opened(url, key, "HEAD")
    return answer and int(answer.headers["content-length"])
