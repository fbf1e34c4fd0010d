"""No password, token or signature is printed or recorded."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.credentials import hiding, is_credential, mask_error, masked, masked_values, masked_word
from lifecycle.errors import RequestError

SIGNS = st.characters(codec="ascii", min_codepoint=33, max_codepoint=126, exclude_characters="<>")
PASSWORDS = st.text(SIGNS, min_size=4, max_size=40).map(lambda text: f"pw{text}zq")


@given(
    user=st.text("abcxyz", max_size=5),
    password=PASSWORDS,
    quoted=st.booleans(),
    scheme=st.sampled_from(["https", "s3"]),
)
def test_no_url_shows_its_password(user: str, password: str, quoted: bool, scheme: str) -> None:
    typed = quote(password, safe="") if quoted else password
    shown = masked(f"data.path={scheme}://{user}:{typed}@example.com/rows.csv is no file. Give a file.")
    assert typed not in shown
    assert shown.endswith("@example.com/rows.csv is no file. Give a file.")
    assert masked(shown) == shown


@given(
    name=st.sampled_from(
        ["token", "access_token", "X-Amz-Signature", "X-Amz-Credential", "sig", "api_key", "apikey", "key"]
    ),
    value=st.text("abcXYZ0123%+/=.-_~", min_size=3, max_size=40).map(lambda text: f"q{text}"),
)
def test_no_query_shows_a_token(name: str, value: str) -> None:
    assert masked(f"https://h.org/x.csv?rows=5&{name}={value}&b=1") == f"https://h.org/x.csv?rows=5&{name}=***&b=1"


@pytest.mark.parametrize(
    "text",
    [
        "models:/iris@champion",
        "http://127.0.0.1:8080/a@b",
        "http://[::1]:5000/x",
        "sqlite:////folder/a@b.db",
        "monitor=val_loss max_tokens=5 key=3 x@y",
        "column password: 3 rows",
        "git@github.com:foo/bar jane@example.com",
        "see https://example.com: write to jane@example.com",
        "https://${oc.env:NAME}:${oc.env:PW,${oc.env:OTHER}}@h/x?token=${oc.env:T}",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https:/jane:pw@h/x.csv", "https:/***@h/x.csv"),  # a URL of which a path was made
        ("https://ghp_abc@github.com/x", "https://***@github.com/x"),
        ("data.path=https://jane:hunter2abc...", "data.path=https://***@..."),  # shortened before its @
        ("+data.api_key=abc seed=1", "+data.api_key=*** seed=1"),
        ('{"password": "two words", "rows": 3}', '{"password": "***", "rows": 3}'),
        ("data:\n  db_password: two words\n  rows: 3", "data:\n  db_password: ***\n  rows: 3"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: ***"),
        ("https://u:pw${oc.env:X}@h", "https://***@h"),  # only a part is an expression
        (
            r"data.path=https\://u\:pw@h/x?token\=abc",
            r"data.path=https\://***@h/x?token\=***",
        ),
        (r"['data.path=https\\://u\\:pw@h', 'data.token\\=x']", r"['data.path=https\\://***@h', 'data.token\\=***']"),
    ],
)
def test_credentials_of_many_forms(text: str, shown: str) -> None:
    assert masked(text).replace("@...", "@").rstrip(".") == shown.replace("@...", "@").rstrip(".")


def test_keys_betray_credentials() -> None:
    held = {"data": {"apiKey": "abc", "rows": 3, "paths": ["https://a:b@c/d"], "token": "${oc.env:T}"}, "password": 5}
    assert masked_values(held) == {
        "data": {"apiKey": "***", "rows": 3, "paths": ["https://***@c/d"], "token": "${oc.env:T}"},
        "password": 5,
    }
    assert masked_word("data.password=two words") == "data.password=***"
    assert is_credential("data.auth_token")
    assert is_credential("token")
    assert not is_credential("model.max_tokens")
    assert not is_credential("model.cls_token")


def test_the_expression_is_shown_for_a_value_of_the_environment() -> None:
    with hiding({"hunter2canary": "${oc.env:SECRET}", "pin4": "${oc.env:PIN}", "x": "${oc.env:X}"}):
        assert masked("a hunter2canary, pin4 and spin44 x") == "a ${oc.env:SECRET}, ${oc.env:PIN} and spin44 x"
    assert masked("hunter2canary") == "hunter2canary"


def test_exceptions_that_leave_the_block_are_masked_with_their_causes() -> None:
    with pytest.raises(RequestError) as caught, hiding({"hunter2canary": "${oc.env:SECRET}"}):
        _read("/nowhere/hunter2canary/https://u:pw@h")
    assert str(caught.value) == "data.path=${oc.env:SECRET} is no file"
    cause = str(caught.value.__cause__)
    assert "hunter2" not in cause
    assert "pw@" not in cause
    looped = ValueError("https://u:pw@h")
    looped.__context__ = KeyError("token=abc")
    looped.__context__.__context__ = looped
    mask_error(looped)
    assert str(looped) == "https://***@h"


def _read(path: str) -> None:
    try:
        open(path)  # noqa: PTH123, SIM115 - the error is wanted
    except OSError as error:
        raise RequestError(f"data.path={path.split('/')[2]} is no file") from error
