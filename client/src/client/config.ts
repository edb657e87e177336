/** Every bound and interval of a client; times in ms. The same as the core's client machine has. */

/** Upper end of the first delay before a reconnection; it doubles with each attempt (full jitter). */
export const BACKOFF_BASE = 500;
/** Upper end of any delay before a reconnection. */
export const BACKOFF_CAP = 30_000;
/** A connection that has been open for this long begins the delays anew. */
export const BACKOFF_RESET = 10_000;
/** From the wish to connect until `welcome`. */
export const CONNECT_TIMEOUT = 15_000;
/** After a page has become visible, how long the server may take for a sign of life. */
export const PROBE_TIMEOUT = 5_000;
/** Before a request is repeated that the server could not serve at the moment; up to as much again is added. */
export const RETRY_DELAY = 1_000;
/** How long before a token's expiry the next one is asked for; a fifth of its life where that is less. */
export const REFRESH_LEAD = 60_000;
/** An answer to a refresh that is worth nothing is not asked for again before. */
export const REFRESH_PAUSE = 1_000;
/** When to ask for the next token where the clock here is wrong: it holds the one in use for expired. */
export const REFRESH_BLIND = 30_000;
/** Patterns of a subscription at most. */
export const PATTERNS_MAX = 64;
/** Events at most to begin a subscription with. */
export const RECENT_MAX = 200;
/** Size of one event at most, in bytes of JSON with the message around it: a server closes on what is too large. */
export const EVENT_BYTES_MAX = 64 * 1024;
/** Events at most that wait to be published or for their answer. */
export const PUBLISHES_MAX = 256;
/** Events at most that have been sent and not answered: fewer than the refusals at which a server closes. */
export const PUBLISHES_IN_FLIGHT = 8;
/** Between two messages, in the long run; what the server allows, or less. */
export const MESSAGE_INTERVAL = 10;
/** Messages at once at most; less than the server allows, because it counts long scans as more. */
export const MESSAGES_BURST = 100;
