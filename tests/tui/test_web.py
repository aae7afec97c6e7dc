"""The browser view: nobody gets in without the token."""

from __future__ import annotations

import pytest

pytest.importorskip("textual_serve", reason="the extra 'web' is not installed")

from aiohttp import ClientSession, CookieJar, web

from flunq_tui.web import COOKIE, HOST, free_port
from flunq_tui.web_server import GuardedServer, Page
from tests.support.waiting import eventually

TOKEN = "let-me-in"


@pytest.fixture
async def address() -> object:
    port = free_port()
    server = GuardedServer("true", HOST, port, TOKEN)
    runner = web.AppRunner(await server.application())
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    yield f"http://{HOST}:{port}"
    await runner.cleanup()


@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/?token=wrong", "/?token="])
async def test_without_the_token_everything_is_forbidden(address: str, path: str) -> None:
    async with ClientSession() as session, session.get(f"{address}{path}") as answer:
        assert answer.status == 403


async def test_a_wrong_cookie_is_no_token(address: str) -> None:
    jar = CookieJar(unsafe=True)
    jar.update_cookies({COOKIE: "\u00e9"})
    async with ClientSession(cookie_jar=jar) as session, session.get(address) as answer:
        assert answer.status == 403


async def test_the_token_becomes_a_cookie_and_leaves_the_address(address: str) -> None:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        async with session.get(f"{address}/?token={TOKEN}", allow_redirects=False) as answer:
            assert answer.status == 302
            assert answer.headers["Location"] == "/"
            cookie = answer.cookies[COOKIE]
            assert cookie["httponly"] and cookie["samesite"] == "Strict"
        async with session.get(address) as page:
            assert page.status == 200
            assert "terminal" in await page.text()


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]
)
async def test_other_sites_get_nothing_even_with_the_token(
    address: str, headers: dict[str, str]
) -> None:
    cookie = {"Cookie": f"{COOKIE}={TOKEN}"}
    async with (
        ClientSession() as session,
        session.get(f"{address}/ws", headers={**cookie, **headers}) as answer,
    ):
        assert answer.status == 403


async def test_the_own_page_may_open_the_stream_and_leaves_no_process(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[Page] = []
    start = Page.start

    async def noted(page: Page, width: int, height: int) -> None:
        pages.append(page)
        await start(page, width, height)

    monkeypatch.setattr(Page, "start", noted)
    headers = {"Cookie": f"{COOKIE}={TOKEN}", "Origin": address}
    async with ClientSession() as session, session.ws_connect(f"{address}/ws", headers=headers):
        await eventually(lambda: bool(pages) and pages[0]._process is not None)
    [page] = pages
    process = page._process
    assert process is not None
    await eventually(lambda: process.returncode == 0)
