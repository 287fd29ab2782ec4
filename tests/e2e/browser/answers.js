// Opens the examples in a real browser, runs one, and reports what the nodes show, as JSON.
// Usage: node answers.js <server's address> <path of chromium> <folder for screenshots> <names…>

const path = require("node:path");
const opening = require("./page.js");

const [url, executablePath, folder, ...examples] = process.argv.slice(2);
const HOSTILE = ['<img src=x onerror="window.hacked = 1">', "", "one\ntwo"];

/** What the page knows: run inside it. */
function look() {
  const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLCaptionFolder");
  const box = node.widgets.find(({ name }) => name === "qwen3vl_answer");
  const place = box.element.getBoundingClientRect();
  return {
    shown: [...box.element.querySelectorAll("main > *")].map((part) => part.textContent),
    report: box.element.querySelector("footer").textContent,
    visible: place.width > 50 && place.height > 50,
    saved: node.serialize().widgets_values,
    widgets: node.widgets.map(({ name }) => name),
    hacked: window.hacked ?? null,
  };
}

async function ready(page) {
  await opening.ready(page);
  await page.evaluate(settled);
}

/** Waits until nothing in the page has been made or moved for a while: run inside the page. */
async function settled() {
  const look = () => {
    const places = app.graph.nodes.map(({ id, pos, size }) => [id, ...pos, ...size].join());
    return [document.querySelectorAll("*").length, ...places].join(";");
  };
  const until = performance.now() + 2000;
  let [last, frames, since] = ["", 0, 0];
  while ((frames < 5 || performance.now() - since < 150) && performance.now() < until) {
    await new Promise(requestAnimationFrame);
    frames += 1;
    const now = look();
    if (now !== last) [last, frames, since] = [now, 0, performance.now()];
  }
}

const SETTINGS = {
  "Comfy.VueNodes.AutoScaleLayout": false, // older front ends move nodes apart for Nodes 2.0
  "Comfy.Minimap.Visible": false, // it may lie over a node
  "Comfy.TutorialCompleted": true, // as may what a new user is shown
};

async function open(page, vueNodes) {
  await opening.open(page, url, vueNodes, SETTINGS);
  await page.evaluate(settled);
}

async function load(page, name) {
  await page.evaluate(async (name) => {
    // ComfyUI lists the templates of disabled packs too, but serves only those of loaded ones.
    const packs = Object.keys(await (await fetch("/workflow_templates")).json());
    const paths = packs.map((pack) => `/api/workflow_templates/${pack}/${name}.json`);
    const answers = await Promise.all(paths.map((path) => fetch(path)));
    const graph = await answers.find(({ ok }) => ok).json();
    await app.loadGraphData(graph, true, true, name);
  }, name);
  await page.evaluate(settled);
  // An older ComfyUI has no node of SAM3, and says so above everything.
  if (await page.locator(".p-dialog-mask").count()) await page.keyboard.press("Escape");
}

async function choose(page, values) {
  await page.evaluate((values) => {
    for (const node of app.graph.nodes) {
      for (const [name, value] of Object.entries(values[node.type] ?? {})) {
        node.widgets.find((widget) => widget.name === name).value = value;
      }
    }
  }, values);
}

/** What has become of a workflow once it is open: run inside the page. */
function opened() {
  const saved = app.graph.serialize();
  return {
    unknown: saved.nodes
      .map(({ type }) => type)
      .filter((type) => !LiteGraph.registered_node_types[type]),
    values: Object.fromEntries(saved.nodes.map((node) => [node.id, node.widgets_values ?? []])),
    places: Object.fromEntries(saved.nodes.map(({ id, pos, size }) => [id, [...pos, ...size]])),
    links: saved.links.map((link) => [...link]),
  };
}

