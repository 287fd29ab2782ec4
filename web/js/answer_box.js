// The box inside a node that shows what a model writes: while it is written, and afterwards.
// A model's text only ever becomes textContent or the data of a text node.

import { inReadingOrder } from "./ledger_view.js";
import { foundLines, leave } from "./lit_box.js";
import { say } from "./sentences.js";

const WORDS = {
  en: {
    copy: "Copy",
    copied: "Copied",
    empty: "The result appears here after a run.",
    none: "(no text)",
    stopped: "Stopped.",
    stoppedAt: ({ finished, total }) => `Stopped, ${finished} of ${total} done.`,
    stoppedWith: ({ written, failed }) => `Stopped, ${written} written, ${failed} failed.`,
    user: "You",
    assistant: "Qwen",
    system: "System",
  },
  zh: {
    copy: "复制",
    copied: "已复制",
    empty: "运行后在此显示结果。",
    none: "（没有文本）",
    stopped: "已停止。",
    stoppedAt: ({ finished, total }) => `已停止，完成 ${finished} / ${total}。`,
    stoppedWith: ({ written, failed }) => `已停止，已写 ${written}，失败 ${failed}。`,
    user: "你",
    assistant: "Qwen",
    system: "系统",
  },
};
// Of a chat's turns; any other text is shown as it is.
const ROLES = ["user", "assistant", "system"];
// Of a long run, so many of the newest texts are shown while it goes on.
const NEWEST = 8;
const COPIED_MS = 1500;
// How near the end counts as reading the end, in pixels.
const NEAR_END = 24;

export const strings = (value) => (value == null ? [] : [value].flat().map(String));

export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

/**
 * A box with a copy button. `language` gives "en" or "zh" whenever it is asked. With `ours` the texts
 * are the pack's own words and no model's, and are shown in that language. `fields` makes elements
 * that stand below the texts out of an output, or gives null.
 */
