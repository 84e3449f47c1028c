"""What `helm test` asks: does a router serve, and which models does it offer?"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

ADDRESS = os.environ["HEADGATE_URL"]
KEY = os.environ.get("HEADGATE_API_KEY", "")
LONGEST_WAIT_S = 60


def get(path: str) -> tuple[int, str]:
    """Status and body; status 0 where nobody answers."""
    request = urllib.request.Request(ADDRESS + path, headers={"authorization": f"Bearer {KEY}"} if KEY else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError as fault:
        return 0, str(fault)


def wait_until_ready() -> str:
    """Empty, or why the router is not ready."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while True:
        status, body = get("/readyz")
        if status == 200:
            return ""
        if time.monotonic() > deadline:
            return f"{ADDRESS}/readyz: {status} {body}"
        time.sleep(1)


def main() -> int:
    if fault := wait_until_ready():
        print(fault)
        return 1
    status, body = get("/v1/models")
    if status == 401:
        print("ready; the list of models needs a key (tests.apiKeySecret)")
        return 0 if not KEY else 1
    if status != 200:
        print(f"{ADDRESS}/v1/models: {status} {body}")
        return 1
    print("ready; models:", ", ".join(model["id"] for model in json.loads(body)["data"]) or "none yet")
    return 0


sys.exit(main())
