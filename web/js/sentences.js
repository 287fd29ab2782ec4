// The pack's own sentences, as the server sends them, in the language of the interface. English is
// what the server says; ../words/zh.json has the Chinese of each, `{}` for what differs from one to
// the next. No regular expressions: file names and answers are in these texts, and matching them must
// stay quick whatever they hold.

// Longer texts are not the pack's sentences; and so many places are tried for the end of a problem.
const LONGEST = 4000;
const MOST_ENDS = 40;
// "Picture 2 of 3: …" has a sentence in it, and that may have one more.
const DEEPEST = 2;

/** What stands for each `{}`; null where the text is not of this pattern. */
function parts(text, literals) {
  const last = literals.at(-1);
  if (!text.startsWith(literals[0]) || !text.endsWith(last)) return null;
  let at = literals[0].length;
  const found = [];
  for (const literal of literals.slice(1, -1)) {
    const next = text.indexOf(literal, at + 1);
    if (next < 0) return null;
    found.push(text.slice(at, next));
    at = next + literal.length;
  }
  const end = text.length - last.length;
  if (literals.length === 1) return text === last ? [] : null;
  if (end <= at) return null; // nothing is left for the last place
  return [...found, text.slice(at, end)];
}

/** A function from an English text of the pack to its Chinese; what is unknown stays as it is. */
export function translator(sentences) {
  const patterns = Object.entries(sentences)
    .map(([english, chinese]) => ({ literals: english.split("{}"), chinese }))
    .sort((a, b) => b.literals.join("").length - a.literals.join("").length);

  const whole = (text, depth) => {
    for (const { literals, chinese } of patterns) {
      const found = parts(text, literals);
      if (found) return chinese.replace(/\{(\d)\}/g, (_, n) => sentence(found[n] ?? "", depth + 1));
    }
    return null;
  };

  /** A sentence, or a problem with its remedy behind it; either may be known alone. */
  const sentence = (text, depth) => {
    if (depth > DEEPEST) return text;
    // A problem may end in what was found, without a full stop; a remedy begins with a capital.
    const ends = depth < DEEPEST ? [...text.matchAll(/[.!?…] (?=\S)|\S (?=[A-Z])/g)].slice(-MOST_ENDS) : [];
    let half = null;
    for (const { index } of ends.reverse()) {
      const [before, after] = [text.slice(0, index + 1), text.slice(index + 2)];
      const [problem, remedy] = [whole(before, depth), whole(after, depth)];
      if (problem !== null && remedy !== null) return joined(problem, remedy);
      if (problem !== null || remedy !== null) half ??= joined(problem ?? before, remedy ?? after);
    }
    return whole(text, depth) ?? half ?? text;
  };

  const line = (text) => {
    const begin = text.length - text.trimStart().length;
    return text.slice(0, begin) + sentence(text.slice(begin), 0);
  };
  return (text) => (text.length > LONGEST ? text : text.split("\n").map(line).join("\n"));
}

let chinese = null;

/** A text of the pack in the language of the interface. Chinese is fetched when it is first wanted. */
export function say(text, language) {
  if (language !== "zh") return text;
  chinese ??= fetch(new URL("../words/zh.json", import.meta.url))
    .then((answer) => answer.json())
    .then((sentences) => (chinese = translator(sentences)));
  return typeof chinese === "function" ? chinese(text) : text;
}

/** Chinese needs no space between sentences. */
const joined = (one, other) => one + (/[。！？：]$/.test(one) ? "" : " ") + other;
