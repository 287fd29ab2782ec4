// A folder's ledger as it is read best: its summary, what failed, what was written and how it reads.

const SUMMARY = /^(would write|written) \d+, skipped \d+, failed \d+$/;
// So many skipped pictures are named; of more the summary says how many.
const NAMED = 3;

/** A text that closes as a ledger does. */
export const isLedger = (text) => text.includes("\n") && SUMMARY.test(text.split("\n").at(-1));

/** A line of a caption that was written, with its words below it where they are known. */
function withCaption(line, captions, said) {
  const known = captions.find(({ name }) => {
    const written = `written ${name}`;
    return line === written || line.startsWith(`${written}: `);
  });
  return known ? `${said(line)}\n    ${known.text}` : said(line);
}

/**
 * The text of a node's box for a text of a run; only a ledger is put into another order.
 * `captions`: { name, text } of those that were written last; `said` gives a text of the pack in the
 * language of the interface.
 */
export function inReadingOrder(text, captions, said) {
  if (!isLedger(text)) return said(text);
  const lines = text.split("\n");
  const summary = lines.pop();
  const are = (state) => lines.filter((line) => line.startsWith(`${state} `));
  const [failed, skipped] = [are("failed"), are("skipped")];
  const others = lines.filter((line) => !failed.includes(line) && !skipped.includes(line));
  const rest = skipped.length > NAMED ? [] : skipped;
  const told = others.map((line) => withCaption(line, captions, said));
  return [said(summary), "", ...failed.map(said), ...told, ...rest.map(said)].join("\n");
}
