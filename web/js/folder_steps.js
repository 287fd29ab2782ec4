// Folder Images: its start goes on by as many pictures as one prompt takes, goes back to those of a
// prompt that failed, and the end of the folder ends Run (Instant), as an error would.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

// An error is told before the prompt is in the history, and a quick one before the front end has
// done its own step.
const LOOKS = 10;
const LOOK_MS = 400;

/** Let what `control` does to `start` be done `count` times; not at all where all are taken. */
export function stepByCount(start, count, control) {
  for (const when of ["beforeQueued", "afterQueued"]) {
    const own = control[when];
    if (typeof own !== "function") continue;
    control[when] = function (...given) {
      const before = start.value;
      own.apply(this, given);
      if (control.value !== "increment" && control.value !== "decrement") return;
      const stepped = before + (start.value - before) * Number(count.value);
      if (stepped !== start.value) start.value = Math.max(0, stepped);
    };
  }
}

/** Back to where a failed prompt began, unless the widget stands before it already. */
export function goBack(start, control, was) {
  const passed = { increment: start.value > was, decrement: start.value < was }[control.value];
  if (passed && Number.isInteger(was)) start.value = was;
}

/** What was queued as a prompt, by the ids of its nodes. */
async function queued(promptId) {
  for (let look = 0; look < LOOKS; look++) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const answer = await api.fetchApi(`/history/${encodeURIComponent(promptId)}`);
    const entry = (await answer.json())[promptId];
    if (entry) return entry.prompt[2];
  }
  return {};
}

/** Run (Instant) is off, or chosen and not running, as the front end calls it. */
export function stopInstant(queue) {
  const stopped = { "instant-running": "instant-idle", instant: "disabled" }[queue?.mode];
  if (stopped) queue.mode = stopped;
}

/** The widgets that say which pictures a prompt takes. */
function steps(node) {
  const named = (name) => node.widgets?.find((widget) => widget.name === name);
  const start = named("start");
  const control = start?.linkedWidgets?.[0] ?? named("control_after_generate");
  return { start, count: named("count"), control };
}

app.registerExtension({
  name: "Qwen3VL.FolderSteps",

  setup() {
    api.addEventListener("execution_error", async ({ detail }) => {
      const folders = app.graph.nodes.filter(({ type }) => type === "Qwen3VLFolderImages");
      if (!folders.length) return;
      const nodes = await queued(detail.prompt_id);
      for (const node of folders) {
        const { start, control } = steps(node);
        if (start && control) goBack(start, control, nodes[node.id]?.inputs.start);
      }
    });
  },

  nodeCreated(node) {
    if (node.constructor.nodeData?.name !== "Qwen3VLFolderImages") return;
    const { start, count, control } = steps(node);
    if (start && count && control) stepByCount(start, count, control);
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      if (output?.done) stopInstant(app.extensionManager.queueSettings);
    };
  },
});
