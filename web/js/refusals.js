// What ComfyUI has against a node before a run, in words for its box: what is wrong with which input,
// and what to do. ComfyUI itself marks the node, and says the rest behind "View details".

import { api } from "../../../scripts/api.js";
import { say } from "./sentences.js";

const MODEL = "QWEN3VL_MODEL";
const WORDS = {
  en: {
    missing: (name, type) => `Nothing is linked to ${name}. Link an output of the kind ${type}.`,
    noModel: (name) => `Nothing is linked to ${name}. Link a Qwen3-VL Loader or Server.`,
    unlisted: (name, value) => `${name} has no entry "${value}". Choose another; R looks for new ones.`,
    least: (name, value, bound) => `${name} is ${value}, but ${bound} is the least. Raise it.`,
    most: (name, value, bound) => `${name} is ${value}, but ${bound} is the most. Lower it.`,
    kind: (name, wanted, got) => `${name} takes ${wanted}, not ${got}. Link another output.`,
    unreadable: (name, value) => `${name} cannot be "${value}". Give it another value.`,
    circle: () => "These nodes wait for each other in a circle. Take one of the links away.",
  },
  zh: {
    missing: (name, type) => `“${name}”没有连接。请连接 ${type} 类型的输出。`,
    noModel: (name) => `“${name}”没有连接。请连接 Qwen3-VL 加载器或服务器。`,
    unlisted: (name, value) => `“${name}”没有“${value}”这一项。请选择其他项；按 R 刷新列表。`,
    least: (name, value, bound) => `“${name}”为 ${value}，但最小是 ${bound}。请调大。`,
    most: (name, value, bound) => `“${name}”为 ${value}，但最大是 ${bound}。请调小。`,
    kind: (name, wanted, got) => `“${name}”需要 ${wanted}，而不是 ${got}。请连接其他输出。`,
    unreadable: (name, value) => `“${name}”不能是“${value}”。请换一个值。`,
    circle: () => "这些节点互相等待，形成循环。请去掉其中一个连接。",
  },
};

/** The name of an input as the node shows it, and what kind of output it takes. */
function inputOf(node, name) {
  const slot = node.inputs?.find((one) => one.name === name);
  const widget = node.widgets?.find((one) => one.name === name);
  const shown = slot?.label || slot?.localized_name || widget?.label || name.split(".").at(-1);
  return { name: shown, kind: slot?.type ?? "*" };
}

/** One of ComfyUI's errors as a sentence; a kind that is not known in ComfyUI's own words. */
function sentence({ type, message, details, extra_info: facts = {} }, node, language) {
  const words = WORDS[language] ?? WORDS.en;
  const { name, kind } = inputOf(node, String(facts.input_name ?? ""));
  const bounds = facts.input_config?.[1] ?? {};
  const value = facts.received_value;
  const known = {
    required_input_missing: () => (kind === MODEL ? words.noModel(name) : words.missing(name, kind)),
    value_not_in_list: () => words.unlisted(name, value),
    value_smaller_than_min: () => words.least(name, value, bounds.min),
    value_bigger_than_max: () => words.most(name, value, bounds.max),
    return_type_mismatch: () => words.kind(name, kind, facts.received_type),
    invalid_input_type: () => words.unreadable(name, value),
    dependency_cycle: words.circle,
    // The pack's own words stand behind the input's name.
    custom_validation_failed: () => say(details.split(" - ").slice(1).join(" - ") || details, language),
  };
  return Object.hasOwn(known, type) ? known[type]() : `${message}: ${details}`;
}

/** All that ComfyUI has against a node: `errors` of its `node_errors`, in the order of its inputs. */
export function reasons(errors, node, language) {
  const place = ({ extra_info: facts }) =>
    node.inputs?.findIndex(({ name }) => name === facts?.input_name) ?? -1;
  const sorted = [...errors].sort((one, other) => place(one) - place(other));
  return sorted.map((error) => sentence(error, node, language)).join("\n");
}

/**
 * Call `tell` with the node's id and its errors, for each node that ComfyUI refuses. It says so in its
 * answer to a prompt and in no message, so this stands between; the answer goes on as it is.
 */
export function hearRefusals(tell) {
  const queue = api.queuePrompt;
  const heard = (refused) => {
    for (const [id, { errors }] of Object.entries(refused ?? {})) tell(id, errors);
  };
  api.queuePrompt = async function (...prompt) {
    try {
      const answer = await queue.apply(this, prompt);
      heard(answer.node_errors);
      return answer;
    } catch (error) {
      heard(error?.response?.node_errors);
      throw error;
    }
  };
}
