"""Reading a job: what is a line, what is a bad one, and what a user is told about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bulk_support import CHAT, MODEL, body, job_file, line, one_bad, raw, scanned
from hypothesis import assume, given, settings, strategies as st

from scheduler.bulk.lines import BadLine
from scheduler.bulk.reader import Item, JobFile
from scheduler.errors import ConfigurationError, InvalidRequest

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.jsonl"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in line().items() if key != name}


BAD: dict[str, tuple[Any, str, str]] = {
    # name: (line, field, words of the problem or the mend)
    "no object": (b"[1, 2]", "", "object"),
    "no JSON": (b"custom_id: a", "", "is not JSON"),
    "half an object": (b'{"custom_id": "a", "method"', "", "is not JSON"),
    "two objects": (json.dumps(line()).encode() * 2, "", "trailing"),
    "no custom_id": (without("custom_id"), "custom_id", "is missing"),
    "no method": (without("method"), "method", "is missing"),
    "no url": (without("url"), "url", "is missing"),
    "no body": (without("body"), "body", "is missing"),
    "custom_id is a number": (line() | {"custom_id": 7}, "custom_id", "Expected `str`"),
    "custom_id is empty": (line(""), "custom_id", "short name"),
    "custom_id is long": (line("x" * 513), "custom_id", "short name"),
    "url is absolute": (line(url="https://evil.example/v1/chat/completions"), "url", "relative path"),
    "url has no scheme": (line(url="//evil.example/v1/chat/completions"), "url", "relative path"),
    "url has dots": (line(url="/v1/../admin"), "url", "dots"),
    "url has control characters": (line(url=CHAT + "\r\nHost: evil"), "url", "control characters"),
    "url is unknown": (line(url="/v1/engines"), "url", "known are"),
    "method is GET": (line(method="GET"), "method", "POST"),
    "body is text": (line(body="hello"), "body", "object"),
    "body is null": (line(body=None), "body", "object"),
    "body has no model": (line(body={"messages": []}), "body.model", "gpt-5-mini"),
    "body has no messages": (line(body={"model": MODEL}), "body.messages", "missing"),
    "model has escapes": (line(body=body(model="\x1b[31m")), "body.model", "control characters"),
    "stream": (line(body=body(stream=True)), "body.stream", "leave it out"),
    "priority is a word": (line(priority="urgent"), "priority", "interactive, normal, batch"),
    "priority is a fraction": (line(priority=1.5), "priority", "Expected `int | str | null`"),
    "priority is a flag": (line(priority=True), "priority", "Expected `int | str | null`"),
    "tenant is empty": (line(tenant=""), "tenant", "short name"),
    "tenant has escapes": (line(tenant="a\x1b[31mb"), "tenant", "control characters"),
    "project is long": (line(project="p" * 513), "project", "too long"),
    "project cannot be a header": (line(project="Überprojekt"), "project", "header"),
    "not UTF-8": (json.dumps(line()).encode().replace(b"hello", b"\xe4\xf6"), "body", "UTF-8"),
    "lone surrogate": (line("\ud800"), "", "surrogate"),
    "a number beyond floats": (b'{"custom_id":"a","method":"POST","url":"/v1/x","body":{"x":1e999}}', "body", "range"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_reported_with_number_field_and_mend(path: Path, name: str) -> None:
    """A line that cannot be sent is named by its number and field, says what to write, and its neighbours stay."""
    bad, field, words = BAD[name]
    first, found, last = scanned(path, raw(line("before"), bad, line("after")))
    assert isinstance(first, Item)
    assert isinstance(last, Item)
    assert isinstance(found, BadLine)
    assert found.line == 2
    assert found.field == field
    assert words in f"{found.problem} {found.mend}"
    assert found.mend
    assert str(found).startswith("line 2")


def test_a_bad_lines_report_holds_nothing_of_its_body(path: Path) -> None:
    """Prompts stay out of error messages, whatever is wrong with their line."""
    secret = "my-secret-prompt"
    for bad in (line(body=secret), line(body=body(secret, n="x")), json.dumps(line(body=body(secret))).encode()[:-1]):
        assert secret not in str(one_bad(path, raw(bad)))


def test_a_duplicate_id_names_the_first_line(path: Path) -> None:
    """The second line of a name is bad, and says where the first stands."""
    found = scanned(path, raw(line("a"), line("b"), line("a")))
    assert [type(each) for each in found] == [Item, Item, BadLine]
    assert "line 1 already" in str(found[2])
    assert found[2].custom_id == "a"


def test_ids_that_differ_in_normalization_are_different_names(path: Path) -> None:
    """Unusual unicode is kept as it is: composed and decomposed letters, emoji, right-to-left text, separators."""
    names = ["é", "e\u0301", "👩‍👩‍👧", "שלום", "a\u2028b", "\x1b[31m", "[red]", "\x00"]
    found = scanned(path, raw(*(line(name) for name in names)))
    assert [each.custom_id for each in found] == names


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(raw(line("a"), line("b")), id="plain"),
        pytest.param(raw(line("a"), line("b"))[:-1], id="no final newline"),
        pytest.param(raw(line("a"), line("b")).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(BOM + raw(line("a"), line("b")), id="BOM"),
        pytest.param(b"\n \t\n" + raw(line("a")) + b"\r\n\n" + raw(line("b")) + b"\n\n", id="blank lines"),
    ],
)
def test_files_as_editors_save_them(path: Path, content: bytes) -> None:
    """Byte order marks, blank lines, CRLF and a missing last newline change nothing; bodies come back as they are."""
    with job_file(path, content) as job:
        items = [item for item in job.scan() if isinstance(item, Item)]
        assert [item.custom_id for item in items] == ["a", "b"]
        assert [json.loads(job.load(item)) for item in reversed(items)] == [body(), body()]


def test_line_numbers_count_blank_lines(path: Path) -> None:
    """A number is that of the line in an editor."""
    found = scanned(path, b"\n\n" + raw(line("a")) + b"\n" + b"{}\n")
    assert [each.line for each in found] == [3, 5]


def test_an_empty_file_has_no_lines(path: Path) -> None:
    """Nothing is in a file of nothing."""
    assert scanned(path, b"") == []
    assert scanned(path, BOM + b"\n") == []


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_refused_with_its_mend(path: Path, mark: bytes) -> None:
    """A file that another program saved as UTF-16 says so once, not once a line."""
    with pytest.raises(ConfigurationError, match="save it as UTF-8") as caught, job_file(path, mark + b"{\0}\0"):
        pass
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda path: None, "No such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "not a regular file", id="directory"),
        pytest.param(lambda path: __import__("os").mkfifo(path), "not a regular file", id="pipe"),
    ],
)
def test_what_is_no_file_is_refused(path: Path, make: Callable[[Path], None], words: str) -> None:
    """What cannot be read twice is refused by name, without waiting for anybody to write to it."""
    make(path)
    job = JobFile(path, None)  # type: ignore[arg-type]  # it gets nowhere near its provider
    with pytest.raises(ConfigurationError, match=words) as caught, job:
        pass
    assert caught.value.file == str(path)


def test_priorities_by_name_and_number(path: Path) -> None:
    """A priority is a number or a name in letters of any case; without one it is the job's own."""
    given_ = ["interactive", "NORMAL", 7, None]
    found = scanned(path, raw(*(line(str(number), priority=each) for number, each in enumerate(given_)), line("x")))
    assert [each.priority for each in found if isinstance(each, Item)] == [0, 50, 7, 100, 100]


