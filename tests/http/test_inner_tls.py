"""TLS as httpx has it: who is trusted, and that nobody else is."""

import socket
import ssl
import threading
from pathlib import Path
from types import ModuleType

import pytest
import trustme
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import Asked, Loopback, fetch, server_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody trusts of himself."""
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_an_own_context(kind: str, module: ModuleType, authority: trustme.CA) -> None:
    """A server is trusted by the context given; it is told the name that was asked for, and HTTP/1.1."""
    names: list[str | None] = []
    context = server_context(authority, "localhost")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    context.set_alpn_protocols(["http/1.1"])
    spoken: list[str | None] = []

    async def answer(asked: Asked) -> bytes:
        spoken.append(asked.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        return b"HTTP/1.1 204 Fine\r\n\r\n"

    with Loopback(answer, tls=context).running() as server:
        seen = fetch(kind, module, module.Request("GET", server.url), verify=trusting(authority))
    assert seen.response.status_code == 204
    assert names == ["localhost"]
    assert spoken == ["http/1.1"]
    if kind == "asyncio":
        assert seen.response.extensions["network_stream"].get_extra_info("ssl_object").version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["localhost", "api.example.com"])
def test_strangers_are_refused(kind: str, module: ModuleType, authority: trustme.CA, name: str) -> None:
    """A certificate of an unknown authority, or for another name, is a failure to connect: nothing is sent."""
    trusted = authority if name != "localhost" else trustme.CA()
    with (
        Loopback(tls=server_context(authority, name)).running() as server,
        pytest.raises(module.ConnectError, match=None if kind == "trio" else "CERTIFICATE_VERIFY_FAILED"),
    ):
        fetch(kind, module, module.Request("GET", server.url), verify=trusting(trusted))
    assert not server.asked


def test_by_default_strangers_are_refused(kind: str, module: ModuleType, authority: trustme.CA) -> None:
    """Certificates are verified unless one says otherwise."""
    with (
        Loopback(tls=server_context(authority, "localhost")).running() as server,
        pytest.raises(module.ConnectError),
    ):
        fetch(kind, module, module.Request("GET", server.url), verify=True)
    assert not server.asked


def test_no_verification(kind: str, module: ModuleType, authority: trustme.CA) -> None:
    """One can say otherwise."""
    with Loopback(tls=server_context(authority, "api.example.com")).running() as server:
        assert fetch(kind, module, module.Request("GET", server.url), verify=False).body == b"ok"


def test_a_client_s_certificate(
    kind: str, module: ModuleType, authority: trustme.CA, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A server that wants one is shown it."""
    context = server_context(authority, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    ours = trusting(authority)
    authority.issue_cert("me@example.com").configure_cert(ours)
    with Loopback(tls=context).running() as server:
        assert fetch(kind, module, module.Request("GET", server.url), verify=ours).body == b"ok"
        assert len(server.asked) == 1


def test_authorities_of_the_environment(
    kind: str, module: ModuleType, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_FILE` names who is trusted, unless the environment is not asked."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with Loopback(tls=server_context(authority, "localhost")).running() as server:
        assert fetch(kind, module, module.Request("GET", server.url), verify=True).body == b"ok"
        if module.__name__ == "httpx":  # httpx2 asks the system, which reads the same variable itself
            with pytest.raises(module.ConnectError):
                fetch(kind, module, module.Request("GET", server.url), verify=True, trust_env=False)


def test_plain_words_where_tls_was_expected(kind: str, module: ModuleType) -> None:
    """A server that speaks no TLS is a failure to connect."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example.com\r\n")
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(module.ConnectError):
            fetch(kind, module, module.Request("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        thread.join()
