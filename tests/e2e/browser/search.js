// Builds a graph by hand: double-clicks the canvas, types a word, takes the first node that is found,
// puts it down, draws its links with the mouse, presses Run. Reports what was found, all texts of the
// run and what the last node shows, by renderer, as JSON. The first two words find a loader and a picture.
// Usage: node search.js <server's address> <path of chromium> <folder for screenshots>
//        <canvas,vue> <words…>

const path = require("node:path");
const { fresh, launch, open } = require("./page.js");

const [url, executablePath, folder, renderers, ...words] = process.argv.slice(2);
const STEP = 260; // pixels from one node to the next, each narrower
const LISTED = "[data-testid=result-item], .p-autocomplete-option"; // of newer front ends, and older
const OURS = "Qwen3-VL"; // in the names of all that the pack has
const SETTLED_MS = 500; // and two clicks are no double-click any more
const SETTINGS = {
  "Comfy.Minimap.Visible": false, // it lies over the canvas
  "Comfy.TutorialCompleted": true, // else the templates open by themselves
};

async function openEmpty(page, vueNodes) {
  await open(page, url, vueNodes, SETTINGS);
  await page.waitForTimeout(SETTLED_MS);
  await page.evaluate(() => {
    app.graph.clear();
    Object.assign(app.canvas.ds, { scale: 0.5 });
  });
}

/** Double-click an empty place, type, take the first that is found, put it down; its id and title. */
async function find(page, word, index) {
  const [x, y] = [90 + STEP * index, 300];
  const box = page.locator("[role=search] input, .comfy-vue-node-search-box input").first();
  const isThere = async () => box.waitFor({ timeout: 1500 }).then(() => true, () => false);
  // On a busy machine two clicks may be too far apart to be a double-click.
  do await page.mouse.dblclick(x, y);
  while (!(await isThere()));
  await box.fill(word);
  await page.locator(LISTED).first().filter({ hasText: OURS }).click();
  await page.waitForFunction((before) => app.graph.nodes.length > before, index);
  await box.waitFor({ state: "hidden" });
  if (await page.evaluate(() => app.canvas.state.ghostNodeId != null)) {
    // Newer front ends: its title hangs on the pointer until a click.
    await page.mouse.move(x + STEP / 2 - 15, y, { steps: 3 });
    await page.mouse.click(x + STEP / 2 - 15, y);
  }
  await page.waitForTimeout(SETTLED_MS);
  return page.evaluate(() => {
    const newest = app.graph.nodes.reduce((one, other) => (Number(one.id) > Number(other.id) ? one : other));
    return { id: newest.id, title: newest.title };
  });
}

/** Where a socket is on the screen: run inside the page. */
function socket([id, name, out]) {
  const node = app.graph.getNodeById(id);
  const slots = out ? node.outputs : node.inputs;
  const at = slots.findIndex((slot) => slot.name === name);
  const [x, y] = app.canvas.ds.convertOffsetToCanvas(node.getConnectionPos(!out, at));
  const { left, top } = app.canvas.canvas.getBoundingClientRect();
  return [left + x, top + y];
}

async function link(page, from, name, to) {
  const has = ([id, name]) =>
    app.graph.getNodeById(id).inputs.some((one) => one.name === name && !one.widget);
  if (!(await page.evaluate(has, [to, name]))) return; // a blueprint has its model inside
  await page.mouse.move(...(await page.evaluate(socket, [from, name, true])));
  await page.mouse.down();
  await page.mouse.move(...(await page.evaluate(socket, [to, name, false])), { steps: 8 });
  await page.mouse.up();
  await page.waitForTimeout(150);
}

async function run(page) {
  const asked = page.waitForResponse((one) => one.url().endsWith("/prompt") && one.request().method() === "POST");
  await page.locator("[data-testid=queue-button]").first().click();
  const answer = await (await asked).json();
  for (;;) {
    const entry = (await (await fetch(`${url}/history/${answer.prompt_id}`)).json())[answer.prompt_id];
    if (entry) return Object.values(entry.outputs).flatMap(({ text }) => text ?? []);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** What the box of the last node says: run inside the page. */
function shown(id) {
  const box = app.graph.getNodeById(id).widgets.find(({ name }) => name === "qwen3vl_answer");
  return box.element.querySelector("main").textContent;
}

async function visit(page, renderer) {
  await openEmpty(page, renderer === "vue");
  const found = [];
  for (const [index, word] of words.entries()) found.push(await find(page, word, index));
  await page.waitForTimeout(SETTLED_MS);
  const [loader, picture, ...asking] = found.map(({ id }) => id);
  for (const id of asking) {
    await link(page, loader, "model", id);
    await link(page, picture, "image", id);
  }
  const texts = await run(page);
  await page.waitForTimeout(SETTLED_MS);
  await page.screenshot({ path: path.join(folder, `search_${renderer}.png`) });
  return { titles: found.map(({ title }) => title), texts, shown: await page.evaluate(shown, asking.at(-1)) };
}

(async () => {
  const browser = await launch(executablePath);
  const seen = {};
  for (const renderer of renderers.split(",")) {
    const page = await fresh(browser);
    page.setDefaultTimeout(30_000);
    seen[renderer] = await visit(page, renderer);
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})();
