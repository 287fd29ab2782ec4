// Shows texts as captions, labels, file names, turns, errors, widgets' values and kept answers, and
// counts what they did. Then measures frames while a text streams.
// Usage: node hostile.js <server's address> <path of chromium> <file of texts as JSON> <seconds to stream>

const fs = require("node:fs");
const { fresh, launch, open } = require("./page.js");

const [url, executablePath, file, seconds] = process.argv.slice(2);
const TEXTS = JSON.parse(fs.readFileSync(file, "utf8"));
const BATCH = 50;
const REOPENED = 6;
const DRAWN = 8; // of so many texts one is waited for until it is drawn
// What the front end asks for by itself, early or late: news, and the models of its own workflow.
const ITS_OWN = /^https:\/\/(api\.comfy\.org|huggingface\.co)\//;

async function openNodes(page, vueNodes) {
  await open(page, url, vueNodes, { "Comfy.TutorialCompleted": true });
  await page.evaluate(() => {
    app.graph.clear();
    ["Qwen3VLCaption", "Qwen3VLDetect", "Qwen3VLCaptionFolder", "Qwen3VLChat", "Qwen3VLLoader"].forEach(
      (type, index) => {
        const node = LiteGraph.createNode(type);
        node.pos = [40 + 330 * (index % 4), 60 + 500 * Math.floor(index / 4)];
        app.graph.add(node);
      },
    );
  });
  await page.evaluate(() => new Promise(requestAnimationFrame));
}

/** Shows each text everywhere; the number of places that showed another one: run inside the page. */
async function showAll([texts, drawn]) {
  const { api } = await import("/scripts/api.js");
  const node = (type) => app.graph.nodes.find((one) => one.type === `Qwen3VL${type}`);
  const box = (type) =>
    node(type).widgets.find(({ name }) => name === "qwen3vl_answer").element.querySelector("main");
  const say = (kind, detail) => api.dispatchEvent(new CustomEvent(kind, { detail }));
  const [caption, detect, folder, chat, loader] =
    ["Caption", "Detect", "CaptionFolder", "Chat", "Loader"].map(node);
  let wrong = 0;
  const shows = (type, text) => (wrong += !box(type).textContent.includes(text));
  for (const text of texts) {
    caption.onExecuted({ text: [text], report: [text] });
    if (text) shows("Caption", text);
    detect.onExecuted({ text: [`1 found: ${text}\n- ${text} at 1, 2, 3 x 4 pixels`] });
    shows("Detect", `- ${text} at`);
    const ledger = `written ${text}\nfailed  ${text}: ${text}\nwritten 1, skipped 0, failed 1`;
    folder.onExecuted({ text: [ledger], captions: [{ name: text, text }] });
    shows("CaptionFolder", text);
    chat.onExecuted({ text: [text], chat: [{ role: "user", text }, { role: text, text }] });
    shows("Chat", text);
    const id = String(folder.id);
    say("executing", id);
    const half = Math.floor(text.length / 2);
    const told = { node: id, index: 0, total: 2, title: text, line: text };
    say("qwen3vl.text", { ...told, at: 0, text: text.slice(0, half) });
    say("qwen3vl.text", { ...told, at: half, text: text.slice(half) });
    shows("CaptionFolder", text);
    say("execution_interrupted", {});
    say("executing", id);
    const error = { exception_type: "InputError", traceback: [], node_type: folder.type };
    say("execution_error", { ...error, node_id: id, exception_message: `${text} is empty.` });
    shows("CaptionFolder", text.trimStart());
    const model = loader.widgets.find(({ name }) => name === "model");
    model.value = text;
    model.callback?.(text);
    if (texts.indexOf(text) % drawn === 0) await new Promise(requestAnimationFrame);
  }
  return wrong;
}

