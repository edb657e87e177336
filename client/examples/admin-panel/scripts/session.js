/** Where the server is and who the panel is there: the address that `tidings serve --dev` prints has both. */

/** @typedef {{ readonly url: string, readonly token: string }} Session */

/**
 * @param {string} text As in `http://127.0.0.1:8080/?token=…`.
 * @returns {Session}
 */
export function readSession(text) {
  const address = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  const token = address?.searchParams.get("token");
  if (!address || !/^(http|ws)s?:$/.test(address.protocol) || !token) {
    throw new Error(
      "Paste the whole address of the live page that `tidings serve --dev` printed, its token included.",
    );
  }
  return { url: `${address.protocol.replace("ws", "http")}//${address.host}`, token };
}

/**
 * The session of a script: the address that it was called with, else what the environment says.
 *
 * @returns {Session | null}
 */
export function sessionOfProcess() {
  const address = process.argv[2];
  return address === undefined ? sessionFromEnvironment() : readSession(address);
}

/**
 * What `TIDINGS_URL` and `TIDINGS_TOKEN` say, as for the `tidings` command itself.
 *
 * @returns {Session | null}
 */
export function sessionFromEnvironment() {
  const { TIDINGS_URL: url, TIDINGS_TOKEN: token } = process.env;
  return url && token ? { url, token } : null;
}