async function run(page) {
  await page.evaluate(() => app.queuePrompt(0, 1));
  const done = () => {
    const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLCaptionFolder");
    const box = node.widgets.find(({ name }) => name === "qwen3vl_answer");
    return /written \d+/.test(box.element.textContent);
  };
  await page.waitForFunction(done, null, { timeout: 120_000 });
  await page.evaluate(settled);
}

/** What the box shows of messages as the server sends them: run inside the page. */
async function streamed() {
  const { api } = await import("/scripts/api.js");
  const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLCaptionFolder");
  const { element } = node.widgets.find(({ name }) => name === "qwen3vl_answer");
  const say = (kind, detail) => api.dispatchEvent(new CustomEvent(kind, { detail }));
  const tell = (data) => say("qwen3vl.text", { node: String(node.id), total: 3, ...data });
  const look = () => ({
    shown: [...element.querySelectorAll("main > *")].map((part) => part.textContent),
    report: element.querySelector("footer").textContent,
  });
  const seen = {};
  say("executing", String(node.id));
  seen.begun = look();
  tell({ line: "5 tokens/s", index: 0, at: 0, text: '<img src=x onerror="window.hacked = 2">' });
  tell({ index: 0, at: 4, text: " and" });
  tell({ index: 0, at: 8, text: " more" });
  seen.grown = look();
  for (let index = 1; index < 12; index += 1) tell({ index, at: 0, text: `${index}`, title: `p${index}` });
  tell({ line: "11 of 12", finished: 11, total: 12 });
  seen.batch = look();
  say("execution_interrupted", { prompt_id: "x" });
  seen.interrupted = look();
  say("executing", String(node.id));
  tell({ written: 12, failed: 1 });
  node.imgs = [new Image()];
  const preview = { blob: new Blob(["x"], { type: "image/png" }), displayNodeId: String(node.id) };
  say("b_preview_with_metadata", { ...preview, nodeId: String(node.id), jobId: "x", promptId: "x" });
  const previews = () => Object.keys(app.nodePreviewImages).length;
  const before = previews();
  say("execution_interrupted", { prompt_id: "x" });
  await new Promise((done) => setTimeout(done, 700)); // older front ends let it go a little later
  seen.stopped = { report: look().report, picture: node.imgs?.length ?? 0, previews: [before, previews()] };
  say("executing", String(node.id));
  say("execution_error", { node_id: String(node.id), exception_message: "It <b>broke</b>.\n" });
  seen.failed = look();
  const isStale = () => element.classList.contains("stale");
  const start = () => say("execution_start", { prompt_id: "x" });
  start();
  seen.stale = [isStale()];
  say("execution_cached", { nodes: [String(node.id)] });
  seen.stale.push(isStale());
  start();
  say("execution_success", { prompt_id: "x" });
  seen.stale.push(isStale());
  start();
  say("execution_error", { node_id: "999", exception_message: "Elsewhere." });
  seen.stale.push(isStale());
  seen.left = look();
  seen.hacked = window.hacked ?? null;
  return seen;
}

/** Keys pressed in the box, and Copy: what is selected, how many nodes are left, what Copy says. */
async function keys(page) {
  const box = page.locator(".qwen3vl-answer").last();
  const copy = box.locator("button");
  const nodes = () => page.evaluate(() => app.graph.nodes.length);
  const before = await nodes();
  await box.locator("main").click();
  await page.keyboard.press("Control+a");
  const selected = await page.evaluate(() => String(getSelection()));
  const saying = copy.evaluate((button) => new Promise((told) => {
    new MutationObserver(() => told(button.textContent)).observe(button, { childList: true });
  }));
  await copy.click();
  const said = await saying;
  for (const key of ["Control+a", "Delete", "Backspace"]) await page.keyboard.press(key);
  return { selected, said, lost: before - (await nodes()) };
}

