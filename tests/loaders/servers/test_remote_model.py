"""Finding a server and its model; the handle that the nodes get."""

import json
import logging

import pytest
from qwen3vl_nodes.loaders.servers import probe, profiles, remote_model
from qwen3vl_nodes.loaders.servers.dialects.dialect import ModelFacts
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.profiles import Profile
from qwen3vl_nodes.loaders.settings import Adapter
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.errors import GenerationError, InputError, Qwen3VLError
from scripted_server import ScriptedServer, answer, response, send, whole

VLLM = {
    "/v1/models": {"data": [{"id": "Qwen3-VL-8B", "owned_by": "vllm", "max_model_len": 4096}]},
    "/version": {"version": "0.32.0"},
}
LLAMA = {
    "/v1/models": {"data": [{"id": "demo.gguf", "owned_by": "llamacpp"}]},
    "/props": {"default_generation_settings": {"n_ctx": 8192}, "modalities": {"vision": False}},
}


def serving(answers, chat=answer, **statuses):
    async def script(seen, writer):
        if seen.method == "POST":
            await chat(seen, writer)
        elif seen.path in answers:
            await send(writer, response(answers[seen.path]))
        else:
            await send(writer, response({"detail": "Not Found"}, 404))

    return script


def at(server, **given):
    return Profile("here", (server.origin,), **({"timeout_s": 20} | given))


def find(server, model="", **given):
    return remote_model.find(at(server, **given), model, lambda: None)


def test_a_server_is_told_apart_and_its_model_described():
    with ScriptedServer(serving(VLLM)) as server:
        found, problems = find(server)
    assert problems == []
    assert found.name == "Qwen3-VL-8B"
    text = found.describe()
    assert "here: vLLM 0.32.0" in text and "sees pictures, context 4,096 tokens" in text
    assert "127.0.0.1" not in text + found.identity
    asked = json.loads(server.seen[-1].body)
    assert asked["max_tokens"] == 1 and asked["messages"][0]["content"][0]["type"] == "image_url"


def test_a_server_that_says_so_is_not_tried_with_a_picture():
    with ScriptedServer(serving(LLAMA)) as server:
        found, _ = find(server)
    assert found.dialect.id == "llama_cpp" and "sees no pictures" in found.describe()
    assert all(seen.method == "GET" for seen in server.seen)


def test_a_text_model_of_vllm_is_told_by_its_refusal():
    async def refuse(_seen, writer):
        said = {"error": {"message": "At most 0 image(s) may be provided in one prompt."}}
        await send(writer, response(said, 400))

    with ScriptedServer(serving(VLLM, refuse)) as server:
        assert find(server)[0].model.sees_pictures is False


@pytest.mark.parametrize("heeds", [True, False])
def test_films_are_sent_as_such_where_their_times_are_heeded(heeds):
    """An old vLLM takes the frames and makes up their times: the prompt stays as long."""

    async def chat(seen, writer):
        said = seen.json.get("media_io_kwargs", {"video": {"frames_indices": [0]}})
        digits = len(str(said["video"]["frames_indices"][0])) if heeds else 1
        usage = {"prompt_tokens": 20 + digits, "completion_tokens": 1}
        await send(writer, response(whole() | {"usage": usage}))

    with ScriptedServer(serving(VLLM, chat)) as server:
        found, _ = find(server)
    assert found.takes_films is found.terms().takes_films is heeds
    assert ("films: frames with their times" in found.describe()) is heeds


def test_a_server_that_refuses_told_times_gets_films_as_pictures():
    async def chat(seen, writer):
        if "media_io_kwargs" in seen.json:
            said = {"error": {"message": "Per-request media_io_kwargs are disabled by default."}}
            await send(writer, response(said, 400))
        else:
            await answer(seen, writer)

    with ScriptedServer(serving(VLLM, chat)) as server:
        found, _ = find(server)
    assert not found.takes_films and found.model.sees_pictures
    assert "films: as pictures" in found.describe()


def test_the_profiles_dialect_counts():
    with ScriptedServer(serving(VLLM)) as server:
        assert find(server, dialect="openai")[0].dialect.id == "openai"


def test_a_proxy_that_lists_nothing_needs_a_model_by_name():
    with ScriptedServer(serving({})) as server:
        with pytest.raises(GenerationError, match="lists no models"):
            find(server)
        found, _ = find(server, dialect="openai", model="m")
        assert found.name == "m"


SEVERAL = {"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}}


def test_of_several_models_one_has_to_be_named():
    with ScriptedServer(serving(SEVERAL)) as server:
        with pytest.raises(InputError, match="several models: a, b"):
            find(server)
        assert find(server, "b")[0].name == "b"
        assert remote_model.find(at(server, model="a"), "", lambda: None)[0].name == "a"
        # One that is not listed may be an alias, or load when it is asked for.
        assert find(server, "c")[0].name == "c"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "key_variable"), (503, "status 503"), (500, "lists no models")]
)
def test_what_is_said_of_a_server_that_refuses(status, words):
    async def script(_seen, writer):
        await send(writer, response({"error": {"message": "no"}}, status))

    with ScriptedServer(script) as server, pytest.raises(Qwen3VLError, match=words):
        find(server)


def test_a_server_that_is_not_there():
    with ScriptedServer(answer) as server:
        pass
    with pytest.raises(GenerationError, match="'here' cannot be reached: nothing listens") as error:
        find(server)
    assert str(server.port) not in str(error.value)


