// How the page asks the server: JSON, or events as they come; and what went wrong, in words for a person.

const KEY = "mene-key";
export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

// kind: key, busy, gone (the server cannot be reached), broken (it answers something else, or breaks off), refused.
export class Trouble extends Error {
  constructor(kind, message, status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

export async function get(path, signal) {
  return read(await send(path, { signal }));
}

export async function text(path) {
  return (await send(path, {})).text();
}

export async function post(path, body, signal) {
  return read(await send(path, { method: "POST", body: JSON.stringify(body), signal }));
}

export async function remove(path) {
  return read(await send(path, { method: "DELETE" }));
}

// Asks for a stream of events, and calls on(event, data) with each. Returns when the last has come.
export async function stream(path, body, on, signal) {
  const answer = await send(path, { method: "POST", body: JSON.stringify(body), signal });
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new Trouble("broken", "The server answered with something that is no stream of events.");
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw aborted(error) ? error : broke();
    });
    if (done) throw broke();
    const events = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [name, data] = parts(event);
      if (data === null) continue; // a comment, which says that the server is still there
      if (name === "done") return;
      if (name === "error") throw new Trouble("refused", data.message ?? "The server gave up.");
      on(name, data);
    }
  }
}

function parts(event) {
  const lines = event.split("\n");
  const all = (key) => lines.filter((line) => line.startsWith(`${key}:`)).map((line) => line.slice(key.length + 1).trim());
  const data = all("data");
  try {
    return [all("event")[0] ?? "message", data.length ? JSON.parse(data.join("\n")) : null];
  } catch {
    throw new Trouble("broken", "The server sent an event that cannot be read.");
  }
}

const broke = () => new Trouble("broken", "The connection broke off before the verdict came. Judge again.");
export const aborted = (error) => error?.name === "AbortError";

async function send(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...(options.body && { "content-type": "application/json" }), ...(key && { authorization: `Bearer ${key}` }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (aborted(error)) throw error;
    throw new Trouble("gone", `The server does not answer. Is \`${document.body.dataset.program ?? "mene serve"}\` still running?`);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  const detail = said?.error?.message ?? (Array.isArray(said?.detail) ? said.detail[0]?.msg : said?.detail?.message);
  if (answer.status === 401) throw new Trouble("key", detail ?? "This server asks for an API key.", 401);
  if (answer.status === 429) {
    const wait = answer.headers.get("retry-after");
    throw new Trouble("busy", `${document.body.dataset.busy ?? "The judge is busy"}${wait ? `; there is room again in about ${wait} s` : ""}.`, 429);
  }
  if (!said) throw new Trouble("broken", `The server answered ${answer.status} and did not say why.`, answer.status);
  throw new Trouble("refused", String(detail ?? `The server answered ${answer.status}.`), answer.status);
}

async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (aborted(error)) throw error;
    throw new Trouble("broken", "The server's answer is no JSON. Is something else listening at this address?");
  }
}