def test_names_of_tenant_and_project_are_kept(path: Path) -> None:
    """Whose request it is, and in which project, is read from the line."""
    (item,) = scanned(path, raw(line(tenant="ACME & Söhne", project="proj_1")))
    assert isinstance(item, Item)
    assert (item.tenant, item.project) == ("ACME & Söhne", "proj_1")


def test_the_body_is_sent_as_it_stands_in_the_file(path: Path) -> None:
    """Order of keys, spaces, escapes, repeated keys and numbers of a body are not touched."""
    text = (
        b'{ "messages" :[{"role":"user","content":"\\u00e9 \xc3\xa9"}],"model":"m",  "x":1.0, "x" : 1e2,"seed":0.10 }'
    )
    with job_file(
        path, raw(b'{"custom_id":"a","body":' + text + b',"url":"' + CHAT.encode() + b'","method":"POST"}')
    ) as job:
        (item,) = job.scan()
        assert isinstance(item, Item)
        assert job.load(item) == text


@pytest.mark.parametrize("changed", [raw(line("b"), line("b")), raw(line("a", url="/v1/responses")), b"", b"\0" * 999])
def test_a_line_that_changes_under_a_running_job_fails_alone(path: Path, changed: bytes) -> None:
    """What stands at a line's place must still be that line."""
    with job_file(path, raw(line("a"), line("b"))) as job:
        first, _ = job.scan()
        assert isinstance(first, Item)
        path.write_bytes(changed)
        with pytest.raises(InvalidRequest, match="line 1 was changed"):
            job.load(first)