/** Kept in a workflow and opened again, with the texts in widgets: run inside the page. */
async function reopen(texts) {
  await app.extensionManager.setting.set("Qwen3VL.KeepAnswers", true);
  const node = (type) => app.graph.nodes.find((one) => one.type === `Qwen3VL${type}`);
  let wrong = 0;
  for (const text of texts) {
    node("Caption").onExecuted({ text: [text] });
    node("Caption").widgets.find(({ name }) => name === "instructions").value = text;
    await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())));
    await new Promise(requestAnimationFrame);
    const box = node("Caption").widgets.find(({ name }) => name === "qwen3vl_answer").element;
    wrong += Boolean(text) && !box.querySelector("main").textContent.includes(text);
  }
  await app.extensionManager.setting.set("Qwen3VL.KeepAnswers", false);
  node("Caption").onExecuted({ text: ["not to be kept"] });
  wrong += JSON.stringify(app.graph.serialize()).includes("not to be kept");
  return wrong;
}

/** Milliseconds between frames, and of our own work for a message: run inside the page. */
async function frames([seconds, streams]) {
  const { api } = await import("/scripts/api.js");
  const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLCaption");
  const say = (kind, detail) => api.dispatchEvent(new CustomEvent(kind, { detail }));
  const [between, work] = [[], []];
  const until = performance.now() + 1000 * seconds;
  let [last, told, at] = [performance.now(), 0, 0];
  const words = "a white square moves to the left and a red star stays where it was ";
  if (streams) say("executing", String(node.id));
  while (performance.now() < until) {
    const now = await new Promise(requestAnimationFrame);
    between.push(now - last);
    last = now;
    if (!streams || now - told < 100) continue; // ten messages a second, as the server sends them
    told = now;
    const began = performance.now();
    say("qwen3vl.text", { node: String(node.id), index: 0, total: 1, at, text: words, line: "41 tokens/s" });
    at += words.length;
    work.push(performance.now() - began);
  }
  const sorted = (list) => list.slice(2).sort((a, b) => a - b);
  const of = (list, share) => Number(sorted(list)[Math.floor(share * (list.length - 3))]?.toFixed(1) ?? 0);
  return {
    frames: between.length, median: of(between, 0.5), p95: of(between, 0.95), most: of(between, 1),
    messages: work.length, work_median: of(work, 0.5), work_most: of(work, 1),
  };
}

(async () => {
  const browser = await launch(executablePath);
  const result = {};
  for (const vueNodes of [false, true]) {
    const page = await fresh(browser);
    page.setDefaultTimeout(180_000);
    const seen = { dialogs: 0, foreign: [], errors: [], wrong: 0 };
    page.on("dialog", (dialog) => {
      seen.dialogs += 1;
      dialog.dismiss();
    });
    page.on("request", (request) => {
      const there = request.url();
      if (!there.startsWith(url) && !ITS_OWN.test(there) && !/^(data|blob):/.test(there)) seen.foreign.push(there);
    });
    await page.route(ITS_OWN, (route) => route.fulfill({ json: [] }));
    await openNodes(page, vueNodes);
    seen.foreign = []; // what the front end itself asks for at its start is not about texts
    page.on("console", (line) => line.type() === "error" && seen.errors.push(line.text().slice(0, 300)));
    page.on("pageerror", (error) => seen.errors.push(String(error).slice(0, 300)));
    for (let at = 0; at < TEXTS.length; at += BATCH) {
      seen.wrong += await page.evaluate(showAll, [TEXTS.slice(at, at + BATCH), DRAWN]);
    }
    seen.wrong += await page.evaluate(reopen, TEXTS.slice(-REOPENED));
    seen.hacked = await page.evaluate(() => window.hacked ?? null);
    if (Number(seconds)) {
      seen.still = await page.evaluate(frames, [Number(seconds), false]);
      seen.streaming = await page.evaluate(frames, [Number(seconds), true]);
    }
    result[vueNodes ? "vue" : "canvas"] = seen;
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(result));
})();
