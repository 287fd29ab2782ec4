// Shows what a Qwen3-VL node writes inside the node, while it is written and afterwards: the texts
// of `ui.text` (or the turns of `ui.chat`) and, below them, the lines of `ui.report`. It shows and
// does nothing else: nothing of it is saved in a workflow or sent with a prompt.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { answerBox, make } from "./answer_box.js";
import { NODE as EDIT, captionFields } from "./caption_editor.js";
import { hearRefusals, reasons } from "./refusals.js";
import { say } from "./sentences.js";
import { modelLines, watch } from "./loader_line.js";

const WIDGET = "qwen3vl_answer";
const MESSAGE = "qwen3vl.text";
// Not output nodes, but with something to say; and one whose picture says it all.
const ALSO_SHOWS = ["Qwen3VLOptions", "Qwen3VLLoader", "Qwen3VLServer", "Qwen3VLFromClip"];
const KEPT = "qwen3vl_answer"; // the property that keeps an answer, where the user wants it
const KEEP_SETTING = "Qwen3VL.KeepAnswers";
// What they show are the pack's own words, not a model's.
const OUR_WORDS = [
  "Loader", "Lora", "Options", "Server", "Unload", "CaptionFolder", "DocumentFolder", "FolderImages",
  "SaveCaptions", "CaptionReview", "EditCaption", "LoadPDF", "Detect", "Point", "Detect3D", "ParseDetections",
].map((name) => `Qwen3VL${name}`);
const SILENT = ["Qwen3VLExamplePicture"];
// Core's own, while a node runs: a line of text, and in the canvas renderer a picture.
const PROGRESS_WIDGETS = ["$$node-text-preview", "$$canvas-image-preview"];
// The least height of the style sheet, and what the canvas renderer leaves free around it.
const MIN_HEIGHT = 110 + 2 * 10;

// A sheet with captions to be read, and a command to be copied, need more room: the least width of a
// new node, and how much higher it is.
const REVIEW = "Qwen3VLCaptionReview";
const ROOM = new Map([[REVIEW, [480, 360]], ["Qwen3VLLoader", [360, 60]]]);
const leastHeight = (name) => (name === REVIEW ? 2 * MIN_HEIGHT : MIN_HEIGHT);

const language = () => app.extensionManager?.setting?.get("Comfy.Locale");
const keepsAnswers = () => app.extensionManager?.setting?.get(KEEP_SETTING);
const boxes = new Map(); // box → its node

/** The box of a node, if it has one. */
const boxIn = (node) => node?.widgets?.find(({ name }) => name === WIDGET)?.box;

function nodeAt(locator) {
  const [id, graph] = locator.split(":").reverse(); // "7", or "<the subgraph's id>:7"
  const root = app.rootGraph ?? app.graph;
  return (graph ? root.subgraphs?.get(graph) : root)?.getNodeById(id);
}

/** The node that the server calls so: "7", or "12:7" for node 7 of the subgraph in node 12. */
function nodeRunning(id) {
  const steps = String(id?.node ?? id).split(":");
  let graph = app.rootGraph ?? app.graph;
  for (const step of steps.slice(0, -1)) graph = graph?.getNodeById(step)?.subgraph;
  return graph?.getNodeById(steps.at(-1));
}

function listen() {
  api.addEventListener("execution_start", () => forAll((box) => box.age()));
  api.addEventListener("execution_cached", ({ detail }) =>
    detail.nodes.forEach((id) => boxIn(nodeRunning(id))?.keep()),
  );
  api.addEventListener("execution_success", () => forAll((box) => box.keep()));
  api.addEventListener("executing", ({ detail }) => detail && boxIn(nodeRunning(detail))?.begin());
  api.addEventListener(MESSAGE, ({ detail }) => boxIn(nodeRunning(detail.node))?.take(detail));
  api.addEventListener("execution_interrupted", () =>
    forAll((box, node) => {
      if (box.end()) clearProgress(node);
    }),
  );
  api.addEventListener("execution_error", ({ detail }) => {
    // A correction that failed is said beside it, and is no run of the graph.
    if (detail.node_id === EDIT) return forAll((box) => box.keep());
    const failed = nodeRunning(detail.node_id);
    if (boxIn(failed)?.end(String(detail.exception_message).trim())) clearProgress(failed);
    forAll((box) => box.end(""));
  });
  hearRefusals((id, errors) => {
    const node = nodeRunning(id);
    boxIn(node)?.end(reasons(errors, node, language()));
  });
}

