"""A stand-in for ComfyUI on a real socket, whose node captions all pictures but `broken` ones.

`faults` says what goes wrong, stage by stage: a stage is the first part of a path ("upload",
"prompt", "ws", "queue", "history", "view", "object_info") or "caption" for each picture captioned.
Each request takes the next entry of its stage's list:

    None        all is well
    drop        the connection breaks before anything is done
    drop after  it breaks when all is done, so that the answer is lost
    restart     the server ends, forgetting queue and history, and comes back
    gone        it ends for good
    garbage, deep, list, 502, 500     an answer that is none
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, defaultdict

from aiohttp import web
from caption_client.jobs import NEW_WIDGETS, preset_ids

BACK_SECONDS = 0.05
ANSWERS = {
    "garbage": web.Response,
    "deep": lambda **_: web.Response(text="[" * 100_000),
    "list": lambda **_: web.Response(text="[]"),
    "502": lambda **_: web.Response(status=502),
    "500": lambda **_: web.Response(status=500, text="a traceback"),
}


class StandIn:
    """What a test may look at and change; used with `async with stand_in.running()`."""

    def __init__(self):
        self.pictures = {}  # name below input -> content
        self.captions = {}  # name below output -> content
        self.queue, self.history = {}, {}
        self.prompts = []  # the inputs of every prompt that was taken, by class
        self.calls = Counter()
        self.faults = defaultdict(list)
        self.refusal = None
        self.errors = []  # exception_message of the next prompts, in place of their ends
        self.waits_for_socket = False  # before a prompt begins
        self.hold = False  # prompts stay in the middle until interrupted
        self.ledger = None  # in place of the node's own
        self.menu = ["input", "input/pics", "photos"]
        self.widgets = {name: ["STRING", {}] for name in NEW_WIDGETS}
        self.events = []  # extra text for the websocket
        self.on_caption = lambda: None
        self._sockets = {}
        self._told = ""

    @property
    def inputs(self):
        """What the folder node of the last prompt got."""
        return self.prompts[-1]["Qwen3VLCaptionFolder"]

    @contextlib.asynccontextmanager
    async def running(self):
        self._port = 0
        self._restarts, self._work = [], []
        await self._start()
        try:
            yield f"http://127.0.0.1:{self._port}"
        finally:
            await asyncio.gather(*self._restarts)
            await self._stop()

    async def _start(self):
        app = web.Application(middlewares=[self._faulty], client_max_size=0)
        app.add_routes([
            web.get("/object_info/{node}", self._form), web.post("/upload/image", self._upload),
            web.post("/prompt", self._prompt), web.get("/ws", self._listen),
            web.get("/queue", self._get_queue), web.post("/queue", self._delete),
            web.get("/history/{id}", self._get_history), web.post("/interrupt", self._interrupt),
            web.get("/view", self._view),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self):
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._sockets = {}
        await self._runner.cleanup()

    async def _end(self, again):
        await self._stop()
        self.queue, self.history, self._work = {}, {}, []
        if again:
            await asyncio.sleep(BACK_SECONDS)
            await self._start()

    def end(self, again):
        """Go down, and come back or not; called from the middle of things."""
        self._restarts.append(asyncio.ensure_future(self._end(again)))

    def _next_fault(self, stage):
        self.calls[stage] += 1
        return self.faults[stage].pop(0) if self.faults[stage] else None

    @web.middleware
    async def _faulty(self, request, handler):
        fault = self._next_fault(request.path.split("/")[1])
        if fault in ANSWERS:
            return ANSWERS[fault](text="<html>")
        if fault in ("restart", "gone"):
            self.end(again=fault == "restart")
        answer = await handler(request) if fault in (None, "drop after") else web.Response()
        if fault is not None and request.transport is not None:
            request.transport.abort()
        return answer

    async def _form(self, request):
        assert request.match_info["node"] == "Qwen3VLCaptionFolder"
        old = {"folder": [self.menu, {}], "mode": [["skip existing"], {}]}
        node = {"input": {"required": old, "optional": self.widgets}}
        return web.json_response({"Qwen3VLCaptionFolder": node})

    async def _upload(self, request):
        form = await request.post()
        assert (form["overwrite"], form["type"]) == ("true", "input")
        name = form["image"].filename
        if name.startswith("huge"):
            raise web.HTTPRequestEntityTooLarge(1, 2)
        self.pictures[f"{form['subfolder']}/{name}"] = form["image"].file.read()
        return web.json_response({"name": name.replace("?", "_")})

    async def _prompt(self, request):
        if self.refusal:
            return web.json_response(self.refusal, status=400)
        body = await request.json()
        prompt_id = body["prompt_id"]
        assert prompt_id not in self.queue
        self.prompts.append(
            {node["class_type"]: node["inputs"] for node in body["prompt"].values()}
        )
        self.queue[prompt_id] = (body["client_id"], list(body["prompt"])[-1], self.inputs)
        self._work.append(asyncio.ensure_future(self._run(prompt_id)))
        return web.json_response({"prompt_id": prompt_id})

    async def _run(self, prompt_id):
        try:
            await self._execute(prompt_id)
        except Exception as error:  # seen by the client, not waited for until for ever
            self.refusal = {"the stand-in broke": repr(error)}
            self.queue.clear()
            raise

    async def _execute(self, prompt_id):
        client, node_id, inputs = self.queue[prompt_id]

        async def say(kind, **data):
            socket = self._sockets.get(client)
            if socket is None:
                return
            with contextlib.suppress(ConnectionError):  # the client has hung up
                for text in self.events:
                    await socket.send_str(text)
                await socket.send_bytes(b"a preview")
                await socket.send_json({"type": kind, "data": {"prompt_id": prompt_id, **data}})

        while self.waits_for_socket and client not in self._sockets:
            await asyncio.sleep(0.005)
        await say("execution_start")
        error = self.errors.pop(0) if self.errors else None
        ending = await self._caption_all(inputs, node_id, say, error)
        kind, data = ending if ending else ("execution_success", {})
        await say(kind)
        await asyncio.sleep(0.02)  # ComfyUI too enters it a moment after its last word
        text = self._told if self.ledger is None else self.ledger
        self.history[prompt_id] = {
            "status": {"messages": [[kind, data]]},
            "outputs": {} if ending else {node_id: {"text": [text]}},
        }
        self.queue.pop(prompt_id, None)

    async def _caption_all(self, inputs, node_id, say, error):
        """Caption a folder; how the prompt ended if it did early."""
        folder = inputs["folder"].removeprefix("input/")
        names = [n[len(folder) + 1 :] for n in self.pictures if n.startswith(f"{folder}/")]
        titles = inputs.get("more_presets", "").split("\n")
        variants = ["", *(preset_ids()[t].removeprefix("caption_") for t in titles if t)]
        slots = [(name, variant) for name in names for variant in variants]
        self._stopped = False
        done = [slot for slot in slots if self._is_there(inputs, *slot)]
        lines = [f"skipped {name}: is up to date" for name, _ in done]
        counts, todo = Counter(skipped=len(done)), [slot for slot in slots if slot not in done]
        for number, (name, variant) in enumerate(todo):
            self.on_caption()
            fault = self._next_fault("caption")
            if fault in ("restart", "gone"):
                self.end(again=fault == "restart")
                await asyncio.sleep(60)
            while self.hold and number == 1 and not self._stopped:
                await asyncio.sleep(0.005)
            if self._stopped:
                return "execution_interrupted", {}
            state, why = self._caption(f"{inputs['folder']}/{name}", name, variant, inputs)
            counts[state] += 1
            label = f"{name} [{variant}]" if variant else name
            lines.append(f"{state:8}{label}" + (f": {why}" if why else ""))
            await say("progress", node=node_id, value=number + 1, max=len(todo))
        if error:
            return "execution_error", {"exception_message": error, "exception_type": "RuntimeError"}
        if not lines:
            lines, counts = ["written there.png"], Counter(written=1)
        closing = ", ".join(
            f"{state} {counts[state]}" for state in ("written", "skipped", "failed")
        )
        self._told = "\n".join([*lines, closing])
        return None

    def _caption(self, place, name, variant, inputs):
        if "broken" in name:
            return "failed", "no picture: at all"
        stem = place.rpartition(".")[0] + (f".{variant}" if variant else "")
        text = f"caption of {stem.rpartition('/')[2]}"
        kind = inputs.get("format", "txt")
        if kind == "jsonl":
            file = f"captions/{inputs['folder']}/captions.jsonl"
            said = {"file_name": name, "variant": variant, "caption": text}
            line = json.dumps(said, ensure_ascii=False) + "\n"
            self.captions[file] = self.captions.get(file, "") + line
            return "written", ""
        said = json.dumps({"caption": text, "file_name": name})
        self.captions[f"captions/{stem}.{kind}"] = said if kind == "json" else text
        return "written", ""

    def _is_there(self, inputs, name, variant):
        kind = inputs.get("format", "txt")
        stem = name.rpartition(".")[0] + (f".{variant}" if variant else "")
        if kind != "jsonl":
            return f"captions/{inputs['folder']}/{stem}.{kind}" in self.captions
        lines = self.captions.get(f"captions/{inputs['folder']}/captions.jsonl", "")
        slots = [
            (said["file_name"], said["variant"]) for said in map(json.loads, lines.split("\n")[:-1])
        ]
        return (name, variant) in slots

    async def _listen(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self._sockets[client] = socket
        async for _ in socket:
            pass
        return socket

    async def _get_queue(self, _):
        running = [[number, one, {}, {}, []] for number, one in enumerate(self.queue)]
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def _get_history(self, request):
        one = request.match_info["id"]
        return web.json_response({one: self.history[one]} if one in self.history else {})

    async def _delete(self, request):
        assert await request.json()
        return web.Response()

    async def _interrupt(self, request):
        assert (await request.json())["prompt_id"] in self.queue
        self._stopped = True
        return web.Response()

    async def _view(self, request):
        assert request.query["type"] == "output"
        text = self.captions.get(f"{request.query['subfolder']}/{request.query['filename']}")
        return web.Response(status=404) if text is None else web.Response(text=text)
