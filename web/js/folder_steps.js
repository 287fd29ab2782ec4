// Folder Images: its start goes on by as many pictures as one prompt takes, and the end of the folder
// ends Run (Instant), as an error would.

import { app } from "../../../scripts/app.js";

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

/** Run (Instant) is off, or chosen and not running, as the front end calls it. */
export function stopInstant(queue) {
  const stopped = { "instant-running": "instant-idle", instant: "disabled" }[queue?.mode];
  if (stopped) queue.mode = stopped;
}

app.registerExtension({
  name: "Qwen3VL.FolderSteps",

  nodeCreated(node) {
    if (node.constructor.nodeData?.name !== "Qwen3VLFolderImages") return;
    const named = (name) => node.widgets?.find((widget) => widget.name === name);
    const [start, count] = [named("start"), named("count")];
    const control = start?.linkedWidgets?.[0] ?? named("control_after_generate");
    if (start && count && control) stepByCount(start, count, control);
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      if (output?.done) stopInstant(app.extensionManager.queueSettings);
    };
  },
});
