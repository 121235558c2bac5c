// The pictures that are shown, as files in the browser's database; the newest few, whichever tab they are of.

const KEPT = 8;

/** A promise of what `act(store)` asks for; null where the browser allows no database. */
function inStore(mode, act) {
  return new Promise((give) => {
    try {
      const opening = indexedDB.open("mcm", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("pictures");
      opening.onerror = () => give(null);
      opening.onsuccess = () => {
        const transaction = opening.result.transaction("pictures", mode);
        const request = act(transaction.objectStore("pictures"));
        transaction.oncomplete = () => (opening.result.close(), give(request.result ?? null));
        transaction.onabort = () => (opening.result.close(), give(null));
      };
    } catch {
      give(null);
    }
  });
}

/** The key under which the picture at `url` is kept from now on, or null. */
export async function putPicture(url) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) return null;
  const blob = await response.blob();
  const key = Date.now();
  const put = (store) => {
    const keys = store.getAllKeys();
    keys.onsuccess = () => keys.result.slice(0, -KEPT).forEach((old) => store.delete(old));
    return store.put(blob, key);
  };
  return inStore("readwrite", put);
}

/** A file, or null. */
export async function takePicture(key) {
  if (typeof key !== "number") return null;
  const blob = await inStore("readonly", (store) => store.get(key));
  return blob instanceof Blob ? new File([blob], "picture.png", { type: "image/png" }) : null;
}