/** What the loader's box says of a model: run inside the page. */
function modelLine([model, download, quantization = "none"]) {
  const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLLoader");
  const widget = (name) => node.widgets.find((one) => one.name === name);
  for (const [name, value] of Object.entries({ model, download, quantization })) {
    widget(name).value = value;
    widget(name).callback?.(value);
  }
  return widget("qwen3vl_answer").element.querySelector("main").textContent;
}

/** Where Folder Images' start is after a prompt was queued: run inside the page. */
function steps() {
  const node = LiteGraph.createNode("Qwen3VLFolderImages");
  app.graph.add(node);
  const widget = (name) => node.widgets.find((one) => one.name === name);
  const [control] = widget("start").linkedWidgets;
  const after = (mode, count) => {
    [control.value, widget("count").value, widget("start").value] = [mode, count, 16];
    for (const when of ["beforeQueued", "afterQueued"]) {
      for (const one of node.widgets) one[when]?.({});
    }
    return widget("start").value;
  };
  const tried = [["increment", 8], ["increment", 1], ["increment", 0], ["decrement", 32], ["fixed", 8]];
  const stepped = tried.map(([mode, count]) => after(mode, count));
  // The end of the folder ends Run (Instant); its mode is called otherwise by older front ends.
  const queue = app.extensionManager.queueSettings;
  for (const mode of ["instant-running", "instant", "disabled", "change"]) {
    queue.mode = mode;
    node.onExecuted({ text: ["Nothing is left to do."], done: [true] });
    stepped.push(queue.mode);
  }
  queue.mode = "disabled";
  return stepped;
}

/** The picture beside a line of Detect's box: what is lit, and what is left once the box shows anew. */
async function lit(page) {
  await load(page, "11 Detect and draw");
  const execute = (output) => app.graph.nodes.find(({ type }) => type === "Qwen3VLDetect").onExecuted(output);
  await page.evaluate(execute, {
    text: ["2 found: a, b\n- a at 1, 2, 3 x 4 pixels\n- b at 5, 6, 7 x 8 pixels"],
    boxes: [[{ x: 1, y: 2, width: 3, height: 4 }, { x: 5, y: 6, width: 7, height: 8 }]],
    images: [{ filename: "example.png", subfolder: "", type: "input" }],
  });
  await page.locator(".found").nth(1).hover();
  const edge = page.locator(".qwen3vl-lit path").nth(1);
  await edge.waitFor({ state: "attached" });
  const seen = [await edge.getAttribute("d"), await page.locator(".qwen3vl-lit svg").getAttribute("viewBox")];
  await page.evaluate(execute, { text: ["Nothing was found."] });
  return [...seen, await page.locator(".qwen3vl-lit").count()];
}

/** Where Folder Images' start is while a prompt runs that will fail, and after it failed. */
async function failed(page) {
  return page.evaluate(async () => {
    app.graph.clear();
    const types = ["Qwen3VLFolderImages", "Qwen3VLParseDetections", "PrimitiveStringMultiline"];
    const [folder, parse, text] = types.map((type) => {
      const node = LiteGraph.createNode(type);
      app.graph.add(node);
      return node;
    });
    const widget = (node, name) => node.widgets.find((one) => one.name === name);
    const set = { folder: "input/pics", start: 1, count: 1 };
    for (const [name, value] of Object.entries(set)) widget(folder, name).value = value;
    widget(folder, "start").linkedWidgets[0].value = "increment";
    text.widgets[0].value = "(1,2),(3,4)"; // places that cannot be read
    folder.connect(0, parse, parse.inputs.findIndex(({ name }) => name === "image"));
    text.connect(0, parse, parse.inputs.findIndex(({ name }) => name === "text"));
    await app.queuePrompt(0, 1);
    const start = widget(folder, "start");
    const seen = [start.value];
    const until = Date.now() + 20_000;
    while (start.value !== 1 && Date.now() < until) {
      await new Promise((done) => setTimeout(done, 100));
    }
    await new Promise((done) => setTimeout(done, 300)); // and it stays there
    return [...seen, start.value];
  });
}

