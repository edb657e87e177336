/**
 * The panel's back end, as far as an example needs one, inside Vite's own server. It knows who is signed in, gives
 * the page its token, and publishes what the page's users do: pages ask back ends, and back ends publish.
 */

import { createEventEmitter } from "tidings/emitter";
import { CONTENT, PEOPLE } from "./newsroom.js";
import { readSession } from "./session.js";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Plugin } from "vite" */
/** @import { Session } from "./session.js" */

/**
 * @param {Session | null} first Who is signed in from the start.
 * @returns {Plugin}
 */
export function backend(first) {
  let session = first;
  let emitter = session && emitterOf(session);

  /** @type {Record<string, (body: any) => unknown>} */
  const routes = {
    "GET /session": () => session,
    "POST /session": ({ address }) => {
      session = readSession(String(address));
      emitter = emitterOf(session);
      return session;
    },
    "GET /content": () => CONTENT,
    "GET /people": () => PEOPLE,
    "POST /content/status": async ({ id, oldStatus, newStatus, title }) =>
      emitter?.emitContentStatusChanged({
        contentId: id,
        oldStatus,
        newStatus,
        title,
        changedBy: "you",
        changedAt: new Date(),
      }),
    "POST /settings": async ({ key, value }) =>
      emitter?.emitSettingsUpdated({
        settingKey: key,
        newValue: value,
        updatedBy: "you",
        updatedAt: new Date(),
      }),
  };

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  const answer = async (request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    try {
      if (!route) throw new Error("There is no such thing.");
      const result = await route(request.method === "POST" ? await bodyOf(request) : {});
      response.setHeader("content-type", "application/json").end(JSON.stringify(result ?? null));
    } catch (error) {
      response.statusCode = 400;
      response
        .setHeader("content-type", "application/json")
        .end(JSON.stringify({ message: messageOf(error) }));
    }
  };
  return {
    name: "harbor-back-end",
    configureServer: ({ middlewares }) => void middlewares.use("/api", answer),
    configurePreviewServer: ({ middlewares }) => void middlewares.use("/api", answer),
  };
}

/** @param {Session} session */
function emitterOf({ url, token }) {
  // An API key in production. What fails is told to whoever asked for it.
  return createEventEmitter({ url, apiKey: token, source: "/harbor", onError: () => {} });
}

/**
 * @param {IncomingMessage} request
 * @returns {Promise<any>}
 */
async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new Error("That is too much.");
  }
  return JSON.parse(text);
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
