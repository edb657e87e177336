/** Requests over HTTP (PROTOCOL §6) and Server-Sent Events as blocks (WHATWG HTML §9.2), by `fetch`. */

/** What the server refuses, as its problem says it (RFC 9457). */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: unknown;

  constructor(status: number, code: string, message: string, details: unknown) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** One block of an event stream. */
export interface Block {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Sends a request. Throws a `Refusal` where the server refuses it. */
export async function request(url: string, token: string, init: RequestInit): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, ...init.headers };
  const response = await fetch(url, { cache: "no-store", ...init, headers });
  if (response.ok) return response;
  // What stands between may answer with anything.
  const problem = await response.json().catch(() => ({}));
  const { code = "internal", detail = response.statusText, errors } = problem;
  throw new Refusal(response.status, String(code), String(detail), errors);
}

/** The blocks of a stream, until it ends. Throws where it breaks. */
export async function* readBlocks(response: Response): AsyncGenerator<Block, undefined> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const texts = (rest + value).split("\n\n");
    rest = texts.pop() ?? "";
    for (const text of texts) yield readBlock(text);
  }
}

/** A server ends lines with LF alone. */
function readBlock(text: string): Block {
  const fields = { id: "", event: "", data: "" };
  for (const line of text.split("\n")) {
    const [name, ...values] = line.split(": ");
    const value = values.join(": ");
    if (name === "id" || name === "event") fields[name] = value;
    // Lines of data belong to one text.
    if (name === "data") fields.data += (fields.data && "\n") + value;
  }
  return fields;
}