/** How much higher a box is, in pixels, in a workflow whose node is 300 higher: run inside the page. */
async function grown() {
  app.graph.clear();
  app.graph.add(LiteGraph.createNode("Qwen3VLCaption"));
  const graph = app.graph.serialize();
  const height = async () => {
    await app.loadGraphData(graph);
    Object.assign(app.canvas.ds, { offset: [100, 100], scale: 0.8 });
    app.canvas.setDirty(true, true);
    await new Promise((done) => setTimeout(done, 1000));
    const { element } = app.graph.nodes[0].widgets.find(({ name }) => name === "qwen3vl_answer");
    return element.getBoundingClientRect().height;
  };
  graph.nodes[0].size[1] = 700;
  const before = await height();
  graph.nodes[0].size[1] = 1000;
  return (await height()) - before;
}

/** What the boxes of nodes say that ComfyUI refuses before a run: run inside the page. */
async function refused() {
  app.graph.clear();
  const make = (type, values) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    for (const [name, value] of Object.entries(values)) {
      node.widgets.find((widget) => widget.name === name).value = value;
    }
    return node;
  };
  const loader = make("Qwen3VLLoader", { model: "Gone" });
  const caption = make("Qwen3VLCaption", { preset: "Gone", max_new_tokens: -1 });
  const folder = make("Qwen3VLCaptionFolder", { folder: "/etc" });
  const compare = make("Qwen3VLCompare", {});
  loader.connect(0, folder, 0);
  await new Promise((done) => setTimeout(done, 500)); // older front ends tell of values a little later
  await app.queuePrompt(0, 1);
  const said = ({ widgets }) =>
    widgets.find(({ name }) => name === "qwen3vl_answer").element.querySelector("main").textContent;
  return [loader, caption, folder, compare].map(said);
}

/** A caption changed in Caption Review's box, twice: the second time from a text it no longer has. */
async function correct(page, words) {
  await page.evaluate(() => {
    app.graph.clear();
    const node = LiteGraph.createNode("Qwen3VLCaptionReview");
    node.pos = [160, 60];
    app.graph.add(node);
    const chosen = { folder: "input/pics", place: "in the output folder" };
    for (const [name, value] of Object.entries(chosen)) {
      node.widgets.find((widget) => widget.name === name).value = value;
    }
    Object.assign(app.canvas.ds, { offset: [0, 20], scale: 0.9 });
    app.queuePrompt(0, 1);
  });
  const [field, save] = ["textarea.caption", "button.save"].map((one) => page.locator(one).nth(0));
  const said = page.locator("textarea.caption ~ p").nth(0);
  await field.click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.type(words);
  await save.click();
  await said.filter({ hasText: "yours" }).waitFor();
  const seen = { first: await said.textContent(), nodes: await page.evaluate(() => app.graph.nodes.length) };
  await page.evaluate(async () => {
    const { element } = app.graph.nodes[0].widgets.find(({ name }) => name === "qwen3vl_answer");
    const [output] = Object.values(app.nodeOutputs); // as if the file had been changed by others
    output.captions[0].text = "what it was before";
    element.querySelector("textarea").dispatchEvent(new Event("input"));
  });
  await save.click();
  await said.filter({ hasText: "another one" }).waitFor();
  return { ...seen, second: await said.textContent(), fields: await page.locator("textarea.caption").count() };
}

