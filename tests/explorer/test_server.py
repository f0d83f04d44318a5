"""Pages and answers of the application, asked as a browser would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from starlette.testclient import TestClient

from needlepoint.explorer.live.service import LiveModel
from needlepoint.explorer.questions import JobRequest, JobView
from needlepoint.explorer.run_folders.library import Library
from needlepoint.explorer.server.app import create_app
from needlepoint.explorer.server.bodies import MOST_CHARACTERS
from needlepoint.explorer.server.guard import HEADER, MOST_BYTES, Access

OWN = {HEADER: "1"}
ENDLESS = b'{"text": "a", "edits": [{"site": "L1.N1", "factor": Infinity}]}'
HERE = "http://127.0.0.1:8765"


class Noted:
    """Studies that are only noted down."""

    def __init__(self, run: str) -> None:
        self.requests: list[JobRequest] = []
        self.run, self.closed, self.prepared = run, False, False

    def view(self) -> JobView:
        return JobView("1", "probe", "x", "done", "", 0, 0, 1.0, "", self.run)

    def prepare(self) -> None:
        self.prepared = True

    def start(self, request: JobRequest) -> JobView:
        self.requests.append(request)
        return self.view()

    def cancel(self, job: str) -> JobView:
        assert job == "1"
        return self.view()

    def jobs(self) -> list[JobView]:
        return [self.view()]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def noted(runs: Path) -> Noted:
    return Noted(str(runs / "first"))


@pytest.fixture
def client(runs: Path, live: LiveModel, noted: Noted) -> Iterator[TestClient]:
    with TestClient(create_app(Library([runs]), live, noted), base_url=HERE) as found:
        yield found
    assert noted.closed


def test_every_page_answers_with_a_policy_and_without_raw_markup(
    client: TestClient, sample: ModuleType
) -> None:
    paths = ("/", "/runs/first", "/search?q=L2", "/compare?a=first&b=second", "/live")
    for path in (*paths, "/studies", "/pins"):
        found = client.get(path)
        assert found.status_code == 200, path
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "//" not in policy
        assert found.headers["referrer-policy"] == "no-referrer"
        for nasty in sample.NASTY:
            if "<" in nasty and not nasty.startswith("<!"):
                assert nasty not in found.text, path
        for part in found.text.split('"')[1::2]:
            assert not part.startswith(("http:", "https:", "//")), part


def test_a_run_shows_its_answers_and_its_units(client: TestClient) -> None:
    page = client.get("/runs/first").text
    assert "Which attention heads let smollm2 name the indirect object?" in page
    assert "&lt;b&gt;Shell&lt;/b&gt; &amp; co" in page
    assert "L23.H3" in page
    assert "needlepoint demo --out run" in page


def test_a_report_is_cut_off_from_the_rest_and_made_if_missing(client: TestClient) -> None:
    for name, told in (("first", "Made when the run ended"), ("second", "Questions and answers")):
        found = client.get(f"/runs/{name}/report")
        assert found.status_code == 200
        assert told in found.text
        policy = found.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts allow-downloads;")
        assert "connect-src" not in policy


def test_a_search_page_shows_what_was_searched_as_text(client: TestClient) -> None:
    found = client.get("/search", params={"q": '"><script>alert(1)</script>'})
    assert "<script>alert(1)" not in found.text
    assert "Nothing was found for" in found.text
    hits = client.get("/search", params={"q": "L23.H3 ioi", "kind": "head", "run": "first"}).text
    assert "\u22122.31" in hits
    assert "matters" in hits
    assert "Codes of L23.H3 on clean prompts alone" in hits
    assert "<b>code 17</b> on 60 clean prompts, said at" in hits
    assert "\u2423Mary" in hits


def test_a_name_is_offered_to_look_at_whether_a_run_found_it_or_not(
    client: TestClient, runs: Path, live: LiveModel
) -> None:
    found = client.get("/search", params={"q": "L2.N9"}).text
    assert 'data-site="L2.N9"' in found
    assert "No run here has put L2.N9 forward." in found
    other = client.get("/search", params={"q": "L23.H3 nowhere"}).text
    assert "Other words of the search leave L23.H3 out." in other
    assert 'id="named"' not in client.get("/search", params={"q": "L2"}).text
    card = client.get("/api/site", params={"name": "L2.N9"}).json()
    assert card["command"] == f"needlepoint neuron L2.N9 --model {live.source}"
    wrong = client.get("/api/site", params={"name": "L9.N9"})
    assert (wrong.status_code, "has layers 0 to 2, and in each" in wrong.text) == (400, True)
    alone = TestClient(create_app(Library([runs])), base_url=HERE)
    assert "start the explorer with a model" in alone.get("/search?q=L2.N9").text


def test_a_comparison_shows_settings_scores_and_the_picture(client: TestClient) -> None:
    page = client.get("/compare", params={"a": "first", "b": "second"}).text
    assert "config.seed" in page
    assert "270" in page
    assert 'id="data-scatter"' in page
    other = client.get(
        "/compare",
        params={"a": "first", "b": "second", "cell": "circuit.ioi", "measure": "mean_difference"},
    )
    assert "rank correlation of 1.00" in other.text


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/runs/none", 404, "there is no run"),
        ("/runs/..%2f..%2fetc", 404, "there is no"),
        ("/runs/first/run.json", 404, "there is no such page"),
        ("/static/..%2fapp.py", 404, "there is no"),
        ("/static/guard.py", 404, "there is no asset"),
        ("/nowhere", 404, "there is no such page"),
        ("/docs", 404, "there is no such page"),
        ("/openapi.json", 404, "there is no such page"),
        ("/search?q=" + "x" * 300, 400, "is too long"),
        ("/compare?a=first&b=second&measure=beauty", 400, "cannot be compared"),
        ("/api/example?task=ioj", 404, "did you mean"),
        ("/api/example?task=ioi&number=x", 422, "number cannot be used"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    client: TestClient, path: str, status: int, sentence: str
) -> None:
    found = client.get(path)
    assert (found.status_code, sentence in found.text) == (status, True), found.text
    assert "Traceback" not in found.text


def test_a_text_is_read_and_edited_over_http(client: TestClient, live: LiveModel) -> None:
    body = {
        "text": "one two <script>",
        "sites": ["L1.N3", "L2.H1"],
        "edits": [{"site": "L1.N3", "kind": "scale", "factor": 3}],
        "contrast": {"corrupt": "one too <script>", "answer": ["a"], "wrong": ["b"]},
    }
    found = client.post("/api/read", json=body, headers=OWN)
    assert found.status_code == 200
    answer = found.json()
    assert "".join(answer["tokens"][1:]) == body["text"]
    assert answer["neurons"][0]["site"] == "L1.N3"
    assert answer["heads"][0]["kv_head"] == 0
    assert answer["divergence"] > 0
    assert set(answer["measured"]) == {"name", "unit", "clean", "corrupt", "after"}
    card = client.get("/api/model").json()
    assert (card["name"], "ioi" in card["tasks"]) == (live.model.name, True)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"text": ""}, 400, "the text is empty"),
        ({"text": "x" * (MOST_CHARACTERS + 1)}, 422, "text cannot be used: string should have"),
        ({"text": "a", "sites": ["L1.N1"] * 17}, 422, "sites cannot be used"),
        ({"text": "a", "sites": ["x" * 41]}, 422, "sites.0 cannot be used"),
        ({"text": "a", "sites": ["<img>"]}, 400, "write a neuron as L12.N345"),
        ({"text": "a", "edits": [{"site": "L1.N1", "kind": "eval"}]}, 422, "edits.0.kind"),
        ({"text": "a", "position": -1}, 422, "position cannot be used"),
        ({"text": "a", "more": 1}, 422, "more cannot be used"),
        ({}, 422, "text cannot be used: field required"),
    ],
)
def test_a_wrong_question_is_refused_in_a_sentence(
    client: TestClient, body: dict[str, object], status: int, sentence: str
) -> None:
    found = client.post("/api/read", json=body, headers=OWN)
    assert (found.status_code, sentence in found.json()["error"]) == (status, True), found.text


@pytest.mark.parametrize(
    "content",
    [
        b"{]",
        b"",
        b"[1]",
        b"\xff",
        b'{"text": "a", "edits": [{"site": "L1.N1", "factor": Infinity}]}',
    ],
)
def test_what_is_no_question_is_refused(client: TestClient, content: bytes) -> None:
    headers = OWN | {"content-type": "application/json"}
    found = client.post("/api/read", content=content, headers=headers)
    assert found.status_code in (400, 422)
    assert found.json()["error"]


def test_a_defect_is_one_sentence_and_goes_to_the_log(
    runs: Path, live: LiveModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(live, "answer", broken)
    app = create_app(Library([runs]), live)
    client = TestClient(app, base_url=HERE, raise_server_exceptions=False)
    found = client.post("/api/read", json={"text": "a"}, headers=OWN)
    assert (found.status_code, "secret" in found.text) == (500, False)
    assert "failed by a defect" in found.json()["error"]
    assert "secret detail" in caplog.text


def test_pages_over_runs_need_no_model(runs: Path) -> None:
    client = TestClient(create_app(Library([runs])), base_url=HERE)
    assert client.get("/runs/first").status_code == 200
    assert "started without a model" in client.get("/live").text
    found = client.post("/api/read", json={"text": "a"}, headers=OWN)
    assert (found.status_code, "--model smollm2" in found.json()["error"]) == (400, True)
    assert client.get("/api/studies").json() == []


def test_what_is_pasted_becomes_the_file_of_a_study(client: TestClient, noted: Noted) -> None:
    assert client.post("/api/studies/prepare", json={}, headers=OWN).status_code == 200
    assert noted.prepared
    body = {"kind": "probe", "name": "a, b", "positive": 'one "x"\n\n', "negative": "two, three"}
    found = client.post("/api/studies", json=body, headers=OWN)
    assert found.json()["run"] == "first"
    assert noted.requests[0].content.splitlines() == [
        "text,label",
        '"one ""x""",yes',
        '"two, three",no',
    ]
    pairs = "clean\tcorrupt\tanswer\twrong\na b\ta c\t d| f\t e\n"
    client.post("/api/studies", json={"kind": "circuit", "name": "p", "table": pairs}, headers=OWN)
    assert json.loads(noted.requests[1].content) == {
        "clean": "a b",
        "corrupt": "a c",
        "answer": [" d", " f"],
        "wrong": " e",
    }
    assert client.post("/api/studies/1/cancel", json={}, headers=OWN).json()["state"] == "done"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"kind": "probe", "positive": "x"}, "there are no texts without it"),
        ({"kind": "probe", "positive": "x", "table": "text,label"}, "not both"),
        ({"kind": "circuit"}, "there are no pairs"),
        ({"kind": "circuit", "table": "a,b\n1,2"}, "no column 'clean'"),
    ],
)
def test_what_cannot_be_a_study_is_refused(
    client: TestClient, body: dict[str, str], sentence: str
) -> None:
    found = client.post("/api/studies", json={"name": "x", **body}, headers=OWN)
    assert (found.status_code, sentence in found.json()["error"]) == (400, True)


