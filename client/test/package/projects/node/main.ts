/** Emits an event and receives it: what a back end that uses the package looks like. */

import { createClient } from "tidings";
import { createEventEmitter, TidingsError } from "tidings/emitter";

const [url = "", apiKey = "", token = ""] = process.argv.slice(2);
const emitter = createEventEmitter({ url, apiKey, onError: () => {} });
const client = createClient({ url, token });

const { promise: begun, resolve: begin } = deferred<number>();
const received = new Promise<string>((resolve) => {
  client.subscribe("content.*", (event) => resolve(`${event.type}: ${event.data.title}`), {
    filter: { type: "blog" },
    onBegin: ({ offset }) => begin(offset),
  });
});
await begun;
await emitter.emitContentDeleted({ contentId: "p1", title: "Hello", type: "blog", deletedAt: new Date() });
console.log(await received);

const refused = await emitter.emit("no.type", {}).catch((error: unknown) => error);
console.log(refused instanceof TidingsError && refused.code);

client.stop();
await emitter.close();

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
