/** The client for browsers, workers and Node. */

export type {
  ClientEvents,
  ClientOptions,
  ClientState,
  CreateClient,
  EventStream,
  EventStreamOptions,
  PublishedEvent,
  SubscribeOptions,
  Subscription,
  TidingsClient,
  WebSocketConstructor,
} from "./client/api.ts";
export { createClient } from "./client/client.ts";
export { TidingsError, type TidingsErrorCode } from "./errors.ts";
export type {
  Category,
  CloudEvent,
  Delivery,
  EventOf,
  EventPattern,
  EventType,
  Filter,
  Gap,
  Lane,
  Position,
  Priority,
  Scalar,
  TidingsEvent,
} from "./types.ts";
