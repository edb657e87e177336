/** What the made-up publishing house has before anything happens: a real back end has it in its database. */

/** @typedef {"draft" | "review" | "scheduled" | "published" | "archived"} Status */
/** @typedef {{ id: string, title: string, type: string, status: Status, author: string, changedAt: string }} Content */
/** @typedef {{ id: string, name: string, email: string, location: string }} Person */

/** @type {readonly Person[]} */
export const PEOPLE = [
  ["Mara Lindqvist", "Gothenburg"],
  ["Tomás Arriaga", "Valparaíso"],
  ["Ines Duarte", "Lisbon"],
  ["Kofi Mensah", "Accra"],
  ["Hana Sato", "Yokohama"],
  ["Pieter de Boer", "Rotterdam"],
  ["Amira Haddad", "Alexandria"],
  ["Joan Ferrer", "Barcelona"],
].map(([name = "", location = ""], at) => ({
  id: `u${at + 1}`,
  name,
  email: `${name.toLowerCase().split(" ")[0]}@harbor.example`,
  location,
}));

/** @type {readonly Content[]} */
export const CONTENT = /** @type {const} */ ([
  ["A year on the container routes", "blog", "published"],
  ["Tide tables for small boats", "page", "published"],
  ["How pilots read the wind", "blog", "review"],
  ["Night shift at the lock", "blog", "draft"],
  ["Harbour fees, explained", "page", "published"],
  ["Interview: the crane operator", "blog", "scheduled"],
  ["A map of every lighthouse", "page", "draft"],
  ["Why ropes fail", "blog", "review"],
  ["The last ferry to Tjörn", "blog", "archived"],
  ["Customs forms for beginners", "page", "published"],
]).map(([title, type, status], at) => ({
  id: `c${at + 1}`,
  title,
  type,
  status,
  author: PEOPLE[at % PEOPLE.length]?.id ?? "u1",
  changedAt: "2026-01-31T08:00:00Z",
}));
