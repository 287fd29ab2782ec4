// Opens templates as a user does, presses Run, and reports what the run left in the history and what the
// nodes show, as JSON. Every eighth is found in the template browser and clicked, which takes seconds;
// the others are loaded from their addresses, as a click there loads them. Every other one is opened in
// Nodes 2.0.
// Usage: node templates.js <server's address> <path of chromium> <its folder> <titles…>

const fs = require("node:fs");
const path = require("node:path");
const { fresh, launch, open } = require("./page.js");

const [url, executablePath, folder, ...titles] = process.argv.slice(2);
const CLICKED = 8;

/** Find a template in the browser of templates and click its card. */
async function click(page, title) {
  const search = page.locator("[role=dialog] input").first();
  const button = page.locator("button[aria-label^=Templates], .templates-tab-button").first();
  await search.or(button).first().waitFor();
  // A new user's first page opens with the templates, before or while this looks; later they are
  // behind a button, which nothing covers.
  if (!(await search.isVisible())) await button.click({ timeout: 3000 }).catch(() => null);
  // Under "Extensions", where the pack has its name.
  await page.locator("[role=dialog]").getByText("qwen3vl_under_test").first().click();
  await search.fill(title);
  await page.locator(`[data-testid="template-workflow-${title}"]`).click();
  await search.waitFor({ state: "hidden" });
}

/** Load a template from where the browser of templates finds it: run inside the page. */
async function load(title) {
  const packs = Object.entries(await (await fetch("/workflow_templates")).json());
  const ours = packs.filter(([, titles]) => titles.includes(title));
  const paths = ours.map(([pack]) => `/api/workflow_templates/${pack}/${title}.json`);
  const answers = await Promise.all(paths.map((one) => fetch(one)));
  const graph = await answers.find(({ ok }) => ok).json();
  await app.loadGraphData(graph, true, true, title, { openSource: "template" });
}

async function choose(page, title, index) {
  if (index % CLICKED === 0) await click(page, title);
  else await page.evaluate(load, title);
  await page.waitForFunction((title) => {
    return app.extensionManager.workflow.activeWorkflow?.filename.startsWith(title);
  }, title);
}

/** Press Run; the queued prompt's id, or what the server had against it. */
async function press(page) {
  const asked = page.waitForResponse((one) => one.url().endsWith("/prompt") && one.request().method() === "POST");
  await page.locator("[data-testid=queue-button]").first().click();
  return (await asked).json();
}

async function finished(id) {
  for (;;) {
    const entry = (await (await fetch(`${url}/history/${id}`)).json())[id];
    if (entry) return entry;
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** The texts in the boxes of nodes that had a part in a run: run inside the page. */
function shown() {
  const boxes = app.graph.nodes.flatMap(({ id, widgets }) => {
    const box = widgets?.find(({ name }) => name === "qwen3vl_answer");
    return box ? [[id, box.element]] : [];
  });
  return Object.fromEntries(boxes.map(([id, element]) => [id, element.querySelector("main").textContent]));
}

async function visit(page, title, index) {
  // Two templates write captions of the same pictures, and each is opened as if it were the first.
  fs.rmSync(path.join(folder, "output", "captions"), { recursive: true, force: true });
  await choose(page, title, index);
  const answer = await press(page);
  const entry = await finished(answer.prompt_id);
  await page.waitForTimeout(200); // the page hears of the end a little later than the history
  await page.screenshot({ path: path.join(folder, `${title}.png`) });
  return { node_errors: answer.node_errors, entry, shown: await page.evaluate(shown) };
}

(async () => {
  const browser = await launch(executablePath);
  const seen = {};
  for (const vueNodes of [false, true]) {
    const page = await fresh(browser);
    page.setDefaultTimeout(60_000);
    await open(page, url, vueNodes, {}, false); // a new user's page may have no workflow
    const these = titles.filter((_, index) => (index % 2 === 1) === vueNodes);
    for (const [index, title] of these.entries()) seen[title] = await visit(page, title, index);
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})();
