"""Servers by name: what the owner may write, and that keys and addresses stay where they are."""

import pytest
from qwen3vl_nodes.loaders.host import owner_settings
from qwen3vl_nodes.loaders.servers import profiles
from qwen3vl_nodes.loaders.servers.profiles import BUILT_IN, Profile, profile, profile_of
from qwen3vl_nodes.utils.errors import InputError

WHERE = "qwen3vl.toml: [servers.big]"
AT = {"origin": "http://big:8000"}


@pytest.fixture
def owner(tmp_path, monkeypatch):
    """Writes the owner's file."""

    def write(text):
        file = tmp_path / "qwen3vl.toml"
        file.write_text(text, encoding="utf-8")
        monkeypatch.setattr(profiles, "owner_settings", lambda: owner_settings.owner_settings(file))

    return write


def test_what_is_known_without_a_word():
    at = {p.name: p.origins[0] for p in BUILT_IN}
    assert at.pop("DashScope").startswith("https://dashscope.aliyuncs.com/")
    assert at == {
        "vLLM": "http://127.0.0.1:8000", "SGLang": "http://127.0.0.1:30000",
        "llama.cpp": "http://127.0.0.1:8080", "LM Studio": "http://127.0.0.1:1234",
        "Ollama": "http://127.0.0.1:11434",
    }  # fmt: skip
    assert profile("DashScope").key_variable == "DASHSCOPE_API_KEY"


def test_the_owners_servers_come_first_and_may_replace_known_ones(owner):
    owner("[servers.big]\norigins = ['http://a:1', 'http://b:1']\nmodel = 'M'\nin_flight = 8\n"
          "[servers.vLLM]\norigin = 'http://127.0.0.1:8001'\n")  # fmt: skip
    assert profiles.names()[:2] == ["big", "vLLM"]
    assert profiles.names().count("vLLM") == 1
    big = profile("big")
    assert (big.origins, big.model, big.in_flight) == (("http://a:1", "http://b:1"), "M", 8)
    assert profile("vLLM").origins == ("http://127.0.0.1:8001",)


def test_a_workflow_can_name_nothing_else(owner):
    owner("")
    for name in ("http://evil.example", "", "vllm", "../x"):
        with pytest.raises(InputError, match="There is no server"):
            profile(name)


def test_a_file_that_cannot_be_read_is_the_reason(owner):
    owner("[servers.big\n")
    with pytest.raises(InputError, match="not readable TOML"):
        profile("big")
    assert profile("vLLM") in BUILT_IN


@pytest.mark.parametrize(
    ("origin", "used"),
    [
        ("http://big:8000", "http://big:8000"), ("http://big:8000/", "http://big:8000"),
        ("https://x.example/a/v1/", "https://x.example/a/v1"), ("HTTP://Big", "http://big"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)  # fmt: skip
def test_addresses_as_they_are_used(origin, used):
    assert profile_of("big", {"origin": origin}, WHERE).origins == (used,)


@pytest.mark.parametrize(
    "origin",
    ["big:8000", "ftp://big", "file:///etc/passwd", "http://", "//big", "", 3, None, ["http://a"],
     "http://me:secret@big", "http://secret@big", "http://big?key=secret", "http://big#x",
     "http://big:99999", "http://big:x", "http://b ig", "http://big\n", "http://bïg",
     "http:\\\\big",
     "http://[::1", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_repeating_it(origin):
    with pytest.raises(InputError) as error:
        profile_of("big", {"origin": origin}, WHERE)
    assert WHERE in str(error.value) and "secret" not in str(error.value)


MISTAKES = [
    ({}, "needs an origin"),
    ({"origin": "http://a", "origins": ["http://b"]}, "needs an origin"),
    ({"origins": []}, "needs an origin"),
    ({"origins": "http://a"}, "needs an origin"),
    (AT | {"dialect": "gpt"}, "dialect = 'gpt'. It can be vllm, sglang"),
    (AT | {"pictures": "gif"}, "It can be png, jpeg, bmp"),
    (AT | {"edition": 3}, "It can be instruct, thinking"),
    (AT | {"timeout_s": 0}, "from 1 to"),
    (AT | {"timeout_s": "5"}, "from 1 to"),
    (AT | {"in_flight": True}, "from 1 to 1024"),
    (AT | {"in_flight": 2000}, "from 1 to 1024"),
    (AT | {"context": 1.5}, "from 256"),
    (AT | {"min_pixels": 70_000, "max_pixels": 60_000}, "above its max_pixels"),
    (AT | {"model": 3}, "has model = 3"),
    (AT | {"key_variable": "sk-secret"}, "never the key"),
    (AT | {"key_variable": 3}, "never the key"),
]


@pytest.mark.parametrize(("entry", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_what_can_be_there(entry, words):
    with pytest.raises(InputError, match=words) as error:
        profile_of("big", entry, WHERE)
    assert WHERE in str(error.value) and "sk-secret" not in str(error.value)


def test_an_unknown_key_of_the_file_is_named(owner):
    owner("[servers.big]\norigin = 'http://a'\nurl = 'http://b'\n")
    with pytest.raises(InputError, match="'url', which is unknown.*origin"):
        profile("big")


@pytest.mark.parametrize("name", ["''", "' a'", f"'{'x' * 61}'", '"a\\u0007"', '"a\\u202eb"'])
def test_odd_names_are_refused(owner, name):
    owner(f"[servers.{name}]\norigin = 'http://a'\n")
    with pytest.raises(InputError, match=r"the name in \[servers"):
        profile("big")


def test_the_key_is_read_when_it_is_needed(monkeypatch):
    keyed = Profile("big", ("http://a",), key_variable="BIG_KEY")
    monkeypatch.delenv("BIG_KEY", raising=False)
    with pytest.raises(InputError, match="BIG_KEY is not set"):
        keyed.key()
    monkeypatch.setenv("BIG_KEY", " sk-1 \n")
    assert keyed.key() == "sk-1"
    monkeypatch.setenv("BIG_KEY", "sk-1\r\nX-Other: 2")
    with pytest.raises(InputError, match="no key has") as error:
        keyed.key()
    assert "X-Other" not in str(error.value)
    assert Profile("big", ("http://a",)).key() == ""
    assert "sk-1" not in repr(keyed)
