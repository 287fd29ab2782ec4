// Photographs every node of the pack in Nodes 2.0, after the run of a template that has it, or alone.
// Usage: node help_pictures.js <server's address> <path of chromium> <folder for the pictures>
//   <folder of captions, emptied before each run> <templates to run…>

const { chromium } = require("playwright-core");
const fs = require("node:fs");
const path = require("node:path");

const [url, executablePath, folder, captions, ...templates] = process.argv.slice(2);
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
const RUN_MS = 120_000;
// What a run adds to them is of the machine: paths, and servers that are not there.
const BEFORE_A_RUN = ["Qwen3VLLoader", "Qwen3VLServer"];

async function ready(page) {
  await page.waitForFunction(() => {
    const ours = window.LiteGraph?.registered_node_types.Qwen3VLCaption;
    return ours && window.app?.vueAppReady && app.extensionManager;
  });
  await page.waitForTimeout(1500);
}

async function open(page, name) {
  await page.evaluate(async (name) => {
    const packs = Object.keys(await (await fetch("/workflow_templates")).json());
    const paths = packs.map((pack) => `/api/workflow_templates/${pack}/${name}.json`);
    const answers = await Promise.all(paths.map((path) => fetch(path)));
    await app.loadGraphData(await answers.find(({ ok }) => ok).json(), true, true, name);
  }, name);
  await page.waitForTimeout(1000);
}

/** Run what is open; the answers are in its nodes then. */
async function run(page) {
  fs.rmSync(captions, { recursive: true, force: true });
  await page.evaluate(async () => {
    const { api } = await import("/scripts/api.js");
    window.ended = false;
    for (const kind of ["execution_success", "execution_error"]) {
      api.addEventListener(kind, () => (window.ended = true), { once: true });
    }
    await app.queuePrompt(0, 1);
  });
  await page.waitForFunction(() => window.ended, null, { timeout: RUN_MS });
  await page.waitForTimeout(1500);
}

/** The first node of each kind that has no picture yet. */
async function photograph(page, done, kinds) {
  const nodes = await page.evaluate(() => app.graph.nodes.map(({ id, type }) => ({ id, type })));
  for (const { id, type } of nodes) {
    if (!type.startsWith("Qwen3VL") || done.has(type) || (kinds && !kinds.includes(type))) continue;
    await page.evaluate((id) => {
      const node = app.graph.getNodeById(id);
      app.canvas.deselectAll();
      Object.assign(app.canvas.ds, { scale: 1, offset: [80 - node.pos[0], 120 - node.pos[1]] });
      app.canvas.setDirty(true, true);
    }, id);
    await page.waitForTimeout(600);
    await page.locator(`[data-node-id="${id}"]`).screenshot({ path: path.join(folder, `${type}.png`) });
    done.add(type);
  }
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ARGS });
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 1500 } })).newPage();
  await page.goto(url);
  await ready(page);
  await page.evaluate(async () => {
    const { setting } = app.extensionManager;
    await setting.set("Comfy.VueNodes.Enabled", true);
    await setting.set("Comfy.NodeBadge.NodeSourceBadgeMode", "None");
    await setting.set("Comfy.Minimap.Visible", false);
  });
  await page.reload();
  await ready(page);
  const done = new Set();
  for (const name of templates) {
    await open(page, name);
    await photograph(page, done, BEFORE_A_RUN);
    await run(page);
    await photograph(page, done);
  }
  const kinds = await page.evaluate(() =>
    Object.keys(LiteGraph.registered_node_types).filter((type) => type.startsWith("Qwen3VL")),
  );
  for (const type of kinds.filter((type) => !done.has(type))) {
    await page.evaluate(async (type) => {
      await app.loadGraphData({ nodes: [], links: [], version: 0.4, last_node_id: done(), last_link_id: 0 });
      function done() {
        return (window.last = (window.last ?? 1000) + 10); // a number that no node had before
      }
      app.graph.add(LiteGraph.createNode(type));
    }, type);
    await page.waitForTimeout(600);
    await photograph(page, done);
  }
  await browser.close();
})();
