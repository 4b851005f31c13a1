"""The step `publish` as it runs, with the hub's real client, against a hub on the loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from bench import Bench
from selfreward_steps.contract import InputRef, PublishConfig, Publishing
from steps.loopback import listening
from steps.pushed_hub import TOKEN, Hub, Repository, taking

PAIRS = [{"id": "p0", "prompt": "Why?", "chosen": "Because.", "rejected": "No."}]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with taking(Hub()) as found:
        yield found


def model(bench: Bench) -> InputRef:
    """A model's artifact: a card, a configuration, weights."""
    folder = bench.folder / "model"
    folder.mkdir()
    for name, text in (("README.md", "# M2"), ("config.json", "{}"), ("model.safetensors", "weights")):
        (folder / name).write_text(text)
    bench.store.commit("m2", folder, inputs_digest="sha256:" + "0" * 64, step="dpo")
    return InputRef(artifact="m2")


def publish(
    bench: Bench, hub: Hub, inputs: dict[str, InputRef], token: str | None = TOKEN, **settings: Any
) -> subprocess.CompletedProcess[str]:
    asked = {"repository": "team/run", "tokenSecretRef": {"name": "hub"}, **settings}
    config = PublishConfig(
        **bench.frame("published/m2", **inputs),
        iteration=1,
        settings=Publishing.model_validate(asked),
        token_variable="HUB_TOKEN",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name}
    mine = {
        "SELFREWARD_CONFIG": config.model_dump_json(by_alias=True),
        "SELFREWARD_SCRATCH": str(bench.folder / "scratch"),
        "SELFREWARD_TERMINATION_LOG": str(bench.folder / "log"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(bench.folder / "home"),
        **({} if token is None else {"HUB_TOKEN": token}),
    }
    return subprocess.run(
        [sys.executable, "-m", "selfreward_steps", "publish"],
        env={**kept, **mine},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_model_and_its_pairs(bench: Bench, hub: Hub) -> None:
    inputs = {"model": model(bench), "pairs": bench.put("iteration-1/pairs", pairs=PAIRS)}
    ended = publish(bench, hub, inputs)
    assert ended.returncode == 0, ended.stderr
    pushed, pairs = hub.repositories["models/team/run-m2"], hub.repositories["datasets/team/run-pairs"]
    assert pushed.private
    assert pairs.private
    weights = {"README.md": b"# M2", "config.json": b"{}", "model.safetensors": b"weights"}
    assert pushed.files == weights, "and no manifest of the store"
    assert list(pairs.files) == ["iteration-1/pairs.jsonl"]
    assert (pushed.commits, pairs.commits) == (["m2 of bench"], ["iteration-1/pairs of bench"])
    told = {"repository": "team/run-m2", "kind": "model", "role": "model", "files": 3, "commit": f"{1:040x}"}
    assert bench.document("published/m2", "published")["repositories"][0] == told


def test_what_a_broken_off_push_has_sent_is_not_sent_again(bench: Bench, hub: Hub) -> None:
    inputs = {"model": model(bench)}
    hub.refuse = 500
    first = publish(bench, hub, inputs)
    assert first.returncode == 69
    assert "HubUnavailable: publish.repository: team/run-m2: the hub answered 500" in first.stderr + first.stdout
    hub.refuse = 0
    assert publish(bench, hub, inputs).returncode == 0
    assert hub.uploads == 1
    assert len(hub.repositories["models/team/run-m2"].files) == 3


def test_a_public_repository_is_not_given_what_is_to_stay_private(bench: Bench, hub: Hub) -> None:
    hub.repositories["models/team/run-m2"] = Repository(private=False)
    inputs = {"model": model(bench)}
    refused = publish(bench, hub, inputs)
    assert refused.returncode == 64
    assert "RepositoryPublic: publish.repository: team/run-m2 is there and everybody can read it" in refused.stderr
    assert hub.repositories["models/team/run-m2"].files == {}
    assert publish(bench, hub, inputs, private=False).returncode == 0
    assert len(hub.repositories["models/team/run-m2"].files) == 3


def test_no_weights_of_an_earlier_run_stay_beside_a_models_own(bench: Bench, hub: Hub) -> None:
    """`from_pretrained` would take one or the other."""
    earlier = {"model-00001-of-00002.safetensors": b"old", "model.safetensors.index.json": b"{}", "notes.txt": b"mine"}
    hub.repositories["models/team/run-m2"] = Repository(private=True, files=dict(earlier))
    ended = publish(bench, hub, {"model": model(bench)})
    assert ended.returncode == 0, ended.stderr
    pushed = hub.repositories["models/team/run-m2"].files
    assert sorted(pushed) == ["README.md", "config.json", "model.safetensors", "notes.txt"]
    assert pushed["model.safetensors"] == b"weights"


@pytest.mark.parametrize(
    ("token", "refuse", "said"),
    [
        pytest.param("hf_reads", 0, "HubAccessDenied: publish.repository: team/run-m2: the hub answered 401", id="401"),
        pytest.param(TOKEN, 403, "HubAccessDenied: publish.repository: team/run-m2: the hub answered 403", id="403"),
        pytest.param(TOKEN, 413, "HubRefused: publish.repository: team/run-m2: the hub answered 413", id="413"),
        pytest.param(f"{TOKEN}\n{TOKEN}", 0, "BadCredential: publish.tokenSecretRef: ", id="two lines"),
        pytest.param("hf_é", 0, "BadCredential: publish.tokenSecretRef: ", id="no ASCII"),
        pytest.param(None, 0, "HubTokenMissing: publish.tokenSecretRef: HUB_TOKEN is not set", id="no token"),
    ],
)
def test_what_the_user_must_mend(bench: Bench, hub: Hub, token: str | None, refuse: int, said: str) -> None:
    hub.refuse = refuse
    ended = publish(bench, hub, {"model": model(bench)}, token=token)
    assert ended.returncode == 64
    assert said in ended.stderr
    assert TOKEN not in ended.stderr + ended.stdout


def test_the_line_end_that_a_secret_was_made_with_is_not_the_tokens(bench: Bench, hub: Hub) -> None:
    """Sent, it was quoted by the HTTP library, and with it the token, in the status of a run that waited for hours."""
    ended = publish(bench, hub, {"model": model(bench)}, token=f"{TOKEN}\n")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("place", ["/repos/create", "/preupload/", "/commit/"])
@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"{}", b"[]"])
def test_a_page_that_is_no_hubs_answer_is_one_line(bench: Bench, hub: Hub, place: str, page: bytes) -> None:
    hub.pages[place] = page
    ended = publish(bench, hub, {"model": model(bench)})
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        "HubNonsense: publish.repository: team/run-m2: the hub's answer is "
    )
    assert "Traceback" not in ended.stderr


def test_a_token_does_not_follow_a_redirection_to_another_host(bench: Bench, hub: Hub) -> None:
    sent: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            sent.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with listening(Other) as other:
        hub.elsewhere = other
        assert publish(bench, hub, {"model": model(bench)}).returncode == 1
    assert sent == [None]


def test_a_hub_that_is_not_there_is_waited_for(bench: Bench) -> None:
    ended = publish(bench, Hub(url="http://127.0.0.1:9"), {"model": model(bench)})
    assert ended.returncode == 69
    assert "HubUnavailable" in ended.stderr + ended.stdout
