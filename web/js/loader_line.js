// What the Loader's box says before a run: whether the chosen model is on this disk, and its size.

const WORDS = {
  en: {
    here: (gb) => `✓ On this disk, ${gb} GB of weights. They load at first use.`,
    missing: (gb) =>
      `Not on this disk: ${gb} GB. Set download to Hugging Face or ModelScope, or choose another model.`,
    fetched: (gb, source) => `Not on this disk: the next run fetches ${gb} GB from ${source}.`,
    unknown: "Not in ComfyUI's model folders. Choose another model.",
    run: "A run says how it will load and what memory it needs.",
    memory: (gb) => `About ${gb} GB of memory for the weights`,
    smaller: (ways) => `; with quantization ${ways}.`,
    way: (name, gb) => `${name} ${gb}`,
    quantized: (gb, name) => `About ${gb} GB of memory for the weights, with quantization ${name}.`,
    command: (repository, name) =>
      `Or fetch it yourself: hf download ${repository} --local-dir models/LLM/Qwen-VL/${name}`,
  },
  zh: {
    here: (gb) => `✓ 已在本机磁盘，权重 ${gb} GB，首次使用时加载。`,
    missing: (gb) =>
      `不在本机磁盘：${gb} GB。请将“下载”设为 Hugging Face 或 ModelScope，或选择其他模型。`,
    fetched: (gb, source) => `不在本机磁盘：下次运行将从 ${source} 下载 ${gb} GB。`,
    unknown: "不在 ComfyUI 的模型文件夹中。请选择其他模型。",
    run: "运行后会说明如何加载、需要多少内存。",
    memory: (gb) => `权重约需内存 ${gb} GB`,
    smaller: (ways) => `；量化后 ${ways}。`,
    way: (name, gb) => `${name} ${gb}`,
    quantized: (gb, name) => `使用量化 ${name}，权重约需内存 ${gb} GB。`,
    command: (repository, name) =>
      `或自行下载：hf download ${repository} --local-dir models/LLM/Qwen-VL/${name}`,
  },
};

/** What the weights take in memory, by the quantization that is chosen and by others that would help. */
function memoryLine(words, gb, ways, chosen) {
  if (ways && Object.hasOwn(ways, chosen)) return words.quantized(ways[chosen], chosen);
  const named = Object.entries(ways ?? {}).map(([name, size]) => words.way(name, size));
  return words.memory(gb) + (named.length ? words.smaller(named.join(", ")) : ".");
}

/**
 * The lines for the box, from what the server says of its models: `weights_gb`, name → [whether it is
 * here, GB], and `memory_gb`, official name → quantization → GB.
 */
export function modelLines(node, language) {
  const words = WORDS[language] ?? WORDS.en;
  const known = node.constructor.nodeData?.input?.required?.model?.[1] ?? {};
  const sizes = known.weights_gb ?? {};
  const value = (name) => node.widgets.find((widget) => widget.name === name)?.value;
  // A workflow may name anything, also what every object has.
  if (!Object.hasOwn(sizes, value("model"))) return [words.unknown];
  const [here, gb] = sizes[value("model")];
  const name = value("model").split("/").at(-1); // a folder of an official checkpoint is called so
  const official = Object.hasOwn(known.memory_gb ?? {}, name);
  const ways = official ? known.memory_gb[name] : undefined;
  const memory = memoryLine(words, gb, ways, value("quantization"));
  if (here) return [words.here(gb), ...(ways ? [memory] : []), words.run];
  const source = value("download");
  if (source && source !== "never") return [words.fetched(gb, source), memory];
  return [words.missing(gb), memory, words.command(`Qwen/${name}`, name)];
}

/** Call `tell` now, and whenever a widget of the node gets another value. */
export function watch(node, tell) {
  for (const widget of node.widgets.filter(({ name }) => ["model", "quantization", "download"].includes(name))) {
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