# ---- who may ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:8765", ""]
)
def test_another_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 400
    assert client.get("/", headers={"host": "localhost:8765"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        OWN | {"origin": "http://evil.example"},
        OWN | {"origin": "null"},
        OWN | {"origin": "http://127.0.0.1:9999"},
        OWN | {"sec-fetch-site": "cross-site"},
        OWN | {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_can_start_nothing(
    client: TestClient, noted: Noted, headers: dict[str, str]
) -> None:
    body = {"kind": "probe", "name": "x", "positive": "a", "negative": "b"}
    assert client.post("/api/studies", json=body, headers=headers).status_code == 403
    assert noted.requests == []
    own = OWN | {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert client.post("/api/studies", json=body, headers=own).status_code == 200


def test_a_request_that_is_too_large_is_refused_however_it_is_sent(client: TestClient) -> None:
    long = b'{"text": "' + b"x" * MOST_BYTES + b'"}'
    headers = OWN | {"content-type": "application/json"}
    for content in (long, iter([long[: len(long) // 2], long[len(long) // 2 :]])):
        found = client.post("/api/read", content=content, headers=headers)
        assert (found.status_code, "up to 4 MiB" in found.json()["error"]) == (413, True)
    strange = client.post("/api/read", content=b"{}", headers=headers | {"content-length": "-1"})
    assert strange.status_code == 413


def test_other_machines_need_the_token(runs: Path) -> None:
    access = Access.at("0.0.0.0", 8765)
    assert len(access.token) > 40
    app = create_app(Library([runs]), access=access)
    base = "http://192.168.1.7:8765"
    client = TestClient(app, base_url=base, follow_redirects=False)
    wrong = ({}, {"token": ""}, {"token": access.token[:-1]}, {"token": "\u00e9"})
    for given in wrong:
        found = client.get("/", params=given)
        assert (found.status_code, "token" in found.text) == (401, True)
    assert client.get("/static/common.js").status_code == 401
    assert client.get("/", headers={"cookie": f"{access.cookie}=wrong"}).status_code == 401
    first = client.get("/search", params={"token": access.token, "q": "L2 & co"})
    assert (first.status_code, first.headers["location"]) == (303, "/search?q=L2+%26+co")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "samesite=strict" in first.headers["set-cookie"].lower()
    assert client.get("/").status_code == 200
    away = client.get("//evil.example", params={"token": access.token})
    assert not away.headers.get("location", "").startswith("//")
    fresh = TestClient(app, base_url=base, follow_redirects=False)
    outside = fresh.get(f"{base}//evil.example/x", params={"token": access.token})
    assert not outside.headers.get("location", "/").startswith("//")
    named = TestClient(app, base_url="http://rebound.example:8765")
    assert named.get("/", params={"token": access.token}).status_code == 400


def test_only_this_machine_needs_no_token_unless_asked() -> None:
    assert Access.at("127.0.0.1", 1).token == ""
    assert Access.at("localhost", 1).url == "http://localhost:1/"
    assert Access.at("::1", 1).url == "http://[::1]:1/"
    assert Access.at("127.0.0.1", 1, always=True).token
    assert "token=" in Access.at("10.0.0.1", 1).url


def test_no_socket_is_opened_for_the_page(client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws"):
        pass
