// Caption Review's captions as fields that can be written in. What is saved goes through the queue, as
// a prompt of the node Edit Caption: so the server's rules about folders hold, and nothing else writes.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { make } from "./answer_box.js";
import { say } from "./sentences.js";

const WORDS = {
  en: { save: "Save", saving: "Saving…", saved: "Saved as yours.", none: "no caption yet" },
  zh: { save: "保存", saving: "正在保存…", saved: "已保存，归您所有。", none: "还没有描述" },
};
/** The node of a correction's prompt; none of the graph is called so. */
export const NODE = "edit";

/** Queue one correction; "" once it is written, or what went wrong. */
async function save(inputs) {
  const heard = new Map(); // prompt → how it ended, also before we know ours
  let tell = null;
  const hear = ({ type, detail }) => {
    heard.set(detail.prompt_id, type === "execution_success" ? "" : detail.exception_message ?? type);
    tell?.();
  };
  const kinds = ["execution_success", "execution_error", "execution_interrupted"];
  kinds.forEach((kind) => api.addEventListener(kind, hear));
  try {
    const output = { [NODE]: { class_type: "Qwen3VLEditCaption", inputs, _meta: { title: "Edit Caption" } } };
    const { prompt_id } = await api.queuePrompt(0, { output, workflow: app.graph.serialize() });
    while (!heard.has(prompt_id)) await new Promise((again) => (tell = again));
    return String(heard.get(prompt_id)).trim();
  } catch (error) {
    const faults = Object.values(error?.response?.node_errors ?? {}).flatMap(({ errors }) => errors);
    return faults.map(({ details }) => details).join(" ") || String(error?.message ?? error);
  } finally {
    kinds.forEach((kind) => api.removeEventListener(kind, hear));
  }
}

/** The elements for a run's output, or null where it has nothing to edit. */
export function captionFields(output, language) {
  const [where] = [output?.edit ?? []].flat();
  if (!where) return null;
  const words = WORDS[language] ?? WORDS.en;
  return output.captions.flatMap((caption) => {
    const field = make("textarea", "", "caption");
    const [button, state] = [make("button", words.save, "save"), make("p", "", "aside")];
    field.value = caption.text;
    field.placeholder = words.none;
    field.rows = Math.min(8, Math.max(2, Math.ceil(caption.text.length / 45)));
    button.hidden = true;
    field.addEventListener("input", () => {
      button.hidden = field.value === caption.text;
      state.textContent = "";
    });
    button.addEventListener("click", async () => {
      const text = field.value;
      button.disabled = true;
      state.textContent = words.saving;
      const replace = "only if it is as seen";
      const wrong = await save({ ...where, picture: caption.name, caption: text, replace, seen: caption.text });
      button.disabled = false;
      state.textContent = wrong ? say(wrong, language) : words.saved;
      state.className = wrong ? "problem" : "aside";
      if (!wrong) caption.text = text; // also in the output, which another tab shows again
      button.hidden = field.value === caption.text;
    });
    return [make("h6", `${caption.number}  ${caption.name}`), field, button, state];
  });
}