def test_hostile_sizes_do_not_hurt(path: Path) -> None:
    """50 MB of text, 10,000 fields nobody knows and nesting beyond any stack are read or refused, in seconds."""
    large = line("large", body=body("x" * 50_000_000))
    many = line("many", **{f"field{number}": number for number in range(10_000)})
    deep = b'{"custom_id":"deep","method":"POST","url":"/v1/responses","body":{"model":"m","input":%b%b}}' % (
        b"[" * 100_000,
        b"]" * 100_000,
    )
    deep_outside = b'{"custom_id":"outside","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
    found = scanned(path, raw(large, many, deep, deep_outside, line("last")))
    assert [(each.line, each.custom_id) for each in found if isinstance(each, Item)] == [
        (1, "large"),
        (2, "many"),
        (5, "last"),
    ]
    assert [each.problem for each in found if isinstance(each, BadLine)] == ["is nested too deeply"] * 2


def test_equal_charges_and_names_are_kept_once(path: Path) -> None:
    """A million lines of one model do not hold a million copies of its name."""
    first, second = scanned(path, raw(line("a", tenant="t" * 9), line("b", tenant="t" * 9)))
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.model is second.model
    assert first.charge is second.charge
    assert first.tenant is second.tenant
    assert first.candidates is second.candidates
    assert first.candidates[0] == first.call.charge.tokens
    assert first.call.candidates is first.candidates


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
bodies = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("model", "messages", "input", "prompt", "n", "max_tokens", "stream", "tools"), values),
)
lines = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("custom_id", "method", "url", "body", "priority", "tenant", "project"), values),
)
near = st.builds(
    lambda fields, body_, url: {**line(), **fields, "body": body_, "url": url},
    lines,
    st.builds(lambda fields: {**body(), **fields}, bodies),
    st.sampled_from([CHAT, "/v1/responses", "/v1/embeddings", "/v1/images/generations", "/v1/moderations"]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(values, lines, near, st.binary(max_size=40).map(lambda b: b.replace(b"\n", b""))), max_size=5)
)
def test_whatever_a_file_holds_each_line_is_good_or_bad(tmp_path_factory: pytest.TempPathFactory, found: Any) -> None:
    """No content makes the reader raise; every line that is not blank comes out once, in order, and good ones load."""
    path = tmp_path_factory.mktemp("any") / "job.jsonl"
    content = raw(*found)
    assume(content[:2] not in {b"\xff\xfe", b"\xfe\xff"})
    with job_file(path, content) as job:
        read = list(job.scan())
        contents = enumerate(content.removeprefix(BOM).split(b"\n"), 1)
        numbers = [number for number, each in contents if each.strip()]
        assert [each.line for each in read] == numbers
        for each in read:
            assert isinstance(each, BadLine) or isinstance(json.loads(job.load(each)), dict)
