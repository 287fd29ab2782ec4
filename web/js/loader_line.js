// What the Loader's box says before a run: whether the chosen model is on this disk, and its size.

const WORDS = {
  en: {
    here: (gb) => `✓ On this disk, ${gb} GB of weights. They load at first use.`,
    missing: (gb) =>
      `Not on this disk: ${gb} GB. Set download to Hugging Face or ModelScope, or choose another model.`,
    fetched: (gb, source) => `Not on this disk: the next run fetches ${gb} GB from ${source}.`,
    unknown: "Not in ComfyUI's model folders. Choose another model.",
    run: "A run says how it will load and what memory it needs.",
  },
  zh: {
    here: (gb) => `✓ 已在本机磁盘，权重 ${gb} GB，首次使用时加载。`,
    missing: (gb) =>
      `不在本机磁盘：${gb} GB。请将“下载”设为 Hugging Face 或 ModelScope，或选择其他模型。`,
    fetched: (gb, source) => `不在本机磁盘：下次运行将从 ${source} 下载 ${gb} GB。`,
    unknown: "不在 ComfyUI 的模型文件夹中。请选择其他模型。",
    run: "运行后会说明如何加载、需要多少内存。",
  },
};

/** One or two lines for the box. `sizes`: name → [whether it is here, GB], from the server. */
export function modelLines(node, language) {
  const words = WORDS[language] ?? WORDS.en;
  const sizes = node.constructor.nodeData?.input?.required?.model?.[1]?.weights_gb ?? {};
  const value = (name) => node.widgets.find((widget) => widget.name === name)?.value;
  // A workflow may name anything, also what every object has.
  if (!Object.hasOwn(sizes, value("model"))) return [words.unknown];
  const [here, gb] = sizes[value("model")];
  if (here) return [words.here(gb), words.run];
  const source = value("download");
  return [!source || source === "never" ? words.missing(gb) : words.fetched(gb, source)];
}

/** Call `tell` now, and whenever a widget of the node gets another value. */
export function watch(node, tell) {
  for (const widget of node.widgets.filter(({ name }) => ["model", "download"].includes(name))) {
    const before = widget.callback;
    widget.callback = function (...values) {
      const answer = before?.apply(this, values);
      tell();
      return answer;
    };
  }
  const configured = node.onConfigure;
  node.onConfigure = function (...saved) {
    configured?.apply(this, saved);
    tell();
  };
  tell();
}
