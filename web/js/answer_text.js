// Shows what a Qwen3-VL node answered inside the node: the texts of `ui.text` and, below them,
// the lines of `ui.report`. It shows and does nothing else: nothing of it is saved in a workflow
// or sent with a prompt, and a model's answer only ever becomes textContent.

import { app } from "../../../scripts/app.js";

const WIDGET = "qwen3vl_answer";
// Core's own, while a node runs: a line of text, and in the canvas renderer a picture.
const PROGRESS_WIDGETS = ["$$node-text-preview", "$$canvas-image-preview"];
// The least height of the style sheet, and what the canvas renderer leaves free around it.
const MIN_HEIGHT = 110 + 2 * 10;
const WORDS = {
  en: { copy: "Copy", empty: "The result appears here after a run.", none: "(no text)" },
  zh: { copy: "复制", empty: "运行后在此显示结果。", none: "（没有文本）" },
};

const words = () => WORDS[app.extensionManager?.setting?.get("Comfy.Locale")] ?? WORDS.en;
const strings = (value) => (value == null ? [] : [value].flat().map(String));

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

/** A box with a copy button; `show` fills it from a node's ui output. */
function answerBox() {
  const root = make("div", "", "qwen3vl-answer");
  const [box, page, report, copy] = ["div", "main", "footer", "button"].map((tag) => make(tag));
  let texts = [];
  page.tabIndex = 0;
  page.dataset.captureWheel = "true"; // once clicked, the wheel scrolls the text, not the canvas
  copy.addEventListener("click", () => copyText(page, texts.join("\n\n")));
  box.append(page, report);
  root.append(box, copy);

  const show = (output) => {
    texts = strings(output?.text);
    const parts = texts.flatMap((text, index) => [
      ...(texts.length > 1 ? [make("h6", `${index + 1} / ${texts.length}`)] : []),
      text ? make("p", text) : make("p", words().none, "aside"),
    ]);
    page.replaceChildren(...(texts.length ? parts : [make("p", words().empty, "aside")]));
    page.scrollTop = 0;
    report.replaceChildren(...strings(output?.report).map((line) => make("p", line)));
    copy.textContent = words().copy;
    copy.hidden = !texts.length;
  };
  show();
  return { root, show };
}

/** Browsers give the clipboard to https and localhost only; elsewhere the selection is copied. */
function copyText(page, text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(page);
  return document.execCommand("copy");
}

function nodeAt(locator) {
  const [id, graph] = locator.split(":").reverse(); // "7", or "<the subgraph's id>:7"
  const root = app.rootGraph ?? app.graph;
  return (graph ? root.subgraphs?.get(graph) : root)?.getNodeById(id);
}

app.registerExtension({
  name: "Qwen3VL.AnswerText",

  nodeCreated(node) {
    const { name = "", output_node: shows } = node.constructor.nodeData ?? {};
    if (!name.startsWith("Qwen3VL") || !shows) return;
    const { root, show } = answerBox();
    const options = { serialize: false, hideInPanel: true, getMinHeight: () => MIN_HEIGHT };
    const widget = node.addDOMWidget(WIDGET, WIDGET, root, options);
    widget.serialize = false; // options.serialize keeps it out of prompts, this out of workflows
    widget.show = show;
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      show(output);
      // Core leaves the last "3 of 12" and the last picture standing.
      if (!output?.images) this.imgs = undefined;
      const gone = PROGRESS_WIDGETS.slice(0, output?.images ? 1 : 2);
      const left = this.widgets.filter(({ name }) => gone.includes(name));
      for (const widget of left) this.removeWidget(widget);
    };
  },

  // Another workflow tab, or a run out of the queue's history, brings its own outputs.
  onNodeOutputsUpdated(outputs) {
    for (const [locator, output] of Object.entries(outputs)) {
      nodeAt(locator)?.widgets?.find(({ name }) => name === WIDGET)?.show(output);
    }
  },

  setup() {
    const link = make("link");
    link.rel = "stylesheet";
    link.href = new URL("../css/answer_text.css", import.meta.url).href;
    document.head.append(link);
  },
});
