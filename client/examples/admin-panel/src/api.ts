/** What the page asks of its back end (`scripts/backend.js`). */

export interface Session {
  readonly url: string;
  readonly token: string;
}

export type Status = "draft" | "review" | "scheduled" | "published" | "archived";

export interface Content {
  readonly id: string;
  readonly title: string;
  readonly type: string;
  readonly status: Status;
  readonly changedAt: string;
}

export interface Person {
  readonly id: string;
  readonly name: string;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answerOf(await fetch(`/api${path}`, signal ? { signal } : {}));
}

export async function post<T>(path: string, body: object): Promise<T> {
  return answerOf(await fetch(`/api${path}`, { method: "POST", body: JSON.stringify(body) }));
}

async function answerOf<T>(response: Response): Promise<T> {
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

/** What the provider asks for a token with. */
export async function getToken({ signal }: { signal: AbortSignal }): Promise<string | null> {
  return (await get<Session | null>("/session", signal))?.token ?? null;
}
