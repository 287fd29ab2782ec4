// What a line of a list of found things is about: while the pointer is on it, the picture is shown
// beside it with that thing alone in the light. It is our own picture, so that it is the same in both
// renderers and at every zoom.

import { api } from "../../../scripts/api.js";
import { make } from "./answer_box.js";

const SVG = "http://www.w3.org/2000/svg";
const AWAY = 12; // pixels between the pointer and the picture

function drawn(tag, facts) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) element.setAttribute(name, String(value));
  return element;
}

/** All of a picture of `width` x `height` in the dark but a box, or a circle around a point. */
function light({ x, y, width, height }, whole) {
  const [w, h] = [width ?? 0, height ?? 0];
  const around = w && h ? 0 : Math.max(whole.width, whole.height) / 25;
  const hole = around
    ? `M${x - around},${y}a${around},${around} 0 1,0 ${2 * around},0a${around},${around} 0 1,0 ${-2 * around},0z`
    : `M${x},${y}h${w}v${h}h${-w}z`;
  const dark = drawn("path", {
    d: `M0,0h${whole.width}v${whole.height}h${-whole.width}z${hole}`,
    "fill-rule": "evenodd", fill: "#000", "fill-opacity": 0.6,
  });
  const edge = drawn("path", {
    d: hole, fill: "none", stroke: "#fff", "stroke-width": 2, "vector-effect": "non-scaling-stroke",
  });
  return [dark, edge];
}

function pictureOf({ filename, subfolder, type }) {
  const query = new URLSearchParams({ filename, subfolder, type });
  return api.apiURL(`/view?${query}`);
}

let shown = null;

/** No line is under the pointer any more. */
export function leave() {
  shown?.remove();
  shown = null;
}

function show(event, image, thing) {
  leave();
  const figure = (shown = make("figure", "", "qwen3vl-lit"));
  const picture = make("img");
  const over = drawn("svg", { preserveAspectRatio: "none" });
  picture.addEventListener("load", () => {
    const whole = { width: picture.naturalWidth, height: picture.naturalHeight };
    over.setAttribute("viewBox", `0 0 ${whole.width} ${whole.height}`);
    over.replaceChildren(...light(thing, whole));
    const { width, height } = figure.getBoundingClientRect();
    const right = event.clientX + AWAY + width < innerWidth;
    figure.style.left = `${right ? event.clientX + AWAY : Math.max(0, event.clientX - AWAY - width)}px`;
    figure.style.top = `${Math.max(0, Math.min(event.clientY, innerHeight - height))}px`;
  });
  picture.src = pictureOf(image);
  figure.append(picture, over);
  document.body.append(figure);
}

/**
 * The text of one picture, its lines about found things alive; null where the output has none of them.
 * `number` is the picture's.
 */
export function foundLines(output, number, text) {
  const things = (output?.boxes ?? output?.points)?.[number];
  const image = output?.images?.[number];
  const [head, ...lines] = text.split("\n");
  if (!image || !things?.length || lines.length !== things.length) return null;
  const paragraph = make("p", `${head}\n`);
  lines.forEach((line, index) => {
    const part = make("span", `${line}\n`, "found");
    part.addEventListener("pointerenter", (event) => show(event, image, things[index]));
    part.addEventListener("pointerleave", leave);
    paragraph.append(part);
  });
  return paragraph;
}
