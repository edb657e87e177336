/** The worker that leads groups for all tabs of an origin: it outlives each of them, and lives as long as one does. */

import { readAddress } from "../client/address.ts";
import { connector } from "../client/connector.ts";
import { openSse } from "../client/sse.ts";
import { type Surroundings, stand } from "./lead.ts";
import type { Group } from "./messages.ts";

/** As far as a shared worker's own scope is used here. */
interface Scope extends Surroundings {
  onconnect: ((event: MessageEvent) => void) | null;
  addEventListener(
    type: "securitypolicyviolation",
    listener: (event: SecurityPolicyViolationEvent) => void,
  ): void;
}

const scope = globalThis as unknown as Scope;
const names = new Set<string>();
const life = new AbortController();

// The policy is that of the worker's file, and may forbid to connect where a page's own does not: then a tab leads.
scope.addEventListener("securitypolicyviolation", ({ disposition }) => {
  if (disposition === "enforce") life.abort();
});

scope.onconnect = ({ ports: [port] }) => {
  if (!port) return;
  port.onmessage = ({ data }) => {
    const { name, url, transport } = data as Group;
    if (!names.has(name)) {
      names.add(name);
      // Bundlers make one file of a worker, so what it may need is in it.
      const connect = connector(readAddress(url), { transport }, async () => ({ openSse }));
      void stand({ name, connect, surroundings: scope }, life.signal);
    }
    const answer = () => port.postMessage("stands");
    // Behind the request for the lock, so that the tab that hears it comes after this worker.
    scope.navigator.locks.query().then(answer, answer);
  };
};
