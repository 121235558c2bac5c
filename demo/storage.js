// What the browser keeps. Each tab has its own; a new tab begins with a copy of what was kept last in any.
// Storage may be full, damaged or forbidden: then things live as long as the page.

export const PREFIX = "mcm-";

/** Whether there was room in the tab's own storage. */
export function put(key, value) {
  const text = JSON.stringify(value);
  return [sessionStorageOf, localStorageOf].map((storage) => putInto(storage, PREFIX + key, text))[0];
}

function putInto(storage, key, text) {
  try {
    storage().setItem(key, text);
    return true;
  } catch {
    return false;
  }
}

/** What was kept, or null. */
export function take(key) {
  for (const storage of [sessionStorageOf, localStorageOf]) {
    try {
      const kept = JSON.parse(storage().getItem(PREFIX + key));
      if (kept !== null && typeof kept === "object") return kept;
    } catch {
      // As if there was nothing.
    }
  }
  return null;
}

const sessionStorageOf = () => sessionStorage;
const localStorageOf = () => localStorage;
