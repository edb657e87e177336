/** The one error type of client, hooks and emitter: a code to branch on, and a message that says what to do. */

/** A server's code (PROTOCOL §7), or one of the client's own. */
export type TidingsErrorCode =
  | "invalid_json"
  | "invalid_message"
  | "unknown_type"
  | "invalid_event_type"
  | "invalid_filter"
  | "invalid_event"
  | "invalid_token"
  | "forbidden"
  | "conflict"
  | "not_subscribed"
  | "too_many_subscriptions"
  | "rate_limited"
  | "unavailable"
  | "internal"
  /** The address is not one that can be connected to. */
  | "invalid_url"
  /** Nothing answers there, or the connection broke. */
  | "connection_failed"
  /** The server speaks another version of the protocol, or breaks it. */
  | "protocol"
  /** There is no token, or the server does not accept it. */
  | "unauthorized"
  /** `getToken` failed. */
  | "no_token"
  /** An operator disconnected the user. */
  | "disconnected"
  /** A queue of this client is full. */
  | "overflow"
  /** The client was stopped, or a signal ended the wait. */
  | "stopped"
  | (string & {});

export class TidingsError extends Error {
  override readonly name = "TidingsError";
  readonly code: TidingsErrorCode;
  /** What the server added, as the faults of an event by path. */
  readonly details: unknown;

  constructor(
    code: TidingsErrorCode,
    message: string,
    options: { readonly details?: unknown; readonly cause?: unknown } = {},
  ) {
    super(message, options);
    this.code = code;
    this.details = options.details;
  }
}
