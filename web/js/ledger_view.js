// A folder's ledger as it is read best: its summary, what failed, what was written.

const SUMMARY = /^(would write|written) \d+, skipped \d+, failed \d+$/;
// So many skipped pictures are named; of more the summary says how many.
const NAMED = 3;

/** The text of a node's box for a text of a run; a text that is no ledger stays as it is. */
export function inReadingOrder(text) {
  const lines = text.split("\n");
  if (lines.length < 2 || !SUMMARY.test(lines.at(-1))) return text;
  const summary = lines.pop();
  const are = (state) => lines.filter((line) => line.startsWith(`${state} `));
  const [failed, skipped] = [are("failed"), are("skipped")];
  const others = lines.filter((line) => !failed.includes(line) && !skipped.includes(line));
  const rest = skipped.length > NAMED ? [] : skipped;
  return [summary, "", ...failed, ...others, ...rest].join("\n");
}