def test_a_silent_server_is_not_waited_for(monkeypatch):
    async def silent(_seen, _writer):
        import asyncio

        await asyncio.Event().wait()

    monkeypatch.setattr(probe, "LOOK_SECONDS", 0.2)
    with ScriptedServer(silent) as server, pytest.raises(GenerationError, match="within 0.2 s"):
        find(server)


def test_an_interrupt_ends_the_look():
    class Interrupt(BaseException):
        pass

    async def silent(_seen, _writer):
        import asyncio

        await asyncio.Event().wait()

    def interrupt():
        raise Interrupt

    with ScriptedServer(silent) as server, pytest.raises(Interrupt):
        remote_model.find(at(server), "", interrupt)


def test_one_of_several_addresses_is_enough():
    with ScriptedServer(answer) as gone:
        pass
    with ScriptedServer(serving(LLAMA)) as server:
        profile = Profile("here", (gone.origin, server.origin))
        found, problems = remote_model.find(profile, "", lambda: None)
    assert found.name == "demo.gguf"
    assert len(problems) == 1 and "address 1 is left out" in problems[0]
    assert "2 addresses" in found.describe()


def test_the_key_is_only_in_the_header(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HERE_KEY", "sk-secret")
    with ScriptedServer(serving(VLLM)) as server:
        found, _ = find(server, key_variable="HERE_KEY")
        with found.open() as engine:
            [(_, reply)] = engine.generate([Request((Message("user", ("Hi",)),))])
    assert isinstance(reply, Reply)
    assert all(seen.headers["authorization"] == "Bearer sk-secret" for seen in server.seen)
    shown = found.describe() + found.identity + repr(found) + caplog.text
    assert "sk-secret" not in shown
    assert "127.0.0.1" not in found.describe() + found.identity + caplog.text
    assert "not encrypted" in found.describe()


def test_what_makes_its_answers_is_in_its_identity():
    with ScriptedServer(serving(VLLM)) as server:
        one = find(server)[0].identity
        assert one == find(server)[0].identity
        others = [
            find(server, "other")[0].identity,
            find(server, pictures="jpeg")[0].identity,
            find(server, max_pixels=70_000)[0].identity,
            find(server, edition="thinking")[0].identity,
            find(server, dialect="openai")[0].identity,
        ]
        assert len({one, *others}) == 6
        # How long to wait and how many at once changes no answer.
        assert find(server, timeout_s=5, in_flight=3)[0].identity == one


@pytest.mark.parametrize(
    ("origins", "dialect", "said", "sent"),
    [
        (("http://127.0.0.1:1",), "vllm", "", "bmp"),
        (("http://localhost:1", "http://[::1]:1"), "llama_cpp", "", "bmp"),
        (("http://127.0.0.1:1", "http://gpu1:1"), "vllm", "", "png"),
        (("http://127.0.0.1:1",), "ollama", "", "png"),
        (("http://127.0.0.1:1",), "vllm", "jpeg", "jpeg"),
    ],
)
def test_pictures_go_without_loss_in_the_quickest_form(origins, dialect, said, sent):
    profile = Profile("here", origins, pictures=said)
    model = remote_model.RemoteModel(profile, DIALECTS[dialect], ModelFacts("m"))
    assert model.terms().pictures == sent
    assert f", {said or 'png'} of" in model.identity  # captions of before stay known


def test_the_edition_is_in_the_name_or_the_profile():
    with ScriptedServer(serving(VLLM)) as server:
        assert find(server)[0].edition == "instruct"
        assert find(server, "Qwen3-VL-8B-Thinking")[0].edition == "thinking"
        assert find(server, "Qwen3-VL-8B-Thinking", edition="instruct")[0].edition == "instruct"


def test_a_server_has_its_own_weights():
    with ScriptedServer(serving(LLAMA)) as server:
        found, _ = find(server)
    with pytest.raises(InputError, match="LoRA 'style' cannot be added.*--enable-lora"):
        found.with_adapter(Adapter("style"))
    found.unload()


def test_a_changed_server_is_noticed(monkeypatch):
    answers = dict(VLLM)
    with ScriptedServer(serving(answers)) as server:
        monkeypatch.setattr(profiles, "BUILT_IN", (at(server),))
        monkeypatch.setattr(remote_model, "profile", profiles.profile)
        first = remote_model.version_at("here", "")
        assert remote_model.version_at("here", "") == first
        answers["/v1/models"] = {"data": [{"id": "Qwen3-VL-4B", "owned_by": "vllm"}]}
        assert remote_model.version_at("here", "") != first
    assert "cannot be reached" in remote_model.version_at("here", "")
    assert "no server" in remote_model.version_at("nowhere", "")
    assert remote_model.check_name("here") is True and remote_model.check_name(None) is True
    assert "There is no server" in str(remote_model.check_name("nowhere"))


@pytest.mark.parametrize("wanted", [False, True, None])
def test_a_switch_that_was_not_heeded_is_said(wanted):
    async def chat(_seen, writer):
        message = {"content": "Red.", "reasoning": "Let me see."}
        await send(writer, response(whole(message=message)))

    request = Request((Message("user", ("?",)),), GenerationOptions(thinking=wanted))
    with ScriptedServer(serving(VLLM, chat)) as server, find(server)[0].open() as engine:
        [(_, reply)] = engine.generate([request])
    assert (reply.text, reply.thinking) == ("Red.", "Let me see.")
    assert ("it thought all the same: its template has no switch" in reply.notes) is (
        wanted is False
    )
