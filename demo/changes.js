// Numbers for the changes of the page, by hand or by word. They grow, so that what comes late is known to be late. The
// components share no module at run time: the page's body says the newest.

export const latestChange = () => Number(document.body.dataset.change) || 0;

/** The number of a new change; above `known`, which may come from an earlier opening of the page. */
export function nextChange(known = 0) {
  const change = Math.max(latestChange(), known) + 1;
  document.body.dataset.change = change;
  return change;
}
