"""An object of S3, or of what speaks its protocol: one signed GET, or HEAD.

Credentials come from where AWS's own library takes them on a node, in its order: variables, a web identity (EKS), a
container (ECS, EKS Pod Identity), the machine (EC2, IMDSv2). Profiles in files are for people's machines.
"""

# mypy: ignore-errors
import datetime
import hashlib
import hmac
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request

HELD = {}
KNOWN = {}


def ask(url, headers=None, method="GET", seconds=60):
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers or {}, method=method), timeout=seconds
    ) as a:
        return a.read()


def text(path):
    with open(path) as file:
        return file.read().strip()


def near(url, headers=None, method="GET"):
    """Asks what is no network: a proxy would not know it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers or {}, method=method), timeout=5) as answer:
        return answer.read().decode()


def credentials():
    e = os.environ.get
    if e("AWS_ACCESS_KEY_ID") and e("AWS_SECRET_ACCESS_KEY"):
        return e("AWS_ACCESS_KEY_ID"), e("AWS_SECRET_ACCESS_KEY"), e("AWS_SESSION_TOKEN")
    if e("AWS_WEB_IDENTITY_TOKEN_FILE") and e("AWS_ROLE_ARN"):
        query = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": e("AWS_ROLE_ARN"),
            "RoleSessionName": e("AWS_ROLE_SESSION_NAME") or "envbuild",
            "WebIdentityToken": text(e("AWS_WEB_IDENTITY_TOKEN_FILE")),
        }
        region = e("AWS_REGION") or e("AWS_DEFAULT_REGION")
        host = e("AWS_ENDPOINT_URL_STS") or "https://sts%s.amazonaws.com" % ("." + region if region else "")
        answer = ask(host + "/?" + urllib.parse.urlencode(query)).decode()
        return tuple(
            re.search("<%s>(.*?)<" % name, answer)[1] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
    relative = e("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = "http://169.254.170.2" + relative if relative else e("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if full:
        token = e("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        if e("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = text(e("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
        found = json.loads(near(full, {"Authorization": token} if token else {}))
    else:
        base = (e("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254").rstrip("/") + "/latest/"
        token = {
            "X-aws-ec2-metadata-token": near(base + "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "600"}, "PUT")
        }
        roles = base + "meta-data/iam/security-credentials/"
        found = json.loads(near(roles + near(roles, token).split()[0], token))
    return found["AccessKeyId"], found["SecretAccessKey"], found.get("Token")


def opened(url, key, method="GET"):
    parts = urllib.parse.urlsplit(url)
    options = dict(urllib.parse.parse_qsl(parts.query))
    e = os.environ.get
    region = options.get("region") or KNOWN.get(parts.netloc) or e("AWS_REGION") or e("AWS_DEFAULT_REGION")
    region = region or "us-east-1"
    server = options.get("endpoint") or e("AWS_ENDPOINT_URL_S3") or e("AWS_ENDPOINT_URL")
    path = urllib.parse.quote("/".join(p for p in (parts.path.strip("/"), key) if p), safe="/-_.~")
    if server or "." in parts.netloc:
        address = (server or "https://s3.%s.amazonaws.com" % region).rstrip("/") + "/" + parts.netloc + "/" + path
    else:
        address = "https://%s.s3.%s.amazonaws.com/%s" % (parts.netloc, region, path)
    headers = {}
    if not options.get("anonymous"):
        if HELD.get("until", 0) < time.monotonic():  # a minute: those of a machine change hourly
            HELD.update(until=time.monotonic() + 60, them=credentials())
        who, secret, token = HELD["them"]
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        empty = hashlib.sha256(b"").hexdigest()
        headers = {"host": urllib.parse.urlsplit(address).netloc, "x-amz-content-sha256": empty, "x-amz-date": now}
        if token:
            headers["x-amz-security-token"] = token
        names = ";".join(sorted(headers))
        lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
        asked = "\n".join((method, urllib.parse.urlsplit(address).path, "", lines, names, empty))
        scope = "%s/%s/s3/aws4_request" % (now[:8], region)
        signed = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(asked.encode()).hexdigest()))
        sign = ("AWS4" + secret).encode()
        for part in [*scope.split("/"), signed]:
            sign = hmac.new(sign, part.encode(), hashlib.sha256).digest()
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            who,
            scope,
            names,
            sign.hex(),
        )
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        there = error.headers.get("x-amz-bucket-region")
        if there and there != region:
            KNOWN[parts.netloc] = there
            return opened(url, key, method)
        if error.code == 404 or (error.code == 403 and (method == "HEAD" or b"AccessDenied" in error.read())):
            return None
        raise


def get(url, key):
    answer = opened(url, key)
    return answer and answer.read()


def size(url, key):
    answer = opened(url, key, "HEAD")
    return answer and int(answer.headers["content-length"])
