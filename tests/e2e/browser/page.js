// Chromium as every script here starts it, and ComfyUI's page opened in it.

const { chromium } = require("playwright-core");

const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const SIZE = { width: 1400, height: 1000 };

const launch = (executablePath) => chromium.launch({ executablePath, args: ARGS });

/** A page of a browser that keeps what it stored in a folder. */
async function launchKept(executablePath, folder) {
  const options = { executablePath, args: ARGS, viewport: SIZE };
  return chromium.launchPersistentContext(folder, options);
}

/** A page that knows nothing of those before it. */
const fresh = async (browser) => (await browser.newContext({ viewport: SIZE })).newPage();

/** Waits until the front end and the pack are there, and a workflow unless that may be missing. */
async function ready(page, withNodes = true) {
  await page.waitForFunction((withNodes) => {
    const ours = window.LiteGraph?.registered_node_types.Qwen3VLCaptionFolder;
    // The front end opens a workflow by itself, the last or its default.
    const there = ours && window.app?.vueAppReady && app.extensionManager;
    return there && (!withNodes || app.graph.nodes.length);
  }, withNodes);
}

/** Opens the page with these settings of its user. */
async function open(page, url, vueNodes, settings = {}, withNodes = true) {
  const all = { ...settings, "Comfy.VueNodes.Enabled": vueNodes };
  await fetch(`${url}/settings`, { method: "POST", body: JSON.stringify(all) });
  await page.goto(url);
  await ready(page, withNodes);
}

module.exports = { fresh, launch, launchKept, open, ready };
