// Whether the server is there. When it is again after it was lost, or is another one, the page is loaded anew: its
// streams of answers and its session are gone, and what it keeps brings it back.

const SOON_MS = 2000;
const IDLE_MS = 10000;

/** Calls tell(isLost) whenever that has changed. */
export function watchConnection(tell) {
  const { root, api_prefix, app_id } = window.gradio_config || {};
  if (!app_id) return;
  let isLost = false;
  let timer = null;

  const look = async () => {
    clearTimeout(timer);
    const answer = await fetch(`${root}${api_prefix}/app_id`, { cache: "no-store" }).catch(() => null);
    const known = answer?.ok ? await answer.json().catch(() => null) : null;
    if (known && (isLost || known.app_id !== app_id)) return location.reload();
    if (!answer && !isLost) tell((isLost = true));
    timer = setTimeout(look, isLost || document.body.dataset.busy === "true" ? SOON_MS : IDLE_MS);
  };

  for (const event of ["offline", "online"]) window.addEventListener(event, look);
  new MutationObserver(look).observe(document.body, { attributeFilter: ["data-busy"] });
  timer = setTimeout(look, IDLE_MS);
}