const forAll = (act) => boxes.forEach((node, box) => act(box, node));

/** Core leaves the last "3 of 12" and the last picture of a run standing. */
function clearProgress(node, images) {
  if (!images) {
    node.imgs = undefined;
    // Nodes 2.0 keeps it in a store that has no other door; where it is not found, the picture stays.
    const outputs = app.extensionManager?._p?._s?.get("nodeOutput");
    const inRoot = !node.graph || node.graph === (app.rootGraph ?? app.graph);
    const drop = outputs?.revokePreviewsByLocatorId ?? outputs?.revokePreviewsByExecutionId;
    drop?.(inRoot ? String(node.id) : `${node.graph.id}:${node.id}`);
  }
  const gone = PROGRESS_WIDGETS.slice(0, images ? 1 : 2);
  const left = node.widgets.filter(({ name }) => gone.includes(name));
  for (const widget of left) node.removeWidget(widget);
}

/** What an enlarged node has more goes to the answer, but for a sixth for each text that is asked. */
function textsLast(node) {
  for (const { name, type, options } of node.widgets) {
    if (name === WIDGET || type !== "customtext") continue;
    options.getMaxHeight = () => Math.max(80, node.size[1] / 6);
  }
}

app.registerExtension({
  name: "Qwen3VL.AnswerText",
  settings: [
    {
      id: KEEP_SETTING,
      name: "Keep answers in the workflow, so that they are there after a reload",
      category: ["Qwen3-VL", "Answers", "Keep"],
      type: "boolean",
      defaultValue: false,
    },
  ],

  nodeCreated(node) {
    const { name = "", output_node: shows } = node.constructor.nodeData ?? {};
    if (!name.startsWith("Qwen3VL") || SILENT.includes(name)) return;
    if (!shows && !ALSO_SHOWS.includes(name)) return;
    const box = answerBox(language, OUR_WORDS.includes(name), captionFields);
    const options = { serialize: false, hideInPanel: true, getMinHeight: () => leastHeight(name) };
    const widget = node.addDOMWidget(WIDGET, WIDGET, box.root, options);
    widget.serialize = false; // options.serialize keeps it out of prompts, this out of workflows
    widget.label = language() === "zh" ? "回答" : "answer"; // panels of older front ends name it
    widget.box = box;
    boxes.set(box, node);
    // A new one; a saved one gets its own size afterwards.
    const [width, more] = ROOM.get(name) ?? [0, 0];
    if (more) node.setSize([Math.max(width, node.size[0]), node.size[1] + more]);
    if (name === "Qwen3VLLoader") watch(node, () => box.tell(modelLines(node, language())));
    else textsLast(node);
    const removed = node.onRemoved;
    node.onRemoved = function () {
      boxes.delete(box);
      removed?.call(this);
    };
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      box.show(output);
      if (keepsAnswers()) this.properties[KEPT] = { text: output?.text, chat: output?.chat };
      else delete this.properties[KEPT];
      clearProgress(this, output?.images);
    };
  },

  loadedGraphNode(node) {
    const kept = node.properties?.[KEPT];
    if (kept && keepsAnswers()) boxIn(node)?.show(kept);
  },

  // Another workflow tab, or a run out of the queue's history, brings its own outputs.
  onNodeOutputsUpdated(outputs) {
    for (const [locator, output] of Object.entries(outputs)) boxIn(nodeAt(locator))?.show(output);
  },

  setup() {
    listen();
    say("", language()); // fetches them, so that the first text has its words
    const link = make("link");
    link.rel = "stylesheet";
    link.href = new URL("../css/answer_text.css", import.meta.url).href;
    document.head.append(link);
  },
});
