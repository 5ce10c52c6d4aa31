"""Who is let in, by which of the ways, and who is not."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from stream.errors import SettingsError
from stream.settings import Settings
from stream.web import sessions
from stream.web.access import CALLER, Access
from stream.web.limits import Limits
from stream.web.serving import application
from support.served import served

ANN, BOB = "a-token-of-ann-0123456789", "a-token-of-bob-0123456789"
BEARER = {"Authorization": f"Bearer {ANN}"}


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who may call\nann:{ANN} tenant=acme\n\nbob:{BOB} annotators=any\n")
    return path


def service(host: str = "127.0.0.1", name: str = "local", **settings: Any) -> web.Application:
    async def who(request: web.Request) -> web.Response:
        caller = request[CALLER]
        return web.json_response([caller.name, caller.tenant, caller.names_annotators])

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = application(Access.of(Settings(**settings), host, name), Limits(1000))
    app.add_routes([web.get("/who", who), web.post("/who", who), web.get("/healthz", healthy)])
    return app


def ask(
    client: aiohttp.ClientSession, headers: dict[str, str], method: str = "GET"
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return client.request(method, "/who", headers=headers, allow_redirects=False)


async def status(client: aiohttp.ClientSession, headers: dict[str, str], method: str = "GET") -> int:
    async with ask(client, headers, method) as answer:
        return answer.status


async def test_without_tokens_and_proxy_whoever_is_on_this_machine_is_let_in() -> None:
    async with served(service(name="ada")) as client, ask(client, {}) as answer:
        assert await answer.json() == ["ada", None, True]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "moderation.example"])
def test_a_service_that_others_reach_is_refused_while_nothing_tells_who_they_are(host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Access.of(Settings(), host)
    assert "set AEGIS_TOKENS_FILE" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_service_that_asks_for_tokens_may_be_reached_by_others(tokens: Path) -> None:
    assert Access.of(Settings(tokens_file=tokens), "0.0.0.0").local is None


async def test_a_name_that_was_made_to_lead_here_is_refused() -> None:
    async with served(service()) as client:
        assert await status(client, {"Host": "evil.example"}) == 403
        assert await status(client, {"Host": "127.0.0.1.evil.example:8601"}) == 403
        assert await status(client, {"Host": "[::1"}) in (400, 403)
        for own in ("localhost:8601", "127.0.0.1", "[::1]:8601", "LOCALHOST"):
            assert await status(client, {"Host": own}) == 200, own


async def test_a_page_of_another_site_changes_nothing_here() -> None:
    async with served(service()) as client:
        assert await status(client, {"Origin": "https://evil.example"}, "POST") == 403
        assert await status(client, {"Origin": "null"}, "POST") == 403
        assert await status(client, {"Origin": "http://[1"}, "POST") == 403
        assert await status(client, {"Sec-Fetch-Site": "cross-site"}, "POST") == 403
        assert await status(client, {"Sec-Fetch-Site": "same-site"}, "POST") == 403  # another port of this machine
        assert await status(client, {"Sec-Fetch-Site": "same-origin"}, "POST") == 200
        assert await status(client, {}, "POST") == 200  # a program of this machine
        own = str(client._base_url).rstrip("/")
        assert await status(client, {"Origin": own}, "POST") == 200


async def test_a_token_says_who_calls_and_what_it_may(tokens: Path) -> None:
    async with served(service(tokens_file=tokens)) as client:
        async with ask(client, BEARER, "POST") as answer:
            assert await answer.json() == ["ann", "acme", False]
        async with ask(client, {"Authorization": f"bearer  {BOB} "}) as answer:
            assert await answer.json() == ["bob", None, True]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong-token-of-nobody", f"Basic {ANN}", ANN])
async def test_without_a_known_token_nobody_is_let_in(tokens: Path, header: str) -> None:
    async with served(service(tokens_file=tokens)) as client, ask(client, {"Authorization": header}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        error = (await answer.json())["error"]
    assert error["type"] == "authentication_error"
    assert error["code"] == "invalid_api_key"


async def test_health_is_told_to_everybody(tokens: Path) -> None:
    async with served(service(tokens_file=tokens)) as client, client.get("/healthz") as answer:
        assert answer.status == 200


async def test_tokens_that_are_taken_out_of_the_file_end_at_once_and_a_broken_file_changes_nothing(
    tokens: Path,
) -> None:
    async with served(service(tokens_file=tokens)) as client:
        assert await status(client, BEARER) == 200
        write(tokens, "this is no file of tokens")
        assert await status(client, BEARER) == 200
        write(tokens, f"bob:{BOB}\n")
        assert await status(client, BEARER) == 401


class TestOfABrowser:
    async def test_a_token_becomes_a_cookie_that_scripts_cannot_read_and_is_none(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            answer = await self.sign_in(client, ANN)
            assert answer.status == 303
            assert answer.headers["Location"] == "/who?a=b"
            (cookie,) = answer.headers.getall("Set-Cookie")
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
            assert ANN not in cookie
            async with ask(client, {}) as known:
                assert await known.json() == ["ann", "acme", False]

    async def test_over_tls_the_cookie_stays_there(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            answer = await self.sign_in(client, ANN, {"X-Forwarded-Proto": "https"})
            assert "Secure" in answer.headers["Set-Cookie"]

    async def test_a_wrong_token_is_told_on_the_page(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            answer = await self.sign_in(client, "wrong-token-of-nobody")
            assert answer.status == 401
            assert 'role="alert"' in await answer.text()
            assert "Set-Cookie" not in answer.headers

    async def test_who_is_not_signed_in_is_led_to_the_page_and_back(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            async with client.get("/who?a=b", headers={"Accept": "text/html"}, allow_redirects=False) as answer:
                assert answer.headers["Location"] == "/login?next=/who?a%3Db"
            async with client.get("/who?a=b", headers={"Accept": "text/html"}) as page:
                assert 'action="/login?next=/who%3Fa%3Db"' in await page.text()

    @pytest.mark.parametrize(
        "path", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie:x"]
    )
    async def test_nobody_is_led_to_another_site(self, tokens: Path, path: str) -> None:
        async with served(service(tokens_file=tokens)) as client:
            answer = await self.sign_in(client, ANN, path=path)
            assert answer.headers["Location"] == "/"

    async def test_a_cookie_changes_nothing_unless_the_browser_says_the_page_is_ours(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            await self.sign_in(client, ANN)
            assert await status(client, {}, "POST") == 403
            assert await status(client, {"Sec-Fetch-Site": "same-origin"}, "POST") == 200
            assert await status(client, {"Origin": "http://evil.example"}, "POST") == 403

    async def test_another_site_signs_nobody_in(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            answer = await self.sign_in(client, ANN, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
            assert answer.status == 403

    async def test_signing_out_takes_the_cookie_away(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            await self.sign_in(client, ANN)
            async with client.post("/logout", headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False) as out:
                assert out.headers["Location"] == "/login"
            assert await status(client, {}) == 401

    async def test_a_cookie_ends_with_its_token(self, tokens: Path) -> None:
        async with served(service(tokens_file=tokens)) as client:
            await self.sign_in(client, ANN)
            write(tokens, f"ann:{'another-token-of-ann'}\n")
            assert await status(client, {}) == 401

    @pytest.mark.parametrize("value", ["", "x", "YW5u.99999999999.00", "YW5u.x.y", "ü.9.z", "YW5u.99999999999.é"])
    async def test_a_made_up_cookie_is_nobodys(self, tokens: Path, value: str) -> None:
        async with served(service(tokens_file=tokens)) as client:
            assert await status(client, {"Cookie": f"{sessions.COOKIE}={value}"}) == 401

    async def test_where_nobody_is_asked_for_a_token_signing_in_leads_to_the_start(self) -> None:
        async with served(service()) as client, client.get("/login", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/"

    @staticmethod
    async def sign_in(
        client: aiohttp.ClientSession, token: str, headers: dict[str, str] | None = None, path: str = "/who?a=b"
    ) -> aiohttp.ClientResponse:
        said = {"Sec-Fetch-Site": "same-origin", **(headers or {})}
        where, form = {"next": path}, {"token": token}
        async with client.post("/login", params=where, data=form, headers=said, allow_redirects=False) as answer:
            await answer.read()
            return answer


class TestBehindAProxy:
    NAMED: dict[str, str] = {"X-Forwarded-User": "carol@example.org"}  # noqa: RUF012 - never changed

    async def test_the_header_of_a_trusted_proxy_names_the_caller(self) -> None:
        app = service(user_header="X-Forwarded-User", trusted_proxies="10.0.0.0/8, 127.0.0.1")
        async with served(app) as client, ask(client, self.NAMED) as answer:
            assert await answer.json() == ["carol@example.org", None, False]

    async def test_the_header_of_anybody_else_is_not_believed(self) -> None:
        app = service(user_header="X-Forwarded-User", trusted_proxies="10.0.0.0/8")
        async with served(app) as client:
            assert await status(client, self.NAMED) == 401

    async def test_a_header_that_came_twice_or_names_nobody_is_not_believed(self) -> None:
        app = service(user_header="X-Forwarded-User", trusted_proxies="127.0.0.0/8")
        async with served(app) as client:
            twice = [*self.NAMED.items(), ("X-Forwarded-User", "root")]
            async with client.get("/who", headers=twice) as answer:
                assert answer.status == 401
            assert await status(client, {"X-Forwarded-User": " "}) == 401
            assert await status(client, {"X-Forwarded-User": "x" * 129}) == 401

    async def test_pages_are_ours_by_the_name_that_the_proxy_was_called(self) -> None:
        app = service(user_header="X-Forwarded-User", trusted_proxies="127.0.0.1")
        async with served(app) as client:
            origin = {"Origin": "https://moderation.example", **self.NAMED}
            assert await status(client, origin, "POST") == 403
            assert await status(client, {**origin, "X-Forwarded-Host": "moderation.example"}, "POST") == 200
            assert await status(client, self.NAMED, "POST") == 403
            program = {**self.NAMED, "Authorization": "Bearer anything"}  # which no page can make a browser send
            assert await status(client, program, "POST") == 200
            assert await status(client, {**self.NAMED, "Authorization": "Basic YTpi"}, "POST") == 403

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"user_header": "X-User"}, "AEGIS_USER_HEADER needs AEGIS_TRUSTED_PROXIES"),
            ({"trusted_proxies": "10.0.0.1"}, "AEGIS_TRUSTED_PROXIES needs AEGIS_USER_HEADER"),
            ({"user_header": "X-User", "trusted_proxies": "everybody"}, "'everybody' is no address or network"),
            ({"user_header": "X-User", "trusted_proxies": "10.0.0.1/8"}, "write 10.0.0.7 or 10.0.0.0/24"),
        ],
    )
    def test_settings_that_let_anybody_in_are_refused(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(SettingsError) as refused:
            Access.of(Settings(**settings), "0.0.0.0")
        assert said in str(refused.value)


def test_a_name_for_this_machine_must_be_one() -> None:
    with pytest.raises(SettingsError):
        Access.of(Settings(), "127.0.0.1", "x" * 129)
