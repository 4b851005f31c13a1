"""In a pod of somebody else: what a run's server answers whoever has not its key, as JSON, `stranger.py ADDRESS`.

{REQUEST: the status of the answer, or 0 when the network lets nothing through}
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request

ASKED = {
    "exchange": ("/selfreward/model", b'{"model": null}', ""),
    "exchange with a guess": ("/selfreward/model", b'{"model": null}', "guessed"),
    "what it serves": ("/v1/models", None, ""),
    "sleep": ("/sleep", b"{}", ""),
    "wake up": ("/wake_up", b"{}", ""),
    "worker": ("/collective_rpc", b'{"method": "reload_weights"}', ""),
}


def status(address: str, path: str, body: bytes | None, key: str) -> int:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://{address}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


if __name__ == "__main__":
    print(json.dumps({words: status(sys.argv[1], *asked) for words, asked in ASKED.items()}))
