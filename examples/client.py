#!/usr/bin/env python3
"""Log in and predict with nothing but Python's standard library.

TOKEN=$(python examples/client.py --ca instance/certs/ca.pem login '{"tenant": ...}')
python examples/client.py --ca instance/certs/ca.pem --token "$TOKEN" predict '{"features": ...}'
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def call(url: str, path: str, body: str, *, ca: str, token: str | None = None) -> dict[str, Any]:
    """POST a JSON body and return the answer's members; raises HTTPError for a refusal."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(url + path, body.encode(), headers)  # noqa: S310 (the address is https)
    context = ssl.create_default_context(cafile=ca)
    with urlopen(request, context=context, timeout=30) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer


def main() -> None:
    """Run one call and print what it answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", default="https://localhost:8443")
    parser.add_argument("--ca", required=True, help="the platform's CA file")
    parser.add_argument("--token", help="an access token")
    parser.add_argument("what", choices=["login", "predict"])
    parser.add_argument("body", help="the request as JSON")
    given = parser.parse_args()
    path = "/auth/login" if given.what == "login" else "/predict"
    try:
        answer = call(given.url, path, given.body, ca=given.ca, token=given.token)
    except HTTPError as error:
        sys.exit(error.read().decode())
    sys.stdout.write(
        (answer["access_token"] if given.what == "login" else json.dumps(answer)) + "\n"
    )


if __name__ == "__main__":
    main()
