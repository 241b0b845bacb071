"""What stands in a command where the store is in S3: as ``get_s3`` and ``begin``, and small, for Batch cuts commands.

One answer of the cloud's, JSON or XML, gives credentials by the same three patterns.
"""

# mypy: ignore-errors

import hashlib
import hmac
import os
import re
import sys
import time
import urllib.parse as parse
import urllib.request as web

E = os.environ.get


def ask(url, headers={}, method=None):  # noqa: B006
    handlers = [web.ProxyHandler({})] * ("//169.254" in url)
    return web.build_opener(*handlers).open(web.Request(url, None, headers, method=method), None, 60).read()


def credentials():
    names = "AccessKeyId", "SecretAccessKey", "Token"
    file = E("AWS_WEB_IDENTITY_TOKEN_FILE")
    path = E("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = path and "http://169.254.170.2" + path or E("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if E("AWS_ACCESS_KEY_ID"):
        return E("AWS_ACCESS_KEY_ID"), E("AWS_SECRET_ACCESS_KEY"), E("AWS_SESSION_TOKEN")
    if file:
        told = ask(
            (E("AWS_ENDPOINT_URL_STS") or "https://sts.%s.amazonaws.com" % region)
            + "/?Version=2011-06-15&Action=AssumeRoleWithWebIdentity&RoleSessionName=envbuild&RoleArn=%s&WebIdentityToken=%s"
            % (parse.quote(E("AWS_ROLE_ARN")), open(file).read().strip())
        )
    elif full:
        file = E("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = open(file).read().strip() if file else E("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        told = ask(full, {"Authorization": token} if token else {})
    else:
        base = "http://169.254.169.254/latest/"
        header = "X-aws-ec2-metadata-token"
        token = {header: ask(base + "api/token", {header + "-ttl-seconds": "600"}, "PUT").decode()}
        base += "meta-data/iam/security-credentials/"
        told = ask(base + ask(base, token).decode().split()[0], token)
    return [re.search(name + '[>": ]+([^"<]+)', told.decode())[1] for name in names]


url, digest = sys.argv[2:4]
place, _, options = url[5:].partition("?")
bucket, _, path = place.partition("/")
options = dict(parse.parse_qsl(options))
region = options.get("region") or E("AWS_REGION") or E("AWS_DEFAULT_REGION") or "us-east-1"
end = time.monotonic() + float(E("ENVBUILD_DEADLINE") or 600)
while 1:
    try:
        server = (
            options.get("endpoint")
            or E("AWS_ENDPOINT_URL_S3")
            or E("AWS_ENDPOINT_URL")
            or "https://s3.%s.amazonaws.com" % region
        )
        key = "/%s/%s/blobs/sha256/%s/%s" % (bucket, path, digest[:2], digest)
        key = re.sub("/+", "/", key)
        headers = {}
        if "anonymous" not in options:
            who, secret, token = credentials()
            now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            headers = {"host": server.split("/")[2], "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": now}
            if token:
                headers["x-amz-security-token"] = token
            names = ";".join(headers)
            scope = now[:8], region, "s3", "aws4_request"
            lines = "".join("%s:%s\n" % item for item in headers.items())
            text = "GET\n%s\n\n%s\n%s\nUNSIGNED-PAYLOAD" % (parse.quote(key), lines, names)
            text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (now, "/".join(scope), hashlib.sha256(text.encode()).hexdigest())
            sign = ("AWS4" + secret).encode()
            for part in (*scope, text):
                sign = hmac.new(sign, part.encode(), "sha256").digest()
            headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
                who,
                "/".join(scope),
                names,
                sign.hex(),
            )
        data = ask(server.rstrip("/") + parse.quote(key), headers)
        why = "wrong bytes"
        if hashlib.sha256(data).hexdigest() == digest:
            break
    except Exception as error:
        why = error
        told = getattr(error, "headers", None) or {}
        there = told.get("x-amz-bucket-region", region)
        if getattr(error, "code", 0) in (403, 404) and there == region and "amz" in str(told):
            print("envbuild:", url, why, digest, file=sys.stderr)
            sys.exit(4)
        region = there
    print("envbuild:", url, why, file=sys.stderr)
    if time.monotonic() > end:
        sys.exit(5)
    time.sleep(2)
space = {"__name__": "first", "OWN": data, "END": end}
exec(compile(data, "first.py", "exec"), space)
sys.exit(space["main"](["tools", url, *sys.argv[4:]]))
