/** Who shares a connection with whom. */

import { expect, test } from "vitest";
import { expiryOf, groupName, sameness } from "../../src/shared/group.ts";
import { token } from "../support/server.ts";

test("tokens of one user that differ in their times and ids only are the same", () => {
  const claims = { sub: "ü1", role: "editor", tenant: { id: 7 } };
  const early = token({ ...claims, iat: 1, exp: 2, jti: "a" });
  const late = token({ jti: "b", exp: 4, nbf: 3, ...claims });
  expect(sameness(late)).toBe(sameness(early));
});

test.each([{ sub: "u2" }, { role: "admin" }, { tenant: { id: 8 } }, { more: true }])(
  "tokens that differ in %j are not the same",
  (claims) => {
    const common = { sub: "u1", role: "editor", tenant: { id: 7 } };
    expect(sameness(token({ ...common, ...claims }))).not.toBe(sameness(token(common)));
  },
);

test.each(["", "opaque", "a.b.c", "a.bnVsbA.c"])(
  "what is not read as a JWT (%j) is the same as itself only",
  (text) => {
    expect(sameness(text)).toBe(text);
    expect(expiryOf(text)).toBe(Number.POSITIVE_INFINITY);
  },
);

test("a group's name tells addresses and users apart, and shows neither", async () => {
  const names = await Promise.all([
    groupName("ws://a/ws", "u1"),
    groupName("ws://a/ws", "u2"),
    groupName("ws://b/ws", "u1"),
    groupName("ws://a/ws", "u1"),
  ]);
  expect(new Set(names).size).toBe(3);
  expect(names[3]).toBe(names[0]);
  for (const name of names) expect(name).toMatch(/^tidings\/1\/[0-9a-f]{64}$/);
});