export function answerBox(language, ours = false, fields = () => null) {
  const words = () => WORDS[language()] ?? WORDS.en;
  const said = (text) => say(String(text), language());
  const root = make("div", "", "qwen3vl-answer");
  const [box, page, report, copy] = ["div", "main", "footer", "button"].map((tag) => make(tag));
  let texts = []; // what Copy copies
  let growing = new Map(); // index → { text, node, parts } of a run that goes on
  let running = false;
  let done = null; // { finished, total } of a run that goes on
  let wrote = null; // { written, failed } of a folder's run that was stopped
  page.tabIndex = 0;
  page.dataset.captureWheel = "true"; // once clicked, the wheel scrolls the text, not the canvas
  copy.addEventListener("click", async () => {
    await copyText(page, texts.join("\n\n"));
    copy.textContent = words().copied;
    setTimeout(() => (copy.textContent = words().copy), COPIED_MS);
  });
  root.addEventListener("keydown", (event) => keepKeys(event, page));
  box.append(page, report);
  root.append(box, copy);

  const fill = (parts, lines) => {
    root.classList.remove("stale");
    leave(); // a line that is taken away is not left
    page.replaceChildren(...parts);
    report.replaceChildren(...lines.map((line) => make("p", line)));
    copy.textContent = words().copy;
    copy.hidden = !texts.length;
  };

  const readable = (text, captions) => (ours ? inReadingOrder(text, captions, said) : text);

  const paragraph = (text, index, captions, output) => {
    if (!text) return make("p", words().none, "aside");
    const shown = readable(text, captions);
    return (ours && foundLines(output, index, shown)) || make("p", shown);
  };

  /** The result of a run: a node's ui output. */
  const show = (output) => {
    running = false;
    growing = new Map();
    texts = strings(output?.text);
    const turns = [output?.chat ?? []].flat();
    const captions = [output?.captions ?? []].flat();
    const parts = turns.length
      ? turns.flatMap(({ role, text }) => [
          make("h6", ROLES.includes(role) ? words()[role] : String(role)),
          make("p", String(text)),
        ])
      : texts.flatMap((text, index) => [
          ...(texts.length > 1 ? [make("h6", `${index + 1} / ${texts.length}`)] : []),
          paragraph(text, index, captions, output),
        ]);
    const how = strings(output?.report).map(said);
    parts.push(...(fields(output, language()) ?? []));
    fill(parts.length ? parts : [make("p", words().empty, "aside")], how);
    page.scrollTop = turns.length ? page.scrollHeight : 0;
  };

  /** What is known without a run. */
  const tell = (lines) => {
    texts = [];
    fill(lines.map((line) => make("p", line)), []);
  };

  /** A run begins: what is there is not its result. */
  const begin = () => {
    running = true;
    done = wrote = null;
    growing = new Map();
    texts = [];
    fill([], []);
  };

  /** Take one message of a run; see "Text while it is written" in the README. */
  const take = ({ index, total, at, text, line, title, finished, written, failed }) => {
    if (!running) begin();
    if (Number.isInteger(finished) && total > 1) done = { finished, total };
    if (written != null) wrote = { written, failed };
    if (line != null) report.replaceChildren(make("p", said(line)));
    if (text == null || !Number.isInteger(index)) return;
    const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_END;
    const entry = growing.get(index) ?? add(index, total, title);
    const added = String(text);
    if (at === entry.text.length) entry.node.appendData(added);
    else entry.node.data = entry.text.slice(0, at) + added;
    entry.text = entry.node.data;
    texts = [...growing.values()].map((one) => one.text);
    copy.hidden = false;
    if (atEnd) page.scrollTop = page.scrollHeight;
  };

  const add = (index, total, title) => {
    const entry = { text: "", node: document.createTextNode(""), parts: [] };
    const number = `${index + 1} / ${total}`;
    if (title || total > 1) entry.parts.push(make("h6", title ? String(title) : number));
    const paragraph = make("p");
    paragraph.append(entry.node);
    entry.parts.push(paragraph);
    page.append(...entry.parts);
    growing.set(index, entry);
    if (growing.size > NEWEST) {
      const [oldest, { parts }] = growing.entries().next().value;
      for (const part of parts) part.remove();
      growing.delete(oldest);
    }
    return entry;
  };

  /** Another run has begun, and whether this node has a part in it is not known yet. */
  const age = () => root.classList.toggle("stale", texts.length > 0);

  /** The run has ended, and what is shown was left as it is. */
  const keep = () => root.classList.remove("stale");

  /**
   * The run ended without a result: interrupted, or with an error's words at the node itself.
   * Returns whether this box had a part in it.
   */
  const end = (why) => {
    const taken = running || Boolean(why);
    if (root.classList.contains("stale")) show(); // it is no result of this run
    if (why) {
      if (!running) begin();
      page.append(make("p", said(why), "problem"));
      texts.push(said(why));
      copy.hidden = false;
    } else if (running && why === undefined) {
      const { stopped, stoppedAt, stoppedWith } = words();
      const line = wrote ? stoppedWith(wrote) : done ? stoppedAt(done) : stopped;
      report.replaceChildren(make("p", line));
    }
    running = false;
    return taken;
  };

  show();
  return { root, show, tell, begin, take, end, age, keep };
}

/** Keys that would select or delete nodes of the canvas stay with the text. */
function keepKeys(event, page) {
  const writes = event.target instanceof HTMLTextAreaElement; // there all keys are its own
  const selectsAll = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a";
  if (writes) event.stopPropagation();
  else if (selectsAll) {
    event.preventDefault();
    getSelection().selectAllChildren(page);
  }
  if (selectsAll || ["Delete", "Backspace"].includes(event.key)) event.stopPropagation();
}

/** Browsers give the clipboard to https and localhost only; elsewhere the selection is copied. */
function copyText(page, text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(page);
  return document.execCommand("copy");
}
