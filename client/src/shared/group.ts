/**
 * Who may share a connection: clients of one origin that connect to the same address with tokens that say the same
 * but for their times. So a tab of another user, or of the same user with another role or tenant, has a connection of
 * its own, and sharing changes nothing of what a client sees.
 */

type Claims = Readonly<Record<string, unknown>>;

/** Claims that are each token's own. */
const OWN = ["exp", "iat", "nbf", "jti"];

/** What two tokens have in common that the server treats alike; a text that it cannot be read from is its own. */
export function sameness(token: string): string {
  const claims = claimsOf(token);
  if (!claims) return token;
  const common = Object.entries(claims).filter(([name]) => !OWN.includes(name));
  return JSON.stringify(common.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** When a token expires, in seconds of Unix time. */
export function expiryOf(token: string): number {
  const exp = claimsOf(token)?.exp;
  return typeof exp === "number" ? exp : Number.POSITIVE_INFINITY;
}

/** The name of the group of those who have all of this in common; from it nobody reads a claim. */
export async function groupName(...common: readonly string[]): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(common));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  // The number is that of the messages between members and leader: a tab that holds an older page is left alone.
  return `tidings/1/${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** What a JWT claims, unchecked: that is the server's affair. */
function claimsOf(token: string): Claims | undefined {
  try {
    const base64 = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? (claims as Claims) : undefined;
  } catch {
    return undefined;
  }
}
