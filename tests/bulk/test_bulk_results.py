"""Results: their format, who may read them, and what a crash, a full disk and a hostile server can do to them."""

import json
import os
import resource
import signal
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from bulk_support import answer, ids, objects
from hypothesis import given, settings, strategies as st

from scheduler.bulk.lines import BadLine
from scheduler.bulk.results import Results
from scheduler.errors import ConfigurationError, RequestFailed, RequestTooLarge
from scheduler.http.driver import Answer
from scheduler.http.letters import Received


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "output.jsonl", folder / "errors.jsonl"


def written(folder: Path, content: bytes) -> Any:
    """Return the body that stands in the output for an answer's content."""
    output, errors = files(folder)
    with Results(output, errors, resume=False) as results:
        results.success("a", answer(content))
    (line,) = objects(output)
    return line["response"]["body"]


def test_a_success_is_a_line_of_the_batch_output_format(tmp_path: Path) -> None:
    """A line has an id, the custom_id, the response with status, request id and body, and no error."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=False) as results:
        results.success("a-1", answer(b'{"answer":42}', request_id="req_7"))
    (line,) = objects(output)
    assert line.pop("id").startswith("batch_req_")
    response = {"status_code": 200, "request_id": "req_7", "body": {"answer": 42}}
    assert line == {"custom_id": "a-1", "response": response, "error": None}
    assert objects(errors) == []


def test_failures_and_bad_lines_stand_in_the_error_file(tmp_path: Path) -> None:
    """A failure carries the last response, where one came, a code and words; a bad line its number and field."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=False) as results:
        results.failure("a", answer(b'{"error":{}}', 400), RequestFailed("bad request", 1, 400))
        results.failure("b", Answer(None, None, 0), RequestTooLarge("*", "tpm", 90, 60))
        results.bad_line(BadLine(3, None, "is missing", "custom_id", "add it"))
    first, second, third = objects(errors)
    assert first["response"] == {"status_code": 400, "request_id": "", "body": {"error": {}}}
    assert first["error"]["code"] == "request_failed"
    assert second["response"] is None
    assert second["error"]["code"] == "request_too_large"
    assert "at most 60" in second["error"]["message"]
    said = {
        "code": "invalid_line",
        "message": "line 3, custom_id: is missing (add it)",
        "param": "custom_id",
        "line": 3,
    }
    assert (third["custom_id"], third["error"]) == (None, said)
    assert objects(output) == []


def test_results_are_written_at_once(tmp_path: Path) -> None:
    """Whoever looks at the output while the job runs sees every result that came."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=False) as results:
        for number in range(3):
            results.success(str(number), answer())
            assert ids(output) == [str(each) for each in range(number + 1)]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_only_the_owner_may_read_results(tmp_path: Path, mask: int) -> None:
    """Both files have mode 0600, whatever the umask, and a resumption mends what another mode was given."""
    output, errors = files(tmp_path)
    before = os.umask(mask)
    try:
        with Results(output, errors, resume=False):
            pass
        assert [stat.S_IMODE(path.stat().st_mode) for path in (output, errors)] == [0o600] * 2
        output.chmod(0o644)
        with Results(output, errors, resume=True):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.parametrize("which", [0, 1])
def test_what_exists_is_not_overwritten(tmp_path: Path, which: int) -> None:
    """An output or error file that exists is refused untouched, and the other is not left behind."""
    paths = files(tmp_path)
    paths[which].write_text("mine")
    with pytest.raises(ConfigurationError, match=r"exists already .*--resume") as caught, Results(*paths, resume=False):
        pass
    assert caught.value.file == str(paths[which])
    assert paths[which].read_text() == "mine"
    assert not paths[1 - which].exists()


def test_a_link_is_not_followed_to_a_new_file(tmp_path: Path) -> None:
    """A dangling link that somebody laid does not decide where answers go."""
    output, errors = files(tmp_path)
    output.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="exists already"), Results(output, errors, resume=False):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """What cannot be written is named with the reason."""
    output, errors = files(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="No such file") as caught, Results(output, errors, resume=False):
        pass
    assert caught.value.file == str(output)


def test_a_job_that_ends_before_its_first_result_leaves_nothing(tmp_path: Path) -> None:
    """After an error the same command can be given again: empty files are taken away, others stay."""
    output, errors = files(tmp_path)

    def fail(*, after: bool) -> None:
        with Results(output, errors, resume=False) as results:
            if after:
                results.success("a", answer())
            raise KeyboardInterrupt

    for after in (False, True):
        with pytest.raises(KeyboardInterrupt):
            fail(after=after)
        assert output.exists() == after
        assert not errors.exists()


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b'{\n  "a": [\r\n    1,\n    2\n  ]\n}\n', {"a": [1, 2]}),
        (b"<html>\nover capacity\n</html>", "<html>\nover capacity\n</html>"),
        (b"", ""),
        (b'{"a":', '{"a":'),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b'"\xff\xfe"', "\ufffd\ufffd"),
        (b"\xff", "\ufffd"),
        (b"null", None),
        (b'{"big": 123456789012345678901234567890, "a":1.10}', {"big": 123456789012345678901234567890, "a": 1.10}),
        (b"[" * 100_000 + b"]" * 100_000, "[" * 100_000 + "]" * 100_000),
    ],
)
def test_any_body_becomes_one_line(tmp_path: Path, content: bytes, body: Any) -> None:
    """JSON stays JSON on one line, however the server printed it; anything else becomes text."""
    assert written(tmp_path, content) == body


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=40), custom_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_answer_can_be_read_back(tmp_path_factory: pytest.TempPathFactory, content: bytes, custom_id: str) -> None:
    """Whatever bytes a server sent and whatever a line is called, the output stays a file of results."""
    output, errors = files(tmp_path_factory.mktemp("any"))
    with Results(output, errors, resume=False) as results:
        results.success(custom_id, answer(content))
    with Results(output, errors, resume=True) as results:
        assert results.done == {custom_id}
    output.read_text(encoding="utf-8")


def test_a_key_that_a_server_repeats_is_struck_out(tmp_path: Path) -> None:
    """An error body or message that quotes the key does not bring it into the error file; answers are not touched."""
    output, errors = files(tmp_path)
    key = "sk-proj-abcdef"
    said = f'{{"error":{{"message":"Incorrect API key provided: {key}"}}}}'.encode()
    with Results(output, errors, resume=False, key=key) as results:
        results.failure("a", answer(said, 401), RequestFailed("auth", 1, 401, f"Incorrect API key provided: {key}"))
    text = errors.read_text()
    assert key not in text
    assert text.count("[key]") == 2


def test_a_word_that_is_also_the_key_stays_in_answers(tmp_path: Path) -> None:
    """A dummy key for a local server does not eat words."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=False, key="test") as results:
        results.success("test", answer(b'{"test":"a test"}'))
        results.failure("a", answer(b'"test"', 400), RequestFailed("bad request", 1, 400, "a test"))
    assert objects(output)[0]["response"]["body"] == {"test": "a test"}
    assert "a test" in errors.read_text()


