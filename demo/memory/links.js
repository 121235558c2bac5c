// A link to the page as it is: the fields in its query, and the drawing, deflated, in its fragment.

const LONGEST = 24000; // characters of a drawing: some programs cut longer addresses
const LARGEST = 8e6; // bytes of a drawing, inflated
const NOTHING = { version: 1, width: 256, height: 256, labels: "", sketch: "" };
const DAMAGED = "damaged";

/** Fields as text by name, as a link holds them. */
export function texts(fields) {
  const text = (value) => (Array.isArray(value) ? value.join(",") : String(value ?? ""));
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, text(value)]));
}

/** {link: URL, isWhole: whether the drawing found room in it} */
export async function written(fields, drawing) {
  const link = new URL(location.pathname, location.href);
  const theme = new URLSearchParams(location.search).get("__theme");
  if (theme) link.searchParams.set("__theme", theme);
  for (const [name, text] of Object.entries(texts(fields))) if (text) link.searchParams.set(name, text);
  const packed = await pack(drawing ?? NOTHING);
  const isWhole = packed.length <= LONGEST;
  if (isWhole) link.hash = `d=${packed}`;
  return { link, isWhole };
}

/** {query: {name: text}, drawing: canvas value, null for none or `DAMAGED`}; null where the address asks for nothing. */
export async function asked() {
  const { __theme, ...query } = Object.fromEntries(new URLSearchParams(location.search));
  const packed = location.hash.match(/^#d=([\w-]+)$/)?.[1];
  if (!packed && !Object.keys(query).length) return null;
  return { query, drawing: packed ? await unpack(packed).catch(() => DAMAGED) : null };
}

async function pack(drawing) {
  const { revision, ...rest } = drawing;
  const bytes = await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(JSON.stringify(rest)));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpack(packed) {
  const letters = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const text = new TextDecoder().decode(await through(new DecompressionStream("deflate-raw"), bytes));
  return { ...JSON.parse(text), revision: 0 };
}

async function through(stream, bytes) {
  const chunks = [];
  let size = 0;
  for await (const chunk of new Blob([bytes]).stream().pipeThrough(stream)) {
    size += chunk.length;
    if (size > LARGEST) throw new Error("too large");
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