/** What the folder's box shows in a Chinese interface: run inside the page. */
async function inChinese() {
  const { api } = await import("/scripts/api.js");
  // Another language makes the nodes anew.
  const node = () => app.graph.nodes.find(({ type }) => type === "Qwen3VLCaptionFolder");
  const part = (name) =>
    node().widgets.find(({ name }) => name === "qwen3vl_answer").element.querySelector(name);
  const say = (kind, detail) => api.dispatchEvent(new CustomEvent(kind, { detail }));
  const exception_message = "input/x is empty. Replace it.\n";
  await app.extensionManager.setting.set("Comfy.Locale", "zh");
  const shown = { ledger: "", error: "" };
  const until = Date.now() + 20_000;
  while (!shown.error.startsWith("input/x 是空的") && Date.now() < until) {
    const node_id = String(node().id);
    say("executing", node_id);
    say("execution_error", { node_id, exception_message });
    shown.error = part("main").textContent;
    await new Promise((done) => setTimeout(done, 100));
  }
  node().onExecuted({
    text: ["written a.png\nfailed  b.png: b.png is empty. Replace it.\nwritten 1, skipped 0, failed 1"],
    captions: [{ name: "a.png", text: "Replace it." }],
    report: ["written 1, skipped 0, failed 1"],
  });
  shown.ledger = part("main").textContent;
  shown.report = part("footer").textContent;
  return shown;
}

async function visit(page, vueNodes) {
  const shot = (name) => path.join(folder, `${name}_${vueNodes ? "vue" : "canvas"}.png`);
  await open(page, vueNodes);
  const examplesOpened = {};
  for (const name of examples) {
    await load(page, name);
    examplesOpened[name] = await page.evaluate(opened);
    await page.screenshot({ path: shot(name) });
  }
  await load(page, "03 Caption folder");
  await choose(page, { Qwen3VLLoader: { model: "Tiny" }, Qwen3VLCaptionFolder: { folder: "input/pics" } });
  const seen = { opened: examplesOpened, before: await page.evaluate(look) };
  await run(page);
  seen.after = await page.evaluate(look);
  await page.screenshot({ path: shot("ledger") });
  await page.evaluate((text) => {
    const node = app.graph.nodes.find(({ type }) => type === "Qwen3VLCaptionFolder");
    node.onExecuted({ text, report: ["a line"] });
  }, HOSTILE);
  await page.evaluate(settled);
  seen.hostile = await page.evaluate(look);
  seen.keys = await keys(page);
  seen.models = [];
  for (const chosen of [["Qwen3-VL-Demo", "never"], ["Qwen3-VL-4B-Instruct", "never"],
                        ["Qwen3-VL-4B-Instruct", "ModelScope"],
                        ["Qwen3-VL-4B-Instruct", "ModelScope", "int4"], ["Gone", "never"]]) {
    seen.models.push(await page.evaluate(modelLine, chosen));
  }
  seen.steps = await page.evaluate(steps);
  seen.streamed = await page.evaluate(streamed);
  await page.screenshot({ path: shot("streamed") });
  seen.corrected = await correct(page, `by hand, ${vueNodes ? "vue" : "canvas"}`);
  await page.screenshot({ path: shot("review") });
  seen.lit = await lit(page);
  seen.grown = await page.evaluate(grown);
  seen.refused = await page.evaluate(refused);
  await page.screenshot({ path: shot("refused") });
  seen.failed = await failed(page); // nothing is clicked behind it: what tells of errors lies over the page
  await load(page, "03 Caption folder");
  const anew = page.waitForResponse((one) => one.url().endsWith("/object_info"));
  seen.chinese = await page.evaluate(inChinese);
  await anew; // by which nodes made meanwhile would be made once more
  await page.evaluate(settled);
  await page.screenshot({ path: shot("chinese") });
  await page.reload(); // another language makes the nodes anew, at a time of its own
  await ready(page);
  seen.refusedInChinese = await page.evaluate(refused);
  await page.screenshot({ path: shot("refused_chinese") });
  await page.evaluate(() => app.extensionManager.setting.set("Comfy.Locale", "en"));
  return seen;
}

(async () => {
  const context = await opening.launchKept(executablePath, path.join(folder, "profile"));
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const seen = { canvas: await visit(page, false), vue: await visit(page, true) };
  await context.close();
  console.log(JSON.stringify(seen));
})();