def test_a_full_disk_tears_no_line(tmp_path: Path) -> None:
    """Where a result cannot be written whole, nothing of it is, and what was there before stays whole."""
    output, errors = files(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Results(output, errors, resume=False) as results:
            results.success("a", answer())
            resource.setrlimit(resource.RLIMIT_FSIZE, (output.stat().st_size + 50, hard))
            with pytest.raises(OSError, match="large") as caught:
                results.success("b", answer())
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            results.success("c", answer())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(output)
    assert ids(output) == ["a", "c"]


# ---- resuming


def output_of(*names: str) -> bytes:
    lines = (
        {"id": f"batch_req_{name}", "custom_id": name, "response": {"status_code": 200, "body": "ä\n"}, "error": None}
        for name in names
    )
    return b"".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for each in lines)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_torn_last_line_is_dropped_wherever_it_was_torn(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """After a crash at any byte, exactly the whole lines count, stay as they are, and results go on after them."""
    output, errors = files(tmp_path_factory.mktemp("torn"))
    names = ["a", "b", "c"]
    whole = output_of(*names)
    cut = data.draw(st.integers(0, len(whole)))
    output.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    with Results(output, errors, resume=True) as results:
        assert results.done == set(names[:kept])
        assert output.read_bytes() == output_of(*names[:kept])
        results.success("next", answer())
    assert ids(output) == [*names[:kept], "next"]


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(b"my notes\n", id="text"),
        pytest.param(b"my notes", id="text without newline"),
        pytest.param(output_of("a") + b"notes", id="a foreign last line"),
        pytest.param(output_of("a") + b"\n" + output_of("b"), id="a blank line"),
        pytest.param(b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}\n', id="an input"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_foreign_file_is_refused_untouched(tmp_path: Path, foreign: bytes, which: int) -> None:
    """Resuming onto a file that is none of results names it and changes neither it nor the other."""
    paths = files(tmp_path)
    paths[which].write_bytes(foreign)
    paths[1 - which].write_bytes(output_of("z"))
    with pytest.raises(ConfigurationError, match="is no result") as caught, Results(*paths, resume=True):
        pass
    assert caught.value.file == str(paths[which])
    assert paths[which].read_bytes() == foreign
    assert paths[1 - which].read_bytes() == output_of("z")


def test_what_is_no_regular_file_is_not_resumed(tmp_path: Path) -> None:
    """A device or a directory is no output to go on with."""
    _, errors = files(tmp_path)
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigurationError, match="not a regular file"), Results(path, errors, resume=True):
            pass


def test_failures_of_the_last_run_are_forgotten(tmp_path: Path) -> None:
    """Resuming sends what failed again, so the error file begins anew; lines with an error do not count as done."""
    output, errors = files(tmp_path)
    failed = json.loads(output_of("b")) | {"error": {"code": "x", "message": "y"}}
    output.write_bytes(output_of("a") + json.dumps(failed).encode() + b"\n")
    errors.write_bytes(output_of("c"))
    with Results(output, errors, resume=True) as results:
        assert results.done == {"a"}
    assert errors.read_bytes() == b""


def test_resuming_what_never_began_begins(tmp_path: Path) -> None:
    """--resume may stand in a script from its first run on."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=True) as results:
        results.success("a", answer())
    assert ids(output) == ["a"]


def test_a_response_without_a_request_id_has_an_empty_one(tmp_path: Path) -> None:
    """The field is always a text."""
    output, errors = files(tmp_path)
    with Results(output, errors, resume=False) as results:
        results.success("a", Answer(Received.of(httpx.Response(200, content=b"{}")), None, 1))
    assert objects(output)[0]["response"]["request_id"] == ""
