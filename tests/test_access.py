"""Keys: who gets in, what each may do and see, and how much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from tests import generations
from tests.hosts import serve
from videoapi.engine.submit import Idempotency
from videoapi.models import APIKey, Generation, State, issue_key

GOOD = {"model": "faulty-good", "prompt": "anything"}
READS = (
    "/video",
    "/video/{pk}",
    "/video/{pk}/events",
    "/v1/models",
    "/generated-videos/{pk}.mp4",
    "/thumbnails/{pk}.jpg",
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


@pytest.fixture(autouse=True)
def strict(configure: Callable[..., Any]) -> Any:
    generations.add_worker()
    return configure(anonymous="no")


@pytest.mark.parametrize("path", [*READS, "/video/{pk}/preview"])
def test_without_a_key_there_is_a_401_that_says_how(client: Client, path: str) -> None:
    row = generations.make()
    answer = client.get(path.format(pk=row.pk))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="videoapi"')
    assert answer.json()["error"] == {
        "code": "not_authenticated",
        "message": "An API key is needed: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
        "type": "invalid_request_error",
        "param": None,
    }


@pytest.mark.parametrize(
    ("method", "path"), [("post", "/video"), ("delete", "/video/{pk}"), ("post", "/models/a/load")]
)
def test_nothing_is_changed_without_a_key(client: Client, method: str, path: str) -> None:
    row = generations.make()
    answer = getattr(client, method)(path.format(pk=row.pk), GOOD, content_type="application/json")
    assert answer.status_code == 401
    assert Generation.objects.get().state == State.QUEUED


def test_health_needs_none_and_tells_strangers_no_more_than_that(client: Client) -> None:
    generations.add_worker()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    _, key = issue_key("ann")
    assert "models" in client.get("/readyz", headers={"x-api-key": key}).json()


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer {}"}, {"Authorization": "bearer  {}"}, {"x-api-key": "{}"}]
)
def test_a_key_comes_in_either_header(client: Client, headers: dict[str, str]) -> None:
    _, key = issue_key("ann")
    assert client.get("/video", headers={name: value.format(key) for name, value in headers.items()}).status_code == 200


def test_wrong_revoked_and_expired_keys_and_those_in_the_query_are_refused(client: Client) -> None:
    revoked, expired, good = (issue_key(name) for name in ("revoked", "expired", "good"))
    APIKey.objects.filter(pk=revoked[0].pk).update(revoked=True)
    APIKey.objects.filter(pk=expired[0].pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for key in ("", "va-nonsense", "\udcff", good[1][:-1], good[1] + "a", good[0].digest, revoked[1], expired[1]):
        answer = client.get("/video", headers={"x-api-key": key})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "authentication_failed")
        assert "may have expired or been revoked" in answer.json()["error"]["message"]
    assert client.get(f"/video?api_key={good[1]}").status_code == 401


def test_only_a_hash_of_a_key_is_kept() -> None:
    row, key = issue_key("ann")
    assert not [value for value in vars(row).values() if key[8:] in str(value)]


def test_what_belongs_to_another_key_does_not_exist(client: Client) -> None:
    (ann, anns), (_, bobs) = issue_key("ann"), issue_key("bob")
    row = generations.make(api_key=ann)
    row.video = row.thumbnail = "x"
    row.save()
    generations.make()  # of a time when no key was needed
    for path in [path.format(pk=row.pk) for path in READS if "pk" in path] + [f"/video/{row.pk}/preview"]:
        assert client.get(path, headers={"x-api-key": bobs}).status_code == 404
    assert client.delete(f"/video/{row.pk}", headers={"x-api-key": bobs}).status_code == 404
    assert client.get("/video", headers={"x-api-key": bobs}).json()["data"] == []
    assert client.get(f"/video?after={row.pk}", headers={"x-api-key": bobs}).status_code == 400
    mine = client.get("/video", headers={"x-api-key": anns}).json()["data"]
    assert [each["id"] for each in mine] == [str(row.pk)]
    assert client.delete(f"/video/{row.pk}", headers={"x-api-key": anns}).status_code == 200


def test_an_operators_key_sees_and_cancels_everybodys(client: Client) -> None:
    _, key = issue_key("chief", may_operate=True, may_read=False, may_generate=False)
    row = generations.make(api_key=issue_key("ann")[0])
    assert client.get(f"/video/{row.pk}", headers={"x-api-key": key}).status_code == 200
    assert client.post("/models/faulty-good/load", headers={"x-api-key": key}).status_code == 202
    assert client.delete(f"/video/{row.pk}", headers={"x-api-key": key}).json()["status"] == "cancelled"


@pytest.mark.parametrize("action", ["load", "unload"])
def test_a_model_that_is_none_is_a_404_that_names_the_nearest(client: Client, action: str) -> None:
    _, key = issue_key("chief", may_operate=True)
    answer = client.post(f"/models/faulty-goo/{action}", headers={"x-api-key": key})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "Did you mean 'faulty-good'?" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("generate", "post", "/video"),
        ("generate", "delete", "/video/{pk}"),
        ("read", "get", "/video/{pk}"),
        ("read", "get", "/v1/models"),
        ("operate", "post", "/models/faulty-good/unload"),
    ],
)
def test_what_a_key_may_not_do_is_a_403_that_names_it(client: Client, scope: str, method: str, path: str) -> None:
    row, key = issue_key("ann", **{f"may_{scope}": False})
    own = generations.make(api_key=row)
    answer = getattr(client, method)(
        path.format(pk=own.pk),
        GOOD if method == "post" else None,
        content_type="application/json",
        headers={"x-api-key": key},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert answer.json()["error"]["message"] == f"This API key may not {scope}; the operator can allow it in the admin."


def test_a_key_is_limited_in_requests_a_minute(client: Client) -> None:
    row, key = issue_key("ann", videos_per_minute=2)
    old = generations.make(api_key=row)
    Generation.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(seconds=61))
    statuses = [post(client, key).status_code for _ in range(2)]
    assert statuses == [202, 202]
    answer = post(client, key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_requests")
    assert answer.json()["error"]["message"] == "This API key may make 2 videos a minute."
    assert 50 <= int(answer.headers["Retry-After"]) <= 60
    assert post(client, issue_key("bob")[1]).status_code == 202


def test_a_key_that_has_had_enough_makes_no_connection_for_its_image(client: Client) -> None:
    row, key = issue_key("ann", videos_per_minute=1)
    generations.make(api_key=row)
    with serve(Untouched) as url:
        answer = post(client, key, start_image=f"{url}/a.png")
    assert answer.status_code == 429
    assert not Untouched.paths


def test_at_a_keys_limit_the_same_request_again_is_still_the_first_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = issue_key("ann", videos_per_minute=1)[1]
    first = post(client, key, Idempotency_Key="a").json()["id"]
    # As if both had looked for it before either was there.
    find, looks = Idempotency.find, iter([False])
    monkeypatch.setattr(Idempotency, "find", lambda self: find(self) if next(looks, True) else None)
    monkeypatch.setattr("videoapi.api.submission.check_rate", lambda *_: None)
    assert post(client, key, Idempotency_Key="a").json()["id"] == first


def test_without_keys_only_requests_from_this_machine_are_served(client: Client, configure: Callable[..., Any]) -> None:
    configure(anonymous="local")
    assert client.get("/video").status_code == 200
    assert client.get("/video", REMOTE_ADDR="192.0.2.7").status_code == 401
    assert client.get("/video", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 401
    configure(anonymous="all")
    assert client.get("/video", REMOTE_ADDR="192.0.2.7").status_code == 200


def test_a_client_whose_only_key_has_been_revoked_is_not_taken_for_nobody(
    client: Client, configure: Callable[..., Any]
) -> None:
    configure(anonymous="all")
    _, key = issue_key("ann", revoked=True)
    assert client.get("/video", headers={"x-api-key": key}).status_code == 401
    APIKey.objects.all().delete()
    assert client.get("/video", headers={"x-api-key": key}).status_code == 200


def test_a_key_is_limited_in_what_waits(client: Client) -> None:
    key = issue_key("ann", max_queued=1)[1]
    assert post(client, key).status_code == 202
    assert "1 generations of yours are waiting" in post(client, key).json()["error"]["message"]


def test_a_key_is_limited_in_pixels_a_day(client: Client) -> None:
    row, key = issue_key("ann", pixel_frames_per_day=2 * 64 * 48 * 5)
    failed, old = generations.make(api_key=row), generations.make(api_key=row)
    Generation.objects.filter(pk=failed.pk).update(state=State.FAILED)
    Generation.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1, seconds=1))
    assert [post(client, key).status_code for _ in range(2)] == [202, 202]
    answer = post(client, key)
    assert answer.status_code == 429
    assert answer.json()["error"]["message"] == (
        "This API key may make 30720 pixels a day, in all frames. It has made 30720; this video has 15360."
    )
    assert answer.headers["Retry-After"] == "3600"
    answer = post(client, key, num_frames=11)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "size")
    assert Generation.objects.count() == 4


def test_an_idempotency_key_is_its_owners_own(client: Client) -> None:
    keys = [issue_key(name)[1] for name in ("ann", "bob")]
    first, other = (post(client, key, Idempotency_Key="a").json()["id"] for key in keys)
    assert first != other
    assert post(client, keys[0], Idempotency_Key="a").json()["id"] == first


def test_the_address_of_a_keys_video_works_for_a_while_without_the_key(
    client: Client, configure: Callable[..., Any]
) -> None:
    row, key = issue_key("ann")
    done, other = generations.make(api_key=row), generations.make(api_key=row)
    for each in (done, other):
        each.video.save("videos/a.mp4", ContentFile(b"mp4"), save=False)
        Generation.objects.filter(pk=each.pk).update(state=State.COMPLETED, video=each.video.name)
    url = client.get(f"/video/{done.pk}", headers={"x-api-key": key}).json()["data"][0]["url"]
    assert client.get(url).getvalue() == b"mp4"
    assert client.get(url.replace(str(done.pk), str(other.pk))).status_code == 401
    assert client.get(url[:-1]).status_code == 401
    assert client.get(url, headers={"x-api-key": "an old one"}).getvalue() == b"mp4"
    APIKey.objects.update(revoked=True)
    assert client.get(url).status_code == 404
    APIKey.objects.update(revoked=False)
    configure(anonymous="no", url_seconds=-1)
    assert client.get(url).status_code == 401


def test_staff_see_everything_in_the_admin_by_their_session(client: Client) -> None:
    row = generations.make(api_key=issue_key("ann")[0])
    user = User.objects.create_user("eve", password="x", is_staff=True)
    client.force_login(user)
    assert client.get(f"/video/{row.pk}").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_generation"))
    assert client.get(f"/video/{row.pk}").status_code == 200
    refusal = client.delete(f"/video/{row.pk}")
    assert refusal.json()["error"]["message"] == "This login may not generate; the operator can allow it in the admin."
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("root"))
    assert strict.delete(f"/video/{row.pk}").status_code == 403


class Untouched(BaseHTTPRequestHandler):
    """Keeps what it is asked for."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_error(500)


def post(client: Client, key: str, num_frames: int = 5, start_image: str | None = None, **headers: str) -> Any:
    body = {**GOOD, "num_frames": num_frames, **({"start_image": start_image} if start_image else {})}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"x-api-key": key, "Prefer": "respond-async", **named}
    return client.post("/video", body, content_type="application/json", headers=headers)
